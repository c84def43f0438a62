// SPDX-License-Identifier: BSD-3-Clause
//
// A VMM that sends any packets, with good descriptors or bad, in any state.
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"
#include "sidecar/session/dialogue.h"

namespace {

using memfail::session::Dialogue;
using memfail::session::DialogueState;
namespace shm = memfail::shm;
namespace wire = memfail::wire;

const wire::Id128 kSession{1, 2};
constexpr auto kFeatures = static_cast<std::uint64_t>(wire::Feature::ANY);

shm::Received good_descriptors() {
  shm::Received received;
  auto area = shm::make_area(shm::AreaKind::kRequest, shm::Geometry(2), {1, 2});
  received.fds[0] = std::move(area->fd);
  received.fds[1].reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  received.fds[2].reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  received.fd_count = 3;
  return received;
}

void take(Dialogue& dialogue, std::span<const std::uint8_t> packet, shm::Received received) {
  // The receive buffer is aligned and of exactly this size: what is read behind a
  // message is seen by the sanitizer.
  const auto bytes = std::as_bytes(packet);
  const std::vector<std::byte> copy(bytes.begin(), bytes.end());
  received.size = copy.size();
  dialogue.take(copy, received);
  if (!dialogue.answer().empty()) dialogue.answer_sent();
}

void attach(Dialogue& dialogue) {
  flatbuffers::FlatBufferBuilder builder;
  const auto hello =
      wire::CreateHello(builder, 1, 1, kFeatures, &kSession, nullptr, builder.CreateString("uuid"),
                        builder.CreateString("vm"), wire::Vendor::intel, 0, 0, 0, 0, 2, 100);
  wire::FinishMessageBuffer(builder,
                            wire::CreateMessage(builder, 1, wire::Body::Hello, hello.Union()));
  take(dialogue, {builder.GetBufferPointer(), builder.GetSize()}, good_descriptors());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  memfail::test::FakeHost host;
  memfail::session::SessionTable table(host);
  Dialogue dialogue(table, host, {});
  if (data.ConsumeBool()) attach(dialogue);
  while (data.remaining_bytes() > 0 && dialogue.state() != DialogueState::kEnded) {
    const bool descriptors = data.ConsumeBool();
    if (dialogue.give(memfail::session::DrillOrder{})) dialogue.answer_sent();
    const auto length = data.ConsumeIntegralInRange<std::size_t>(0, 4096);
    const auto packet = data.ConsumeBytes<std::uint8_t>(length);
    take(dialogue, packet, descriptors ? good_descriptors() : shm::Received{});
  }
  if (dialogue.state() != DialogueState::kEnded) dialogue.hang_up();
  return 0;
}

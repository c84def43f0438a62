// SPDX-License-Identifier: BSD-3-Clause
//
// A sidecar that sends any packets, with a good reply area or none.
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "memfail/shim.h"
#include "schema/control_generated.h"
#include "shm/area.h"
#include "shm/control_socket.h"
#include "sidecar/decision/fallback_rules.h"

namespace {

namespace shm = memfail::shm;
namespace wire = memfail::wire;

constexpr auto kFeatures = static_cast<std::uint64_t>(wire::Feature::ANY);

memfail_shim* make_shim(int socket) {
  memfail_config config{};
  config.struct_size = sizeof config;
  config.socket_fd = socket;
  config.vcpus = 1;
  config.allow = MEMFAIL_ALLOW_DRILLS | MEMFAIL_ALLOW_INJECTIONS;
  config.ops.struct_size = sizeof config.ops;
  config.ops.post = [](void*, std::uint32_t, void (*)(void*), void*) { return -1; };
  config.ops.abort = [](void*, const memfail_incident*) { std::abort(); };
  memfail_shim* shim = nullptr;
  if (memfail_shim_create(&config, &shim, nullptr) != 0) std::abort();
  return shim;
}

shm::OwnArea reply_area(const memfail_shim* shim) {
  memfail_status status{};
  status.struct_size = sizeof status;
  memfail_shim_state(shim, &status);
  return *shm::make_area(shm::AreaKind::kReply, shm::Geometry(1),
                         {status.session_low, status.session_high});
}

void send(int socket, const std::vector<std::uint8_t>& packet, int fd) {
  const std::span<const int> fds(&fd, fd >= 0 ? 1 : 0);
  (void)shm::send_message(socket, std::as_bytes(std::span(packet)), fds);
}

void send_welcome(int socket, int reply_fd) {
  flatbuffers::FlatBufferBuilder builder;
  const wire::Id128 key(3, 4);
  const wire::FallbackRules rules = memfail::decision::to_wire({});
  const auto welcome = wire::CreateWelcome(builder, 1, kFeatures, &key, 32768, 1024, &rules);
  wire::FinishMessageBuffer(builder,
                            wire::CreateMessage(builder, 1, wire::Body::Welcome, welcome.Union()));
  const std::uint8_t* data = builder.GetBufferPointer();
  send(socket, {data, data + builder.GetSize()}, reply_fd);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) return 0;
  const shm::UniqueFd peer(pair[1]);
  memfail_shim* shim = make_shim(pair[0]);
  const shm::OwnArea area = reply_area(shim);
  memfail_shim_dispatch(shim);  // hello
  if (data.ConsumeBool()) send_welcome(peer.get(), area.fd.get());
  while (data.remaining_bytes() > 0) {
    const int fd = data.ConsumeBool() ? area.fd.get() : -1;
    const auto length = data.ConsumeIntegralInRange<std::size_t>(0, 4096);
    send(peer.get(), data.ConsumeBytes<std::uint8_t>(length), fd);
    memfail_shim_dispatch(shim);
  }
  memfail_shim_destroy(shim);
  return 0;
}

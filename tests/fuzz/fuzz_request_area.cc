// SPDX-License-Identifier: BSD-3-Clause
//
// A VMM that writes anything into its request area, with valid CRCs or without.
#include <fuzzer/FuzzedDataProvider.h>

#include "host.h"
#include "shm/lane.h"
#include "sidecar/session/intake.h"

namespace {

namespace shm = memfail::shm;
namespace wire = memfail::wire;
using memfail::session::Intake;

constexpr std::uint32_t kVcpus = 2;
const shm::Geometry kGeometry(kVcpus);

struct Areas {
  shm::OwnArea request = *shm::make_area(shm::AreaKind::kRequest, kGeometry, {1, 2});
  shm::OwnArea reply = *shm::make_area(shm::AreaKind::kReply, kGeometry, {1, 2});
};

// Made once: what an input leaves behind is wiped before the next.
Areas& areas() {
  static Areas made;
  return made;
}

void wipe(shm::OwnArea& area) {
  std::memset(area.mapping.data() + wire::kLineSize, 0, area.mapping.size() - wire::kLineSize);
}

template <typename Line>
Line any_line(FuzzedDataProvider& data) {
  Line line;
  std::vector<std::uint8_t> bytes = data.ConsumeBytes<std::uint8_t>(sizeof line);
  bytes.resize(sizeof line);
  std::memcpy(static_cast<void*>(&line), bytes.data(), sizeof line);
  return line;
}

void write_any(FuzzedDataProvider& data, const shm::RequestView& request) {
  const std::uint32_t lane = data.ConsumeIntegralInRange<std::uint32_t>(0, kGeometry.lanes() - 1);
  const std::uint64_t n = data.ConsumeIntegralInRange<std::uint64_t>(1, 6);
  const shm::CellId id{lane, kGeometry.cell_of(lane, n)};
  const shm::LineKey key{1, 2, lane};
  switch (data.ConsumeIntegralInRange<int>(0, 4)) {
    case 0:
      shm::write_line(request.line(id, shm::LineKind::kReport), any_line<wire::ReportLine>(data),
                      key, n);
      shm::store_word(request.lane(lane), wire::kLaneNextOffset, n);
      break;
    case 1:
      shm::write_line(request.line(id, shm::LineKind::kSnapshot),
                      any_line<wire::SnapshotLine>(data), key, n);
      break;
    case 2:
      shm::write_line(request.line(id, shm::LineKind::kOutcome), any_line<wire::OutcomeLine>(data),
                      key, n);
      break;
    default: {  // any word anywhere behind the header line
      const std::size_t words = kGeometry.request_size() / 8;
      const auto at = data.ConsumeIntegralInRange<std::size_t>(wire::kLineSize / 8, words - 1);
      shm::store_word(areas().request.mapping.data(), at * 8,
                      data.ConsumeIntegral<std::uint64_t>());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  wipe(areas().request);
  wipe(areas().reply);
  memfail::test::FakeHost host;
  memfail::session::VmLabel vm;
  vm.session = wire::Id128(1, 2);
  memfail::decision::GuestProfile guest;
  guest.vcpus = kVcpus;
  guest.mcg_cap_configured = guest.mcg_cap_kvm = 0x100010A;
  const memfail::session::RegionHistory regions;
  const memfail::decision::Rules rules;
  Intake intake(host, vm, guest, regions, rules);
  const shm::RequestView request(areas().request.mapping.data(), kGeometry);
  const shm::ReplyView reply(areas().reply.mapping.data(), kGeometry);
  if (intake.attach(request, reply)) return 0;
  while (data.remaining_bytes() > 0) {
    write_any(data, request);
    if (!intake.pass()) break;
  }
  intake.orphan_all();
  return 0;
}

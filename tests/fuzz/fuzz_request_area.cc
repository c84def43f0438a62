// SPDX-License-Identifier: BSD-3-Clause
//
// A VMM that writes anything into its request area, with valid CRCs or without, that moves
// its memory, lists broken pages and attaches anew.
#include <fuzzer/FuzzedDataProvider.h>

#include "host.h"
#include "shm/lane.h"
#include "sidecar/session/intake.h"

namespace {

namespace shm = memfail::shm;
namespace wire = memfail::wire;
using memfail::session::Intake;
using memfail::session::RegionHistory;

constexpr std::uint32_t kVcpus = 2;
constexpr std::uint64_t kHva = 0x7f00'0000'0000;
constexpr std::uint32_t kRamPages = 16;
constexpr std::uint64_t kSecondGpa = 0x10'0000;  // where the memory is moved to
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

// What gets past the first checks most of the time: small numbers, and pages in and around
// the guest's memory.
template <typename Enum>
Enum nearly(FuzzedDataProvider& data, Enum last) {
  const auto most = static_cast<std::uint8_t>(static_cast<std::uint8_t>(last) + 1);
  return static_cast<Enum>(data.ConsumeIntegralInRange<std::uint8_t>(0, most));
}
std::uint32_t small(FuzzedDataProvider& data, std::uint32_t most) {
  return data.ConsumeIntegralInRange<std::uint32_t>(0, most);
}

wire::ReportLine likely_report(FuzzedDataProvider& data) {
  const auto kind = nearly(data, wire::ReportKind::MAX);
  const auto thread = nearly(data, wire::ThreadKind::MAX);
  const std::uint8_t lsb = data.ConsumeBool() ? 12 : data.ConsumeIntegral<std::uint8_t>();
  const auto drill = static_cast<std::uint8_t>(small(data, 1));
  const std::uint64_t hva = kHva + std::uint64_t{small(data, 2 * kRamPages)} * 4096;
  const std::uint64_t gpa = std::uint64_t{small(data, 2 * kRamPages)} * 4096;
  const auto code = static_cast<int>(4 + small(data, 1));
  return {0, 0, kind, thread, lsb, drill, hva, gpa, 1, code, 0, small(data, 3), small(data, 2), 0};
}

wire::SnapshotLine likely_snapshot(FuzzedDataProvider& data) {
  const auto valid = data.ConsumeBool() ? 0x3FF : data.ConsumeIntegral<std::uint16_t>();
  const auto flags = data.ConsumeIntegralInRange<std::uint16_t>(0, 0x3F);
  const auto val = data.ConsumeIntegral<std::uint32_t>();
  const auto queued =
      data.ConsumeBool() ? wire::kNoException : data.ConsumeIntegral<std::uint8_t>();
  const auto vcpu = static_cast<std::uint16_t>(small(data, kVcpus));
  return {0,
          0,
          static_cast<std::uint16_t>(valid),
          flags,
          val,
          0,
          0,
          queued,
          0,
          vcpu,
          small(data, 7),
          small(data, 3),
          small(data, 2),
          val,
          0,
          0};
}

wire::OutcomeLine likely_outcome(FuzzedDataProvider& data) {
  const auto verdict = nearly(data, wire::Verdict::abort);
  const auto by = nearly(data, wire::DecidedBy::MAX);
  const auto delivered = nearly(data, wire::Delivered::unknown);
  const auto reason = nearly(data, wire::Reason::MAX);
  const std::uint64_t gpa = std::uint64_t{small(data, 2 * kRamPages)} * 4096;
  return {0,
          0,
          verdict,
          by,
          delivered,
          reason,
          9,
          static_cast<std::uint8_t>(small(data, 1)),
          0,
          0,
          static_cast<std::uint16_t>(small(data, kVcpus)),
          0,
          gpa,
          0,
          0,
          0};
}

template <typename Line>
void write(FuzzedDataProvider& data, const shm::RequestView& request, shm::LineKind kind,
           Line (*likely)(FuzzedDataProvider&)) {
  const std::uint32_t lane = small(data, kGeometry.lanes() - 1);
  const std::uint64_t n = 1 + small(data, 5);
  const shm::CellId id{lane, kGeometry.cell_of(lane, n)};
  const Line line = data.ConsumeBool() ? likely(data) : any_line<Line>(data);
  shm::write_line(request.line(id, kind), line, {1, 2, lane}, n);
  if (kind != shm::LineKind::kReport) return;
  shm::store_word(request.lane(lane), wire::kLaneNextOffset, n);
}

void write_any_word(FuzzedDataProvider& data) {
  const std::size_t words = kGeometry.request_size() / 8;
  const auto at = data.ConsumeIntegralInRange<std::size_t>(wire::kLineSize / 8, words - 1);
  shm::store_word(areas().request.mapping.data(), at * 8, data.ConsumeIntegral<std::uint64_t>());
}

void put_region(RegionHistory& regions, std::uint32_t generation, bool remove,
                const wire::RegionRange& range) {
  flatbuffers::FlatBufferBuilder builder;
  const std::uint32_t slot = range.slot();
  const auto ram = wire::CreateRegionAdd(builder, &range, builder.CreateString("ram"));
  builder.Finish(wire::CreateRegions(builder, generation,
                                     builder.CreateVector(&slot, remove ? 1 : 0),
                                     builder.CreateVector(&ram, 1)));
  if (regions.stage(*flatbuffers::GetRoot<wire::Regions>(builder.GetBufferPointer()))) return;
  builder.Clear();
  builder.Finish(wire::CreateCommit(builder, generation, 1));
  (void)regions.commit(*flatbuffers::GetRoot<wire::Commit>(builder.GetBufferPointer()));
}

wire::RegionRange guest_ram(std::uint64_t gpa, std::uint64_t page_size) {
  return {gpa, kRamPages * 4096, kHva, page_size, 0, 0, 0};
}

void take_any_page(FuzzedDataProvider& data, Intake& intake) {
  const wire::PoisonPage page(
      kHva + std::uint64_t{small(data, 2 * kRamPages)} * 4096,
      std::uint64_t{small(data, 2 * kRamPages)} * 4096,
      data.ConsumeBool() ? 4096 : data.ConsumeIntegral<std::uint64_t>(), data.ConsumeBool(),
      data.ConsumeBool(), nearly(data, wire::Repair::MAX), small(data, 9),
      data.ConsumeIntegral<std::uint64_t>(), data.ConsumeIntegral<std::uint64_t>());
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(
      wire::CreatePoisonPages(builder, small(data, 2), builder.CreateVectorOfStructs(&page, 1)));
  (void)intake.take_pages(*flatbuffers::GetRoot<wire::PoisonPages>(builder.GetBufferPointer()));
}

// Whatever the VMM wrote: a verdict that the sidecar gives names a page of this guest's
// memory, or none.
void check_replies(const shm::ReplyView& reply) {
  for (std::uint32_t lane = 0; lane < kGeometry.lanes(); ++lane) {
    for (std::uint32_t cell = 0; cell < kGeometry.cells(lane); ++cell) {
      const std::byte* at = reply.line({lane, cell});
      const std::uint64_t word = shm::load_word(at, wire::kWordOffset);
      if (word == 0) continue;
      wire::ReplyLine line;
      if (shm::read_line(at, {1, 2, lane}, word / 2, line) != shm::LineState::kCommitted) {
        std::abort();
      }
      if (line.gpa() != wire::kNoAddress && line.gpa() >= kSecondGpa + kRamPages * 4096) {
        std::abort();
      }
    }
  }
}

// One thing that a VMM does; false: its session is over.
bool act(FuzzedDataProvider& data, RegionHistory& regions, Intake& intake,
         const shm::RequestView& request, const shm::ReplyView& reply) {
  switch (small(data, 7)) {
    case 0:
    case 1:
      write(data, request, shm::LineKind::kReport, likely_report);
      break;
    case 2:
      write(data, request, shm::LineKind::kSnapshot, likely_snapshot);
      break;
    case 3:
      write(data, request, shm::LineKind::kOutcome, likely_outcome);
      break;
    case 4:
      write_any_word(data);
      break;
    case 5:  // its memory moves, or gets larger pages
      put_region(regions, small(data, 4), true,
                 guest_ram(data.ConsumeBool() ? kSecondGpa : 0, data.ConsumeBool() ? 4096 : 65536));
      break;
    case 6:
      take_any_page(data, intake);
      break;
    default:  // it attaches anew
      wipe(areas().reply);
      if (intake.attach(request, reply)) return false;
      intake.repeat_answers();
  }
  return true;
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
  RegionHistory regions;
  put_region(regions, 1, false, guest_ram(0, 4096));
  memfail::decision::Rules rules;
  rules.policy = data.ConsumeBool() ? memfail::decision::Policy::kQemu
                                    : memfail::decision::Policy::kRecommended;
  Intake intake(host, vm, guest, regions, rules);
  const shm::RequestView request(areas().request.mapping.data(), kGeometry);
  const shm::ReplyView reply(areas().reply.mapping.data(), kGeometry);
  if (intake.attach(request, reply)) return 0;
  while (data.remaining_bytes() > 0) {
    if (!act(data, regions, intake, request, reply) || !intake.pass()) break;
    check_replies(reply);
  }
  intake.orphan_all();
  return 0;
}

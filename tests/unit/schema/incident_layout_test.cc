// SPDX-License-Identifier: BSD-3-Clause
//
// The shared-memory contract, byte by byte: each member is written through the
// generated interface and looked for where the other side will look for it. The
// offsets are written down here a second time, independently of the schema.
#include "schema/incident_layout.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <type_traits>

namespace memfail::wire {
namespace {

// Bytes of one struct, read as the other side reads them.
class Raw {
 public:
  template <typename Struct>
  explicit Raw(const Struct& from) {
    static_assert(sizeof(Struct) == kLineSize);
    std::memcpy(bytes_.data(), &from, sizeof from);
  }
  template <typename T>
  [[nodiscard]] T at(std::size_t offset) const {
    T value{};
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  [[nodiscard]] std::uint8_t u8(std::size_t offset) const { return at<std::uint8_t>(offset); }
  [[nodiscard]] std::uint16_t u16(std::size_t offset) const { return at<std::uint16_t>(offset); }
  [[nodiscard]] std::uint32_t u32(std::size_t offset) const { return at<std::uint32_t>(offset); }
  [[nodiscard]] std::uint64_t u64(std::size_t offset) const { return at<std::uint64_t>(offset); }

 private:
  std::array<std::byte, kLineSize> bytes_{};
};

TEST(IncidentLayout, EveryStructIsOneLineThatMayBeCopiedAsBytes) {
  EXPECT_EQ(sizeof(ReportLine), 64U);
  EXPECT_EQ(sizeof(SnapshotLine), 64U);
  EXPECT_EQ(sizeof(OutcomeLine), 64U);
  EXPECT_EQ(sizeof(ReplyLine), 64U);
  EXPECT_EQ(sizeof(LaneControl), 64U);
  EXPECT_EQ(sizeof(AreaHeader), 64U);
  EXPECT_EQ(sizeof(RequestCounters), 64U);
  EXPECT_EQ(sizeof(ReplyDoorbell), 64U);
  EXPECT_EQ(sizeof(Id128), 16U);
  EXPECT_TRUE(std::is_standard_layout_v<ReportLine>);
  EXPECT_TRUE(std::is_standard_layout_v<LaneControl>);
}

TEST(IncidentLayout, ReportLineMembersStandWhereTheContractSaysTheyDo) {
  const ReportLine line(0x0101010101010101, 0x02020202, ReportKind::mmio_exit, ThreadKind::other,
                        0x05, 0x06, 0x0707070707070707, 0x0808080808080808, 0x0909090909090909,
                        -0x0A0A0A0A, 0x0B0B0B0B, 0x0C0C0C0C, 0x0D0D0D0D, 0x0E0E0E0E0E0E0E0E);
  const Raw raw(line);
  EXPECT_EQ(raw.u64(0), 0x0101010101010101U);
  EXPECT_EQ(raw.u32(8), 0x02020202U);
  EXPECT_EQ(raw.u8(12), 3);
  EXPECT_EQ(raw.u8(13), 3);
  EXPECT_EQ(raw.u8(14), 0x05);
  EXPECT_EQ(raw.u8(15), 0x06);
  EXPECT_EQ(raw.u64(16), 0x0707070707070707U);
  EXPECT_EQ(raw.u64(24), 0x0808080808080808U);
  EXPECT_EQ(raw.u64(32), 0x0909090909090909U);
  EXPECT_EQ(raw.at<std::int32_t>(40), -0x0A0A0A0A);
  EXPECT_EQ(raw.u32(44), 0x0B0B0B0BU);
  EXPECT_EQ(raw.u32(48), 0x0C0C0C0CU);
  EXPECT_EQ(raw.u32(52), 0x0D0D0D0DU);
  EXPECT_EQ(raw.u64(56), 0x0E0E0E0E0E0E0E0EU);
}

TEST(IncidentLayout, SnapshotLineMembersStandWhereTheContractSaysTheyDo) {
  const SnapshotLine line(0x0101010101010101, 0x02020202, 0x0303, 0x0404, 0x05050505, 0x06060606,
                          0x07070707, 0x08, 0x09, 0x0A0A, 0x0B0B0B0B0B0B0B0B, 0x0C0C0C0C,
                          0x0D0D0D0D, 0x0E0E0E0E, 0x1E1E1E1E, 0x0F0F0F0F0F0F0F0F);
  const Raw raw(line);
  EXPECT_EQ(raw.u64(0), 0x0101010101010101U);
  EXPECT_EQ(raw.u32(8), 0x02020202U);
  EXPECT_EQ(raw.u16(12), 0x0303);
  EXPECT_EQ(raw.u16(14), 0x0404);
  EXPECT_EQ(raw.u32(16), 0x05050505U);
  EXPECT_EQ(raw.u32(20), 0x06060606U);
  EXPECT_EQ(raw.u32(24), 0x07070707U);
  EXPECT_EQ(raw.u8(28), 0x08);
  EXPECT_EQ(raw.u8(29), 0x09);
  EXPECT_EQ(raw.u16(30), 0x0A0A);
  EXPECT_EQ(raw.u64(32), 0x0B0B0B0B0B0B0B0BU);
  EXPECT_EQ(raw.u32(40), 0x0C0C0C0CU);
  EXPECT_EQ(raw.u32(44), 0x0D0D0D0DU);
  EXPECT_EQ(raw.u32(48), 0x0E0E0E0EU);
  EXPECT_EQ(raw.u32(52), 0x1E1E1E1EU);
  EXPECT_EQ(raw.u64(56), 0x0F0F0F0F0F0F0F0FU);
}

TEST(IncidentLayout, OutcomeLineMembersStandWhereTheContractSaysTheyDo) {
  const OutcomeLine line(0x0101010101010101, 0x02020202, Verdict::abort, DecidedBy::vmm,
                         Delivered::stale, Reason::policy, 0x07, 0x08, 0x0909, 0x0A0A, 0x0B0B,
                         0x0C0C0C0C0C0C0C0C, 0x0D0D0D0D0D0D0D0D, 0x0E0E0E0E0E0E0E0E,
                         0x0F0F0F0F0F0F0F0F, 0x1010101010101010);
  const Raw raw(line);
  EXPECT_EQ(raw.u64(0), 0x0101010101010101U);
  EXPECT_EQ(raw.u32(8), 0x02020202U);
  EXPECT_EQ(raw.u8(12), 7);
  EXPECT_EQ(raw.u8(13), 3);
  EXPECT_EQ(raw.u8(14), 5);
  EXPECT_EQ(raw.u8(15), 19);
  EXPECT_EQ(raw.u8(16), 0x07);
  EXPECT_EQ(raw.u8(17), 0x08);
  EXPECT_EQ(raw.u16(18), 0x0909);
  EXPECT_EQ(raw.u16(20), 0x0A0A);
  EXPECT_EQ(raw.u16(22), 0x0B0B);
  EXPECT_EQ(raw.u64(24), 0x0C0C0C0C0C0C0C0CU);
  EXPECT_EQ(raw.u64(32), 0x0D0D0D0D0D0D0D0DU);
  EXPECT_EQ(raw.u64(40), 0x0E0E0E0E0E0E0E0EU);
  EXPECT_EQ(raw.u64(48), 0x0F0F0F0F0F0F0F0FU);
  EXPECT_EQ(raw.u64(56), 0x1010101010101010U);
}

TEST(IncidentLayout, ReplyLineMembersStandWhereTheContractSaysTheyDo) {
  const ReplyLine line(0x0101010101010101, 0x02020202, Verdict::reset, Reason::half_written,
                       SiblingRule::broadcast_ready, 0x06, 0x07, Verdict::pause, 0x0909, 0x0A0A0A0A,
                       0x0B0B0B0B0B0B0B0B, 0x0C0C0C0C0C0C0C0C, 0x0D0D0D0D0D0D0D0D,
                       0x0E0E0E0E0E0E0E0E, 0x0F0F0F0F0F0F0F0F);
  const Raw raw(line);
  EXPECT_EQ(raw.u64(0), 0x0101010101010101U);
  EXPECT_EQ(raw.u32(8), 0x02020202U);
  EXPECT_EQ(raw.u8(12), 5);
  EXPECT_EQ(raw.u8(13), 18);
  EXPECT_EQ(raw.u8(14), 2);
  EXPECT_EQ(raw.u8(15), 0x06);
  EXPECT_EQ(raw.u8(16), 0x07);
  EXPECT_EQ(raw.u8(17), 6);
  EXPECT_EQ(raw.u16(18), 0x0909);
  EXPECT_EQ(raw.u32(20), 0x0A0A0A0AU);
  EXPECT_EQ(raw.u64(24), 0x0B0B0B0B0B0B0B0BU);
  EXPECT_EQ(raw.u64(32), 0x0C0C0C0C0C0C0C0CU);
  EXPECT_EQ(raw.u64(40), 0x0D0D0D0D0D0D0D0DU);
  EXPECT_EQ(raw.u64(48), 0x0E0E0E0E0E0E0E0EU);
  EXPECT_EQ(raw.u64(56), 0x0F0F0F0F0F0F0F0FU);
}

TEST(IncidentLayout, LaneControlMembersStandWhereTheContractSaysTheyDo) {
  const std::array<std::uint64_t, 4> freed{0x21, 0x22, 0x23, 0x24};
  const std::array<std::uint32_t, 4> waiter{0x31, 0x32, 0x33, 0x34};
  const LaneControl line(0x0101010101010101, flatbuffers::span<const std::uint64_t, 4>(freed),
                         flatbuffers::span<const std::uint32_t, 4>(waiter), 0x0404040404040404);
  const Raw raw(line);
  EXPECT_EQ(raw.u64(0), 0x0101010101010101U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(raw.u64(8 + 8 * i), freed[i]);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(raw.u32(40 + 4 * i), waiter[i]);
  EXPECT_EQ(raw.u64(56), 0x0404040404040404U);
}

TEST(IncidentLayout, AreaHeaderMembersStandWhereTheContractSaysTheyDo) {
  const AreaHeader line(0x0101010101010101, 0x02020202, 0x03030303, 0x04040404, 0x05050505,
                        0x06060606, 0x07070707, 0x0808080808080808,
                        Id128(0x0909090909090909, 0x0A0A0A0A0A0A0A0A), 0x0B0B0B0B0B0B0B0B);
  const Raw raw(line);
  EXPECT_EQ(raw.u64(0), 0x0101010101010101U);
  EXPECT_EQ(raw.u32(8), 0x02020202U);
  EXPECT_EQ(raw.u32(12), 0x03030303U);
  EXPECT_EQ(raw.u32(16), 0x04040404U);
  EXPECT_EQ(raw.u32(20), 0x05050505U);
  EXPECT_EQ(raw.u32(24), 0x06060606U);
  EXPECT_EQ(raw.u32(28), 0x07070707U);
  EXPECT_EQ(raw.u64(32), 0x0808080808080808U);
  EXPECT_EQ(raw.u64(40), 0x0909090909090909U);
  EXPECT_EQ(raw.u64(48), 0x0A0A0A0A0A0A0A0AU);
  EXPECT_EQ(raw.u64(56), 0x0B0B0B0B0B0B0B0BU);
}

TEST(IncidentLayout, TheCountersAndTheDoorbellStandWhereTheContractSaysTheyDo) {
  const std::array<std::uint64_t, 5> five{1, 2, 3, 4, 5};
  const Raw counters(RequestCounters(0x0101010101010101, 0x0202020202020202, 0x0303030303030303,
                                     flatbuffers::span<const std::uint64_t, 5>(five)));
  EXPECT_EQ(counters.u64(0), 0x0101010101010101U);
  EXPECT_EQ(counters.u64(8), 0x0202020202020202U);
  EXPECT_EQ(counters.u64(16), 0x0303030303030303U);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(counters.u64(24 + 8 * i), five[i]);

  const std::array<std::uint64_t, 7> seven{1, 2, 3, 4, 5, 6, 7};
  const Raw doorbell(
      ReplyDoorbell(0x01010101, 0x02020202, flatbuffers::span<const std::uint64_t, 7>(seven)));
  EXPECT_EQ(doorbell.u32(0), 0x01010101U);
  EXPECT_EQ(doorbell.u32(4), 0x02020202U);
  for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(doorbell.u64(8 + 8 * i), seven[i]);
}

TEST(IncidentLayout, TheOffsetsThatAtomicsReachIntoAreThoseOfTheMembers) {
  EXPECT_EQ(kWordOffset, 0U);
  EXPECT_EQ(kCrcOffset, 8U);
  EXPECT_EQ(kPayloadOffset, 12U);
  EXPECT_EQ(kOutcomeClaimOffset, 56U);
  EXPECT_EQ(kReplyRetiredOffset, 56U);
  EXPECT_EQ(kLaneNextOffset, 0U);
  EXPECT_EQ(kLaneFreedOffset, 8U);
  EXPECT_EQ(kLaneWaiterOffset, 40U);
  EXPECT_EQ(kLaneOwnerOffset, 56U);
}

TEST(IncidentLayout, ValuesOfTheListsAreNumbersThatNeverChange) {
  EXPECT_EQ(static_cast<int>(ReportKind::sigbus), 1);
  EXPECT_EQ(static_cast<int>(ReportKind::memory_fault_exit), 2);
  EXPECT_EQ(static_cast<int>(ThreadKind::vcpu_in_run), 1);
  EXPECT_EQ(static_cast<int>(ThreadKind::vcpu_outside), 2);
  EXPECT_EQ(static_cast<int>(Verdict::inject), 1);
  EXPECT_EQ(static_cast<int>(Verdict::inject_deferred), 2);
  EXPECT_EQ(static_cast<int>(Verdict::retry), 3);
  EXPECT_EQ(static_cast<int>(Verdict::ignore), 4);
  EXPECT_EQ(static_cast<int>(Verdict::pause), 6);
  EXPECT_EQ(static_cast<int>(DecidedBy::sidecar), 1);
  EXPECT_EQ(static_cast<int>(DecidedBy::builtin), 2);
  EXPECT_EQ(static_cast<int>(DecidedBy::abort), 4);
  EXPECT_EQ(static_cast<int>(SnapshotField::mp_state), 1);
  EXPECT_EQ(static_cast<int>(SnapshotField::triple_fault), 512);
  EXPECT_EQ(static_cast<int>(SnapshotFlag::cr4_mce), 1);
  EXPECT_EQ(static_cast<int>(SnapshotFlag::triple_fault), 32);
  EXPECT_EQ(static_cast<int>(ReplyFlag::journaled), 1);
}

}  // namespace
}  // namespace memfail::wire

// SPDX-License-Identifier: BSD-3-Clause
//
// No error that is action required is ignored for ever: whatever a guest does, the
// sidecar's table and the policy end it at the limit.
#include <gtest/gtest.h>

#include "page_report.h"
#include "sidecar/session/poison_table.h"
#include "tests/unit/decision/stubborn_guest.h"

namespace memfail::session {
namespace {

class TableMemory final : public decision::testing::PageMemory {
 public:
  decision::History report(std::int32_t vcpu, std::uint64_t now_ns) override {
    return table_.history(report_by(vcpu), rules, now_ns);
  }
  void answered(std::int32_t vcpu, wire::Verdict verdict, std::uint64_t now_ns) override {
    table_.note_report(report_by(vcpu), verdict, rules, {1, now_ns});
    if (verdict == wire::Verdict::inject) table_.note_outcome(test::outcome_of(report_by(vcpu)));
  }

  decision::Rules rules;

 private:
  static PageReport report_by(std::int32_t vcpu) {
    return test::by_vcpu(test::report_of(0x5000), vcpu);
  }

  PoisonTable table_;
};

class Progress : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(Progress, IsMadeOrTheGuestsRunIsEnded) {
  constexpr std::uint32_t kGuests = 500;
  for (std::uint32_t i = 0; i < kGuests; ++i) {
    const std::uint32_t seed = GetParam() * kGuests + i;
    TableMemory memory;
    decision::testing::StubbornGuest guest(seed, memory);
    memory.rules = guest.rules();
    ASSERT_EQ(guest.run(), "") << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Progress, ::testing::Range(1U, 9U));

}  // namespace
}  // namespace memfail::session

// SPDX-License-Identifier: BSD-3-Clause
//
// Every verdict, reason, delivery and severity against a table.
#include "sidecar/decision/event_shape.h"

#include <gtest/gtest.h>

#include "rule_table.h"
#include "sidecar/decision/reason.h"

namespace memfail::decision {
namespace {

using testing::Column;
using testing::RuleTable;

template <typename E>
Column column(std::string name) {
  Column result{std::move(name), {}};
  for (const std::string_view value : EnumNames<E>::kNames) {
    result.values.emplace_back(value);
  }
  return result;
}

constexpr std::uint32_t kReasons = EnumNames<wire::Reason>::kNames.size();

constexpr std::string_view kTable = R"(
verdict                reason                              delivered                    recipient action recursive
inject/inject-deferred vmm-exited                          none                         -> hypervisor fatal -
inject/inject-deferred *                                   delivered/unverified/unknown -> guest inject -
inject/inject-deferred *                                   triple-fault                 -> guest reset -
inject/inject-deferred *                                   none/dropped/stale/failed    -> guest ignore -
ignore                 mce-in-progress                     *                            -> guest ignore recursive
ignore                 mcg-ctl-off/bank-ctl-off            *                            -> guest ignore -
ignore                 vm-not-running/mce-not-enabled      *                            -> guest ignore -
ignore                 mce-pending                         *                            -> guest ignore recursive
ignore                 no-recovery/untouched/in-smm        *                            -> guest ignore -
ignore                 no-free-bank/already-told/policy    *                            -> guest ignore -
ignore                 triple-fault-pending/dropped-by-kvm *                            -> guest ignore -
ignore                 double-fault-queued                 *                            -> guest ignore -
ignore                 *                                   *                            -> hypervisor ignore -
reset                  previous-mce-in-progress            *                            -> guest reset recursive
reset                  *                                   *                            -> guest reset -
abort                  *                                   *                            -> hypervisor fatal -
retry                  mce-pending                         *                            -> guest ignore recursive
retry                  *                                   *                            -> guest ignore -
pause                  *                                   *                            -> hypervisor ignore -
none                   vmm-exited                          *                            -> hypervisor fatal -
none                   *                                   *                            -> hypervisor ignore -
)";

TEST(EventShape, FollowsTheTableForEveryVerdictReasonAndDelivery) {
  RuleTable table({column<wire::Verdict>("verdict"), column<wire::Reason>("reason"),
                   column<wire::Delivered>("delivered")},
                  kTable);
  ASSERT_FALSE(::testing::Test::HasFailure());
  testing::for_every_combination({8, kReasons, 8, 3, 2}, [&](const std::vector<std::uint32_t>& v) {
    const RuleTable::Row* row = table.match(v);
    ASSERT_NE(row, nullptr) << table.describe(v);
    const auto severity = static_cast<Severity>(v[3]);
    const EventShape shape =
        event_shape(static_cast<wire::Verdict>(v[0]), static_cast<wire::Reason>(v[1]),
                    static_cast<wire::Delivered>(v[2]), severity, v[4] != 0);
    EXPECT_EQ(wire::EnumNameRecipient(shape.recipient), row->results[0]) << table.describe(v);
    EXPECT_EQ(wire::EnumNameAction(shape.action), row->results[1]) << table.describe(v);
    const bool met_mcip = v[4] != 0 && row->results[0] == "guest";
    EXPECT_EQ(shape.recursive, met_mcip || row->results[2] == "recursive") << table.describe(v);
    EXPECT_EQ(shape.action_required, severity == Severity::kActionRequired);
  });
  table.expect_every_row_hit();
}

TEST(EventShape, GivesNumbersOutsideTheEnumerationsTheHarmlessShape) {
  const EventShape shape = event_shape(static_cast<wire::Verdict>(200), wire::Reason::none,
                                       wire::Delivered::none, Severity::kActionOptional, true);
  EXPECT_EQ(shape.recipient, wire::Recipient::hypervisor);
  EXPECT_EQ(shape.action, wire::Action::ignore);
}

}  // namespace
}  // namespace memfail::decision

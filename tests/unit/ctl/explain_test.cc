// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/explain.h"

#include <gtest/gtest.h>

#include "sidecar/ctl/explain_words.h"
#include "sidecar/ctl/situation.h"
#include "sidecar/decision/qemu_policy.h"
#include "sidecar/decision/recommended_policy.h"

namespace memfail::ctl {
namespace {

using decision::Policy;
using wire::Reason;
using wire::Verdict;

constexpr decision::Rules kQemu{.policy = Policy::kQemu};

decision::Input input(const Situation& situation) { return input_of(situation).value(); }

Explanation recommended(const Situation& situation) { return explain({}, input(situation)); }
Explanation qemu(const Situation& situation) { return explain(kQemu, input(situation)); }

std::size_t count(const Explanation& explanation, Table table) {
  std::size_t rows = 0;
  for (const LookedAt& row : explanation.looked_at) rows += row.table == table ? 1 : 0;
  return rows;
}

std::size_t count(const Explanation& explanation, Looked result) {
  std::size_t rows = 0;
  for (const LookedAt& row : explanation.looked_at) rows += row.result == result ? 1 : 0;
  return rows;
}

TEST(Explain, LooksAtEveryRowUpToTheOneThatDecides) {
  const Explanation told = recommended({});
  EXPECT_EQ(count(told, Table::kCommon), decision::common_rows().size());
  EXPECT_EQ(count(told, Table::kRecommended), decision::recommended_rows().size());
  EXPECT_EQ(count(told, Table::kQemu), 0U);
  EXPECT_EQ(count(told, Looked::kDecides), 1U);
  EXPECT_EQ(told.decided_by().row, decision::recommended_rows().size() - 1);
  EXPECT_EQ(told.decision.verdict, Verdict::inject);
}

TEST(Explain, StopsAtARuleOfEveryPolicy) {
  const Explanation outside = recommended({.thread = "other"});
  EXPECT_EQ(count(outside, Table::kRecommended), 0U);
  EXPECT_EQ(outside.decided_by().table, Table::kCommon);
  EXPECT_EQ(outside.decided_by().result, Looked::kDecides);
  EXPECT_EQ(outside.decided_by().when, "action required outside KVM_RUN, on guest RAM");
  EXPECT_EQ(outside.decision.reason, Reason::guest_memory_by_vmm);
}

TEST(Explain, NamesTheRowThatHolds) {
  EXPECT_EQ(recommended({.mcip = true}).decided_by().when,
            "MCIP is set and nothing is queued: the guest is inside its handler");
  EXPECT_EQ(qemu({.cr4_mce = "no"}).decided_by().when,
            "the record is uncorrected, and CR4.MCE is clear");
  EXPECT_EQ(qemu({.ser_p = "no"}).decided_by().when, "MCG_SER_P is not configured");
}

TEST(Explain, TellsRowsThatSayNothingOfThisSeverity) {
  EXPECT_GT(count(recommended({}), Looked::kSilent), 0U);
  for (const LookedAt& row : recommended({.told = true}).looked_at) {
    if (row.when == "the guest was told of the page before") {
      EXPECT_EQ(row.result, Looked::kSilent);
    }
  }
  EXPECT_EQ(recommended({.optional = true, .told = true}).decided_by().when,
            "the guest was told of the page before");
  EXPECT_EQ(count(qemu({}), Looked::kSilent), 0U);
}

TEST(Explain, HasTheEventOfAVerdictCarriedOut) {
  EXPECT_EQ(event_words(recommended({}).event), "guest/inject, action required");
  EXPECT_EQ(event_words(recommended({.optional = true}).event), "guest/inject");
  EXPECT_EQ(event_words(recommended({.thread = "other"}).event),
            "hypervisor/fatal, action required");
  EXPECT_EQ(event_words(recommended({.mcip = true}).event),
            "guest/reset, action required, recursive");
  EXPECT_FALSE(recommended({.code = 2}).has_event);
}

TEST(Explain, ComparesWithTheOtherPolicy) {
  const Situation amd{.optional = true, .vendor = "amd"};
  const Comparison asked = compare({}, input(amd));
  EXPECT_EQ(asked.asked.decision.reason, Reason::untouched);
  EXPECT_EQ(asked.beside.policy, Policy::kQemu);
  EXPECT_EQ(asked.beside.decision.verdict, Verdict::inject);
  const Comparison back = compare(kQemu, input(amd));
  EXPECT_EQ(back.asked.decision.verdict, Verdict::inject);
  EXPECT_EQ(back.beside.policy, Policy::kRecommended);
  EXPECT_EQ(back.beside.decision.reason, Reason::untouched);
}

TEST(Explain, WarnsOfARecordThatMeansALostError) {
  const decision::Input full = input({.banks_valid = "9"});
  EXPECT_TRUE(warnings(explain({}, full).decision, full).empty());  // another bank
  ASSERT_EQ(warnings(explain(kQemu, full).decision, full).size(), 1U);
  EXPECT_EQ(warnings(explain(kQemu, full).decision, full)[0],
            "Bank 9 holds a record already: the new one gets OVER, \"an error was lost\", and a "
            "Linux guest panics");
}

TEST(Explain, WarnsOfAnAccessThatFailsForEver) {
  const decision::Input off = input({.mcg_ctl_off = true});
  EXPECT_TRUE(warnings(explain({}, off).decision, off).empty());
  EXPECT_EQ(warnings(explain(kQemu, off).decision, off).size(), 1U);
}

}  // namespace
}  // namespace memfail::ctl

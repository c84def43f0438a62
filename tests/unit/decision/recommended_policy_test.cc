// SPDX-License-Identifier: BSD-3-Clause
//
// Every combination of inputs of the policy `recommended` against a table that was
// written from what the policy promises, not from the code; and what no input may
// ever yield, whatever the table says.
#include "sidecar/decision/recommended_policy.h"

#include <gtest/gtest.h>

#include "rule_table.h"
#include "sidecar/decision/decide.h"
#include "sidecar/decision/free_bank.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/reason.h"
#include "snapshot.h"

namespace memfail::decision {
namespace {

using testing::Column;
using testing::RuleTable;
using Values = std::vector<std::uint32_t>;
using wire::Reason;
using wire::Verdict;

constexpr std::uint64_t kGpa = 0x123456000;
constexpr std::uint32_t kAllBanks = (1u << 10) - 1;

enum : std::size_t {
  kVendor,
  kSerP,
  kRecovery,
  kSev,
  kAddr,
  kTold,
  kOptional,
  kKnows,
  kTriple,
  kQueued,
  kRepeats,
  kSmm,
  kNested,
  kMcgCtl,
  kCr4,
  kStarted,
  kMcip,
  kBanks,
  kCmci,
};

std::vector<Column> table_columns() {
  return {
      {"vendor", {"unknown", "intel", "amd"}},
      {"SER_P", {"no", "yes"}},
      {"recovery", {"part", "full"}},
      {"severity", {"AR", "AO"}},
      {"address", {"none", "ram", "unmapped", "vmm"}},
      {"told", {"no", "yes"}},
      {"optional", {"inject", "deferred", "remember"}},
      {"knows", {"all", "no-banks", "no-events", "no-smm"}},
      {"triple-fault", {"no", "yes"}},
      {"queued", {"no", "#MC", "#DF"}},
      {"repeats", {"few", "many"}},
      {"SMM", {"no", "yes"}},
      {"nested", {"no", "yes"}},
      {"MCG_CTL", {"absent", "off", "ok"}},
      {"CR4.MCE", {"no", "yes"}},
      {"started", {"no", "yes"}},
      {"MCIP", {"no", "yes"}},
      {"banks", {"off", "full", "nine", "other"}},
      {"CMCI", {"no", "yes"}},
  };
}

constexpr std::string_view kTable = R"(
vend  serp reco sev addr     told opt            knows triple queue repeat smm nest mcgctl    cr4 start mcip banks      cmci
-- whose page
*     *    *    AR  none     *    *              *     *      *     *      *   *    *         *   *     *    *          * -> abort  no-address
*     *    *    AO  none     *    *              *     *      *     *      *   *    *         *   *     *    *          * -> ignore no-address
*     *    *    AR  vmm      *    *              *     *      *     *      *   *    *         *   *     *    *          * -> abort  vmm-memory
*     *    *    AO  vmm      *    *              *     *      *     *      *   *    *         *   *     *    *          * -> ignore vmm-memory
*     *    *    AR  unmapped *    *              *     *      *     *      *   *    *         *   *     *    *          * -> reset  guest-memory-unmapped
*     *    *    AO  unmapped *    *              *     *      *     *      *   *    *         *   *     *    *          * -> ignore guest-memory-unmapped
-- what may wait, and is not told
*     *    *    AO  ram      yes  *              *     *      *     *      *   *    *         *   *     *    *          * -> ignore already-told
*     *    *    AO  ram      no   remember       *     *      *     *      *   *    *         *   *     *    *          * -> ignore policy
amd   *    *    AO  ram      no   *              *     *      *     *      *   *    *         *   *     *    *          * -> ignore untouched
-- guests that cannot survive one
intel/unknown no * AR ram    *    *              *     *      *     *      *   *    *         *   *     *    *          * -> reset  no-software-recovery
intel/unknown no * AO ram    *    *              *     *      *     *      *   *    *         *   *     *    *          * -> ignore no-software-recovery
amd   *    part AR  ram      *    *              *     *      *     *      *   *    *         *   *     *    *          * -> reset  no-recovery
-- vCPUs of which not enough is known
*     *    *    AR  ram      *    *              no-banks/no-events/no-smm * * * * * *        *   *     *    *          * -> reset  no-snapshot
*     *    *    AO  ram      *    *              no-banks/no-events/no-smm * * * * * *        *   *     *    *          * -> ignore no-snapshot
-- vCPUs on which something is under way
*     *    *    AR  ram      *    *              *     yes    *     *      *   *    *         *   *     *    *          * -> retry  triple-fault-pending
*     *    *    AO  ram      *    *              *     yes    *     *      *   *    *         *   *     *    *          * -> ignore triple-fault-pending
*     *    *    AR  ram      *    *              *     *      #DF   *      *   *    *         *   *     *    *          * -> reset  double-fault-queued
*     *    *    AO  ram      *    *              *     *      #DF   *      *   *    *         *   *     *    *          * -> ignore double-fault-queued
*     *    *    AR  ram      *    *              *     *      #MC   *      *   *    *         *   *     *    *          * -> retry  mce-pending
*     *    *    AO  ram      *    *              *     *      #MC   *      *   *    *         *   *     *    *          * -> ignore mce-pending
*     *    *    AR  ram      *    *              *     *      *     many   *   *    *         *   *     *    *          * -> reset  no-progress
-- vCPUs that take none now
*     *    *    AR  ram      *    *              *     *      *     *      yes no   *         *   *     *    *          * -> reset  in-smm
*     *    *    AO  ram      *    *              *     *      *     *      yes no   *         *   *     *    *          * -> ignore in-smm
*     *    *    AR  ram      *    *              *     *      *     *      *   *    off       *   *     *    *          * -> reset  mcg-ctl-off
*     *    *    AO  ram      *    *              *     *      *     *      *   *    off       *   *     *    *          * -> ignore mcg-ctl-off
*     *    *    AR  ram      *    *              *     *      *     *      *   *    *         *   no    *    *          * -> reset  mce-not-enabled
*     *    *    AO  ram      *    *              *     *      *     *      *   *    *         *   no    *    *          * -> ignore mce-not-enabled
*     *    *    AR  ram      *    *              *     *      *     *      *   no   *         no  *     *    *          * -> reset  mce-not-enabled
*     *    *    AO  ram      *    *              *     *      *     *      *   no   *         no  *     *    *          * -> ignore mce-not-enabled
*     *    *    AR  ram      *    *              *     *      *     *      *   *    *         *   *     yes  *          * -> reset  previous-mce-in-progress
*     *    *    AO  ram      *    *              *     *      *     *      *   *    *         *   *     yes  *          * -> ignore mce-in-progress
*     *    *    AR  ram      *    *              *     *      *     *      *   *    *         *   *     *    off        * -> reset  bank-ctl-off
*     *    *    AO  ram      *    *              *     *      *     *      *   *    *         *   *     *    off        * -> ignore bank-ctl-off
*     *    *    AR  ram      *    *              *     *      *     *      *   *    *         *   *     *    full       * -> reset  no-free-bank
*     *    *    AO  ram      *    *              *     *      *     *      *   *    *         *   *     *    full       * -> ignore no-free-bank
-- ready
*     *    *    AO  ram      *    deferred       *     *      *     *      *   *    *         *   *     *    *          yes -> inject-deferred guest-memory
*     *    *    *   ram      *    *              *     *      *     *      *   *    *         *   *     *    *          * -> inject guest-memory
)";

struct Expected {
  Verdict verdict;
  Reason reason;
};

std::vector<Expected> typed_results(RuleTable& table) {
  std::vector<Expected> results;
  for (const RuleTable::Row& row : table.rows()) {
    EXPECT_EQ(row.results.size(), 2u) << row.text;
    results.push_back(
        {from_name<Verdict>(row.results[0]).value(), from_name<Reason>(row.results[1]).value()});
  }
  return results;
}

std::vector<std::uint32_t> input_sizes(const RuleTable& table) {
  std::vector<std::uint32_t> sizes;
  for (const Column& column : table.columns()) {
    sizes.push_back(static_cast<std::uint32_t>(column.values.size()));
  }
  return sizes;
}

constexpr AddressClass kClasses[] = {AddressClass::kNoAddress, AddressClass::kGuestRam,
                                     AddressClass::kGuestRamUnmapped, AddressClass::kVmmMemory};

// The bank that must be taken: 9, or where it is VAL the highest that is free.
constexpr std::uint8_t kOtherBank = 6;

void set_banks(testing::Snapshot& snapshot, std::uint32_t choice) {
  snapshot.bank_ctl_off = choice == 0 ? kAllBanks : 0;
  constexpr std::uint32_t kValid[] = {0, kAllBanks, 1u << 3,
                                      kAllBanks & ~(1u << kOtherBank | 1u << 2)};
  snapshot.bank_val = kValid[choice];
}

wire::SnapshotLine snapshot_of(const Values& v) {
  testing::Snapshot snapshot;
  snapshot.knows_banks = v[kKnows] != 1;
  snapshot.knows_events = v[kKnows] != 2;
  snapshot.knows_smm = v[kKnows] != 3;
  snapshot.triple_fault = v[kTriple] != 0;
  constexpr std::uint8_t kVectors[] = {255, 18, 8};
  snapshot.queued_exception = kVectors[v[kQueued]];
  snapshot.in_smm = v[kSmm] != 0;
  snapshot.nested = v[kNested] != 0;
  snapshot.mcg_ctl_ok = v[kMcgCtl] != 1;
  snapshot.cr4_mce = v[kCr4] != 0;
  snapshot.mp_state = v[kStarted] != 0 ? 0 : 1;
  snapshot.mcg_status = v[kMcip] != 0 ? 4 : 0;
  snapshot.bank_cmci_on = v[kCmci] != 0 ? kAllBanks : 0;
  set_banks(snapshot, v[kBanks]);
  return snapshot.line();
}

Input input_of(const Values& v, const Rules& rules) {
  Input input;
  const std::uint64_t cap = 10 | (v[kSerP] != 0 ? 1u << 24 : 0) | (v[kMcgCtl] != 0 ? 1u << 8 : 0);
  input.guest = testing::guest(static_cast<wire::Vendor>(v[kVendor]), cap);
  input.guest.cpuid_80000007_ebx = v[kRecovery] != 0 ? 3 : 1;
  input.where.address = kClasses[v[kAddr]];
  input.where.gpa = input.where.address == AddressClass::kGuestRam ? kGpa : wire::kNoAddress;
  input.severity = v[kSev] == 0 ? Severity::kActionRequired : Severity::kActionOptional;
  input.kind = wire::ReportKind::sigbus;
  input.thread = wire::ThreadKind::vcpu_in_run;
  input.history.guest_told = v[kTold] != 0;
  input.history.repeats = v[kRepeats] != 0 ? rules.repeat_limit : rules.repeat_limit - 1;
  input.snapshot = snapshot_of(v);
  return input;
}

bool record_is_right(const Values& v, const Decision& decision) {
  const MachineCheck& record = decision.record;
  if (decision.verdict != Verdict::inject && decision.verdict != Verdict::inject_deferred) {
    return record.status == 0 && record.bank == wire::kNoBank;
  }
  const std::uint8_t bank = v[kBanks] == 2 ? 9 : kOtherBank;
  if (record.bank != bank || record.address != kGpa || record.misc != 0x8C) return false;
  if (decision.verdict == Verdict::inject_deferred) {
    return record.status == 0xBC000000000000C0 && record.mcg_status == 0;
  }
  if (v[kSev] == 1) return record.status == 0xBD000000000000C0 && record.mcg_status == 5;
  return record.status == (v[kVendor] == 2 ? 0xBC00080000000000 : 0xBD80000000000134) &&
         record.mcg_status == 7;
}

// Broadcast: with an injection, where the processor does so and is not AMD's.
bool siblings_are_right(const Values& v, const Decision& decision) {
  const bool all = decision.verdict == Verdict::inject && v[kVendor] != 2;
  return decision.siblings == (all ? wire::SiblingRule::broadcast_ready : wire::SiblingRule::none);
}

// What must never come out, in the words of the promise.
std::string broken_promise(const Values& v, const Input& input, const Decision& decision) {
  const bool injects = decision.verdict == Verdict::inject;
  const std::uint32_t bit = decision.record.bank < 32 ? 1u << decision.record.bank : 0;
  if (injects && (input.snapshot.bank_val() & bit) != 0) return "an injection with OVER";
  const bool takes = v[kQueued] == 0 && v[kMcip] == 0 && v[kMcgCtl] != 1 && v[kStarted] == 1 &&
                     (v[kCr4] == 1 || v[kNested] == 1) && v[kTriple] == 0 &&
                     (input.snapshot.bank_ctl_off() & bit) == 0;
  if (injects && !takes) return "an injection into a guest that cannot take it";
  if (decision.verdict == Verdict::none) return "no verdict";
  const bool required = v[kSev] == 0;
  if (required && decision.verdict == Verdict::ignore) return "an action-required error ignored";
  // Tried again: only while something is certain to happen at the next entry.
  const bool moves = v[kQueued] == 1 || v[kTriple] == 1;
  if (decision.verdict == Verdict::retry && !moves) return "a silent loop";
  if (injects && required && !ends_it(decision.otherwise)) return "a dropped record left alone";
  return "";
}

TEST(RecommendedPolicy, DecidesEveryCombinationOfInputsAsTheTableDoes) {
  RuleTable table(table_columns(), kTable);
  const std::vector<Expected> results = typed_results(table);
  ASSERT_FALSE(::testing::Test::HasFailure());
  Rules rules;
  std::uint64_t combinations = 0;
  int shown = 0;
  testing::for_every_combination(input_sizes(table), [&](const Values& v) {
    ++combinations;
    const RuleTable::Row* row = table.match(v);
    if (row == nullptr) {
      if (++shown < 10) ADD_FAILURE() << "no rule for " << table.describe(v);
      return;
    }
    const Expected& expected = results[static_cast<std::size_t>(row - table.rows().data())];
    rules.optional = static_cast<OptionalDelivery>(v[kOptional]);
    const Input input = input_of(v, rules);
    const Decision decision = decide(rules, input);
    const std::string broken = broken_promise(v, input, decision);
    const bool right = decision.verdict == expected.verdict && decision.reason == expected.reason &&
                       siblings_are_right(v, decision) && record_is_right(v, decision) &&
                       decision.gpa == input.where.gpa && broken.empty();
    if (!right && ++shown < 10) {
      ADD_FAILURE() << table.describe(v) << "\nrule: " << row->text
                    << "\ngot: " << name_of(decision.verdict) << " " << name_of(decision.reason)
                    << " " << name_of(decision.siblings) << " bank " << int{decision.record.bank}
                    << " status 0x" << std::hex << decision.record.status << " " << broken;
    }
  });
  EXPECT_EQ(shown, 0) << "wrong, of " << combinations;
  table.expect_every_row_hit();
  RecordProperty("combinations", std::to_string(combinations));
  EXPECT_EQ(combinations, 21233664u);
}

// ---- what the table does not vary -------------------------------------------------

Input ready_input(wire::Vendor vendor, Severity severity) {
  Input input;
  input.guest = testing::guest(vendor);
  input.guest.cpuid_80000007_ebx = 3;
  input.where = {AddressClass::kGuestRam, kGpa, 0x7f0000000000, 4096, 0};
  input.severity = severity;
  input.kind = wire::ReportKind::sigbus;
  input.thread = wire::ThreadKind::vcpu_in_run;
  input.snapshot = testing::Snapshot{}.line();
  return input;
}

TEST(RecommendedPolicy, UntoldFailuresEndAsTheRulesSay) {
  Input input = ready_input(wire::Vendor::intel, Severity::kActionRequired);
  testing::Snapshot snapshot;
  snapshot.cr4_mce = false;
  input.snapshot = snapshot.line();
  for (const Verdict verdict : {Verdict::reset, Verdict::pause, Verdict::abort}) {
    const Decision decision = decide({.untold = verdict}, input);
    EXPECT_EQ(decision.verdict, verdict);
    EXPECT_EQ(decision.reason, Reason::mce_not_enabled);
    EXPECT_EQ(decide({.untold = verdict}, ready_input(wire::Vendor::amd, Severity::kActionRequired))
                  .otherwise,
              verdict);
  }
}

TEST(RecommendedPolicy, AGuestWithoutProgressEndsAsTheRulesSay) {
  Input input = ready_input(wire::Vendor::intel, Severity::kActionRequired);
  input.history.repeats = 5;
  EXPECT_EQ(decide({.repeat_limit = 6}, input).verdict, Verdict::inject);
  EXPECT_EQ(decide({.no_progress = Verdict::pause, .repeat_limit = 5}, input).verdict,
            Verdict::pause);
}

TEST(RecommendedPolicy, ALocalMachineCheckStaysLocal) {
  Input input = ready_input(wire::Vendor::intel, Severity::kActionRequired);
  testing::Snapshot snapshot;
  snapshot.lmce_on = true;
  input.snapshot = snapshot.line();
  const Decision decision = decide({}, input);
  EXPECT_EQ(decision.siblings, wire::SiblingRule::none);
  EXPECT_EQ(decision.record.mcg_status, 0xFu);
}

TEST(RecommendedPolicy, BroadcastsOnlyWhereTheRulesAndTheProcessorSaySo) {
  Input input = ready_input(wire::Vendor::intel, Severity::kActionRequired);
  EXPECT_EQ(decide({}, input).siblings, wire::SiblingRule::broadcast_ready);
  EXPECT_EQ(decide({.broadcast = false}, input).siblings, wire::SiblingRule::none);
  input.guest.cpuid_1_eax = testing::kEaxSilent;
  EXPECT_EQ(decide({}, input).siblings, wire::SiblingRule::none);
}

TEST(RecommendedPolicy, AVmmThreadThatMeetsTheGuestsPageIsToldApart) {
  Input input = ready_input(wire::Vendor::intel, Severity::kActionRequired);
  for (const auto thread : {wire::ThreadKind::vcpu_outside, wire::ThreadKind::other}) {
    input.thread = thread;
    const Decision decision = decide({}, input);
    EXPECT_EQ(decision.verdict, Verdict::abort);
    EXPECT_EQ(decision.reason, Reason::guest_memory_by_vmm);
    EXPECT_EQ(decide({.outside = Verdict::pause}, input).verdict, Verdict::pause);
    EXPECT_EQ(decide({.policy = Policy::kQemu}, input).reason, Reason::outside_guest);
  }
  input.where.address = AddressClass::kVmmMemory;
  EXPECT_EQ(decide({.outside = Verdict::pause}, input).verdict, Verdict::abort);
}

TEST(RecommendedPolicy, AnEmulatedAccessIsOneThatTheGuestCannotBeToldOf) {
  Input input = ready_input(wire::Vendor::intel, Severity::kActionRequired);
  input.kind = wire::ReportKind::mmio_exit;
  EXPECT_EQ(decide({}, input).verdict, Verdict::reset);
  EXPECT_EQ(decide({.untold = Verdict::pause}, input).verdict, Verdict::pause);
  EXPECT_EQ(decide({.untold = Verdict::pause}, input).reason, Reason::emulated_access);
}

TEST(RecommendedPolicy, EveryRowHasWordsAndSaysSomething) {
  for (const RecommendedRow& row : recommended_rows()) {
    EXPECT_FALSE(row.when.empty());
    EXPECT_FALSE(row.required == Then::kNext && row.optional == Then::kNext) << row.when;
    EXPECT_EQ(row.required == Then::kNext, row.reason == Reason::none) << row.when;
  }
  EXPECT_EQ(recommended_row({}, ready_input(wire::Vendor::intel, Severity::kActionRequired)),
            recommended_rows().size() - 1);
}

// ---- the bank -------------------------------------------------------------------------

TEST(FreeBank, IsNineThenTheHighestThatIsOnAndFree) {
  const GuestProfile guest = testing::guest(wire::Vendor::intel, 0x100010A);
  testing::Snapshot snapshot;
  EXPECT_EQ(free_bank(guest, snapshot.line()).number, 9);
  snapshot.bank_val = 1u << 9;
  EXPECT_EQ(free_bank(guest, snapshot.line()).number, 8);
  snapshot.bank_ctl_off = 1u << 8;
  EXPECT_EQ(free_bank(guest, snapshot.line()).number, 7);
  snapshot.bank_val = kAllBanks & ~3u;
  EXPECT_EQ(free_bank(guest, snapshot.line()).number, 1);
  snapshot.bank_val = kAllBanks;
  EXPECT_EQ(free_bank(guest, snapshot.line()).search, BankSearch::kNoneFree);
  snapshot.bank_ctl_off = kAllBanks;
  EXPECT_EQ(free_bank(guest, snapshot.line()).search, BankSearch::kAllOff);
}

TEST(FreeBank, NeverPassesWhatKvmReadsBack) {
  GuestProfile guest = testing::guest(wire::Vendor::intel, 0x1000120);
  EXPECT_EQ(free_bank(guest, testing::Snapshot{}.line()).number, 9);
  guest.mcg_cap_kvm = 4;
  EXPECT_EQ(free_bank(guest, testing::Snapshot{}.line()).number, 3);
  guest.mcg_cap_kvm = 0;
  EXPECT_EQ(free_bank(guest, testing::Snapshot{}.line()).search, BankSearch::kAllOff);
  guest.mcg_cap_kvm = 0xFF;  // more than KVM has
  testing::Snapshot snapshot;
  snapshot.bank_val = 0x3FF;
  EXPECT_EQ(free_bank(guest, snapshot.line()).number, 31);
}

}  // namespace
}  // namespace memfail::decision

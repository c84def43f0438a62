// SPDX-License-Identifier: BSD-3-Clause
//
// Every combination of inputs of the policy `qemu` against a table that was
// written from the description of QEMU's branches, not from the code.
#include "sidecar/decision/qemu_policy.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "rule_table.h"
#include "sidecar/decision/decide.h"
#include "sidecar/decision/event_shape.h"
#include "sidecar/decision/reason.h"
#include "snapshot.h"

namespace memfail::decision {
namespace {

using testing::Column;
using testing::RuleTable;
using Values = std::vector<std::uint32_t>;

constexpr std::uint64_t kGpa = 0x123456000;

enum : std::size_t {
  kKind,
  kThread,
  kSev,
  kAddr,
  kRun,
  kSerP,
  kVendor,
  kCtlP,
  kKnowStatus,
  kKnowBanks,
  kKnowCr4,
  kKnowCtl,
  kMcip,
  kMcgCtl,
  kBankCtl,
  kCr4,
  kTableColumns,
  // Not in the table: they choose the record and the broadcast only.
  kKnowLmce = kTableColumns,
  kLmce,
  kCpu,
  kInputs
};

std::vector<Column> table_columns() {
  return {
      {"kind", {"none", "sigbus", "memfault", "mmio"}},
      {"thread", {"none", "in", "outside", "other"}},
      {"severity", {"none", "AR", "AO"}},
      {"address", {"none", "ram", "unmapped", "vmm"}},
      {"running", {"no", "yes"}},
      {"SER_P", {"no", "yes"}},
      {"vendor", {"unknown", "intel", "amd"}},
      {"CTL_P", {"no", "yes"}},
      {"knows-MCG_STATUS", {"no", "yes"}},
      {"knows-banks", {"no", "yes"}},
      {"knows-CR4", {"no", "yes"}},
      {"knows-MCG_CTL", {"no", "yes"}},
      {"MCIP", {"no", "yes"}},
      {"MCG_CTL", {"off", "ok"}},
      {"MCi_CTL", {"off", "ok"}},
      {"CR4.MCE", {"no", "yes"}},
  };
}

// UC: every record but AMD's AO. AR bit: Intel's AR only (and so of unknown
// vendors, which get Intel's records).
constexpr std::string_view kTable = R"(
kind            thread             sev  addr          run serp vendor        ctlp  kSTAT kBANK kCR4 kCTL  mcip mcgctl bank cr4
-- before any policy
mmio            *                  *    *             *   *    *             *     *     *     *    *     *    *      *    *    -> reset  emulated-access          guest reset -
none            *                  *    *             *   *    *             *     *     *     *    *     *    *      *    *    -> none   none                     hypervisor ignore -
*               *                  none *             *   *    *             *     *     *     *    *     *    *      *    *    -> none   none                     hypervisor ignore -
*               none/outside/other AR   none          *   *    *             *     *     *     *    *     *    *      *    *    -> abort  no-address               hypervisor fatal -
*               none/outside/other AR   vmm           *   *    *             *     *     *     *    *     *    *      *    *    -> abort  vmm-memory               hypervisor fatal -
*               none/outside/other AR   ram/unmapped  *   *    *             *     *     *     *    *     *    *      *    *    -> abort  outside-guest            hypervisor fatal -
*               *                  AO   ram           no  *    *             *     *     *     *    *     *    *      *    *    -> ignore vm-not-running           guest ignore -
-- address layer
*               *                  AR   none          *   *    *             *     *     *     *    *     *    *      *    *    -> abort  no-address               hypervisor fatal -
*               *                  AO   none          *   *    *             *     *     *     *    *     *    *      *    *    -> ignore no-address               hypervisor ignore -
*               *                  AR   vmm           *   *    *             *     *     *     *    *     *    *      *    *    -> abort  vmm-memory               hypervisor fatal -
*               *                  AO   vmm           *   *    *             *     *     *     *    *     *    *      *    *    -> ignore vmm-memory               hypervisor ignore -
*               *                  AR   unmapped      *   *    *             *     *     *     *    *     *    *      *    *    -> abort  guest-memory-unmapped    hypervisor fatal -
*               *                  AO   unmapped      *   *    *             *     *     *     *    *     *    *      *    *    -> ignore guest-memory-unmapped    hypervisor ignore -
*               *                  AR   ram           *   no   *             *     *     *     *    *     *    *      *    *    -> abort  no-software-recovery     hypervisor fatal -
*               *                  AO   ram           *   no   *             *     *     *     *    *     *    *      *    *    -> ignore no-software-recovery     hypervisor ignore -
-- not enough known to go on
*               *                  AR   ram           *   yes  *             *     no    *     *    *     *    *      *    *    -> abort  no-snapshot              hypervisor fatal -
*               *                  AO   ram           *   yes  *             *     no    *     *    *     *    *      *    *    -> ignore no-snapshot              hypervisor ignore -
*               *                  AR   ram           *   yes  *             *     yes   no    *    *     *    *      *    *    -> abort  no-snapshot              hypervisor fatal -
*               *                  AR   ram           *   yes  *             *     yes   *     no   *     *    *      *    *    -> abort  no-snapshot              hypervisor fatal -
*               *                  AR   ram           *   yes  *             yes   yes   *     *    no    *    *      *    *    -> abort  no-snapshot              hypervisor fatal -
*               *                  AO   ram           *   yes  intel/unknown *     yes   no    *    *     *    *      *    *    -> ignore no-snapshot              hypervisor ignore -
*               *                  AO   ram           *   yes  intel/unknown *     yes   *     no   *     *    *      *    *    -> ignore no-snapshot              hypervisor ignore -
*               *                  AO   ram           *   yes  intel/unknown yes   yes   *     *    no    *    *      *    *    -> ignore no-snapshot              hypervisor ignore -
-- injection layer: not AR and MCIP
*               *                  AO   ram           *   yes  *             *     yes   *     *    *     yes  *      *    *    -> ignore mce-in-progress          guest ignore recursive
*               *                  AR   ram           *   yes  amd           *     yes   *     *    *     yes  *      *    *    -> ignore mce-in-progress          guest ignore recursive
-- not UC
*               *                  AO   ram           *   yes  amd           *     yes   *     *    *     no   *      *    *    -> inject guest-memory             guest inject -
-- UC
*               *                  AR/AO ram          *   yes  *             yes   yes   yes   yes  yes   *    off    *    *    -> ignore mcg-ctl-off              guest ignore -
*               *                  AR/AO ram          *   yes  *             *     yes   yes   yes  *     *    *      off  *    -> ignore bank-ctl-off             guest ignore -
*               *                  AR/AO ram          *   yes  *             *     yes   yes   yes  *     *    *      ok   no   -> reset  mce-not-enabled          guest reset -
*               in                 AR   ram           *   yes  intel/unknown *     yes   yes   yes  *     yes  *      ok   yes  -> reset  previous-mce-in-progress guest reset recursive
sigbus/memfault *                  AR/AO ram          *   yes  *             *     yes   yes   yes  *     no   *      ok   yes  -> inject guest-memory             guest inject -
)";

struct Expected {
  wire::Verdict verdict;
  wire::Reason reason;
  std::string recipient, action;
  bool recursive;
};

std::vector<Expected> typed_results(RuleTable& table) {
  std::vector<Expected> results;
  for (const RuleTable::Row& row : table.rows()) {
    EXPECT_EQ(row.results.size(), 5u) << row.text;
    results.push_back({from_name<wire::Verdict>(row.results[0]).value(),
                       from_name<wire::Reason>(row.results[1]).value(), row.results[2],
                       row.results[3], row.results[4] == "recursive"});
  }
  return results;
}

std::vector<std::uint32_t> input_sizes(const RuleTable& table) {
  std::vector<std::uint32_t> sizes;
  for (const Column& column : table.columns()) {
    sizes.push_back(static_cast<std::uint32_t>(column.values.size()));
  }
  sizes.resize(kInputs, 2);
  return sizes;
}

constexpr AddressClass kClasses[] = {AddressClass::kNoAddress, AddressClass::kGuestRam,
                                     AddressClass::kGuestRamUnmapped, AddressClass::kVmmMemory};

wire::SnapshotLine snapshot_of(const Values& v) {
  testing::Snapshot snapshot;
  snapshot.knows_mcg_status = v[kKnowStatus] != 0;
  snapshot.knows_banks = v[kKnowBanks] != 0;
  snapshot.knows_cr4 = v[kKnowCr4] != 0;
  snapshot.knows_mcg_ctl = v[kKnowCtl] != 0;
  snapshot.knows_lmce = v[kKnowLmce] != 0;
  snapshot.mcg_status = v[kMcip] != 0 ? 4 : 0;
  snapshot.mcg_ctl_ok = v[kMcgCtl] != 0;
  snapshot.bank_ctl_off = v[kBankCtl] != 0 ? ~(1u << 9) : 1u << 9;  // only bank 9 counts
  snapshot.cr4_mce = v[kCr4] != 0;
  snapshot.lmce_on = v[kLmce] != 0;
  return snapshot.line();
}

Input input_of(const Values& v) {
  Input input;
  const std::uint64_t cap = 10 | (v[kSerP] != 0 ? 1u << 24 : 0) | (v[kCtlP] != 0 ? 1u << 8 : 0);
  input.guest = testing::guest(static_cast<wire::Vendor>(v[kVendor]), cap,
                               v[kCpu] != 0 ? testing::kEaxBroadcasts : testing::kEaxSilent);
  // What KVM reads back must not matter.
  input.guest.mcg_cap_kvm = ~cap;
  input.where.address = kClasses[v[kAddr]];
  input.where.gpa = input.where.address == AddressClass::kGuestRam ? kGpa : wire::kNoAddress;
  constexpr Severity kSeverities[] = {Severity::kNone, Severity::kActionRequired,
                                      Severity::kActionOptional};
  input.severity = kSeverities[v[kSev]];
  input.kind = static_cast<wire::ReportKind>(v[kKind]);
  input.thread = static_cast<wire::ThreadKind>(v[kThread]);
  input.vm_running = v[kRun] != 0;
  input.snapshot = snapshot_of(v);
  return input;
}

// The broadcast, in words: once the injection layer has come to any answer, if the
// processor broadcasts, is not AMD's, and the record is not local.
wire::SiblingRule expected_siblings(const Values& v, const Expected& expected) {
  constexpr wire::Reason kByInjectionLayer[] = {
      wire::Reason::guest_memory,    wire::Reason::mce_not_enabled,
      wire::Reason::mcg_ctl_off,     wire::Reason::bank_ctl_off,
      wire::Reason::mce_in_progress, wire::Reason::previous_mce_in_progress};
  const bool acted =
      std::ranges::find(kByInjectionLayer, expected.reason) != std::end(kByInjectionLayer);
  const bool local = v[kKnowLmce] != 0 && v[kLmce] != 0;
  return acted && !local && v[kVendor] != 2 && v[kCpu] != 0 ? wire::SiblingRule::broadcast_qemu
                                                            : wire::SiblingRule::none;
}

struct Literal {
  std::uint64_t status, mcg_status, mcg_status_lmce;
};

Literal expected_record(const Values& v) {
  const bool action_required = v[kSev] == 1;
  if (v[kVendor] == 2) {
    return action_required ? Literal{0xBC00080000000000, 7, 7} : Literal{0x9C00180000000000, 5, 5};
  }
  return action_required ? Literal{0xBD80000000000134, 7, 0xF}
                         : Literal{0xBD000000000000C0, 5, 0xD};
}

bool record_is_right(const Values& v, const Expected& expected, const MachineCheck& record) {
  if (expected.verdict != wire::Verdict::inject) {
    return record.status == 0 && record.bank == 255;
  }
  const Literal literal = expected_record(v);
  const bool local = v[kKnowLmce] != 0 && v[kLmce] != 0;
  return record.status == literal.status && record.bank == 9 && record.misc == 0x8C &&
         record.address == kGpa &&
         record.mcg_status == (local ? literal.mcg_status_lmce : literal.mcg_status);
}

bool event_is_right(const Values& v, const Expected& expected, const Decision& decision) {
  const auto delivered = expected.verdict == wire::Verdict::inject ? wire::Delivered::delivered
                                                                   : wire::Delivered::none;
  const Input input = input_of(v);
  const EventShape shape =
      event_shape(decision.verdict, decision.reason, delivered, input.severity, v[kMcip] != 0);
  // Whatever becomes of it, an error that meets MCIP is told as recursive.
  const bool recursive = expected.recursive || (expected.recipient == "guest" && v[kMcip] != 0);
  return wire::EnumNameRecipient(shape.recipient) == expected.recipient &&
         wire::EnumNameAction(shape.action) == expected.action && shape.recursive == recursive &&
         shape.action_required == (v[kSev] == 1);
}

TEST(QemuPolicy, DecidesEveryCombinationOfInputsAsTheTableDoes) {
  RuleTable table(table_columns(), kTable);
  const std::vector<Expected> results = typed_results(table);
  ASSERT_FALSE(::testing::Test::HasFailure());
  std::uint64_t combinations = 0;
  int shown = 0;
  testing::for_every_combination(input_sizes(table), [&](const Values& v) {
    ++combinations;
    const RuleTable::Row* row = table.match(v);
    if (row == nullptr) {
      if (++shown < 10) {
        ADD_FAILURE() << "no rule for " << table.describe(v);
      }
      return;
    }
    const Expected& expected = results[static_cast<std::size_t>(row - table.rows().data())];
    const Decision decision = decide({.policy = Policy::kQemu}, input_of(v));
    const bool right = decision.verdict == expected.verdict && decision.reason == expected.reason &&
                       decision.siblings == expected_siblings(v, expected) &&
                       decision.gpa == (v[kAddr] == 1 ? kGpa : wire::kNoAddress) &&
                       record_is_right(v, expected, decision.record) &&
                       event_is_right(v, expected, decision);
    if (!right && ++shown < 10) {
      ADD_FAILURE() << table.describe(v) << "\nlmce=" << v[kKnowLmce] << v[kLmce]
                    << " broadcasts=" << v[kCpu] << "\nrule: " << row->text
                    << "\ngot: " << name_of(decision.verdict) << " " << name_of(decision.reason)
                    << " " << name_of(decision.siblings) << " status 0x" << std::hex
                    << decision.record.status << " mcg 0x" << decision.record.mcg_status;
    }
  });
  EXPECT_EQ(shown, 0) << "wrong, of " << combinations;
  table.expect_every_row_hit();
  RecordProperty("combinations", std::to_string(combinations));
  EXPECT_EQ(combinations, 9437184u);
}

TEST(QemuPolicy, EveryRowHasWordsAndTheLastHoldsInAllOtherCases) {
  for (std::size_t i = 0; i < qemu_row_count(); ++i) {
    EXPECT_FALSE(qemu_row_at(i).when.empty()) << i;
    EXPECT_NE(qemu_row_at(i).reason, wire::Reason::none) << i;
  }
  Input input;
  input.guest = testing::guest(wire::Vendor::intel);
  input.where = {AddressClass::kGuestRam, kGpa, 0x7f0000000000, 4096, 0};
  input.severity = Severity::kActionRequired;
  input.snapshot = testing::Snapshot{}.line();
  EXPECT_EQ(qemu_row(input), qemu_row_count() - 1);
  input.guest.mcg_cap_configured = 10;
  EXPECT_EQ(qemu_row_at(qemu_row(input)).reason, wire::Reason::no_software_recovery);
}

TEST(QemuPolicy, UsesBankNineEvenIfItHoldsARecordAlready) {
  Input input;
  input.guest = testing::guest(wire::Vendor::intel);
  input.where = {AddressClass::kGuestRam, kGpa, 0x7f0000000000, 4096, 0};
  input.severity = Severity::kActionRequired;
  input.thread = wire::ThreadKind::vcpu_in_run;
  testing::Snapshot snapshot;
  snapshot.bank_val = 1u << 9;
  snapshot.bank_uc = 1u << 9;
  input.snapshot = snapshot.line();
  const Decision decision = decide({.policy = Policy::kQemu}, input);
  EXPECT_EQ(decision.verdict, wire::Verdict::inject);
  EXPECT_EQ(decision.record.bank, 9);
  EXPECT_EQ(decision.record.status, 0xBD80000000000134);  // KVM adds OVER, not we
}

TEST(QemuPolicy, TestsTheConfiguredSoftwareRecoveryNotWhatKvmReadsBack) {
  Input input;
  input.guest = testing::guest(wire::Vendor::amd, 0x100010A);
  input.guest.mcg_cap_kvm = 0x10A;  // kvm_amd hides SER_P
  input.where = {AddressClass::kGuestRam, kGpa, 0x7f0000000000, 4096, 0};
  input.severity = Severity::kActionRequired;
  input.thread = wire::ThreadKind::vcpu_in_run;
  input.snapshot = testing::Snapshot{}.line();
  EXPECT_EQ(decide({.policy = Policy::kQemu}, input).verdict, wire::Verdict::inject);
}

}  // namespace
}  // namespace memfail::decision

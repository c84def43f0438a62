// SPDX-License-Identifier: BSD-3-Clause
//
// Every combination of inputs of decide_sibling() against a table of its own.
#include <gtest/gtest.h>

#include "rule_table.h"
#include "sidecar/decision/decide.h"
#include "sidecar/decision/reason.h"
#include "snapshot.h"

namespace memfail::decision {
namespace {

using testing::Column;
using testing::RuleTable;
using Values = std::vector<std::uint32_t>;

enum : std::size_t {
  kRule,
  kCtlP,
  kStat,
  kBanks,
  kCr4Known,
  kCtl,
  kReady,  // the three that only `broadcast_ready` needs: one bit each
  kMpState,
  kSmm,
  kCr4,
  kMcip,
  kQueued,
  kMcgCtl,
  kBankCtl,
  kBankVal,
  kTriple,
  kColumns,
  kVendor = kColumns,
  kInputs
};

std::vector<Column> columns() {
  return {
      {"rule", {"none", "qemu", "ready"}},
      {"CTL_P", {"no", "yes"}},
      {"knows-MCG_STATUS", {"no", "yes"}},
      {"knows-banks", {"no", "yes"}},
      {"knows-CR4", {"no", "yes"}},
      {"knows-MCG_CTL", {"no", "yes"}},
      {"knows-mp-smm-events", {"0", "1", "2", "3", "4", "5", "6", "all"}},
      {"mp-state", {"runnable", "uninitialized", "init", "halted", "sipi"}},
      {"SMM", {"no", "yes"}},
      {"CR4.MCE", {"no", "yes"}},
      {"MCIP", {"no", "yes"}},
      {"queued", {"none", "#MC", "#GP", "#DF"}},
      {"MCG_CTL", {"off", "ok"}},
      {"MCi_CTL", {"off", "ok"}},
      {"VAL", {"none", "1", "all"}},
      {"triple-fault", {"no", "yes"}},
  };
}

constexpr std::string_view kTable = R"(
rule  ctlp kSTAT kBANK kCR4 kCTL kREST         mp                 smm cr4 mcip queued   mcgctl bank val  tri
none  *    *     *     *    *    *             *                  *   *   *    *        *      *             *      *   -> none   none
-- what is not known: nothing was lost on this vCPU, it is skipped
*     *    no    *     *    *    *             *                  *   *   *    *        *      *             *      *   -> ignore no-snapshot
*     *    *     no    *    *    *             *                  *   *   *    *        *      *             *      *   -> ignore no-snapshot
*     *    *     *     no   *    *             *                  *   *   *    *        *      *             *      *   -> ignore no-snapshot
*     yes  *     *     *    no   *             *                  *   *   *    *        *      *             *      *   -> ignore no-snapshot
ready *    *     *     *    *    0/1/2/3/4/5/6 *                  *   *   *    *        *      *             *      *   -> ignore no-snapshot
-- only those that can take it
ready *    *     *     *    *    *             *                  *   *   *    *        *      *             *      yes -> ignore triple-fault-pending
ready *    *     *     *    *    *             *                  *   *   *    #DF      *      *             *      *   -> ignore double-fault-queued
ready *    *     *     *    *    *             uninitialized/init *   *   *    *        *      *             *      *   -> ignore mce-not-enabled
ready *    *     *     *    *    *             *                  yes *   *    *        *      *             *      *   -> ignore mce-not-enabled
ready *    *     *     *    *    *             *                  *   no  *    *        *      *             *      *   -> ignore mce-not-enabled
ready *    *     *     *    *    *             *                  *   *   yes  *        *      *             *      *   -> ignore mce-in-progress
ready *    *     *     *    *    *             *                  *   *   *    #MC      *      *             *      *   -> ignore mce-in-progress
ready yes  *     *     *    *    *             *                  *   *   *    *        off    *             *      *   -> ignore mcg-ctl-off
ready *    *     *     *    *    *             *                  *   *   *    *        *      off           *      *   -> ignore bank-ctl-off
ready *    *     *     *    *    *             *                  *   *   *    *        *      ok            all    *   -> ignore no-free-bank
ready *    *     *     *    *    all           runnable/halted/sipi no yes no  none/#GP *      ok            none/1 no  -> inject guest-memory
-- QEMU's injection layer on an uncorrected record without AR
qemu  *    *     *     *    *    *             *                  *   *   yes  *        *      *             *      *   -> ignore mce-in-progress
qemu  yes  *     *     *    *    *             *                  *   *   *    *        off    *             *      *   -> ignore mcg-ctl-off
qemu  *    *     *     *    *    *             *                  *   *   *    *        *      off           *      *   -> ignore bank-ctl-off
qemu  *    *     *     *    *    *             *                  *   no  *    *        *      *             *      *   -> reset  mce-not-enabled
qemu  *    *     *     *    *    *             *                  *   yes no   *        *      ok            *      *   -> inject guest-memory
)";

wire::SnapshotLine snapshot_of(const Values& v) {
  testing::Snapshot snapshot;
  snapshot.knows_mcg_status = v[kStat] != 0;
  snapshot.knows_banks = v[kBanks] != 0;
  snapshot.knows_cr4 = v[kCr4Known] != 0;
  snapshot.knows_mcg_ctl = v[kCtl] != 0;
  snapshot.knows_mp_state = (v[kReady] & 1) != 0;
  snapshot.knows_smm = (v[kReady] & 2) != 0;
  snapshot.knows_events = (v[kReady] & 4) != 0;
  snapshot.mp_state = static_cast<std::uint8_t>(v[kMpState]);
  snapshot.in_smm = v[kSmm] != 0;
  snapshot.cr4_mce = v[kCr4] != 0;
  snapshot.mcg_status = v[kMcip] != 0 ? 4 : 0;
  constexpr std::uint8_t kQueuedVectors[] = {255, 18, 13, 8};
  snapshot.queued_exception = kQueuedVectors[v[kQueued]];
  snapshot.mcg_ctl_ok = v[kMcgCtl] != 0;
  // Only bank 1 counts, and 9 where that is in use.
  snapshot.bank_ctl_off = v[kBankCtl] != 0 ? ~(1u << 9 | 2u) : 2u;
  constexpr std::uint32_t kValid[] = {0, 2, ~0u};
  snapshot.bank_val = kValid[v[kBankVal]];
  snapshot.triple_fault = v[kTriple] != 0;
  return snapshot.line();
}

bool record_is_right(const Values& v, const Decision& decision) {
  if (decision.verdict != wire::Verdict::inject) {
    return decision.record.status == 0 && decision.record.bank == 255;
  }
  const MachineCheck& record = decision.record;
  // QEMU takes bank 1 even if that gives OVER.
  const unsigned bank = v[kRule] == 2 && v[kBankVal] == 1 ? 9 : 1;
  return record.bank == bank && record.status == 0xA000000000000000 && record.mcg_status == 5 &&
         record.address == 0 && record.misc == 0;
}

TEST(Sibling, DecidesEveryCombinationOfInputsAsTheTableDoes) {
  RuleTable table(columns(), kTable);
  ASSERT_FALSE(::testing::Test::HasFailure());
  std::vector<std::uint32_t> sizes;
  for (const Column& column : table.columns()) {
    sizes.push_back(static_cast<std::uint32_t>(column.values.size()));
  }
  sizes.resize(kInputs, 3);
  int wrong = 0;
  testing::for_every_combination(sizes, [&](const Values& v) {
    const RuleTable::Row* row = table.match(v);
    const std::uint64_t cap = 0x100000A | (v[kCtlP] != 0 ? 0x100 : 0);
    const Decision decision =
        decide_sibling(static_cast<wire::SiblingRule>(v[kRule]),
                       testing::guest(static_cast<wire::Vendor>(v[kVendor]), cap), snapshot_of(v));
    const bool right =
        row != nullptr && name_of(decision.verdict) == row->results[0] &&
        name_of(decision.reason) == row->results[1] && record_is_right(v, decision) &&
        decision.siblings == wire::SiblingRule::none && decision.gpa == wire::kNoAddress;
    if (!right && ++wrong < 10) {
      ADD_FAILURE() << table.describe(v) << "\nrule: " << (row != nullptr ? row->text : "none")
                    << "\ngot: " << name_of(decision.verdict) << " " << name_of(decision.reason);
    }
  });
  EXPECT_EQ(wrong, 0);
  table.expect_every_row_hit();
}

}  // namespace
}  // namespace memfail::decision

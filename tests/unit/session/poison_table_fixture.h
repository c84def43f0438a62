// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "gtest/gtest.h"
#include "page_report.h"
#include "sidecar/session/poison_table.h"

namespace memfail::session::test {

// A small table, in words.
class PoisonTableTest : public ::testing::Test {
 protected:
  PoisonTableTest() { rules_.repeat_seconds = 10; }

  decision::History history(const PageReport& report, std::uint64_t at = 100) const {
    return table_.history(report, rules_, second(at).monotonic_ns);
  }
  bool note(const PageReport& report, std::uint64_t at = 100,
            wire::Verdict verdict = wire::Verdict::inject) {
    return table_.note_report(report, verdict, rules_, second(at));
  }
  void tell(const PageReport& report) { table_.note_outcome(outcome_of(report)); }
  void repair(std::uint64_t gpa, std::uint64_t size) {
    table_.note_repaired(kRamHva + gpa, gpa, size);
  }
  // The one there is.
  const Loss& loss() const {
    EXPECT_EQ(table_.broken().size(), 1U);
    return table_.broken().begin()->second;
  }

  decision::Rules rules_;
  PoisonTable table_{{.losses = 4, .pages = 8, .repeats = 2048}};
};

}  // namespace memfail::session::test

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/severity.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace memfail::decision {
namespace {

TEST(Severity, KnowsTheCodesOfTheSystemsHeaders) {
  EXPECT_EQ(severity_of_code(BUS_MCEERR_AR), Severity::kActionRequired);
  EXPECT_EQ(severity_of_code(BUS_MCEERR_AO), Severity::kActionOptional);
  EXPECT_EQ(severity_of_code(SI_KERNEL), Severity::kActionRequired);
  EXPECT_EQ(severity_of_code(BUS_ADRERR), Severity::kNone);
}

TEST(Severity, TakesEveryOtherCodeForNoHardwareError) {
  for (int code = -300; code < 300; ++code) {
    const bool known = code == 4 || code == 5 || code == 0x80;
    EXPECT_EQ(severity_of_code(code) != Severity::kNone, known) << code;
  }
}

TEST(Severity, OfAnExitIsActionRequiredWhateverTheCode) {
  for (const int code : {0, 4, 5}) {
    EXPECT_EQ(severity_of(wire::ReportKind::mmio_exit, code), Severity::kActionRequired);
    EXPECT_EQ(severity_of(wire::ReportKind::memory_fault_exit, code), Severity::kActionRequired);
    EXPECT_EQ(severity_of(wire::ReportKind::none, code), Severity::kNone);
    EXPECT_EQ(severity_of(wire::ReportKind::sigbus, code), severity_of_code(code));
  }
}

}  // namespace
}  // namespace memfail::decision

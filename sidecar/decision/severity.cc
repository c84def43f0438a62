// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/severity.h"

namespace memfail::decision {

Severity severity_of_code(int si_code) {
  switch (si_code) {
    case kCodeActionRequired:
    case kCodeKernel:  // the kernel could not find the address; nothing can be resumed
      return Severity::kActionRequired;
    case kCodeActionOptional:
      return Severity::kActionOptional;
    default:  // BUS_ADRERR and others are no hardware errors: never inject for them
      return Severity::kNone;
  }
}

Severity severity_of(wire::ReportKind kind, int si_code) {
  switch (kind) {
    case wire::ReportKind::sigbus:
    case wire::ReportKind::injection:  // as its record has it
      return severity_of_code(si_code);
    case wire::ReportKind::memory_fault_exit:
    case wire::ReportKind::mmio_exit:
      return Severity::kActionRequired;
    case wire::ReportKind::remembered:
      return Severity::kActionOptional;
    case wire::ReportKind::none:
      break;
  }
  return Severity::kNone;
}

}  // namespace memfail::decision

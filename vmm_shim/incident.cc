// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/incident.h"

#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/reason.h"

namespace memfail::shim {

memfail_incident incident_of(const wire::ReportLine& report, const wire::OutcomeLine& outcome,
                             std::uint64_t lost_size) {
  memfail_incident incident{};
  incident.struct_size = sizeof incident;
  incident.vcpu = outcome.vcpu() == wire::kNoVcpu ? -1 : outcome.vcpu();
  incident.hva = report.hva() == 0 ? wire::kNoAddress : report.hva();
  incident.gpa = outcome.gpa();
  incident.size = lost_size;
  incident.si_code = report.code();
  incident.verdict = static_cast<std::uint8_t>(outcome.verdict());
  incident.decided_by = static_cast<std::uint8_t>(outcome.decided_by());
  incident.delivered = static_cast<std::uint8_t>(outcome.delivered());
  incident.reason = static_cast<std::uint8_t>(outcome.reason());
  incident.reason_text = decision::name_of(outcome.reason()).data();  // a literal, terminated
  incident.mce = {outcome.status(), outcome.gpa(), decision::kMiscPage, outcome.mcg_status(),
                  outcome.bank()};
  const bool injection = report.kind() == wire::ReportKind::injection;
  incident.drill = injection ? 2 : report.drill();
  return incident;
}

}  // namespace memfail::shim

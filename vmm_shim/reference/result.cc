// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/result.h"

#include "vmm_shim/reference/hex.h"

namespace memfail::reference {
namespace {

Json hex_or_null(std::uint64_t value) { return value == UINT64_MAX ? Json() : Json(hex(value)); }

Json describe(const BankSeen& seen) {
  return {{"vcpu", seen.vcpu},
          {"mcg_status", hex(seen.mcg_status)},
          {"bank", seen.bank},
          {"status", hex(seen.status)},
          {"addr", hex(seen.addr)},
          {"misc", hex(seen.misc)},
          {"saved_ip", hex(seen.saved_ip)},
          {"recovered", seen.recovered}};
}

Json describe(const Incident& incident) {
  const memfail_incident& what = incident.what;
  return {{"vcpu", what.vcpu < 0 ? Json() : Json(what.vcpu)},
          {"hva", hex_or_null(what.hva)},
          {"gpa", hex_or_null(what.gpa)},
          {"size", what.size},
          {"si_code", what.si_code},
          {"verdict", what.verdict},
          {"decided_by", what.decided_by},
          {"delivered", what.delivered},
          {"reason", what.reason},
          {"reason_text", incident.reason},
          {"bank", what.mce.bank},
          {"status", hex(what.mce.status)},
          {"mcg_status", hex(what.mce.mcg_status)}};
}

Json describe(std::uint64_t gpa) { return hex(gpa); }

Json describe(const Moment& moment) { return {{"at_us", moment.at_us}, {"text", moment.text}}; }

template <typename Items>
Json list(const Items& items) {
  Json result = Json::array();
  for (const auto& item : items) result.push_back(describe(item));
  return result;
}

}  // namespace

Json describe(const Vmm& vmm, const Scenario& scenario, const std::string& no_sidecar) {
  const FailureConfig& config = vmm.config();
  return {{"scenario", scenario.name},
          {"summary", scenario.summary},
          {"name", config.name},
          {"vendor", config.cpu.vendor == Vendor::kAmd ? "amd" : "intel"},
          {"vcpus", config.vcpus},
          {"mcg_cap",
           {{"configured", hex(config.mcg_cap_configured)}, {"kvm", hex(config.mcg_cap_kvm)}}},
          {"sidecar", no_sidecar.empty() ? "attached" : no_sidecar},
          {"page_size", vmm.test_region().page_size()},
          {"broken", list(vmm.broken())},
          {"guest", list(vmm.view().banks())},
          {"incidents", list(vmm.incidents())},
          {"timeline", list(vmm.timeline().moments())}};
}

void append(Json& story, const Json& later) {
  for (const char* part : {"broken", "guest", "incidents", "timeline"}) {
    for (const Json& item : later[part]) story[part].push_back(item);
  }
}

std::string name_of(VmState state) {
  switch (state) {
    case VmState::kReset:
      return "reset";
    case VmState::kPaused:
      return "paused";
    case VmState::kTripleFault:
      return "triple-fault";
    case VmState::kRunning:
      break;
  }
  return "running";
}

}  // namespace memfail::reference

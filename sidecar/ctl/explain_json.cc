// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/explain_json.h"

#include "sidecar/ctl/explain_words.h"
#include "sidecar/decision/reason.h"
#include "sidecar/decision/vcpu_state.h"
#include "sidecar/policy/show.h"

namespace memfail::ctl {
namespace {

using decision::AddressClass;
using decision::Input;
using nlohmann::ordered_json;

template <typename Enum>
std::string name(Enum value) {
  return std::string(decision::name_of(value));
}

const char* name(AddressClass address) {
  switch (address) {
    case AddressClass::kGuestRam:
      return "guest-ram";
    case AddressClass::kGuestRamUnmapped:
      return "unmapped";
    case AddressClass::kVmmMemory:
      return "vmm";
    case AddressClass::kNoAddress:
      break;
  }
  return "none";
}

const char* name(Table table) {
  switch (table) {
    case Table::kCommon:
      return "common";
    case Table::kRecommended:
      return "recommended";
    case Table::kQemu:
      break;
  }
  return "qemu";
}

const char* name(Looked result) {
  switch (result) {
    case Looked::kDecides:
      return "decides";
    case Looked::kSilent:
      return "silent";
    case Looked::kNo:
      break;
  }
  return "no";
}

const char* name(decision::Severity severity) {
  switch (severity) {
    case decision::Severity::kActionRequired:
      return "action-required";
    case decision::Severity::kActionOptional:
      return "action-optional";
    case decision::Severity::kNone:
      break;
  }
  return "none";
}

ordered_json address(std::uint64_t value) {
  return value == wire::kNoAddress ? ordered_json() : ordered_json(hex(value));
}

// null: its state is unknown.
ordered_json vcpu_json(const Input& input) {
  if (input.snapshot.valid() == 0) return nullptr;
  const decision::VcpuState vcpu = decision::vcpu_state(input.guest, input.snapshot, 0);
  return {{"cr4-mce", vcpu.cr4_mce},
          {"mcip", vcpu.mcip},
          {"mc-queued", vcpu.mc_queued},
          {"mcg-ctl-off", vcpu.mcg_ctl_off},
          {"smm", vcpu.in_smm},
          {"nested", decision::in_nested_guest(input.snapshot)},
          {"double-fault", vcpu.double_fault},
          {"triple-fault", vcpu.triple_fault},
          {"started", vcpu.started},
          {"lmce", vcpu.lmce},
          {"banks-valid", hex(input.snapshot.bank_val())},
          {"banks-off", hex(input.snapshot.bank_ctl_off())},
          {"cmci", hex(input.snapshot.bank_cmci_on())}};
}

ordered_json guest_json(const decision::GuestProfile& guest) {
  return {{"vendor", name(guest.vendor)},
          {"mcg-cap", hex(guest.mcg_cap_configured)},
          {"mcg-cap-kvm", hex(guest.mcg_cap_kvm)},
          {"cpuid-1-eax", hex(guest.cpuid_1_eax)},
          {"cpuid-80000007-ebx", hex(guest.cpuid_80000007_ebx)},
          {"vcpus", guest.vcpus}};
}

ordered_json input_json(const Input& input) {
  return {{"severity", name(input.severity)}, {"kind", name(input.kind)},
          {"thread", name(input.thread)},     {"address", name(input.where.address)},
          {"gpa", address(input.where.gpa)},  {"vm-running", input.vm_running},
          {"told", input.history.guest_told}, {"repeats", input.history.repeats},
          {"guest", guest_json(input.guest)}, {"vcpu", vcpu_json(input)}};
}

ordered_json record_json(const decision::MachineCheck& record) {
  if (record.bank == wire::kNoBank) return nullptr;
  return {{"bank", record.bank},
          {"status", hex(record.status)},
          {"address", hex(record.address)},
          {"misc", hex(record.misc)},
          {"mcg-status", hex(record.mcg_status)}};
}

ordered_json event_json(const Explanation& explanation) {
  if (!explanation.has_event) return nullptr;
  const decision::EventShape& event = explanation.event;
  return {{"recipient", wire::EnumNameRecipient(event.recipient)},
          {"action", wire::EnumNameAction(event.action)},
          {"flags", {{"action-required", event.action_required}, {"recursive", event.recursive}}}};
}

ordered_json row_json(const LookedAt& row) {
  return {{"table", name(row.table)}, {"row", row.row}, {"when", row.when}};
}

ordered_json decision_json(const Explanation& explanation, const Input& input) {
  const decision::Decision& decision = explanation.decision;
  const bool has_record = decision.record.bank != wire::kNoBank;
  return {{"verdict", name(decision.verdict)},
          {"reason", name(decision.reason)},
          {"reason-text", reason_sentence(decision.reason)},
          {"because", row_json(explanation.decided_by())},
          {"record", record_json(decision.record)},
          {"otherwise", has_record ? ordered_json(name(decision.otherwise)) : ordered_json()},
          {"siblings", name(decision.siblings)},
          {"event", event_json(explanation)},
          {"warnings", warnings(decision, input)}};
}

ordered_json looked_at_json(const Explanation& explanation) {
  ordered_json rows = ordered_json::array();
  for (const LookedAt& row : explanation.looked_at) {
    ordered_json one = row_json(row);
    one["result"] = name(row.result);
    rows.push_back(std::move(one));
  }
  return rows;
}

}  // namespace

ordered_json explain_json(const std::string& policy, const Comparison& comparison) {
  const Input& input = comparison.input;
  return {{"policy", policy},
          {"rules", policy::rules_json(comparison.rules)},
          {"input", input_json(input)},
          {"looked-at", looked_at_json(comparison.asked)},
          {"decision", decision_json(comparison.asked, input)},
          {"beside",
           {{"policy", name(comparison.beside.policy)},
            {"decision", decision_json(comparison.beside, input)}}}};
}

}  // namespace memfail::ctl

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/explain_text.h"

#include <algorithm>

#include "sidecar/ctl/bank_list.h"
#include "sidecar/ctl/explain_words.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/reason.h"
#include "sidecar/decision/vcpu_state.h"

namespace memfail::ctl {
namespace {

using decision::AddressClass;
using decision::GuestProfile;
using decision::Input;
using decision::Severity;

constexpr std::size_t kWidth = 100;
constexpr std::size_t kLabel = 12;

// "  because   CR4.MCE is clear\n", broken at blanks where it is too long.
std::string line(std::string_view label, std::string_view text) {
  std::string out = "  " + std::string(label);
  out.resize(std::max(out.size() + 1, kLabel), ' ');
  std::size_t column = out.size();
  while (column + text.size() > kWidth) {
    const std::size_t blank = text.rfind(' ', kWidth - column);
    if (blank == std::string_view::npos) break;
    out += std::string(text.substr(0, blank)) + '\n' + std::string(kLabel, ' ');
    text.remove_prefix(blank + 1);
    column = kLabel;
  }
  return out + std::string(text) + '\n';
}

std::string heading(const std::string& text, bool colour) {
  return colour ? "\x1b[1m" + text + "\x1b[0m\n" : text + '\n';
}

// ---- the failure, as it was understood -----------------------------------------------

std::string address_words(const decision::Classification& where) {
  switch (where.address) {
    case AddressClass::kGuestRam:
      return "guest RAM at " + hex(where.gpa);
    case AddressClass::kGuestRamUnmapped:
      return "guest RAM without a guest physical address";
    case AddressClass::kVmmMemory:
      return "the VMM's own memory";
    case AddressClass::kNoAddress:
      break;
  }
  return "no address known";
}

std::string_view thread_words(wire::ThreadKind thread) {
  switch (thread) {
    case wire::ThreadKind::vcpu_in_run:
      return "met by the guest (in KVM_RUN)";
    case wire::ThreadKind::vcpu_outside:
      return "met by a vCPU's thread outside KVM_RUN";
    default:
      return "met by another thread of the VMM";
  }
}

std::string report_words(const Input& input) {
  std::string text = std::string(decision::name_of(input.kind)) + ", " +
                     std::string(severity_words(input.severity)) + ", " +
                     address_words(input.where);
  if (input.severity == Severity::kActionRequired) {
    text += ", " + std::string(thread_words(input.thread));
  }
  return text;
}

unsigned bank_count(const GuestProfile& guest) {
  return static_cast<unsigned>(
      std::min<std::uint64_t>(guest.mcg_cap_kvm & decision::kMcgCapBanks, decision::kMaxBanks));
}

std::string mcg_cap_words(const GuestProfile& guest) {
  const std::uint64_t cap = guest.mcg_cap_configured;
  std::string text = "MCG_CAP " + hex(cap) + " (" + std::to_string(bank_count(guest)) + " banks";
  const auto add = [&](std::uint64_t bit, const char* name) {
    if ((cap & bit) != 0) text += std::string(", ") + name;
  };
  add(decision::kMcgCapCtlP, "CTL_P");
  add(decision::kMcgCapCmciP, "CMCI_P");
  add(decision::kMcgCapSerP, "SER_P");
  add(decision::kMcgCapLmceP, "LMCE_P");
  return text + ')';
}

std::string guest_words(const Input& input) {
  const GuestProfile& guest = input.guest;
  std::string text = std::string(decision::name_of(guest.vendor)) + ", " + mcg_cap_words(guest) +
                     ", CPUID 1 EAX " + hex(guest.cpuid_1_eax);
  if (guest.vendor == wire::Vendor::amd) {
    text += ", CPUID 0x80000007 EBX " + hex(guest.cpuid_80000007_ebx);
  }
  text += ", " + std::to_string(guest.vcpus) + (guest.vcpus == 1 ? " vCPU" : " vCPUs");
  return text + (input.vm_running ? ", running" : ", not running");
}

std::string bank_words(const Input& input) {
  const unsigned count = bank_count(input.guest);
  std::string text = "; banks valid: " + bank_names(input.snapshot.bank_val(), count) +
                     ", off: " + bank_names(input.snapshot.bank_ctl_off(), count);
  if (input.snapshot.bank_cmci_on() != 0) {
    text += ", with CMCI: " + bank_names(input.snapshot.bank_cmci_on(), count);
  }
  return text;
}

std::string vcpu_words(const Input& input) {
  if (!decision::needs_snapshot(input.kind, input.thread, input.severity, input.vm_running)) {
    return "its state is not read for such a report";
  }
  if (input.snapshot.valid() == 0) return "its state could not be read";
  const decision::VcpuState vcpu = decision::vcpu_state(input.guest, input.snapshot, 0);
  std::string text = vcpu.cr4_mce ? "CR4.MCE set" : "CR4.MCE clear";
  text += vcpu.mcip ? ", MCIP set" : ", MCIP clear";
  const auto add = [&text](bool is, const char* words) { text += is ? words : ""; };
  add(vcpu.mcg_ctl_off, ", MCG_CTL not all ones");
  add(vcpu.mc_queued, ", a #MC is queued");
  add(vcpu.double_fault, ", a #DF is queued");
  add(vcpu.triple_fault, ", a triple fault is pending");
  add(!vcpu.started, ", not started");
  add(vcpu.in_smm, ", in SMM");
  add(decision::in_nested_guest(input.snapshot), ", in a nested guest");
  add(vcpu.lmce, ", LMCE on");
  return text + bank_words(input);
}

std::string page_words(const decision::History& history) {
  return std::string(history.guest_told ? "the guest was told of it" : "not told of") +
         "; action-required reports of it lately: " + std::to_string(history.repeats);
}

std::string failure_text(const Input& input, bool colour) {
  return heading("The failure", colour) + line("report", report_words(input)) +
         line("guest", guest_words(input)) + line("vCPU", vcpu_words(input)) +
         line("page", page_words(input.history));
}

// ---- the rules -----------------------------------------------------------------------

std::string_view mark(Looked result) {
  switch (result) {
    case Looked::kDecides:
      return "  YES  ";
    case Looked::kSilent:
      return "   -   ";
    case Looked::kNo:
      break;
  }
  return "   no  ";
}

std::string rows_text(Table table, const Explanation& explanation) {
  std::string text;
  for (const LookedAt& row : explanation.looked_at) {
    if (row.table == table) text += std::string(mark(row.result)) + std::string(row.when) + '\n';
  }
  return text;
}

std::string rules_text(const std::string& policy, const Explanation& explanation, Severity severity,
                       bool colour) {
  std::string text =
      heading("Rules that hold under every policy, the first that holds decides", colour) +
      rows_text(Table::kCommon, explanation);
  if (explanation.decided_by().table == Table::kCommon) return text;
  std::string title = "None does; then policy " + policy;
  if (explanation.policy == decision::Policy::kRecommended) {
    title += severity == Severity::kActionRequired ? " (-: says nothing where action is required)"
                                                   : " (-: says nothing where action is optional)";
  }
  return text + heading(title, colour) + rows_text(Table::kRecommended, explanation) +
         rows_text(Table::kQemu, explanation);
}

// ---- the decision ----------------------------------------------------------------------

bool has_record(const decision::Decision& decision) {
  return decision.record.bank != wire::kNoBank;
}

std::string otherwise_words(wire::Verdict verdict) {
  return std::string(decision::name_of(verdict)) + ", where KVM does not take the record";
}

std::string decision_text(const Explanation& explanation, const Input& input) {
  const decision::Decision& decision = explanation.decision;
  std::string text = line("verdict", std::string(decision::name_of(decision.verdict)) + ": " +
                                         std::string(verdict_words(decision)));
  text += line("because", explanation.decided_by().when);
  if (decision.reason != wire::Reason::none) {
    text += line("reason", std::string(decision::name_of(decision.reason)) + ": " +
                               reason_sentence(decision.reason));
  }
  if (has_record(decision)) {
    text += line("record", record_words(decision.record));
    text += line("otherwise", otherwise_words(decision.otherwise));
  }
  if (input.guest.vcpus > 1) text += line("others", sibling_words(decision.siblings));
  text += line("event", explanation.has_event ? "MEMORY_FAILURE " + event_words(explanation.event)
                                              : "none: it is no incident");
  for (const std::string& warning : warnings(decision, input)) text += line("careful", warning);
  return text;
}

}  // namespace

std::string explain_text(const std::string& policy, const Comparison& comparison, bool colour) {
  const Input& input = comparison.input;
  const std::string beside(decision::name_of(comparison.beside.policy));
  return failure_text(input, colour) + '\n' +
         rules_text(policy, comparison.asked, input.severity, colour) + '\n' +
         heading("Policy " + policy + " decides", colour) + decision_text(comparison.asked, input) +
         '\n' + heading("Policy " + beside + " would decide", colour) +
         decision_text(comparison.beside, input);
}

}  // namespace memfail::ctl

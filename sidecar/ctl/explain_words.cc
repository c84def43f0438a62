// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/explain_words.h"

#include <array>
#include <cstdio>

#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/reason.h"

namespace memfail::ctl {

using decision::Severity;
using wire::Verdict;

std::string hex(std::uint64_t value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

std::string_view severity_words(Severity severity) {
  switch (severity) {
    case Severity::kActionRequired:
      return "action required";
    case Severity::kActionOptional:
      return "action optional";
    case Severity::kNone:
      break;
  }
  return "no hardware error";
}

std::string_view verdict_words(const decision::Decision& decision) {
  switch (decision.verdict) {
    case Verdict::inject:
      return (decision.record.status & decision::kStatusUc) != 0
                 ? "the guest is told by a machine check (#MC)"
                 : "the guest finds the record in the bank; it is not uncorrected, so no #MC";
    case Verdict::inject_deferred:
      return "the guest is told by a deferred record (UCNA) and a CMCI, without a #MC";
    case Verdict::retry:
      return "nothing is injected; the vCPU goes on, and the access is tried again";
    case Verdict::ignore:
      return "the guest is not told now; a page of its own is remembered";
    case Verdict::reset:
      return "the VM is reset";
    case Verdict::pause:
      return "the VM is paused";
    case Verdict::abort:
      return "the VMM ends itself";
    case Verdict::none:
      break;
  }
  return "there is nothing to decide";
}

std::string record_words(const decision::MachineCheck& record) {
  return "bank " + std::to_string(record.bank) + ", status " + hex(record.status) + ", address " +
         hex(record.address) + ", misc " + hex(record.misc) + ", MCG_STATUS " +
         hex(record.mcg_status);
}

std::string sibling_words(wire::SiblingRule rule) {
  const decision::MachineCheck record = decision::sibling_record();
  const std::string what = "a #MC without an address (bank " + std::to_string(record.bank) +
                           ", status " + hex(record.status) + ")";
  switch (rule) {
    case wire::SiblingRule::broadcast_qemu:
      return "each gets " + what + "; one that is not ready for it may reset the whole VM";
    case wire::SiblingRule::broadcast_ready:
      return "each that is ready for it gets " + what + "; the rest is skipped and counted";
    case wire::SiblingRule::none:
      break;
  }
  return "nothing happens to them";
}

std::string reason_sentence(wire::Reason reason) {
  std::array<char, 256> text{};
  decision::reason_text(text.data(), text.size(), reason, -1);
  return text.data();
}

std::string event_words(const decision::EventShape& event) {
  return std::string(wire::EnumNameRecipient(event.recipient)) + '/' +
         wire::EnumNameAction(event.action) + (event.action_required ? ", action required" : "") +
         (event.recursive ? ", recursive" : "");
}

std::vector<std::string> warnings(const decision::Decision& decision,
                                  const decision::Input& input) {
  std::vector<std::string> found;
  const Concerns concerns = concerns_of(decision, input);
  if (concerns.lost_error) {
    const bool required = input.severity == Severity::kActionRequired;
    found.push_back("Bank " + std::to_string(decision.record.bank) +
                    " holds a record already: the new one gets OVER, \"an error was lost\"" +
                    (required ? ", and a Linux guest panics" : ""));
  }
  if (concerns.endless) {
    found.emplace_back("The access fails again as soon as the vCPU goes on, without an end");
  }
  return found;
}

}  // namespace memfail::ctl

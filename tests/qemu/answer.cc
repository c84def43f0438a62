// SPDX-License-Identifier: BSD-3-Clause
#include "tests/qemu/answer.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "sidecar/decision/machine_check.h"

namespace memfail::qemu {
namespace {

using decision::EventShape;
using decision::Judgement;
using wire::Reason;
using wire::Verdict;

std::string shape_text(const std::string& recipient, const std::string& action,
                       bool action_required, bool recursive) {
  return recipient + " " + action + (action_required ? " action-required" : "") +
         (recursive ? " recursive" : "");
}

// QEMU is silent where we have a reason and an event.
bool is_silent(Reason reason) {
  return reason == Reason::mcg_ctl_off || reason == Reason::bank_ctl_off;
}

// QEMU's own words for our reasons.
std::string message_of(Reason reason, std::uint8_t bank) {
  switch (reason) {
    case Reason::mcg_ctl_off:
      return "Uncorrected error reporting disabled";
    case Reason::bank_ctl_off:
      return "Uncorrected error reporting disabled for bank " + std::to_string(bank);
    case Reason::mce_not_enabled:
      return "MCE capability is not enabled, raising triple fault";
    case Reason::previous_mce_in_progress:
      return "Previous MCE still in progress, raising triple fault";
    default:
      return "";
  }
}

// KVM and QEMU alike: an uncorrected error stays where it is, OVER says that there
// was another one; anything else is written over.
Effect after_injection(const Registers& before, const decision::MachineCheck& record) {
  const bool uncorrected = (record.status & decision::kStatusUc) != 0;
  const bool was_valid = (before.bank.status & decision::kStatusVal) != 0;
  const bool was_uncorrected = was_valid && (before.bank.status & decision::kStatusUc) != 0;
  const std::uint64_t over = was_valid ? decision::kStatusOver : 0;
  Effect effect{uncorrected, uncorrected ? record.mcg_status : before.mcg_status, before.bank};
  if (!uncorrected && was_uncorrected) {
    effect.bank.status |= over;
  } else {
    effect.bank.status = record.status | over;
    effect.bank.address = record.address;
    effect.bank.misc = record.misc;
  }
  return effect;
}

void add_text(std::ostream& out, const Effect& effect) {
  out << "  #MC " << (effect.machine_check ? "taken" : "none") << std::hex << ", MCG_STATUS "
      << effect.mcg_status << ", bank: CTL " << effect.bank.ctl << " STATUS " << effect.bank.status
      << " ADDR " << effect.bank.address << " MISC " << effect.bank.misc << std::dec << "\n";
}

std::vector<std::string> take_failures(Qmp& qmp) {
  std::vector<std::string> failures;
  for (const Json& event : qmp.take_events("MEMORY_FAILURE")) {
    failures.push_back(failure_text(event));
  }
  return failures;
}

}  // namespace

std::string shape_text(const EventShape& shape) {
  return shape_text(wire::EnumNameRecipient(shape.recipient), wire::EnumNameAction(shape.action),
                    shape.action_required, shape.recursive);
}

std::string failure_text(const Json& event) {
  const Json& data = event["data"];
  const Json& flags = data["flags"];
  return shape_text(data["recipient"], data["action"], flags["action-required"],
                    flags["recursive"]);
}

std::string text(const Answer& answer) {
  std::ostringstream out;
  for (const std::string& event : answer.events) out << "  MEMORY_FAILURE " << event << "\n";
  if (answer.events.empty()) out << "  no event\n";
  out << "  \"" << answer.messages << "\"\n  " << (answer.reset ? "reset" : "no reset") << "\n";
  for (const Effect& effect : answer.effects) add_text(out, effect);
  return out.str();
}

void Expectation::add_event(const Target& target, Judgement judgement) {
  if (is_silent(judgement.reason)) return;
  const auto delivered =
      judgement.verdict == Verdict::inject ? wire::Delivered::delivered : wire::Delivered::none;
  const bool mcip = (target.before.mcg_status & decision::kMcgStatusMcip) != 0;
  answer_.events.push_back(shape_text(decision::event_shape(judgement.verdict, judgement.reason,
                                                            delivered, target.severity, mcip)));
}

// A reset clears MCG_STATUS and leaves the banks; whether a vCPU took its machine
// check before it is a matter of chance.
void Expectation::add_effect(const Effect& effect) {
  answer_.effects.push_back(effect);
  if (!answer_.reset) return;
  for (Effect& any : answer_.effects) {
    any.machine_check = false;
    any.mcg_status = 0;
  }
}

void Expectation::add(const Target& target, Judgement judgement) {
  add_event(target, judgement);
  const std::string message = message_of(judgement.reason, target.record.bank);
  if (!message.empty() && (channel_ == Channel::kMonitor || !is_silent(judgement.reason))) {
    answer_.messages += "CPU " + std::to_string(target.vcpu) + ": " + message;
  }
  answer_.reset |= judgement.verdict == Verdict::reset;
  add_effect(judgement.verdict == Verdict::inject
                 ? after_injection(target.before, target.record)
                 : Effect{false, target.before.mcg_status, target.before.bank});
}

void Expectation::add_untouched(const Registers& before) {
  add_effect({false, before.mcg_status, before.bank});
}

Answer observe(Machine& machine, const std::string& messages,
               const std::vector<std::uint8_t>& banks) {
  Qmp& qmp = machine.qmp();
  // What was done before this is answered has been told by then.
  qmp.execute("query-status");
  Answer answer{take_failures(qmp), messages, false, {}};
  answer.reset = std::ranges::any_of(answer.events, [](const std::string& event) {
    return event.find(" reset") != std::string::npos;
  });
  if (answer.reset) {
    qmp.event("RESET");
    machine.reset();
  } else if (!qmp.take_events("RESET").empty()) {
    throw std::runtime_error("a reset without a MEMORY_FAILURE that says so");
  }
  for (unsigned i = 0; i < banks.size(); ++i) {
    const Registers after = read_registers(machine.vcpu(i), banks[i]);
    const bool taken = machine.vcpu(i).take_machine_checks() != 0;
    answer.effects.push_back({taken, after.mcg_status, after.bank});
  }
  machine.take_log();
  return answer;
}

}  // namespace memfail::qemu

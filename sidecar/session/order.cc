// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/order.h"

#include <array>
#include <cstdio>
#include <string_view>

namespace memfail::session {
namespace {

using wire::OperatorRefusal;

// In the order of wire::OperatorRefusal. %v: the value, %x: the same as hexadecimal,
// %l: the limit, %c: the vCPU. "Invalid MCE bank number", "Invalid MCE status code",
// "MCE injection not supported" and "Guest CPU does not support MCA broadcast" are
// QEMU's words, for those who know them from there.
constexpr auto kTexts = std::to_array<std::string_view>({
    "it was done",
    "another drill or injection is under way in this VM; wait for its end",
    "the VM is not running: paused, incoming or finished",
    "vCPU %v is not there; the last one is vCPU %l",
    "vCPU %c is not there or is offline",
    "vCPU %c has no thread: it is stopped",
    "vCPU %c is stopped: the guest has not started it",
    "vCPU %c is in system management mode or runs a nested guest; try again",
    "vCPU %c is stopped: its thread did not take it up within %v ms",
    "guest address %x is outside the VM's RAM",
    "guest address %x has no host address, no signal can name it",
    "guest address %x is in a page that is really broken; a drill needs a whole one",
    "the VMM has no SIGBUS handler: a memory failure would end it",
    "vCPU %c blocks SIGBUS in its thread: a memory failure would end the VMM",
    "the VMM's SIGBUS handler did not hand the signal to memfail_sigbus()",
    "the VMM's SIGBUS handler does not use the lane of vCPU %c",
    "vCPU %c has 4 reports that are not handled; the limit is 4",
    "MCE injection not supported: MCG_CAP is 0",
    "Invalid MCE bank number: %v; the last one is %l",
    "Invalid MCE status code: %x; VAL, bit 63, must be set",
    "Guest CPU does not support MCA broadcast: CPUID 1 EAX is %x",
    "the machine-check state of vCPU %c could not be read",
    "the VMM could not raise the signal: errno %v",
});
static_assert(kTexts.size() == static_cast<std::size_t>(OperatorRefusal::MAX) + 1);

std::string hex(std::uint64_t value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

std::uint32_t vcpu_of(const Order& order) {
  return std::visit([](const auto& one) { return one.vcpu; }, order);
}

std::string word(char letter, const Order& order, const wire::OperatorAnswer& answer) {
  switch (letter) {
    case 'v':
      return std::to_string(answer.value());
    case 'x':
      return hex(answer.value());
    case 'l':
      return std::to_string(answer.limit());
    default:
      return std::to_string(vcpu_of(order));
  }
}

}  // namespace

wire::Feature feature_of(const Order& order) {
  return std::holds_alternative<DrillOrder>(order) ? wire::Feature::drills
                                                   : wire::Feature::injections;
}

std::string refusal_text(const Order& order, const wire::OperatorAnswer& answer) {
  const std::string_view text = kTexts[static_cast<std::size_t>(answer.refusal())];
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%') {
      out += word(text[++at], order, answer);
    } else {
      out += text[at];
    }
  }
  return out;
}

}  // namespace memfail::session

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/reason.h"

#include <cstdio>

namespace memfail::decision {
namespace {

using wire::Reason;

constexpr auto kSentences = std::to_array<const char*>({
    "No reason was given",
    "The page is the guest's, and the guest is told",
    "A machine check is in progress and this one requires no action, left alone",
    "Previous MCE still in progress, raising triple fault",
    "MCE capability is not enabled, raising triple fault",
    "The guest has switched off machine-check reporting (MCG_CTL), it cannot be told",
    "The guest has switched off reporting of the bank (MCi_CTL), it cannot be told",
    "The guest was configured without software error recovery (MCG_SER_P)",
    "The page is guest RAM that has no guest physical address now",
    "The page is the VMM's own memory",
    "The kernel could not name an address",
    "The VMM itself, not the guest, accessed the page and cannot go on",
    "An instruction that KVM emulates met the page, resetting the guest",
    "The VM is not running, the page is remembered",
    "The verdict did not pass the shim's own checks and was not carried out",
    "The VMM was gone before there was an outcome",
    "No cell was free for the report, it was only counted",
    "The vCPU's machine-check state could not be read",
    "The reporting thread died inside its signal handler",
    "A rule of the policy applies",
    "The guest has not seen the previous machine check yet, the access is tried again",
    "An AMD guest without overflow recovery and SUCCOR cannot survive a machine check",
    "An AMD guest is told of a broken page when it touches it, the page is remembered",
    "The vCPU is in system management mode, where it takes no machine check",
    "Each machine-check bank holds a record already or is switched off",
    "The guest meets the same page again and again",
    "Many pages went bad in a short time, evacuate this host",
    "A thread of the VMM met a broken page of the guest",
    "The vCPU is about to shut down for another reason",
    "KVM took the record and dropped it",
    "The guest knows of this page already",
    "More reports of a page that is known to be broken",
    "The page has been replaced by a clean one, at a guest reset",
    "The page could not be replaced and stays broken",
    "The policy was changed",
    "SIGBUS without a hardware error, the backing store is in trouble",
    "The host was restarted after the verdict, what became of it is not known",
    "There was no room to record these incidents, they were only counted",
    "The journal could not be written for a time, these records were at risk meanwhile",
    "An operator made this machine check, nothing failed",
    "The drill on this page is over, its memory was never broken",
    "The vCPU could not take the machine check and shuts down of it",
    "The guest is about to get a double fault, and any other exception would end it",
});
static_assert(kSentences.size() == EnumNames<Reason>::kNames.size());

const char* sentence(Reason reason) {
  const auto index = static_cast<std::size_t>(reason);
  return index < kSentences.size() ? kSentences[index] : kSentences[0];
}

}  // namespace

// Two of the texts are QEMU's, word for word, for those who search logs for them:
//   CPU %d: Previous MCE still in progress, raising triple fault
//   CPU %d: MCE capability is not enabled, raising triple fault
int reason_text(char* buffer, std::size_t size, Reason reason, int vcpu) {
  if (vcpu < 0) {
    return std::snprintf(buffer, size, "%s", sentence(reason));
  }
  return std::snprintf(buffer, size, "CPU %d: %s", vcpu, sentence(reason));
}

}  // namespace memfail::decision

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/qemu_policy.h"

#include <array>

#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/qemu_injection.h"
#include "sidecar/decision/vcpu_state.h"

namespace memfail::decision {
namespace {

using wire::Reason;
using wire::Verdict;

bool has_no_address(const Input& input) { return input.where.address == AddressClass::kNoAddress; }
bool is_vmm_memory(const Input& input) { return input.where.address == AddressClass::kVmmMemory; }
bool is_unmapped(const Input& input) {
  return input.where.address == AddressClass::kGuestRamUnmapped;
}

// QEMU's own copy of MCG_CAP: kvm_amd hides SER_P from every guest, and QEMU never
// reads it back.
bool lacks_software_recovery(const Input& input) {
  return (input.guest.mcg_cap_configured & kMcgCapSerP) == 0;
}

struct Obstacle {
  std::string_view when;
  bool (*holds)(const Input&);
  Reason reason;
};

// Why the address layer does not get to an injection. QEMU has one branch for all of
// these; the reason names the first that applies.
constexpr auto kObstacles = std::to_array<Obstacle>({
    {"the kernel could not name an address", has_no_address, Reason::no_address},
    {"the page is the VMM's own", is_vmm_memory, Reason::vmm_memory},
    {"the page is guest RAM that has no guest physical address now", is_unmapped,
     Reason::guest_memory_unmapped},
    {"MCG_SER_P is not configured", lacks_software_recovery, Reason::no_software_recovery},
});

// The row between the layers, which QEMU has not: it always knows its vCPUs.
constexpr std::size_t kUnknownRow = kObstacles.size();
constexpr std::size_t kInjectionRows = kUnknownRow + 1;

// No injection: an access that cannot be resumed ends the VMM, anything else goes
// unnoticed.
QemuRow giving_up(std::string_view when, Reason reason) {
  return {when, Verdict::abort, Verdict::ignore, reason};
}

Judgement judge(const Input& input) {
  const QemuRow row = qemu_row_at(qemu_row(input));
  const bool required = input.severity == Severity::kActionRequired;
  return {required ? row.required : row.optional, row.reason};
}

// QEMU broadcasts whatever became of the first vCPU's record; a local machine check
// stays local.
wire::SiblingRule siblings(const Input& input, const MachineCheck& record) {
  const bool local = (record.mcg_status & kMcgStatusLmce) != 0;
  const bool reached = qemu_row(input) >= kInjectionRows;
  return reached && !local && broadcasts(input.guest) ? wire::SiblingRule::broadcast_qemu
                                                      : wire::SiblingRule::none;
}

}  // namespace

std::size_t qemu_row_count() { return kInjectionRows + qemu_injection_rows().size(); }

QemuRow qemu_row_at(std::size_t index) {
  if (index < kObstacles.size()) return giving_up(kObstacles[index].when, kObstacles[index].reason);
  if (index == kUnknownRow) {
    return giving_up("the vCPU's machine-check state could not be read", Reason::no_snapshot);
  }
  const InjectionRow& row = qemu_injection_rows()[index - kInjectionRows];
  return {row.when, row.judgement.verdict, row.judgement.verdict, row.judgement.reason};
}

std::size_t qemu_row(const Input& input) {
  for (std::size_t i = 0; i < kObstacles.size(); ++i) {
    if (kObstacles[i].holds(input)) return i;
  }
  const auto row = qemu_injection_row(input.guest, qemu_record(input), input.snapshot);
  return row ? kInjectionRows + *row : kUnknownRow;
}

MachineCheck qemu_record(const Input& input) {
  const VcpuState vcpu = vcpu_state(input.guest, input.snapshot, kQemuBank);
  return page_record(input.guest.vendor, input.severity, vcpu.lmce, kQemuBank, input.where.gpa);
}

Decision decide_qemu(const Input& input) {
  const MachineCheck record = qemu_record(input);
  const Judgement judgement = judge(input);
  Decision decision;
  decision.verdict = judgement.verdict;
  decision.reason = judgement.reason;
  decision.siblings = siblings(input, record);
  decision.gpa = input.where.gpa;
  if (judgement.verdict == Verdict::inject) {
    decision.record = record;
  }
  return decision;
}

}  // namespace memfail::decision

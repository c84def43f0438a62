// SPDX-License-Identifier: BSD-3-Clause
//
// A real QEMU whose vCPU thread takes the kernel's SIGBUS for an address that is no
// page of its guest, or for a guest that is not configured to recover, beside what
// the policy `qemu` says to the same class of address.
#include <fstream>

#include "sidecar/decision/event_shape.h"
#include "sidecar/decision/qemu_policy.h"
#include "tests/qemu/matrix.h"
#include "tests/qemu/sigbus.h"
#include "tests/unit/decision/snapshot.h"

namespace memfail::qemu {
namespace {

using decision::AddressClass;
using decision::Input;
using decision::Severity;

// QEMU configures no MCG_CAP for a processor older than the P6.
constexpr const char* kOldCpu = "qemu64,vendor=GenuineIntel,family=5";

struct Row {
  const char* name;
  AddressClass address;
  bool software_recovery;
};

constexpr Row kRows[] = {
    {"no address", AddressClass::kNoAddress, true},
    {"QEMU's own memory", AddressClass::kVmmMemory, true},
    {"guest RAM that the guest cannot see", AddressClass::kGuestRamUnmapped, true},
    {"a guest without software recovery", AddressClass::kGuestRam, false},
};

constexpr std::uint64_t kPage = 0x30000;

// Where the child has the first page of a file.
std::uint64_t hva_of_file(pid_t process, const std::string& path) {
  std::ifstream maps("/proc/" + std::to_string(process) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(path)) return std::stoull(line, nullptr, 16);
  }
  throw std::runtime_error(path + " is not mapped");
}

std::uint64_t hva_of(Machine& machine, AddressClass address) {
  switch (address) {
    case AddressClass::kNoAddress:
      return 0;
    case AddressClass::kVmmMemory:
      return hva_of_file(machine.pid(), "[heap]");
    case AddressClass::kGuestRamUnmapped:
      return hva_of_file(machine.pid(), machine.spare_memory_file());
    case AddressClass::kGuestRam:
      break;
  }
  return hva_of(machine, kPage);
}

Input input_of(Machine& machine, const Row& row, Severity severity) {
  Input input;
  input.guest = profile_of(machine);
  if (!row.software_recovery) input.guest.mcg_cap_configured = 0;
  input.where.address = row.address;
  if (row.address == AddressClass::kGuestRam) input.where.gpa = kPage;
  input.severity = severity;
  input.thread = wire::ThreadKind::vcpu_in_run;
  input.snapshot = decision::testing::Snapshot{}.line();
  return input;
}

class Address : public QemuTest {
 protected:
  static void try_row(const Row& row, Severity severity) {
    Machine machine(
        {.vcpus = 1, .cpu = row.software_recovery ? kIntelCpu : kOldCpu, .spare_memory = true});
    const auto decision = decide_qemu(input_of(machine, row, severity));
    raise_sigbus(machine, severity, hva_of(machine, row.address));
    const std::string told = failure_text(machine.qmp().event("MEMORY_FAILURE"));
    EXPECT_EQ(told, shape_text(decision::event_shape(decision.verdict, decision.reason,
                                                     wire::Delivered::none, severity, false)));
    if (decision.verdict == wire::Verdict::abort) {
      EXPECT_EQ(machine.end(), 1);
      return;
    }
    EXPECT_EQ(decision.verdict, wire::Verdict::ignore);
    const Answer after = observe(machine, "", {});
    EXPECT_TRUE(after.events.empty() && !after.reset) << text(after);
    machine.vcpu(0).cr4();  // it runs
    EXPECT_EQ(machine.vcpu(0).take_machine_checks(), 0U);
  }
};

TEST_F(Address, ThatIsNoPageOfTheGuestEndsQemuOnlyWhenThePolicySaysAbort) {
  Matrix matrix;
  for (const Row& row : kRows) {
    for (const Severity severity : {Severity::kActionOptional, Severity::kActionRequired}) {
      const char* kind = severity == Severity::kActionRequired ? ", AR" : ", AO";
      matrix.attempt(std::string(row.name) + kind, [&] { try_row(row, severity); });
    }
  }
  EXPECT_EQ(matrix.rows(), 8U);
}

}  // namespace
}  // namespace memfail::qemu

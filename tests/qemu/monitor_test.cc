// SPDX-License-Identifier: BSD-3-Clause
//
// Machine checks given to a real QEMU by its monitor's `mce`, over every state that
// its injection layer looks at, beside our injection layer on the same registers.
//
// The monitor demands its records unconditionally (MCE_INJECT_UNCOND_AO): QEMU then
// skips the first rule of its table, that an error without AR waits for the one
// being handled. Our table asks for AR in that rule and in no other, so here it
// judges the record with AR. The rule itself is sigbus_test.cc's.
#include "sidecar/decision/decide.h"
#include "sidecar/decision/machine_check.h"
#include "tests/qemu/deadline.h"
#include "tests/qemu/matrix.h"

namespace memfail::qemu {
namespace {

using decision::MachineCheck;
using decision::Severity;
using wire::Vendor;

constexpr std::uint64_t kPage = 0x30000;

// The records with UC and AR in every combination. No policy makes the last one.
struct Record {
  const char* name;
  MachineCheck check;
};

std::vector<Record> records() {
  const auto record = [](Vendor vendor, Severity severity) {
    return decision::page_record(vendor, severity, false, decision::kQemuBank, kPage);
  };
  MachineCheck odd = record(Vendor::amd, Severity::kActionOptional);
  odd.status |= decision::kStatusAr;
  return {{"UC, AR", record(Vendor::intel, Severity::kActionRequired)},
          {"UC, not AR", record(Vendor::intel, Severity::kActionOptional)},
          {"not UC, not AR", record(Vendor::amd, Severity::kActionOptional)},
          {"not UC, but AR", odd}};
}

std::string inject(Machine& machine, const MachineCheck& record, const std::string& option = "") {
  std::string command = "mce " + option + "0 " + std::to_string(record.bank);
  for (const auto value : {record.status, record.mcg_status, record.address, record.misc}) {
    command += " " + std::to_string(value);
  }
  return machine.qmp().monitor(command);
}

decision::Judgement judge(const decision::GuestProfile& guest, const Target& target) {
  MachineCheck unconditional = target.record;
  unconditional.status |= decision::kStatusAr;
  return qemu_injection(guest, unconditional, snapshot_of(target.before, target.record.bank));
}

// In the monitor there is no si_code: the event says what the record says.
Severity severity_of(const MachineCheck& record) {
  return (record.status & decision::kStatusAr) != 0 ? Severity::kActionRequired
                                                    : Severity::kActionOptional;
}

Target target_of(Machine& machine, unsigned vcpu, const MachineCheck& record) {
  return {vcpu, read_registers(machine.vcpu(vcpu), record.bank), record, severity_of(record)};
}

// It says that it is about to halt; QEMU says when it has.
void halt(Machine& machine) {
  machine.vcpu(0).halt();
  const auto limit = deadline();
  while (machine.qmp().monitor("info registers").find("HLT=1") == std::string::npos) {
    if (std::chrono::steady_clock::now() > limit) throw std::runtime_error("it does not halt");
  }
}

class Monitor : public QemuTest {
 protected:
  Matrix matrix_;
};

TEST_F(Monitor, OneVcpuGetsWhatOurInjectionLayerSays) {
  Machine machine({.vcpus = 1});
  const auto guest = profile_of(machine);
  for (const Record& record : records()) {
    decision::testing::for_every_combination(kStateSizes, [&](const auto& values) {
      const State state = state_of(values);
      const std::string row = std::string(record.name) + "; " + text(state);
      matrix_.attempt(row, [&] {
        set_state(machine, 0, record.check.bank, state);
        const Target target = target_of(machine, 0, record.check);
        Expectation ours(Channel::kMonitor);
        ours.add(target, judge(guest, target));
        const std::string messages = inject(machine, record.check);
        Matrix::compare(observe(machine, messages, {record.check.bank}), ours);
      });
    });
  }
  EXPECT_EQ(matrix_.rows(), 4U * 48U);
}

// The first vCPU takes it, resets the guest, says nothing.
const std::vector<State> kFirst = {{}, {.cr4_mce = false}, {.mcg_ctl = false}};

TEST_F(Monitor, BroadcastGivesTheOtherVcpuWhatOurSiblingRuleSays) {
  Machine machine({.vcpus = 2});
  const auto guest = profile_of(machine);
  const MachineCheck record = records()[0].check;
  const std::vector<std::uint8_t> banks = {record.bank, decision::kSiblingBank};
  for (const State& first : kFirst) {
    decision::testing::for_every_combination(kStateSizes, [&](const auto& values) {
      const State second = state_of(values);
      // The monitor would have it unconditionally: sigbus_test.cc.
      if (second.mcip) return;
      const std::string row = "first: " + text(first) + "; second: " + text(second);
      matrix_.attempt(row, [&] {
        set_state(machine, 0, banks[0], first);
        set_state(machine, 1, banks[1], second);
        const Target target = target_of(machine, 0, record);
        const Target sibling = target_of(machine, 1, decision::sibling_record());
        const auto told = decide_sibling(wire::SiblingRule::broadcast_qemu, guest,
                                         snapshot_of(sibling.before, banks[1]));
        Expectation ours(Channel::kMonitor);
        ours.add(target, judge(guest, target));
        ours.add(sibling, {told.verdict, told.reason});
        const std::string messages = inject(machine, record, "-b ");
        Matrix::compare(observe(machine, messages, banks), ours);
      });
    });
  }
  EXPECT_EQ(matrix_.rows(), 3U * 24U);
}

TEST_F(Monitor, BroadcastToAVcpuThatNeverStartedResetsTheGuestAsOurSiblingRuleSays) {
  Machine machine({.vcpus = 2});
  const auto guest = profile_of(machine);
  const MachineCheck record = records()[0].check;
  const std::vector<std::uint8_t> banks = {record.bank, decision::kSiblingBank};
  set_state(machine, 0, banks[0], {});
  set_state(machine, 1, banks[1], {});
  Target sibling = target_of(machine, 1, decision::sibling_record());
  machine.reset(/*first_only=*/true);
  set_state(machine, 0, banks[0], {});
  ASSERT_NE(machine.qmp().monitor("info registers", 1).find("CR4=00000000"), std::string::npos);
  sibling.before.cr4 = 0;  // the rest of it is as a reset leaves it: as it was
  const Target target = target_of(machine, 0, record);
  const auto told = decide_sibling(wire::SiblingRule::broadcast_qemu, guest,
                                   snapshot_of(sibling.before, banks[1]));
  EXPECT_EQ(told.verdict, wire::Verdict::reset);
  Expectation ours(Channel::kMonitor);
  ours.add(target, judge(guest, target));
  ours.add(sibling, {told.verdict, told.reason});
  const std::string messages = inject(machine, record, "-b ");
  Matrix::compare(observe(machine, messages, banks), ours);
}

TEST_F(Monitor, AMachineCheckWakesAHaltedVcpu) {
  Machine machine({.vcpus = 1});
  const MachineCheck record = records()[0].check;
  set_state(machine, 0, record.bank, {});
  const Target target = target_of(machine, 0, record);
  Expectation ours(Channel::kMonitor);
  ours.add(target, judge(profile_of(machine), target));
  halt(machine);
  const std::string messages = inject(machine, record);
  machine.vcpu(0).await_machine_check();
  Matrix::compare(observe(machine, messages, {record.bank}), ours);
}

TEST_F(Monitor, BroadcastIsRefusedForTheProcessorsThatWeDoNotBroadcastFor) {
  for (const char* cpu : {"family=6,model=13", "family=6,model=14", "family=6,model=15",
                          "family=6,model=63", "family=15,model=0"}) {
    SCOPED_TRACE(cpu);
    Machine machine({.vcpus = 1, .cpu = std::string("qemu64,vendor=GenuineIntel,") + cpu});
    set_state(machine, 0, decision::kQemuBank, {});
    const bool refused =
        inject(machine, records()[0].check, "-b ") == "Guest CPU does not support MCA broadcast";
    EXPECT_EQ(refused, !decision::broadcasts(profile_of(machine)));
  }
}

}  // namespace
}  // namespace memfail::qemu

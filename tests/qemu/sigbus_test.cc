// SPDX-License-Identifier: BSD-3-Clause
//
// A real QEMU whose vCPU thread takes the kernel's SIGBUS for a page of the guest,
// over every state its injection layer looks at, beside the whole policy `qemu` on
// the same registers: record, verdict, broadcast, event. The guest is Intel's: for
// AMD, Debian's QEMU is older than the policy.
#include "tests/qemu/sigbus.h"

#include "sidecar/decision/decide.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/qemu_policy.h"
#include "tests/qemu/matrix.h"

namespace memfail::qemu {
namespace {

using decision::Decision;
using decision::Input;
using decision::Severity;

constexpr std::uint64_t kPage = 0x30000;
const std::vector<std::uint8_t> kBanks = {decision::kQemuBank, decision::kSiblingBank};

std::string name_of(Severity severity) {
  return severity == Severity::kActionRequired ? "AR" : "AO";
}

class Sigbus : public QemuTest {
 protected:
  void start(unsigned vcpus, const std::string& cpu = kIntelCpu) {
    machine_ = std::make_unique<Machine>(Machine::Options{.vcpus = vcpus, .cpu = cpu});
    guest_ = profile_of(*machine_);
    hva_ = hva_of(*machine_, kPage);
  }

  // QEMU's line is the last of what it does for a signal, siblings included.
  std::string fail_page(Severity severity) {
    raise_sigbus(*machine_, severity, hva_);
    std::string messages;
    for (const std::string& line :
         machine_->log_until("BUS_MCEERR_" + name_of(severity) + " injected")) {
      if (line.find("raising triple fault") != std::string::npos) messages += line;
    }
    return messages;
  }

  Input input_of(Severity severity, const Registers& first) const {
    Input input;
    input.guest = guest_;
    input.where.address = decision::AddressClass::kGuestRam;
    input.where.gpa = kPage;
    input.where.hva = hva_;
    input.severity = severity;
    input.thread = wire::ThreadKind::vcpu_in_run;
    input.snapshot = snapshot_of(first, decision::kQemuBank);
    return input;
  }

  void add_sibling(Expectation& ours, wire::SiblingRule rule, const Registers& second) const {
    const Decision decision =
        decide_sibling(rule, guest_, snapshot_of(second, decision::kSiblingBank));
    ours.add({1, second, decision::sibling_record(), Severity::kActionOptional},
             {decision.verdict, decision.reason});
  }

  Expectation expect(Severity severity) {
    const Registers first = read_registers(machine_->vcpu(0), kBanks[0]);
    const Input input = input_of(severity, first);
    const Decision decision = decide_qemu(input);
    Expectation ours(Channel::kLog);
    ours.add({0, first, qemu_record(input), severity}, {decision.verdict, decision.reason});
    if (machine_->vcpus() == 1) return ours;
    const Registers second = read_registers(machine_->vcpu(1), kBanks[1]);
    const wire::SiblingRule rule = decision.siblings;
    if (rule == wire::SiblingRule::none) {
      ours.add_untouched(second);
    } else {
      add_sibling(ours, rule, second);
    }
    return ours;
  }

  void attempt(Severity severity, const std::vector<State>& states) {
    std::string row = name_of(severity);
    for (const State& state : states) row += "; vCPU: " + text(state);
    matrix_.attempt(row, [&] {
      for (unsigned i = 0; i < states.size(); ++i) {
        set_state(*machine_, i, kBanks[i], states[i]);
      }
      const Expectation ours = expect(severity);
      const std::string messages = fail_page(severity);
      const std::vector<std::uint8_t> banks(kBanks.data(), kBanks.data() + states.size());
      Matrix::compare(observe(*machine_, messages, banks), ours);
    });
  }

  std::unique_ptr<Machine> machine_;
  decision::GuestProfile guest_;
  std::uint64_t hva_ = 0;
  Matrix matrix_;
};

TEST_F(Sigbus, OneVcpuGetsWhatThePolicySays) {
  start(1);
  for (const Severity severity : {Severity::kActionRequired, Severity::kActionOptional}) {
    decision::testing::for_every_combination(
        kStateSizes, [&](const auto& values) { attempt(severity, {state_of(values)}); });
  }
  EXPECT_EQ(matrix_.rows(), 2U * 48U);
}

TEST_F(Sigbus, TheOtherVcpuGetsWhatThePolicysBroadcastSays) {
  start(2);
  const auto with_every_second = [&](Severity severity, const State& first) {
    decision::testing::for_every_combination(
        {2, 2, 2, 2}, [&](const auto& values) { attempt(severity, {first, state_of(values)}); });
  };
  with_every_second(Severity::kActionRequired, {});
  with_every_second(Severity::kActionRequired, {.cr4_mce = false});
  with_every_second(Severity::kActionRequired, {.mcip = true});
  with_every_second(Severity::kActionRequired, {.mcg_ctl = false});
  with_every_second(Severity::kActionRequired, {.bank_ctl = false});
  with_every_second(Severity::kActionOptional, {});
  with_every_second(Severity::kActionOptional, {.mcip = true});
  EXPECT_EQ(matrix_.rows(), 7U * 16U);
}

TEST_F(Sigbus, TheOtherVcpuIsLeftAloneWhereTheProcessorDoesNotBroadcast) {
  start(2, "qemu64,vendor=GenuineIntel,family=6,model=13");
  attempt(Severity::kActionRequired, {{}, {}});
  attempt(Severity::kActionRequired, {{.cr4_mce = false}, {}});
  attempt(Severity::kActionOptional, {{}, {.cr4_mce = false}});
}

}  // namespace
}  // namespace memfail::qemu

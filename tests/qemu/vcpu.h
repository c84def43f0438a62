// SPDX-License-Identifier: BSD-3-Clause
//
// The machine-check registers of one vCPU: set as a row of a matrix asks, and read
// back through the guest. What the decisions get is what was read.
#pragma once

#include <cstdint>
#include <string>

#include "sidecar/decision/types.h"
#include "tests/qemu/machine.h"

namespace memfail::qemu {

enum class Bank : std::uint8_t { kEmpty, kCorrected, kUncorrected };

struct State {
  bool cr4_mce = true;
  bool mcip = false;
  bool mcg_ctl = true;   // all ones
  bool bank_ctl = true;  // all ones, of the bank in question
  Bank bank = Bank::kEmpty;
};

std::string text(const State& state);

struct BankRegisters {
  std::uint64_t ctl = 0, status = 0, address = 0, misc = 0;
};

struct Registers {
  std::uint32_t cr4 = 0;
  std::uint64_t mcg_status = 0, mcg_ctl = 0;
  BankRegisters bank;
};

void set_state(Machine& machine, unsigned vcpu, std::uint8_t bank, const State& state);
Registers read_registers(GuestLine& vcpu, std::uint8_t bank);

// Of the other banks it says that their controls are off: a decision that looks at
// one goes wrong.
wire::SnapshotLine snapshot_of(const Registers& registers, std::uint8_t bank);

decision::GuestProfile profile_of(Machine& machine);

}  // namespace memfail::qemu

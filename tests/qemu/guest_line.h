// SPDX-License-Identifier: BSD-3-Clause
//
// The serial line to one vCPU of the guest (guest.h). Everything answers in time or
// throws std::runtime_error; so does a guest that begins anew unasked.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "shm/unique_fd.h"

namespace memfail::qemu {

class GuestLine {
 public:
  GuestLine(shm::UniqueFd socket, unsigned vcpu);

  // What it has said. It is stopped, and will begin anew.
  void forget();
  void await_ready();
  void await_machine_check();
  // Machine checks that it has taken since last asked, as of its last answer.
  unsigned take_machine_checks();

  std::uint64_t rdmsr(std::uint32_t msr);
  void wrmsr(std::uint32_t msr, std::uint64_t value);
  // Several at once: a round trip takes longer than the work.
  std::vector<std::uint64_t> rdmsr(const std::vector<std::uint32_t>& msrs);
  struct Write {
    std::uint32_t msr;
    std::uint64_t value;
  };
  void wrmsr(const std::vector<Write>& writes);
  std::uint32_t cr4();
  void set_cr4(std::uint32_t value);
  std::array<std::uint32_t, 4> cpuid(std::uint32_t leaf);  // eax, ebx, ecx, edx
  void halt();

 private:
  void send(char command, std::initializer_list<std::uint32_t> values = {});
  void await_answer(char command);
  std::uint8_t byte();
  std::uint32_t value();
  [[noreturn]] void fail(const std::string& what) const;

  shm::UniqueFd socket_;
  unsigned vcpu_;
  unsigned machine_checks_ = 0;
};

}  // namespace memfail::qemu

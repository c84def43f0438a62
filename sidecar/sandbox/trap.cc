// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(closer waiter): write=stderr
#include "sidecar/sandbox/trap.h"

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cstdint>

namespace memfail::sandbox {
namespace {

constexpr int kExit = 128 + SIGSYS;  // a second SIGSYS for the signal itself would be one too many

constinit thread_local std::string_view own_name = "?";

// A line without allocation, stdio or locale.
class Line {
 public:
  void add(std::string_view text) {
    for (const char c : text) {
      if (size_ < text_.size()) text_[size_++] = c;
    }
  }
  void add_hex(std::uint64_t value) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    add("0x");
    int shift = 60;
    while (shift > 0 && (value >> shift) == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) add(kDigits.substr((value >> shift) & 0xf, 1));
  }
  void add_decimal(unsigned value) {
    if (value >= 10) add_decimal(value / 10);
    const char digit = static_cast<char>('0' + value % 10);
    add({&digit, 1});
  }
  void write() const { (void)!::write(STDERR_FILENO, text_.data(), size_); }

 private:
  std::array<char, 256> text_{};
  std::size_t size_ = 0;
};

void on_sigsys(int, siginfo_t* info, void* context) {
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  Line line;
  line.add("memfaild: thread '");
  line.add(own_name);
  line.add("' made system call ");
  line.add_decimal(static_cast<unsigned>(info->si_syscall));
  line.add("(");
  bool first = true;
  for (const int argument : {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9}) {
    if (!first) line.add(", ");
    first = false;
    line.add_hex(static_cast<std::uint64_t>(registers[argument]));
  }
  line.add("), which its filter does not allow; `ausyscall` names it\n");
  line.write();
  ::_exit(kExit);
}

}  // namespace

void report_traps(std::string_view thread) {
  own_name = thread;
  struct sigaction action{};
  action.sa_sigaction = on_sigsys;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGSYS, &action, nullptr);
  // Threads of ours block every signal; this one is their own doing.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGSYS);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace memfail::sandbox

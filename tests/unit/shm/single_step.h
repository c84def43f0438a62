// SPDX-License-Identifier: BSD-3-Clause
//
// Interrupts a piece of code after exactly its k-th instruction. The processor's
// trap flag raises SIGTRAP after each instruction; the handler, in which the kernel
// clears the flag, counts them and acts at the k-th. A signal handler can come at
// each of these points and at no other.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdio>

// Set and clear the trap flag, with the unwind information that a thread needs which
// is cancelled right here.
extern "C" void memfail_test_trap_on();
extern "C" void memfail_test_trap_off();
__asm__(R"(
  .pushsection .text
memfail_test_trap_on:
  .cfi_startproc
  pushfq
  .cfi_adjust_cfa_offset 8
  orq $0x100, (%rsp)
  popfq
  .cfi_adjust_cfa_offset -8
  ret
  .cfi_endproc
memfail_test_trap_off:
  .cfi_startproc
  pushfq
  .cfi_adjust_cfa_offset 8
  andq $~0x100, (%rsp)
  popfq
  .cfi_adjust_cfa_offset -8
  ret
  .cfi_endproc
  .popsection
)");

namespace memfail::shm::testing {

// Under TSan a step may stand inside its run-time library, which is not made to be
// entered again from there. ASan's steps are many: every n-th is taken.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kCanStep = false;
inline constexpr long kStride = 1;
#elif defined(__SANITIZE_ADDRESS__)
inline constexpr bool kCanStep = true;
inline constexpr long kStride = 13;
#else
inline constexpr bool kCanStep = true;
inline constexpr long kStride = 1;
#endif

// Where the running thread is, and where it is to be interrupted.
struct StepState {
  volatile long steps = 0;
  long at = 0;
  void (*act)() = nullptr;
};

class SingleStep {
 public:
  using Action = void (*)();

  // Makes SIGTRAP ours until the end of the scope.
  SingleStep() {
    struct sigaction action = {};
    action.sa_sigaction = &SingleStep::on_trap;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;  // an action may never return
    ::sigaction(SIGTRAP, &action, &before_);
  }
  SingleStep(const SingleStep&) = delete;
  SingleStep& operator=(const SingleStep&) = delete;
  ~SingleStep() { ::sigaction(SIGTRAP, &before_, nullptr); }

  // Runs `body`, and `act` after its `at`-th instruction; from there on it runs free.
  // With `at` 0 it is stepped to its end. How many steps there were. The state is
  // thread-local: other threads go on undisturbed.
  template <typename Body>
  __attribute__((noinline)) static long run(const Body& body, long at, Action act) {
    current.steps = 0;
    current.at = at;
    current.act = act;
    memfail_test_trap_on();
    body();
    memfail_test_trap_off();
    return current.steps;
  }

 private:
  static constexpr long kTrapFlag = 0x100;
  static void on_trap(int, siginfo_t*, void* context) {
    current.steps = current.steps + 1;
    if (current.steps != current.at) return;
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
    current.act();
  }
  static inline thread_local StepState current;
  struct sigaction before_ = {};
};

}  // namespace memfail::shm::testing

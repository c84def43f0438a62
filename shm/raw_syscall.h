// SPDX-License-Identifier: BSD-3-Clause
//
// System calls without libc in between: the signal handler must not touch errno,
// must not be resolved lazily and must not be a cancellation point. Results are
// as the kernel gives them: negative errno on failure.
#pragma once

#include <sys/syscall.h>

#include <cstdint>

namespace memfail::shm {

inline long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                        long f = 0) {
  long result = number;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

template <typename T>
inline long as_argument(T* pointer) {
  return static_cast<long>(reinterpret_cast<std::uintptr_t>(pointer));
}

}  // namespace memfail::shm

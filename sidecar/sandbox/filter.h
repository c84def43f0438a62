// SPDX-License-Identifier: BSD-3-Clause
//
// The system calls that a thread may make. Each stands beside the code that makes it, in
// a comment `// syscall(THREAD): NAME[=CONDITION] …`; the build collects them. What is
// not listed ends the process: a thread that makes another call is not ours any more.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace memfail::sandbox {

enum class Thread { kLoop, kJournal, kCloser, kWaiter };

// What happens at a call that is not allowed.
enum class Forbidden {
  kKill,  // the process ends with SIGSYS
  kTrap,  // as kKill, after a line that names thread, call and arguments
  kLog,   // the call is made, and the kernel's audit log has it: for the field, not a wall
};

// One annotation.
struct Rule {
  Thread thread;
  std::string_view call;
  std::string_view condition;  // of condition.h; empty: with any arguments
  std::string_view place;      // file and line
};

// All of them, as the build found them.
std::span<const Rule> rules();

std::string_view name_of(Thread thread);

// For the calling thread, for good. Needs no_new_privs or CAP_SYS_ADMIN.
std::expected<void, std::string> load_filter(Thread thread, Forbidden forbidden);

// The filter as the kernel gets it, struct sock_filter after struct sock_filter; `without`
// is left out: so a test can show what it is there for.
std::expected<std::string, std::string> filter_program(Thread thread,
                                                       const Rule* without = nullptr);

}  // namespace memfail::sandbox

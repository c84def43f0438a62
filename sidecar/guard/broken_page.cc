// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/guard/broken_page.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "sidecar/guard/guarded_range.h"

namespace memfail::guard {
namespace {

void say(const char* line) { (void)!::write(STDERR_FILENO, line, std::strlen(line)); }

// The broken page leaves the address space with its mapping; its file keeps it, and so
// does whoever else maps that.
bool put_zeros(const LostPart& part) {
  const int rights = part.writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const at = reinterpret_cast<void*>(part.begin);
  return ::mmap(at, part.size, rights, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == at;
}

// Also for BUS_ADRERR: a ring that somebody has truncated is as lost as a broken page.
bool survive(const siginfo_t& info) {
  if (info.si_code <= 0 || info.si_code == SI_KERNEL) return false;  // sent, or no address
  const auto address = reinterpret_cast<std::uintptr_t>(info.si_addr);
  const bool memory_failure = info.si_code == BUS_MCEERR_AR || info.si_code == BUS_MCEERR_AO;
  const LostPart part =
      mark_broken(address, memory_failure ? static_cast<unsigned>(info.si_addr_lsb) : 0);
  return part.size != 0 && put_zeros(part);
}

// A page that nobody has touched yet can wait until somebody does.
bool can_wait(const siginfo_t& info) { return info.si_code == BUS_MCEERR_AO; }

void on_sigbus(int number, siginfo_t* info, void* /*context*/) {
  const int saved = errno;
  if (!survive(*info) && !can_wait(*info)) {
    say("memfaild: memory of its own is broken, and not of a kind that it can do without: "
        "ending. Incidents on record are taken up by the next start.\n");
    // As a shell says it: the filter has no call for dying of the signal itself.
    ::_exit(128 + number);
  }
  errno = saved;
}

}  // namespace

bool handle_sigbus() {
  struct sigaction action{};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigfillset(&action.sa_mask);
  return ::sigaction(SIGBUS, &action, nullptr) == 0;
}

}  // namespace memfail::guard

// SPDX-License-Identifier: BSD-3-Clause
#include "tests/qemu/sigbus.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace memfail::qemu {
namespace {

void must(long result, const char* what) {
  if (result < 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

// Until the thread stops because it is about to take SIGBUS; others it takes.
void await_sigbus(pid_t thread) {
  for (;;) {
    int status = 0;
    must(::waitpid(thread, &status, __WALL), "waitpid");
    if (!WIFSTOPPED(status)) throw std::runtime_error("the traced thread has ended");
    if (WSTOPSIG(status) == SIGBUS) return;
    must(::ptrace(PTRACE_CONT, thread, 0, WSTOPSIG(status)), "PTRACE_CONT");
  }
}

pid_t thread_of_first_vcpu(Machine& machine) {
  return machine.qmp().execute("query-cpus-fast").at(0).at("thread-id").get<pid_t>();
}

siginfo_t broken_page(decision::Severity severity, std::uint64_t hva) {
  siginfo_t info{};
  info.si_signo = SIGBUS;
  info.si_code = severity == decision::Severity::kActionRequired ? BUS_MCEERR_AR : BUS_MCEERR_AO;
  info.si_addr = reinterpret_cast<void*>(hva);
  info.si_addr_lsb = 12;
  return info;
}

}  // namespace

std::uint64_t hva_of(Machine& machine, std::uint64_t gpa) {
  const std::string answer = machine.qmp().monitor("gpa2hva " + std::to_string(gpa));
  const auto at = answer.rfind("0x");
  if (at == std::string::npos) throw std::runtime_error("gpa2hva: " + answer);
  return std::stoull(answer.substr(at), nullptr, 16);
}

void raise_sigbus(Machine& machine, decision::Severity severity, std::uint64_t hva) {
  const pid_t thread = thread_of_first_vcpu(machine);
  siginfo_t info = broken_page(severity, hva);
  must(::ptrace(PTRACE_SEIZE, thread, 0, 0), "PTRACE_SEIZE");
  must(::syscall(SYS_tgkill, machine.pid(), thread, SIGBUS), "tgkill");
  await_sigbus(thread);
  must(::ptrace(PTRACE_SETSIGINFO, thread, 0, &info), "PTRACE_SETSIGINFO");
  must(::ptrace(PTRACE_DETACH, thread, 0, SIGBUS), "PTRACE_DETACH");
}

}  // namespace memfail::qemu

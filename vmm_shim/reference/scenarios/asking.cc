// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/asking.h"

#include <sys/syscall.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace memfail::scenarios {
namespace {

// A shared FUTEX_WAIT: the shim's. Those of a process's own locks are private.
bool waits_for_a_verdict(const std::filesystem::path& thread) {
  std::ifstream file(thread / "syscall");
  std::string number;
  std::string address;
  std::string operation;
  file >> number >> address >> operation;
  return number == std::to_string(SYS_futex) && operation == "0x0";
}

}  // namespace

bool is_asking(pid_t vmm) {
  std::error_code gone;  // a thread may end meanwhile, or the process
  const std::filesystem::path tasks = "/proc/" + std::to_string(vmm) + "/task";
  for (const auto& thread : std::filesystem::directory_iterator(tasks, gone)) {
    if (waits_for_a_verdict(thread.path())) return true;
  }
  return false;
}

}  // namespace memfail::scenarios

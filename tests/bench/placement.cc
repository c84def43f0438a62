// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/placement.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "tests/bench/failure.h"

namespace memfail::bench {
namespace {

constexpr std::array kPlacements{Placement::kSameCore, Placement::kTwoCores, Placement::kBothBusy};
constexpr int kLowestPriority = 19;

Child spin_on(int cpu) {
  return fork_child([cpu] {
    pin(::getpid(), cpu);
    errno = 0;
    if (::nice(kLowestPriority) < 0 && errno != 0) ::_exit(1);
    for (volatile unsigned turns = 0;;) turns = turns + 1;
  });
}

}  // namespace

const char* name_of(Placement placement) {
  switch (placement) {
    case Placement::kSameCore:
      return "same-core";
    case Placement::kTwoCores:
      return "two-cores";
    case Placement::kBothBusy:
      return "two-cores-busy";
  }
  return "";
}

Cores::Cores() {
  cpu_set_t allowed;
  must(::sched_getaffinity(0, sizeof allowed, &allowed), "sched_getaffinity");
  for (int cpu = 0; cpu < CPU_SETSIZE && second_ < 0; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    (first_ < 0 ? first_ : second_) = cpu;
  }
}

std::span<const Placement> Cores::placements() const {
  return std::span(kPlacements).first(second_ < 0 ? 1 : kPlacements.size());
}

void pin(pid_t pid, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    const auto tid = static_cast<pid_t>(std::stol(task.path().filename().string()));
    must(::sched_setaffinity(tid, sizeof set, &set), "sched_setaffinity");
  }
}

Placed::Placed(const Cores& cores, Placement placement) : peer_cpu_(cores.peer(placement)) {
  pin(::getpid(), cores.ours());
  if (placement != Placement::kBothBusy) return;
  for (const int cpu : {cores.ours(), peer_cpu_}) spinners_.push_back(spin_on(cpu));
}

}  // namespace memfail::bench

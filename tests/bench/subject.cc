// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/subject.h"

#include <signal.h>
#include <time.h>

#include <algorithm>

#include "tests/bench/failure.h"

namespace memfail::bench {
namespace {

constexpr std::uint32_t kTurn = 100;
constexpr std::uint32_t kWarmUp = 20;
long pause_ns = 50'000;

volatile sig_atomic_t interrupted = 0;

void take_turn(Subject& subject, std::uint32_t rounds, Samples& samples) {
  if (interrupted != 0) fail("interrupted");
  for (std::uint32_t i = 0; i < rounds; ++i) samples.add(subject.round());
}

}  // namespace

void settle() {
  const timespec pause{0, pause_ns};
  if (pause_ns > 0) ::nanosleep(&pause, nullptr);
}

void set_pause_us(std::uint32_t microseconds) { pause_ns = microseconds * 1000L; }

void end_on_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGINT, SIGTERM})
    must(::sigaction(number, &action, nullptr), "sigaction");
}

std::vector<Samples> measure_in_turns(std::span<Subject* const> subjects, std::uint32_t rounds) {
  std::vector<Samples> results(subjects.size());
  Samples thrown_away;
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    results[i].reserve(rounds);
    take_turn(*subjects[i], std::min(kWarmUp, rounds), thrown_away);
  }
  for (std::uint32_t done = 0; done < rounds; done += kTurn) {
    const std::uint32_t turn = std::min(kTurn, rounds - done);
    for (std::size_t i = 0; i < subjects.size(); ++i) take_turn(*subjects[i], turn, results[i]);
  }
  return results;
}

}  // namespace memfail::bench

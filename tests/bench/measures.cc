// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/measures.h"

#include <algorithm>
#include <iostream>

#include "tests/bench/injection_subject.h"
#include "tests/bench/ping_pong.h"
#include "tests/bench/qemu_sequence.h"
#include "tests/bench/verdict_subject.h"

namespace memfail::bench {
namespace {

constexpr std::uint32_t kCountedRounds = 500;

void say(const char* measure, Placement placement) {
  std::cerr << "measuring " << measure << ", " << name_of(placement) << "\n";
}

void skip(Report& report, const char* measure, const std::string& reason) {
  std::cerr << "SKIPPED " << measure << ": " << reason << "\n";
  report.skipped.push_back({measure, reason});
}

// Calls `body` in each placement in force, from the cheapest to the busiest.
template <typename Body>
void in_each_placement(const Cores& cores, const char* measure, Report& report, Body body) {
  if (cores.placements().size() == 1) {
    skip(report, (std::string(measure) + " on two cores").c_str(), "this process may use only one");
  }
  for (const Placement placement : cores.placements()) {
    say(measure, placement);
    const Placed placed(cores, placement);
    body(placement, placed);
  }
}

void add_counts(Row& row, VerdictSubject& verdict, std::uint32_t rounds) {
  const RoundCounts counts = verdict.count(std::min(rounds, kCountedRounds));
  row.counts = {{"kicks", counts.kicks},
                {"futex-waits", counts.waits},
                {"preemptions", counts.preemptions},
                {"sidecar-sleeps", counts.sidecar_sleeps},
                {"slices", static_cast<double>(verdict.slices())},
                {"unanswered", static_cast<double>(verdict.unanswered())}};
}

}  // namespace

void measure_floor(const Options& options, Report& report) {
  in_each_placement(options.cores, kFloorName, report,
                    [&](Placement placement, const Placed& placed) {
                      PingPong floor;
                      placed.place_peer(floor.peer());
                      Subject* const subjects[] = {&floor};
                      const auto samples = measure_in_turns(subjects, options.rounds);
                      report.rows.push_back(make_row(kFloorName, name_of(placement), samples[0]));
                    });
}

void measure_verdict(const Options& options, Report& report) {
  in_each_placement(options.cores, kVerdictName, report,
                    [&](Placement placement, const Placed& placed) {
                      PingPong floor;
                      const SidecarProcess sidecar(options.memfaild);
                      VerdictSubject verdict(sidecar);
                      placed.place_peer(floor.peer());
                      placed.place_peer(sidecar.pid());
                      Subject* const subjects[] = {&floor, &verdict};
                      const auto samples = measure_in_turns(subjects, options.rounds);
                      const Row base = make_row(kFloorName, name_of(placement), samples[0]);
                      const Row question = make_row(kQuestionName, verdict.questions(), base);
                      Row row = make_row(kVerdictName, samples[1], base);
                      add_counts(row, verdict, options.rounds);
                      report.rows.push_back(base);
                      report.rows.push_back(row);
                      report.rows.push_back(question);
                    });
}

void measure_injection(const Options& options, Report& report) {
  if (const std::string obstacle = KvmVcpu::obstacle(); !obstacle.empty()) {
    skip(report, kInjectionName, obstacle);
    return;
  }
  in_each_placement(
      options.cores, kInjectionName, report, [&](Placement placement, const Placed& placed) {
        const KvmVcpu vcpu;
        QemuSequence sequence(vcpu);
        const SidecarProcess sidecar(options.memfaild);
        InjectionSubject injection(sidecar, vcpu);
        placed.place_peer(sidecar.pid());
        Subject* const subjects[] = {&sequence, &injection};
        const auto samples = measure_in_turns(subjects, options.rounds);
        Row base = make_row(kQemuName, name_of(placement), samples[0]);
        base.counts = {{"msrs-read", static_cast<double>(sequence.registers_read())},
                       {"msrs-written", static_cast<double>(sequence.registers_written())}};
        Row row = make_row(kInjectionName, samples[1], base);
        row.counts = {{"slices", static_cast<double>(injection.slices())},
                      {"fallbacks", static_cast<double>(injection.fallbacks())}};
        report.rows.push_back(base);
        report.rows.push_back(row);
      });
}

}  // namespace memfail::bench

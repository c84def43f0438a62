// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "tests/bench/bench_vm.h"
#include "tests/bench/samples.h"
#include "tests/bench/subject.h"

namespace memfail::bench {

// What a round of the transport is made of; one sleeps where another process must
// be waited for, and each sleep has its wake-up.
struct RoundCounts {
  double kicks = 0;           // writes to the sidecar's eventfd, outcome included
  double waits = 0;           // futex waits in which the vCPU thread slept
  double preemptions = 0;     // of the vCPU thread, before it had its verdict
  double sidecar_sleeps = 0;  // outcome included
};

// From signal entry to the verdict in hand: a real signal, the real shim, the real
// sidecar. The snapshot is made up, so that no KVM ioctl is in the figure: what is
// left is the transport and the decision.
class VerdictSubject : public Subject {
 public:
  explicit VerdictSubject(const SidecarProcess& sidecar);
  std::uint64_t round() override;

  // The part of each round from the snapshot's commit on: what is left without the
  // signal, and the return from its handler.
  [[nodiscard]] const Samples& questions() const { return questions_; }

  // Does some rounds more, only to count.
  RoundCounts count(std::uint32_t rounds);
  // Since the beginning: verdicts that only the end of a wait slice showed, and
  // questions without an answer before the deadline. Both should be 0.
  [[nodiscard]] std::uint64_t slices();
  [[nodiscard]] std::uint64_t unanswered() const { return unanswered_; }

 private:
  void take_snapshot(const shm::Claim& claim);
  void finish(const shm::Claim& claim, const wire::ReportLine& report);

  Samples questions_;
  shm::Mapping ram_;
  shm::Mapping run_;
  shm::UniqueFd vcpu_;
  BenchVm vm_;
  std::uint64_t unanswered_ = 0;
  std::uint64_t sleeps_ = 0;
  std::uint64_t preemptions_ = 0;
};

}  // namespace memfail::bench

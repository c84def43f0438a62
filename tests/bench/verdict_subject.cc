// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/verdict_subject.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "shm/reply_wait.h"
#include "tests/bench/failure.h"
#include "vmm_shim/outcome.h"
#include "vmm_shim/regions.h"

namespace memfail::bench {
namespace {

constexpr std::size_t kRamSize = 1 << 20;
// 10 banks, MCG_CTL, software recovery.
constexpr std::uint64_t kMcgCap = 0x0100010A;

template <typename... Flags>
std::uint16_t bits(Flags... flags) {
  return static_cast<std::uint16_t>((static_cast<unsigned>(flags) | ...));
}

// A guest that can take a machine check: nothing valid, nothing queued.
wire::SnapshotLine ready_guest(const memfail_shim& shim) {
  using Field = wire::SnapshotField;
  using Flag = wire::SnapshotFlag;
  return {0,
          0,
          bits(Field::mp_state, Field::mcg_status, Field::mcg_ctl, Field::lmce, Field::banks,
               Field::cr4, Field::events, Field::smm, Field::triple_fault),
          bits(Flag::cr4_mce, Flag::mcg_ctl_ok),
          0,
          0,
          0,
          wire::kNoException,
          0,
          0,
          0,
          shim.regions.generation.load(),
          shim.guest_epoch.load(),
          0,
          0,
          0};
}

wire::OutcomeLine outcome(wire::DecidedBy by, const wire::ReportLine& report) {
  return {0,
          0,
          wire::Verdict::ignore,
          by,
          wire::Delivered::none,
          wire::Reason::guest_memory,
          wire::kNoBank,
          0,
          0,
          0,
          0,
          0,
          wire::kNoAddress,
          shm::monotonic_ns() - report.entered_ns(),
          0,
          0};
}

// Write calls of this thread so far; the kicks are the only ones in a round.
std::uint64_t writes() {
  std::ifstream io("/proc/thread-self/io");
  for (std::string line; std::getline(io, line);) {
    if (line.starts_with("syscw:")) return std::stoull(line.substr(6));
  }
  return 0;
}

rusage own_usage() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return usage;
}

}  // namespace

VerdictSubject::VerdictSubject(const SidecarProcess& sidecar)
    : ram_(make_ram(kRamSize)),
      run_(make_ram(shm::kPage)),
      vcpu_(must(::eventfd(0, EFD_CLOEXEC), "eventfd")),  // no ioctl ever meets it
      vm_(sidecar, ram_, {vcpu_.get(), reinterpret_cast<kvm_run*>(run_.data()), kMcgCap, kMcgCap},
          "bench-verdict") {}

// As vmm_shim/handle.cc, but that no KVM is asked.
void VerdictSubject::take_snapshot(const shm::Claim& claim) {
  memfail_shim& shim = vm_.shim();
  shm::write_line(shim.request.line(claim.id, shm::LineKind::kSnapshot), ready_guest(shim),
                  shim.key(claim.id.lane), claim.n);
  shm::ring(shim.reply, shim.session.kick.get());
}

std::uint64_t VerdictSubject::round() {
  memfail_shim& shim = vm_.shim();
  settle();
  const rusage before = own_usage();
  const shm::Claim claim = vm_.raise_sigbus();
  const wire::ReportLine report = vm_.report(claim);
  shim::locate(shim, report);
  const std::uint64_t asked = shm::monotonic_ns();
  take_snapshot(claim);
  const shim::Answer answer = shim::ask(shim, claim, report.entered_ns() + shim.deadline_ns);
  const std::uint64_t answered = shm::monotonic_ns();
  const std::uint64_t ns = answered - report.entered_ns();
  questions_.add(answered - asked);
  const rusage after = own_usage();
  sleeps_ += static_cast<std::uint64_t>(after.ru_nvcsw - before.ru_nvcsw);
  preemptions_ += static_cast<std::uint64_t>(after.ru_nivcsw - before.ru_nivcsw);
  if (!answer.replied) {
    ++unanswered_;
  } else if (answer.reply.verdict() != wire::Verdict::inject) {
    fail(std::string("the verdict is not inject but ") +
         wire::EnumNameVerdict(answer.reply.verdict()));
  }
  const auto by = answer.replied ? wire::DecidedBy::sidecar : wire::DecidedBy::builtin;
  const wire::OutcomeLine line = outcome(by, report);
  if (!shim::claim_outcome(shim, claim, line)) fail("the outcome was claimed already");
  shim::commit_outcome(shim, claim, line);
  vm_.await_retired(claim);
  return ns;
}

RoundCounts VerdictSubject::count(std::uint32_t rounds) {
  sleeps_ = preemptions_ = 0;
  const std::uint64_t kicks = writes();
  const std::uint64_t sidecar_sleeps = vm_.sidecar().sleeps();
  for (std::uint32_t i = 0; i < rounds; ++i) round();
  const double n = rounds;
  RoundCounts counts;
  counts.kicks = static_cast<double>(writes() - kicks) / n;
  counts.waits = static_cast<double>(sleeps_) / n;
  counts.preemptions = static_cast<double>(preemptions_) / n;
  counts.sidecar_sleeps = static_cast<double>(vm_.sidecar().sleeps() - sidecar_sleeps) / n;
  return counts;
}

std::uint64_t VerdictSubject::slices() { return vm_.shim().slices.load(); }

}  // namespace memfail::bench

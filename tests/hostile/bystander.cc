// SPDX-License-Identifier: BSD-3-Clause
#include "tests/hostile/bystander.h"

#include <algorithm>

#include "shm/reply_wait.h"

namespace memfail::hostile {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kHva = 0x7f0000000000;  // guest 0 of the peer's one region
constexpr std::uint64_t kPages = 256;
constexpr int kActionRequired = 4;
constexpr std::uint64_t kPatienceNs = 5000 * kNsPerMs;

}  // namespace

std::uint64_t Latencies::at(double share) const {
  if (ns.empty()) return 0;
  const auto last = static_cast<double>(ns.size() - 1);
  return ns[static_cast<std::size_t>(share * last)];
}

Bystander::Bystander(const std::string& socket)
    : peer_(socket), attached_(peer_.attach({.session = {7777, 7777}, .name = "bystander"})) {}

bool Bystander::incident(Latencies& into) {
  const auto claim = peer_.claim(0);
  if (!claim) return false;
  peer_.commit_report(*claim, kHva + (page_++ % kPages) * 4096, kActionRequired);
  const std::uint64_t asked = shm::monotonic_ns();
  peer_.commit_snapshot(*claim);
  peer_.ring();
  const std::uint32_t up = 1;
  const shm::RequestView request = peer_.request();
  const shm::ReplyView reply = peer_.reply();
  shm::WaitCounts counts;
  const auto result = shm::wait_for_reply({.request = &request,
                                           .reply = &reply,
                                           .kick_fd = peer_.kick.get(),
                                           .session_up = &up,
                                           .until_ns = asked + kPatienceNs},
                                          *claim, counts);
  if (result != shm::WaitResult::kReplied) return false;
  into.ns.push_back(shm::monotonic_ns() - asked);
  peer_.commit_outcome(*claim, wire::Verdict::inject, wire::DecidedBy::sidecar);
  peer_.ring();
  return peer_.wait_retired(*claim);
}

Latencies Bystander::serve(int milliseconds) {
  Latencies out;
  const std::uint64_t until =
      shm::monotonic_ns() + static_cast<std::uint64_t>(milliseconds) * kNsPerMs;
  while (shm::monotonic_ns() < until && out.unanswered == 0) {
    if (!incident(out)) ++out.unanswered;
  }
  std::ranges::sort(out.ns);
  return out;
}

}  // namespace memfail::hostile

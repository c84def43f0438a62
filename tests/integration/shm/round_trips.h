// SPDX-License-Identifier: BSD-3-Clause
//
// A VMM and a sidecar as two processes that exchange reports and replies by the
// doorbell protocol, and count every wake-up that did not come.
#pragma once

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "shm/area.h"
#include "shm/fence.h"
#include "shm/lane.h"
#include "shm/line.h"
#include "shm/reply_wait.h"
#include "tests/integration/shm/child.h"
#include "tests/unit/shm/areas.h"

namespace memfail::shm::testing {

inline constexpr std::uint64_t kSecondNs = 1'000'000'000;

struct Trip {
  std::uint64_t rounds = 0;
  int vmm_core = 0;
  int sidecar_core = 0;
  bool fences = true;  // false: the sidecar's two fences are left out
  // How long the VMM waits before it says that its kick was lost, and kicks again.
  std::uint64_t patience_ns = 10 * kSecondNs;
};

struct Tally {
  std::uint64_t answered = 0;
  std::uint64_t kicks = 0;        // the sidecar said that it sleeps
  std::uint64_t waits = 0;        // futex waits
  std::uint64_t slices = 0;       // found_by_slice
  std::uint64_t lost_wakes = 0;   // of these: the sidecar had seen nobody to wake
  std::uint64_t lost_kicks = 0;   // the report lay there and the sidecar slept
  double seconds = 0;
};

// As they were before the first pin().
inline const std::vector<int>& allowed_cores() {
  static const std::vector<int> allowed = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    std::vector<int> cores;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(static_cast<unsigned>(core), &set)) cores.push_back(core);
    }
    return cores;
  }();
  return allowed;
}

inline void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(core), &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

// What the sidecar says beside the protocol: whether it woke somebody, and when it
// was done with a round. A slice may also end because the sidecar got no processor
// for 20 ms and then replied in the same moment; only this tells that from a loss.
struct Beside {
  std::atomic<std::uint64_t> handled{0};
  std::atomic<bool> woke{false};
};

// Pseudo-random waits of up to a microsecond or so: each side's step meets the
// other's at another point every time.
class Jitter {
 public:
  explicit Jitter(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ >> 8;
  }
  void pass() {
    const std::uint64_t turns = next() % 4 == 0 ? 0 : next() % 2048;
    for (std::uint64_t i = 0; i < turns; ++i) __asm__ volatile("");
  }

 private:
  std::uint64_t state_;
};

class SidecarSide {
 public:
  SidecarSide(const Trip& run, const RequestView& request, const ReplyView& reply, Beside& beside,
              int kick)
      : run_(run), request_(request), reply_(reply), beside_(beside), kick_(kick) {}

  int serve() {
    pin(run_.sidecar_core);
    while (next_ <= run_.rounds) {
      std::uint64_t count = 0;
      while (::read(kick_, &count, sizeof count) < 0) {
        if (errno != EINTR) return 2;
      }
      sleeping(0);
      do {
        while (answer()) {
        }
        if (corrupt_) return 3;
        jitter_.pass();
        sleeping(1);
        if (run_.fences) full_fence();
      } while (rescan_finds_more());
    }
    return 0;
  }

 private:
  void sleeping(std::uint32_t value) {
    std::atomic_ref<std::uint32_t>(*reply_.sleeping()).store(value, std::memory_order_relaxed);
  }
  [[nodiscard]] CellId cell() const { return {0, request_.geometry().cell_of(0, next_)}; }
  [[nodiscard]] bool is_there() const {
    const std::byte* at = request_.line(cell(), LineKind::kReport);
    return load_word(at, wire::kWordOffset) == committed_word(next_);
  }
  bool rescan_finds_more() {
    if (next_ > run_.rounds || !is_there()) return false;
    sleeping(0);
    return true;
  }
  bool wake(CellId id) {
    if (run_.fences) return wake_waiter(request_, reply_, id);
    auto waiter = std::atomic_ref<std::uint32_t>(*request_.waiter(id));
    if (waiter.load(std::memory_order_relaxed) == 0) return false;
    return wake_waiter(request_, reply_, id);
  }
  bool answer() {
    if (next_ > run_.rounds || !is_there()) return false;
    const CellId id = cell();
    wire::ReportLine report;
    const auto state =
        read_line(request_.line(id, LineKind::kReport), Areas::key(0), next_, report);
    corrupt_ = state != LineState::kCommitted || !same_report(report, next_);
    if (corrupt_) return false;
    store_word(reply_.line(id), wire::kReplyRetiredOffset, next_);
    write_line(reply_.line(id), wire::ReplyLine(), Areas::key(0), next_);
    beside_.woke.store(wake(id), std::memory_order_relaxed);
    beside_.handled.store(next_, std::memory_order_release);
    ++next_;
    return true;
  }

  Trip run_;
  RequestView request_;
  ReplyView reply_;
  Beside& beside_;
  int kick_;
  std::uint64_t next_ = 1;
  bool corrupt_ = false;
  Jitter jitter_{0xD1B54A32D192ED03};
};

class VmmSide {
 public:
  VmmSide(const Trip& run, const RequestView& request, const ReplyView& reply, Beside& beside,
          int kick)
      : run_(run), request_(request), reply_(reply), beside_(beside), kick_(kick) {}

  Tally drive() {
    pin(run_.vmm_core);
    const std::uint64_t begin = monotonic_ns();
    for (std::uint64_t n = 1; n <= run_.rounds; ++n) {
      if (!round_trip()) break;
      ++tally_.answered;
      jitter_.pass();
    }
    tally_.seconds = static_cast<double>(monotonic_ns() - begin) * 1e-9;
    return tally_;
  }

 private:
  bool round_trip() {
    const auto claim = claim_in_lane(request_, reply_, 0);
    if (!claim) return false;
    write_line(request_.line(claim->id, LineKind::kReport), Areas::report(claim->n), Areas::key(0),
               claim->n);
    tally_.kicks += ring(reply_, kick_) ? 1 : 0;
    if (run_.vmm_core != run_.sidecar_core) meet(*claim);
    if (wait(*claim, run_.patience_ns)) return true;
    ++tally_.lost_kicks;
    const std::uint64_t one = 1;
    if (::write(kick_, &one, sizeof one) != 8) return false;
    return wait(*claim, kPatience * kSecondNs);
  }
  // On two cores, who blocks is back long after the other has gone to sleep, and the
  // two never meet. So every other round looks for the reply without blocking, and
  // the next report comes while the sidecar goes to sleep; the others begin to wait
  // at about the time that the reply comes.
  void meet(const Claim& claim) {
    const std::uint64_t begin = monotonic_ns();
    const bool until_replied = claim.n % 2 == 0;
    const std::uint64_t until =
        begin + (until_replied ? 100'000 : jitter_.next() % (2 * usual_ns_ + 1));
    while (monotonic_ns() < until) {
      if (until_replied && is_replied(claim)) {
        usual_ns_ += (monotonic_ns() - begin) / 16 - usual_ns_ / 16;
        return;
      }
    }
  }
  [[nodiscard]] bool is_replied(const Claim& claim) const {
    return load_word(reply_.line(claim.id), wire::kWordOffset) == committed_word(claim.n);
  }
  // Without a kick of its own after a slice: that would hide a lost one.
  bool wait(const Claim& claim, std::uint64_t ns) {
    const WaitContext context{&request_, &reply_, -1, &up_, monotonic_ns() + ns};
    WaitCounts counts;
    const bool replied = wait_for_reply(context, claim, counts) == WaitResult::kReplied;
    tally_.waits += counts.waits;
    if (counts.found_by_slice != 0) judge_slice(claim.n);
    return replied;
  }
  void judge_slice(std::uint64_t n) {
    ++tally_.slices;
    const std::uint64_t until = monotonic_ns() + kPatience * kSecondNs;
    while (beside_.handled.load(std::memory_order_acquire) < n && monotonic_ns() < until) {
      ::sched_yield();
    }
    if (!beside_.woke.load(std::memory_order_relaxed)) ++tally_.lost_wakes;
  }
  Trip run_;
  RequestView request_;
  ReplyView reply_;
  Beside& beside_;
  int kick_;
  std::uint32_t up_ = 1;
  Jitter jitter_{0x9E3779B97F4A7C15};
  std::uint64_t usual_ns_ = 10'000;  // from a kick to its reply
  Tally tally_;
};

// Takes what is left of a core: one that halts between two rounds, in a virtual
// machine, needs many times a round to come back.
inline int keep_awake(int core) {
  pin(core);
  const sched_param none{};
  if (::sched_setscheduler(0, SCHED_IDLE, &none) != 0) return 1;
  while (true) __asm__ volatile("pause");
}

// Runs one session to its end: the sidecar in a forked process, the VMM in this one.
inline Tally round_trips(const Trip& run) {
  const Geometry geometry(1);
  const SocketPair sockets;
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const Mapping owner(page, 4096);
  auto* beside = new (page) Beside;
  const UniqueFd kick(::eventfd(0, EFD_CLOEXEC));
  crc32c_prepare();
  const OwnArea request = must(make_area(AreaKind::kRequest, geometry, kSession));
  Child sidecar([&] {
    const OwnArea reply = must(make_area(AreaKind::kReply, geometry, kSession));
    const Mapping seen =
        must(open_peer_area(request.fd.get(), AreaKind::kRequest, geometry, kSession));
    if (!send_fd(sockets.theirs.get(), reply.fd.get())) return 1;
    return SidecarSide(run, {seen.data(), geometry}, {reply.mapping.data(), geometry}, *beside,
                       kick.get())
        .serve();
  });
  const Child first([&] { return keep_awake(run.vmm_core); });
  const Child second([&] { return keep_awake(run.sidecar_core); });
  const UniqueFd reply_fd = receive_fd(sockets.ours.get());
  const Mapping reply = must(open_peer_area(reply_fd.get(), AreaKind::kReply, geometry, kSession));
  VmmSide vmm(run, {request.mapping.data(), geometry}, {reply.data(), geometry}, *beside,
              kick.get());
  const Tally tally = vmm.drive();
  if (tally.answered == run.rounds) {
    EXPECT_TRUE(sidecar.exited_with(0));
  }
  return tally;
}

}  // namespace memfail::shm::testing

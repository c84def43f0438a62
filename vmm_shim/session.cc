// SPDX-License-Identifier: BSD-3-Clause
//
// The connection to the sidecar, driven by the VMM's event loop: connect, hello,
// welcome, regions, commit, ready; and from any of them back to down, with the
// re-attach steps of docs/protocol.md.
#include "vmm_shim/session.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "shm/control_socket.h"
#include "shm/descriptor.h"
#include "shm/reply_wait.h"
#include "shm/step.h"
#include "vmm_shim/connection.h"
#include "vmm_shim/failure.h"
#include "vmm_shim/message.h"
#include "vmm_shim/operator_request.h"
#include "vmm_shim/reception.h"
#include "vmm_shim/remembered.h"
#include "vmm_shim/sending.h"
#include "vmm_shim/siblings.h"
#include "vmm_shim/slots.h"
#include "vmm_shim/wake.h"

namespace memfail::shim {
namespace {

using Step = Session::Step;

constexpr std::uint32_t kFirstBackoffMs = 10;
constexpr std::uint32_t kLastBackoffMs = 1000;
// A session that stood so long was a good one: the next attempt is prompt.
constexpr std::uint64_t kStoodNs = 100 * kNsPerMs;
constexpr std::uint32_t kMostSetAside = 16;

// Back to no sidecar. First what the dead area retired is kept where the next
// sidecar finds it, then nobody waits on the area any more.
void close_session(memfail_shim& shim) {
  Session& session = shim.session;
  set_up(session, 0);
  MEMFAIL_STEP(hang_up_seen);
  shm::keep_retired(shim.request, shim.reply);
  MEMFAIL_STEP(retired_kept);
  shm::wake_all(shim.request, shim.reply);
  // A sidecar that lives on may have retired more until nobody could see it any more,
  // and a handler may have claimed the cell: so once more, from the buried area.
  const shm::Mapping dead = bury_area(shim);
  if (dead.valid()) {
    shm::keep_retired(shim.request, shm::ReplyView(dead.data(), shim.geometry));
  }
  close_socket(session);
  forget_operator(shim);
  session.answer_due_ns = 0;
  session.step = Step::kDown;
  session.state.store(MEMFAIL_DETACHED, std::memory_order_release);
  const std::uint64_t now = shm::monotonic_ns();
  const std::uint64_t ready_since = std::exchange(session.ready_since_ns, 0);
  if (ready_since != 0 && now - ready_since >= kStoodNs) session.backoff_ms = 0;
  session.backoff_ms = std::clamp(session.backoff_ms * 2, kFirstBackoffMs, kLastBackoffMs);
  session.retry_at_ns = now + session.backoff_ms * kNsPerMs;
}

void connect_and_greet(memfail_shim& shim) {
  Session& session = shim.session;
  if (session.set_aside >= kMostSetAside) {
    remember(session, "the sidecar sent %u bad descriptors: not attaching any more",
             session.set_aside);
    close_session(shim);
    return;
  }
  int bad = session.socket.valid() ? 0 : -ENOTCONN;  // a socket the VMM gave us
  if (bad != 0 && shim.socket_path[0] != '\0') bad = connect_path(shim);
  session.next_message = 1;
  if (bad == 0) bad = renew_kick(session);
  if (bad == 0) bad = send_hello(shim);
  if (bad != 0) {
    const bool by_path = shim.socket_path[0] != '\0';
    remember(session, "no sidecar at %s: %s",
             by_path ? shim.socket_path.data() : "the given socket", std::strerror(-bad));
    close_session(shim);
    return;
  }
  MEMFAIL_STEP(hello_sent);
  session.answer_due_ns = shm::monotonic_ns() + kAnswerNs;
  session.step = Step::kHelloSent;
  session.state.store(MEMFAIL_ATTACHING, std::memory_order_release);
  watch_socket(session, EPOLL_CTL_ADD, false);
}

// Sends what is due; a full socket is waited for by the event loop.
void pump(memfail_shim& shim) {
  Session& session = shim.session;
  const int bad = send_due(shim);
  if (session.step == Step::kDown) return;
  watch_socket(session, EPOLL_CTL_MOD, bad == -EAGAIN);
  if (bad != 0 && bad != -EAGAIN) {
    remember(session, "the sidecar hung up: %s", std::strerror(-bad));
    close_session(shim);
  }
}

// A descriptor that came with a bad message is never closed. After too many of them
// nothing is received any more.
void set_aside(Session& session, shm::Received& received) {
  for (std::size_t i = 0; i < received.fd_count; ++i) {
    (void)received.fds[i].release();
    ++session.set_aside;
  }
  for (; received.surplus.size() != 0; ++session.set_aside) {
    (void)received.surplus.take().release();
  }
}

// A turn's worth: the descriptor stays readable while there is more, and the VMM's loop
// has other work.
void receive_messages(memfail_shim& shim) {
  constexpr int kMessagesPerTurn = 64;
  Session& session = shim.session;
  for (int i = 0; i < kMessagesPerTurn && session.step != Step::kDown; ++i) {
    const std::span<std::byte> buffer(session.buffer, shm::kMaxMessage);
    const std::size_t fds = session.step == Step::kHelloSent ? 1 : 0;
    auto received = shm::receive_message(session.socket.get(), buffer, fds);
    if (!received && received.error() == -EAGAIN) return;
    const bool hung_up = !received || received->size == 0;
    if (hung_up) remember(session, "the sidecar hung up");
    if (hung_up || !take_message(shim, *received)) {
      if (received) set_aside(session, *received);
      close_session(shim);
    }
  }
}

// The earlier of two times of which 0 means never.
std::uint64_t earlier(std::uint64_t a, std::uint64_t b) {
  return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b);
}

void arm_timer(const memfail_shim& shim, std::uint64_t incidents_due) {
  const Session& session = shim.session;
  const bool retries = session.step == Step::kDown && shim.socket_path[0] != '\0';
  // While down no answer is due, and while one is due we are not down.
  const std::uint64_t session_due = retries ? session.retry_at_ns : session.answer_due_ns;
  const std::uint64_t due = earlier(session_due, incidents_due);
  itimerspec at{};
  at.it_value.tv_sec = static_cast<time_t>(due / (1000 * kNsPerMs));
  at.it_value.tv_nsec = static_cast<long>(due % (1000 * kNsPerMs));
  ::timerfd_settime(session.timer.get(), TFD_TIMER_ABSTIME, &at, nullptr);
}

void dispatch_locked(memfail_shim& shim) {
  Session& session = shim.session;
  shm::drain_eventfd(session.wake.get());
  shm::drain_eventfd(session.timer.get());
  const std::uint32_t liar = session.drop.exchange(0, std::memory_order_acq_rel);
  if (liar != 0 && liar == session.area_serial.load() && session.step != Step::kDown) {
    remember(session, "the sidecar's reply area lied: session dropped");
    close_session(shim);
  }
  const bool has_way = session.socket.valid() || shim.socket_path[0] != '\0';
  if (!has_way && session.last_error[0] == '\0') remember(session, "no socket was given");
  if (session.step == Step::kDown && has_way && shm::monotonic_ns() >= session.retry_at_ns) {
    connect_and_greet(shim);
  }
  receive_messages(shim);
  pump(shim);
  if (session.answer_due_ns != 0 && shm::monotonic_ns() >= session.answer_due_ns) {
    remember(session, "the sidecar did not answer within %llu ms",
             static_cast<unsigned long long>(kAnswerNs / kNsPerMs));
    close_session(shim);
  }
}

}  // namespace

void push_regions(memfail_shim& shim) {
  Session& session = shim.session;
  if (session.mutex.try_lock()) {
    if (session.step == Step::kReady) pump(shim);
    session.mutex.unlock();
  }
  // What a full socket or a busy mutex left over is dispatch's.
  wake_dispatch(shim);
}

void say_goodbye(memfail_shim& shim) {
  const shm::Locked lock(shim.session.mutex);
  if (!shim.session.socket.valid()) return;
  (void)send_goodbye(shim);
  close_socket(shim.session);
}

}  // namespace memfail::shim

using memfail::shim::fail;
using memfail::shim::kNsPerMs;
using memfail::shim::Session;
using memfail::shm::Locked;

int memfail_shim_fd(const memfail_shim* shim) { return shim->session.epoll.get(); }

void memfail_shim_dispatch(memfail_shim* shim) {
  {
    const Locked lock(shim->session.mutex);
    memfail::shim::dispatch_locked(*shim);
  }
  // Outside the lock: these call the VMM's operations.
  const std::uint64_t now = memfail::shm::monotonic_ns();
  const std::uint64_t slots_due = memfail::shim::take_up_slots(*shim, now);
  memfail::shim::note_met_outside(*shim);
  memfail::shim::post_remembered(*shim);
  const std::uint64_t siblings_due = memfail::shim::expire_siblings(*shim, now);
  const std::uint64_t operator_due = memfail::shim::serve_operator(*shim, now);
  using memfail::shim::earlier;
  const std::uint64_t due = earlier(earlier(slots_due, siblings_due), operator_due);
  const Locked lock(shim->session.mutex);
  if (shim->operator_task.answered) memfail::shim::pump(*shim);
  memfail::shim::arm_timer(*shim, due);
}

int memfail_shim_attach(memfail_shim* shim, std::uint32_t timeout_ms, memfail_error* error) {
  const std::uint32_t limit = timeout_ms == 0 ? 2000 : timeout_ms;
  const std::uint64_t until = memfail::shm::monotonic_ns() + limit * kNsPerMs;
  Session& session = shim->session;
  {
    const Locked lock(session.mutex);
    session.retry_at_ns = 0;
  }
  while (true) {
    memfail_shim_dispatch(shim);
    const auto state = session.state.load(std::memory_order_acquire);
    if (state == MEMFAIL_ATTACHED) return 0;
    if (state == MEMFAIL_DETACHED) {
      const Locked lock(session.mutex);
      return fail(error, -ENOTCONN, "%s", session.last_error.data());
    }
    const std::uint64_t now = memfail::shm::monotonic_ns();
    if (now >= until) {
      return fail(error, -ETIMEDOUT, "the sidecar did not answer within %u ms", limit);
    }
    pollfd wait{session.epoll.get(), POLLIN, 0};
    ::poll(&wait, 1, static_cast<int>((until - now) / kNsPerMs) + 1);
  }
}

void memfail_shim_state(const memfail_shim* shim, memfail_status* status) {
  memfail_status filled{};
  const Session& session = shim->session;
  filled.struct_size = status->struct_size;
  filled.state = static_cast<memfail_session_state>(session.state.load(std::memory_order_acquire));
  filled.session_low = session.id.low;
  filled.session_high = session.id.high;
  filled.reports = shim->reports.load();
  filled.lost_reports = shim->request.lost_reports();
  filled.fallbacks = shim->fallbacks.load();
  filled.attaches = shim->attaches.load();
  filled.slices = shim->slices.load();
  filled.poisoned = shim->poison.size();
  filled.poisoned_left_out = shim->poison.left_out();
  {
    const Locked lock(session.mutex);
    std::memcpy(filled.last_error, session.last_error.data(), sizeof filled.last_error);
  }
  std::memcpy(status, &filled, std::min<std::size_t>(status->struct_size, sizeof filled));
}

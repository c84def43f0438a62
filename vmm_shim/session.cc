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
#include "sidecar/decision/fallback_rules.h"
#include "vmm_shim/connection.h"
#include "vmm_shim/failure.h"
#include "vmm_shim/message.h"
#include "vmm_shim/operator_request.h"
#include "vmm_shim/remembered.h"
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
constexpr std::uint32_t kAllPages = ~std::uint32_t{0};  // pages_cursor: all were sent
// How long a welcome or the acknowledgement of a commit may take. Nobody waits for
// it, but a sidecar that does not answer is not there.
constexpr std::uint64_t kAnswerNs = 1000 * kNsPerMs;

void set_up(Session& session, std::uint32_t up) {
  std::atomic_ref<std::uint32_t>(session.up).store(up, std::memory_order_release);
}

[[gnu::format(printf, 2, 3)]] void remember(Session& session, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(session.last_error.data(), session.last_error.size(), format, arguments);
  va_end(arguments);
}

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

void begin_transaction(memfail_shim& shim) {
  Session& session = shim.session;
  const shm::Locked lock(shim.regions.mutex);
  const RegionList& current = shim.regions.current;
  std::copy_n(current.items, current.count, session.sending.items);
  session.sending.count = current.count;
  session.sending_generation = shim.regions.generation.load(std::memory_order_acquire);
  session.sent_cursor = 0;
  session.sending_cursor = 0;
  session.removing = true;
  session.answer_due_ns = shm::monotonic_ns() + kAnswerNs;
  session.step = Step::kSending;
}

// What is broken, for a sidecar that has not seen it break: once a connection, and
// after an import.
int send_known_pages(memfail_shim& shim) {
  Session& session = shim.session;
  if (shim.say_pages.exchange(0, std::memory_order_acq_rel) != 0) session.pages_cursor = 0;
  if (session.pages_cursor == kAllPages) return 0;
  std::array<PoisonedPage, kPagesPerMessage> pages;
  while (true) {
    std::uint32_t count = 0;
    std::uint32_t next = session.pages_cursor;
    for (; count < pages.size() && shim.poison.page(next, pages[count]); ++next) {
      if (pages[count].repair == wire::Repair::none) ++count;
    }
    if (count == 0) break;
    if (const int bad = send_poison_pages(shim, {pages.data(), count}); bad != 0) return bad;
    session.pages_cursor = next;
  }
  session.pages_cursor = kAllPages;
  return 0;
}

int send_transaction(memfail_shim& shim) {
  Session& session = shim.session;
  if (const int bad = send_known_pages(shim); bad != 0) return bad;
  for (bool done = false; !done;) {
    if (const int bad = send_region_chunk(shim, &done); bad != 0) return bad;
    // It takes what we send: only silence is counted.
    if (!done) session.answer_due_ns = shm::monotonic_ns() + kAnswerNs;
  }
  // Up before the first commit: what is reported from now on is kicked for, and
  // the scan that follows the commit finds what came before.
  set_up(session, 1);
  if (const int bad = send_commit(shim); bad != 0) return bad;
  MEMFAIL_STEP(commit_sent);
  std::swap(session.sent, session.sending);
  session.sent_generation = session.sending_generation;
  session.step = Step::kCommitSent;
  return 0;
}

int send_epoch(memfail_shim& shim) {
  const std::uint32_t epoch = shim.guest_epoch.load(std::memory_order_acquire);
  if (epoch == shim.session.epoch_sent) return 0;
  const int bad = send_guest_reset(shim, epoch);
  if (bad == 0) shim.session.epoch_sent = epoch;
  return bad;
}

// A vCPU that was never registered is as good as not there, but was never said to be.
int send_vcpu_states(memfail_shim& shim) {
  for (std::uint32_t i = 0; i < shim.geometry.vcpus(); ++i) {
    memfail_lane& lane = shim.lanes[i];
    const bool online = lane.run == nullptr || lane.present.load(std::memory_order_acquire) != 0;
    if (online == (lane.said_offline == 0)) continue;
    if (const int bad = send_vcpu_state(shim, i, online); bad != 0) return bad;
    lane.said_offline = online ? 0 : 1;
  }
  return 0;
}

// What the last guest reset came to. Said until it is acknowledged.
int send_repairs(memfail_shim& shim) {
  std::array<PoisonedPage, kPagesPerMessage> pages;
  while (shim.poison.has_repairs()) {
    const std::uint64_t id = shim.session.next_message;
    const std::uint32_t count = shim.poison.say_repairs(pages.data(), pages.size(), id);
    const int bad = count == 0 ? 0 : send_poison_pages(shim, {pages.data(), count});
    if (bad == 0) continue;
    shim.poison.repairs_unheard(id);
    return bad;
  }
  return 0;
}

// What became of an operator's request.
int send_answer(memfail_shim& shim) {
  OperatorTask& task = shim.operator_task;
  if (!task.answered) return 0;
  const int bad = send_operator_answer(shim, task.answered_id, task.answer);
  if (bad == 0) task.answered = false;
  return bad;
}

// Sends what is due; a full socket is waited for by the event loop.
void pump(memfail_shim& shim) {
  Session& session = shim.session;
  int bad = send_answer(shim);
  if (bad == 0 && session.step == Step::kReady) {
    bad = send_known_pages(shim);
    if (bad == 0) bad = send_epoch(shim);
    if (bad == 0) bad = send_vcpu_states(shim);
    if (bad == 0) bad = send_repairs(shim);
    if (session.sent_generation != shim.regions.generation.load(std::memory_order_acquire)) {
      begin_transaction(shim);
    }
  }
  if (bad == 0 && session.step == Step::kSending) bad = send_transaction(shim);
  if (session.step == Step::kDown) return;
  watch_socket(session, EPOLL_CTL_MOD, bad == -EAGAIN);
  if (bad != 0 && bad != -EAGAIN) {
    remember(session, "the sidecar hung up: %s", std::strerror(-bad));
    close_session(shim);
  }
}

bool take_rules(memfail_shim& shim, const wire::FallbackRules& given) {
  const auto rules = decision::from_wire(given);
  if (!rules) {
    remember(shim.session, "the sidecar's rules are out of range");
    return false;
  }
  const shm::Locked lock(shim.rules_mutex);
  shim.rules = *rules;
  const bool qemu = rules->policy == decision::Policy::kQemu;
  shim.outside_rule.store(qemu ? wire::Verdict::abort : rules->outside);
  return true;
}

// By the new ones the guest may be told what it was not told by the old.
bool on_rules(memfail_shim& shim, const wire::Rules& message) {
  constexpr auto kLive = static_cast<std::uint64_t>(wire::Feature::live_rules);
  if (shim.session.step == Step::kHelloSent || (shim.session.features & kLive) == 0) {
    remember(shim.session, "rules out of state: not agreed on");
    return false;
  }
  shim.tell_wanted.store(1, std::memory_order_release);
  return take_rules(shim, *message.rules());
}

bool on_welcome(memfail_shim& shim, const wire::Welcome& welcome, const shm::Received& received) {
  Session& session = shim.session;
  if (session.step != Step::kHelloSent || received.fd_count != 1) {
    remember(session, "welcome out of state, or with %zu descriptors (1 expected)",
             received.fd_count);
    return false;
  }
  if (welcome.version() != kProtocolVersion || (welcome.features() & ~features(shim)) != 0) {
    remember(session,
             "the sidecar's protocol version is %u and its features 0x%llx; ours are %u and 0x%llx",
             welcome.version(), static_cast<unsigned long long>(welcome.features()),
             kProtocolVersion, static_cast<unsigned long long>(features(shim)));
    return false;
  }
  if (!take_rules(shim, *welcome.rules())) return false;
  const auto placed = shm::replace_peer_area(received.fds[0].get(), shm::AreaKind::kReply,
                                             shim.geometry, session.id, shim.reply_mapping);
  if (!placed) {
    const shm::Error& error = placed.error();
    remember(session, "%s %s (value %llu, expected %llu)", error.field, error.what,
             static_cast<unsigned long long>(error.value),
             static_cast<unsigned long long>(error.limit));
    return false;
  }
  MEMFAIL_STEP(reply_area_mapped);
  session.area_serial.fetch_add(1, std::memory_order_acq_rel);
  session.resume_low = welcome.resume_key()->low();
  session.resume_high = welcome.resume_key()->high();
  session.have_resume_key = true;
  session.features = welcome.features();
  session.sent.count = 0;
  session.epoch_sent = 0;
  session.pages_cursor = 0;
  shim.poison.repairs_unheard(0);
  for (std::uint32_t i = 0; i < shim.geometry.vcpus(); ++i) shim.lanes[i].said_offline = 0;
  begin_transaction(shim);
  return true;
}

bool on_ack(memfail_shim& shim, const wire::Ack& ack) {
  Session& session = shim.session;
  if (session.step == Step::kHelloSent) {
    remember(session, "acknowledgement of %llu out of state: no welcome yet",
             static_cast<unsigned long long>(ack.of()));
    return false;
  }
  shim.poison.repairs_heard(ack.of());
  if (session.step != Step::kCommitSent || ack.of() != session.commit_message) return true;
  session.step = Step::kReady;
  session.answer_due_ns = 0;
  if (session.state.exchange(MEMFAIL_ATTACHED, std::memory_order_acq_rel) != MEMFAIL_ATTACHED) {
    shim.attaches.fetch_add(1, std::memory_order_relaxed);
    session.ready_since_ns = shm::monotonic_ns();
    session.last_error[0] = '\0';
  }
  return true;
}

bool on_message(memfail_shim& shim, const shm::Received& received) {
  Session& session = shim.session;
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(session.buffer),
                                 received.size);
  if (received.truncated || !wire::VerifyMessageBuffer(verifier)) {
    remember(session, "the sidecar sent a malformed message of %zu bytes", received.size);
    return false;
  }
  const wire::Message* message = wire::GetMessage(session.buffer);
  switch (message->body_type()) {
    case wire::Body::Welcome:
      return on_welcome(shim, *message->body_as_Welcome(), received);
    case wire::Body::Ack:
      return on_ack(shim, *message->body_as_Ack());
    case wire::Body::Rules:
      return on_rules(shim, *message->body_as_Rules());
    case wire::Body::Drill:
      return ask_for_drill(shim, message->id(), *message->body_as_Drill());
    case wire::Body::Inject:
      return ask_for_injection(shim, message->id(), *message->body_as_Inject());
    case wire::Body::Error: {
      const auto* text = message->body_as_Error()->text();
      remember(session, "refused: %s", text != nullptr ? text->c_str() : "(no reason given)");
      return false;
    }
    default:
      remember(session, "the sidecar sent message type %u, which is ours to send",
               static_cast<unsigned>(message->body_type()));
      return false;
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
    if (hung_up || !on_message(shim, *received)) {
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

// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/sending.h"

#include <algorithm>
#include <utility>

#include "shm/reply_wait.h"
#include "shm/step.h"
#include "vmm_shim/message.h"
#include "vmm_shim/session.h"

namespace memfail::shim {
namespace {

using Step = Session::Step;

constexpr std::uint32_t kAllPages = ~std::uint32_t{0};  // pages_cursor: all were sent

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

}  // namespace

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

int send_due(memfail_shim& shim) {
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
  return bad == 0 && session.step == Step::kSending ? send_transaction(shim) : bad;
}

}  // namespace memfail::shim

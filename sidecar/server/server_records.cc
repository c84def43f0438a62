// SPDX-License-Identifier: BSD-3-Clause
//
// The server and its records: what is taken up at the start, what goes to the disk, what
// is said when that does not answer.
#include <sys/epoll.h>

#include <utility>

#include "shm/reply_wait.h"
#include "sidecar/server/log.h"
#include "sidecar/server/server.h"
#include "sidecar/session/absent_vm.h"

namespace memfail::server {
namespace {

constexpr std::uint64_t kHungAfterNs = 1'000'000'000;  // one call to the disk

}  // namespace

void Server::take_up_records() {
  session::take_up_records(*this);
  tend_records();
}

bool Server::watch_journal() {
  return journal_.wake_fd() < 0 || poll_set_.add(journal_.wake_fd(), EPOLLIN, *this);
}

// With all verdicts of the turn out: what had to wait for room, what the disk is to get,
// and what readers may have now.
void Server::tend_records() {
  if (front_guard_.is_broken() && !records().front_lost()) {
    records().lose_front();
    log_journal();
  }
  if (records().tend(realtime_us())) events_waiting_ = true;
  if (records().crowded() != (trouble_ == Trouble::kCrowded)) log_journal();
  journal_.pass_on();
  const std::uint64_t readable = records().next_readable();
  const bool more = readable != std::exchange(told_before_, readable);
  if (std::exchange(events_waiting_, false) || more) tell_readers();
}

void Server::on_ready(std::uint32_t) {
  const bool arrived = journal_.take_news();
  if (records().hung() && hung_for() == 0) records().note_hung_over(realtime_us());
  log_journal();
  if (!arrived) return;
  for (EventClient& reader : readers_) {
    if (!reader.over()) reader.history_arrived();
  }
}

bool Server::awaits_disk() {
  return journal_.wake_fd() >= 0 && !records().hung() && records().status().at_risk != 0;
}

// 0: it answers. Under load it is nearly always being waited for, but never so long.
std::uint64_t Server::hung_for() {
  const std::uint64_t since = records().status().busy_since_ns;
  const std::uint64_t now = shm::monotonic_ns();
  return since == 0 || now - since < kHungAfterNs ? 0 : now - since;
}

void Server::check_disk() {
  journal_.note_health();
  const std::uint64_t waited = hung_for();
  if (waited == 0) return;
  records().note_hung(realtime_us() - waited / 1000);
  log_journal();
  tend_records();
}

// Where records are kept that survive this process.
std::string Server::keeper() const {
  return journal_.directory().empty() ? "front " + journal_.front_path()
                                      : "journal " + journal_.directory();
}

void Server::log_journal() {
  const journal::StoreStatus status = records().status();
  const Trouble trouble = trouble_of(status);
  if (trouble == std::exchange(trouble_, trouble)) return;
  if (trouble == Trouble::kNone) {
    log_line(keeper() + ": well again");
    return;
  }
  std::string line = keeper() + ": DEGRADED: " + trouble_text(status);
  if (!journal_.directory().empty()) {
    line += "; " + std::to_string(status.at_risk) +
            " event(s) are in the front alone: a power cut would lose them";
  }
  log_line(line + ". Verdicts go on");
}

}  // namespace memfail::server

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/events/subscriber.h"

#include <algorithm>
#include <utility>

#include "sidecar/events/event_json.h"
#include "sidecar/events/request.h"

namespace memfail::events {

using journal::Fetch;

Subscriber::Subscriber(journal::EventSource& source) : source_(source), next_(source.next_seq()) {
  buffer_ = header_line(source.id(), source.first_seq(), source.next_seq());
}

// ---- what it wants -------------------------------------------------------------------

void Subscriber::take_input(std::string_view bytes) {
  if (requested_ || finished()) return;
  input_.append(bytes.substr(0, kMaxRequest + 1 - std::min(input_.size(), kMaxRequest)));
  const std::size_t newline = input_.find('\n');
  if (newline != std::string::npos) {
    requested_ = true;
    request(std::string_view(input_).substr(0, newline));
    input_ = {};
  } else if (input_.size() > kMaxRequest) {
    finish(
        refusal_line("the request line is longer than " + std::to_string(kMaxRequest) + " bytes"));
  }
}

void Subscriber::input_ended() {
  if (!requested_ && !input_.empty()) take_input("\n");
  asks_nothing();
}

void Subscriber::asks_nothing() {
  if (asking()) phase_ = Phase::kTelling;
}

void Subscriber::request(std::string_view line) {
  auto wanted = parse_request(line);
  if (!wanted) {
    finish(wanted.error());
    return;
  }
  if (told_) {
    finish(
        refusal_line("the request came when events had already been told: send it at once "
                     "after connecting"));
    return;
  }
  phase_ = Phase::kTelling;
  filter_ = std::move(wanted->filter);
  if (wanted->journal && *wanted->journal != source_.id()) {
    start_over(*wanted->journal, wanted->since.value_or(0));
  } else if (wanted->since) {
    start_at(*wanted->since);
  }
  if (!wanted->follow) end_ = source_.next_recorded();
}

// A place in another journal's numbers means nothing here: all there is is new to it.
void Subscriber::start_over(const std::string& other_journal, std::uint64_t since) {
  buffer_ += other_journal_line(source_.id(), other_journal, since);
  start_at(1);
}

void Subscriber::start_at(std::uint64_t since) {
  const std::uint64_t first = source_.first_seq();
  if (since > source_.next_recorded()) {
    finish(future_line(source_.id(), since, source_.next_recorded()));
    return;
  }
  if (since != 0 && since < first) buffer_ += gap_line(source_.id(), since, first - 1);
  next_ = std::max(since, first);
}

// ---- what it gets --------------------------------------------------------------------

void Subscriber::finish(const std::string& last_line) {
  buffer_ += last_line;
  phase_ = Phase::kFinished;
  more_ = false;
}

std::string_view Subscriber::output() {
  if (phase_ == Phase::kTelling) fill();
  return std::string_view(buffer_).substr(sent_);
}

void Subscriber::history_arrived() {
  if (phase_ == Phase::kWaiting) phase_ = Phase::kTelling;
}

// Also where the buffer is full: who does not read at all is finished then, too.
bool Subscriber::overrun() {
  const std::uint64_t first = source_.first_seq();
  if (next_ >= first) return false;
  if (!waited_) {
    finish(cut_off_line(source_.id(), next_));
    return true;
  }
  buffer_ += gap_line(source_.id(), next_, first - 1);
  next_ = first;
  return false;
}

void Subscriber::fill() {
  more_ = false;
  std::size_t share = kShare;
  while (!overrun()) {
    if (next_ >= end_) {
      finish(end_line(source_.id(), next_));
      return;
    }
    if (next_ >= source_.next_seq()) return;
    if (share == 0 || buffer_.size() - sent_ >= kMaxBuffered) {
      more_ = true;
      return;
    }
    if (!step(share)) return;
  }
}

// False: nothing more can be had for now.
bool Subscriber::step(std::size_t& share) {
  switch (source_.fetch(next_)) {
    case Fetch::kLater:
      phase_ = Phase::kWaiting;
      waited_ = true;
      return false;
    case Fetch::kGone:
      skip_hole(share);
      break;
    case Fetch::kHere:
      tell(*source_.event(next_), share);
      break;
  }
  waited_ = false;
  return true;
}

void Subscriber::tell(const wire::EventRecord& event, std::size_t& share) {
  std::size_t cost = 1 + filter_.patterns();
  if (filter_.passes(event)) {
    buffer_ += event_line(event, source_.durable(next_));
    told_ = true;
    cost += kLooksPerLine;
  }
  share -= std::min(share, cost);
  ++next_;
}

// What is damaged, as one gap.
void Subscriber::skip_hole(std::size_t& share) {
  const std::uint64_t from = next_;
  const std::uint64_t last = std::min(end_, source_.next_seq());
  do {
    ++next_;
    --share;
  } while (share > 0 && next_ < last && source_.fetch(next_) == Fetch::kGone);
  buffer_ += gap_line(source_.id(), from, next_ - 1);
}

void Subscriber::consumed(std::size_t bytes) {
  sent_ += bytes;
  if (sent_ == buffer_.size()) {
    buffer_.clear();
    sent_ = 0;
  } else if (sent_ > kMaxBuffered) {
    buffer_.erase(0, sent_);
    sent_ = 0;
  }
}

}  // namespace memfail::events

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/events/subscriber.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "sidecar/events/event_json.h"

namespace memfail::events {
namespace {

using Json = nlohmann::json;

// Null-like where the member is missing or of another type: a reader's mistake
// is answered, never thrown.
template <typename T>
std::optional<T> member(const Json& object, const char* key, bool (Json::*is)() const noexcept) {
  const auto found = object.find(key);
  if (found == object.end() || !((*found).*is)()) return std::nullopt;
  return found->get<T>();
}

}  // namespace

Subscriber::Subscriber(const journal::RecordStore& store) : store_(store), next_(store.next_seq()) {
  buffer_ = header_line(store.id(), store.first_seq(), store.next_seq());
}

void Subscriber::take_input(std::string_view bytes) {
  if (requested_ || finished_) return;
  input_.append(bytes.substr(0, kMaxRequest + 1 - std::min(input_.size(), kMaxRequest)));
  const std::size_t newline = input_.find('\n');
  if (newline != std::string::npos) {
    requested_ = true;
    request(std::string_view(input_).substr(0, newline));
    input_ = {};
  } else if (input_.size() > kMaxRequest) {
    finish(refusal_line("the request line is longer than 1024 bytes"));
  }
}

void Subscriber::input_ended() {
  if (!requested_ && !input_.empty()) take_input("\n");
}

void Subscriber::request(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) {
    finish(refusal_line("the request is not a JSON object like {\"since\":0,\"follow\":true}"));
    return;
  }
  const auto journal = member<std::string>(json, "journal", &Json::is_string);
  const auto since = member<std::uint64_t>(json, "since", &Json::is_number_unsigned);
  const auto follow = member<bool>(json, "follow", &Json::is_boolean);
  if ((json.contains("since") && !since) || (json.contains("follow") && !follow)) {
    finish(refusal_line("\"since\" is a number from 0, \"follow\" is true or false"));
    return;
  }
  if (journal && *journal != store_.id()) {
    // Its seqs were given by another journal: nothing it knows is good here.
    buffer_ += gap_line(store_.id(), since.value_or(0), store_.first_seq() - 1);
    start_at(0);
  } else if (since) {
    start_at(*since);
  }
  if (!follow.value_or(true)) end_ = store_.next_seq();
}

void Subscriber::start_at(std::uint64_t since) {
  const std::uint64_t first = store_.first_seq();
  if (since != 0 && since < first) buffer_ += gap_line(store_.id(), since, first - 1);
  next_ = std::clamp(since, first, store_.next_seq());
}

void Subscriber::finish(const std::string& last_line) {
  buffer_ += last_line;
  finished_ = true;
}

std::string_view Subscriber::output() {
  if (!finished_) fill();
  return std::string_view(buffer_).substr(sent_);
}

bool Subscriber::overrun() {
  if (next_ >= store_.first_seq()) return false;
  finish(cut_off_line(store_.id(), next_));
  return true;
}

void Subscriber::fill() {
  while (buffer_.size() - sent_ < kMaxBuffered) {
    if (overrun()) return;
    if (next_ >= end_) {
      finished_ = true;
      return;
    }
    const wire::EventRecord* event = store_.event(next_);
    if (event == nullptr) return;
    buffer_ += event_line(*event);
    ++next_;
  }
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

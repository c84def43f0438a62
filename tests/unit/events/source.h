// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of readers share: a source whose history comes when the test says so,
// and reading what a reader is told.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "sidecar/events/subscriber.h"
#include "sidecar/journal/event_fields.h"

namespace memfail::events {

// Events up to `in_memory_` are elsewhere: asked for, they come with bring().
class SlowSource final : public journal::EventSource {
 public:
  void publish(std::size_t count, const journal::EventFields& fields = {}) {
    for (std::size_t i = 0; i < count; ++i) {
      flatbuffers::FlatBufferBuilder builder;
      journal::encode(builder, fields, next_);
      const std::uint8_t* bytes = builder.GetBufferPointer();
      events_[next_++].assign(bytes, bytes + builder.GetSize());
    }
  }
  void all_is_history() { in_memory_ = next_; }
  void overwrite_before(std::uint64_t seq) { first_ = seq; }
  void damage(std::uint64_t seq) { damaged_.insert(seq); }
  void bring() {
    here_.insert(asked_.begin(), asked_.end());
    asked_.clear();
  }
  std::size_t fetches() const { return fetches_; }

  const std::string& id() const override { return id_; }
  std::uint64_t first_seq() const override { return first_; }
  std::uint64_t next_seq() const override { return next_; }
  bool durable(std::uint64_t seq) const override { return seq < in_memory_; }

  journal::Fetch fetch(std::uint64_t seq) override {
    ++fetches_;
    if (seq < first_ || damaged_.contains(seq)) return journal::Fetch::kGone;
    if (seq >= in_memory_ || here_.contains(seq)) return journal::Fetch::kHere;
    asked_.insert(seq);
    return journal::Fetch::kLater;
  }
  const wire::EventRecord* event(std::uint64_t seq) const override {
    return wire::GetEventRecord(events_.at(seq).data());
  }

 private:
  std::string id_ = "journal-1";
  std::uint64_t first_ = 1;
  std::uint64_t next_ = 1;
  std::uint64_t in_memory_ = 1;
  std::size_t fetches_ = 0;
  std::map<std::uint64_t, std::vector<std::uint8_t>> events_;
  std::set<std::uint64_t> asked_, here_, damaged_;
};

// All that can be had now.
inline std::string read(Subscriber& subscriber) {
  std::string all;
  do {
    const std::string_view bytes = subscriber.output();
    all += bytes;
    subscriber.consumed(bytes.size());
  } while (subscriber.pending());
  return all;
}

inline std::vector<nlohmann::json> lines_of(const std::string& text) {
  std::vector<nlohmann::json> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}

// The seqs of the events among them.
inline std::vector<std::uint64_t> seqs(const std::string& text) {
  std::vector<std::uint64_t> out;
  for (const nlohmann::json& line : lines_of(text)) {
    if (line.contains("event")) out.push_back(line["data"]["memfail"]["seq"]);
  }
  return out;
}

// What memfaild itself says in the last line.
inline nlohmann::json last_notice(const std::string& text) {
  return lines_of(text).back().value("memfaild", nlohmann::json::object());
}

}  // namespace memfail::events

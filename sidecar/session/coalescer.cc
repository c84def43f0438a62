// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/coalescer.h"

#include <utility>

#include "sidecar/decision/rules.h"

namespace memfail::session {

Coalescer::Key Coalescer::key_of(PageNumber page, const PageOutcome& outcome) {
  const PageReport& report = outcome.report;
  return {page,
          outcome.vcpu,
          {report.guest_epoch, report.severity, report.drill, outcome.verdict, outcome.reason,
           outcome.delivered}};
}

Admission Coalescer::admit(PageNumber page, const PageOutcome& outcome, std::uint64_t now_ns,
                           std::uint64_t window_ns) {
  const Key key = key_of(page, outcome);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    release_others(key, now_ns);
    begin(key, now_ns);
    return {};
  }
  Stream& stream = *found->second;
  if (now_ns < stream.since_ns + window_ns && !decision::ends_it(outcome.verdict)) {
    stream.held = {outcome, stream.held.count + 1};
    return {.publish = false, .count = 0};
  }
  release_others(key, now_ns);
  restart(found->second, now_ns);
  return {.count = 1 + std::exchange(stream.held.count, 0)};
}

std::optional<Repeats> Coalescer::take_due(std::uint64_t now_ns, std::uint64_t window_ns) {
  while (!streams_.empty() && streams_.front().since_ns + window_ns <= now_ns) end_oldest();
  if (ready_.empty()) return std::nullopt;
  const Repeats due = ready_.front();
  ready_.pop_front();
  return due;
}

void Coalescer::begin(const Key& key, std::uint64_t now_ns) {
  if (streams_.size() >= capacity_) end_oldest();
  streams_.push_back({key, now_ns, {}});
  by_key_.emplace(key, std::prev(streams_.end()));
}

void Coalescer::restart(Streams::iterator stream, std::uint64_t now_ns) {
  stream->since_ns = now_ns;
  streams_.splice(streams_.end(), streams_, stream);
}

void Coalescer::end_oldest() {
  release(streams_.front());
  by_key_.erase(streams_.front().key);
  streams_.pop_front();
}

// So that events come in the order in which the kinds of outcome did.
void Coalescer::release_others(const Key& key, std::uint64_t now_ns) {
  for (auto other = by_key_.lower_bound({key.page, key.vcpu, {}});
       other != by_key_.end() && other->first.page == key.page && other->first.vcpu == key.vcpu;
       ++other) {
    if (other->first == key || other->second->held.count == 0) continue;
    release(*other->second);
    restart(other->second, now_ns);
  }
}

void Coalescer::release(Stream& stream) {
  if (stream.held.count != 0) ready_.push_back(std::exchange(stream.held, {}));
}

}  // namespace memfail::session

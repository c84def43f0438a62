// SPDX-License-Identifier: BSD-3-Clause
//
// All that consumers were told, over every life of memfaild: no event twice within a
// journal, none left out, the order in each lane kept.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/kill/event.h"

namespace memfail::kill {

class Story {
 public:
  // One line of the stream.
  void take(std::string_view line);

  // Where a reader goes on: {"since": …, "journal": …}; seq 0: it knows nothing.
  [[nodiscard]] const std::string& journal() const { return journal_; }
  [[nodiscard]] std::uint64_t next_seq() const { return journal_.empty() ? 0 : last_seq_ + 1; }

  // An incident's event, the first where there were several; null: none.
  [[nodiscard]] const Event* find(const std::string& session, std::uint32_t lane,
                                  std::uint64_t sequence) const;
  [[nodiscard]] std::uint64_t half_written(const std::string& session) const;
  [[nodiscard]] std::uint64_t events() const { return events_; }
  // Events that another journal had too: its sidecar died before it retired the incident.
  [[nodiscard]] std::uint64_t told_again() const { return told_again_; }
  [[nodiscard]] std::uint64_t journals() const { return journals_; }

  // History that was overwritten is no complaint; its gap names exactly what is missing.
  void allow_overwritten() { may_be_overwritten_ = true; }
  // Gaps that were told: to another journal, and where history was overwritten.
  [[nodiscard]] std::uint64_t other_journals() const { return other_journals_; }
  [[nodiscard]] std::uint64_t overwritten() const { return overwritten_; }

  // A disk that fails is no complaint; each end of it tells how many events were at risk.
  void allow_outages() { may_fail_ = true; }
  [[nodiscard]] std::uint64_t outages() const { return outages_; }
  [[nodiscard]] std::uint64_t at_risk_last() const { return at_risk_last_; }
  [[nodiscard]] std::uint64_t not_durable() const { return not_durable_; }
  [[nodiscard]] std::uint64_t decided_by_builtin() const { return decided_by_builtin_; }
  // Signal to outcome, ns, of the sidecar's own verdicts since this was last asked.
  std::vector<std::uint64_t> take_latencies() { return std::exchange(latencies_, {}); }

  // What was wrong, at most the first few; empty: nothing.
  [[nodiscard]] const std::vector<std::string>& complaints() const { return complaints_; }
  void complain(const std::string& what);

 private:
  struct Kept {
    Event event;
    std::string journal;  // the last that had it
  };
  struct Lane {
    std::unordered_map<std::uint64_t, Kept> events;
    std::uint64_t highest = 0;  // in this journal
  };
  struct Session {
    std::map<std::uint32_t, Lane> lanes;
    std::uint64_t half_written = 0;
  };

  void take_note(const StreamNote& note);
  void take_gap(const StreamNote& note);
  void take_event(const Event& event);
  void measure(const Event& event);
  void take_count(const Event& event);
  void take_again(Kept& kept, const Event& event);

  std::string journal_;
  std::uint64_t journals_ = 0;
  std::string gap_due_;  // the journal that must be said to be gone
  std::uint64_t gap_from_ = 0;
  bool fresh_ = false;  // nothing of this journal was read yet
  bool may_be_overwritten_ = false;
  bool may_fail_ = false;
  std::uint64_t outages_ = 0;
  std::uint64_t at_risk_last_ = 0;
  std::uint64_t not_durable_ = 0;
  std::uint64_t decided_by_builtin_ = 0;
  std::vector<std::uint64_t> latencies_;
  std::uint64_t other_journals_ = 0;
  std::uint64_t overwritten_ = 0;
  std::uint64_t last_seq_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t told_again_ = 0;
  std::map<std::string, Session> sessions_;
  std::vector<std::string> complaints_;
};

}  // namespace memfail::kill

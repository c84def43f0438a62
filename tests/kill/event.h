// SPDX-License-Identifier: BSD-3-Clause
//
// One event as a consumer reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memfail::kill {

struct Event {
  std::uint64_t seq = 0;
  std::string session;
  std::uint32_t lane = 0;
  std::uint64_t sequence = 0;  // of the incident in its lane; 0: no incident's own event
  std::int64_t vcpu = -1;
  std::string reason, verdict, decided_by, delivered;
  std::int64_t bank = -1;
  std::string gpa, status, mcg_status;  // hexadecimal, empty: null
  std::uint64_t count = 0;
  std::uint64_t latency_ns = 0;
  bool durable = false;
};

// A line of the stream that is no event.
struct StreamNote {
  std::string journal;
  std::optional<std::uint64_t> first_seq, next_seq;  // the header's
  bool gap = false;   // events that were asked for are not to be had
  std::string gap_journal;  // they were of this journal; empty: of the stream's own
  std::uint64_t gap_from = 0, gap_to = 0;
  bool cut_off = false;  // the history has run over this reader's place: it comes again
  std::string other;     // the line, where it is none of these
};

std::optional<Event> parse_event(std::string_view line);
std::optional<StreamNote> parse_note(std::string_view line);

}  // namespace memfail::kill

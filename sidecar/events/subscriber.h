// SPDX-License-Identifier: BSD-3-Clause
//
// One reader of the event stream, without its socket.
//
// A reader pulls: it has a place in the source and a bounded buffer that is filled
// from there. What bounds a slow reader is the source's history; once that has run
// over its place it gets a last line that says where to resume, behind what its
// buffer still holds. A reader costs this process its buffer and its share of a loop
// turn and nothing else, however slow it is and whatever it asks for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sidecar/events/filter.h"
#include "sidecar/journal/event_source.h"

namespace memfail::events {

class Subscriber {
 public:
  static constexpr std::size_t kMaxRequest = 4096;
  static constexpr std::size_t kMaxBuffered = 64 * 1024;

  // What one output() may cost, in looks at an event: one for the look and for each
  // pattern it meets, more for a line written. VMs wait for the same thread.
  static constexpr std::size_t kShare = 512;
  static constexpr std::size_t kLooksPerLine = 16;

  // The header line is buffered; no event before the reader has said what it wants, or
  // has had its time to.
  explicit Subscriber(journal::EventSource& source);

  // Bytes the reader sent. Its first line says what it wants (request.h). Anything
  // after that line is ignored.
  void take_input(std::string_view bytes);

  // The reader will send nothing more, but still reads.
  void input_ended();

  // It had its time to ask, and gets what came since the header and what comes. A line
  // that comes later still counts, unless events were told by then: whoever asks for
  // what it was told already would get it twice.
  void asks_nothing();
  bool asking() const { return phase_ == Phase::kAsking; }

  // Bytes to send now, filled up from the source first.
  std::string_view output();
  void consumed(std::size_t bytes);

  // The source has brought what it was asked for: whoever waited looks again.
  void history_arrived();

  // output() has bytes, or will have without anything else happening first.
  bool pending() const { return more_ || sent_ < buffer_.size(); }

  // All has been said: close when output() is empty.
  bool finished() const { return phase_ == Phase::kFinished; }

 private:
  enum class Phase : std::uint8_t {
    kAsking,    // its line may still come
    kTelling,
    kWaiting,   // for history_arrived()
    kFinished,
  };

  void request(std::string_view line);
  void start_at(std::uint64_t since);
  void start_over(const std::string& other_journal, std::uint64_t since);
  void finish(const std::string& last_line);
  void fill();
  bool step(std::size_t& share);
  bool overrun();
  void tell(const wire::EventRecord& event, std::size_t& share);
  void skip_hole(std::size_t& share);

  journal::EventSource& source_;
  Filter filter_;
  std::uint64_t next_;                     // seq of the next event to look at
  std::uint64_t end_ = ~std::uint64_t{0};  // first seq not to be told
  Phase phase_ = Phase::kAsking;
  bool requested_ = false;
  bool told_ = false;     // some event
  bool waited_ = false;   // for next_: if that is gone by now, not the reader was slow
  bool more_ = false;     // the share or the buffer ended fill(), not the events
  std::string input_;
  std::string buffer_;
  std::size_t sent_ = 0;  // of buffer_
};

}  // namespace memfail::events

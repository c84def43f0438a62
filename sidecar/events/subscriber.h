// SPDX-License-Identifier: BSD-3-Clause
//
// One reader of the event stream, without its socket.
//
// A reader pulls: it has a place in the store and a bounded buffer that is filled
// from there. What bounds a slow reader is the store's own size; once the store
// has run over its place it gets a last line that says where to resume. A reader
// costs this process its buffer and nothing else, however slow it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sidecar/journal/record_store.h"

namespace memfail::events {

class Subscriber {
 public:
  static constexpr std::size_t kMaxRequest = 1024;
  static constexpr std::size_t kMaxBuffered = 64 * 1024;

  // Begins live, with the header line buffered.
  explicit Subscriber(const journal::RecordStore& store);

  // Bytes the reader sent. Its first line may be {"since":N,"follow":bool,
  // "journal":ID}; since 0 is "all there is", and without `since` it stays live.
  // Anything after that line is ignored.
  void take_input(std::string_view bytes);

  // The reader will send nothing more, but still reads.
  void input_ended();

  // Bytes to send now, filled up from the store first.
  std::string_view output();
  void consumed(std::size_t bytes);

  // All has been said: close when output() is empty.
  bool finished() const { return finished_; }

 private:
  void request(std::string_view line);
  void start_at(std::uint64_t since);
  void finish(const std::string& last_line);
  void fill();
  bool overrun();

  const journal::RecordStore& store_;
  std::uint64_t next_;                        // seq of the next event to send
  std::uint64_t end_ = ~std::uint64_t{0};     // first seq not to be sent
  std::string input_;
  bool requested_ = false;
  bool finished_ = false;
  std::string buffer_;
  std::size_t sent_ = 0;  // of buffer_
};

}  // namespace memfail::events

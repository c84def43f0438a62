// SPDX-License-Identifier: BSD-3-Clause
//
// Past events out of the journal's files, for readers who ask for them. On the
// journal thread: it blocks as the disk does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <vector>

#include "sidecar/journal/file_reader.h"
#include "sidecar/journal/journal_files.h"

namespace memfail::journal {

struct PastEvent {
  std::uint64_t seq = 0;
  std::vector<std::byte> record;  // wire::EventRecord, checked
};

// What was found from the asked seq on. Those between the asked seq, the events
// and `next` that are not here cannot be read any more.
struct Past {
  std::vector<PastEvent> events;
  std::uint64_t next = 0;  // to ask for next; all before it are durable
};

struct PastLimit {
  std::size_t events = 256;
  std::size_t bytes = std::size_t{256} << 10;
};

class History {
 public:
  // Events from `seq` on, as far as they are durable and the limit allows; at
  // least one, if there is one. Asking on from `next` costs no new search. The
  // error is errno.
  std::expected<Past, int> read(JournalFiles& files, std::uint64_t seq, const PastLimit& limit);

 private:
  // Where the last answer ended.
  struct Mark {
    std::uint64_t generation = 0;
    std::uint64_t offset = 0;
    std::uint64_t seq = 0;
  };

  std::expected<bool, int> read_file(JournalFiles& files, std::uint32_t file, Past& past,
                                     const PastLimit& limit);

  Mark mark_;
};

}  // namespace memfail::journal

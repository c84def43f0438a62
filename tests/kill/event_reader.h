// SPDX-License-Identifier: BSD-3-Clause
//
// A consumer of the event stream that comes back whenever it was cut off, and goes on
// where it was.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "shm/unique_fd.h"
#include "tests/kill/story.h"

namespace memfail::kill {

class EventReader {
 public:
  EventReader(std::string socket, Story& story);

  // Connects if need be, and takes what is there. Never waits.
  void pump();
  // Hangs up, and comes back with the next pump().
  void hang_up() { socket_.reset(); }
  struct Published {
    std::string journal;
    std::uint64_t first;
    std::uint64_t next;  // the story is complete once it goes on there
  };
  // What the sidecar has, by another connection. None: nobody answers.
  [[nodiscard]] std::optional<Published> published() const;
  // To be waited for; below 0: nobody listens there now.
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  [[nodiscard]] shm::UniqueFd connected() const;
  void connect();
  void take(std::string_view bytes);

  std::string path_;
  Story& story_;
  shm::UniqueFd socket_;
  std::string rest_;  // of a line that has not ended
};

}  // namespace memfail::kill

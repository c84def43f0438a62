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
  // The seq that the sidecar gives next, by another connection: the story is complete
  // once it goes on there. None: nobody answers.
  [[nodiscard]] std::optional<std::uint64_t> published() const;
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

// SPDX-License-Identifier: BSD-3-Clause
//
// The record keeping of a process as a whole: the front, the journal behind it if there
// is one, and the thread between them. Opened before anything listens, and before files
// can no longer be opened.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shm/unique_fd.h"
#include "sidecar/journal/event_history.h"
#include "sidecar/journal/front_file.h"
#include "sidecar/journal/journal_directory.h"
#include "sidecar/journal/journal_thread.h"
#include "sidecar/journal/record_store.h"

namespace memfail::journal {

struct JournalOptions {
  std::string front;      // a file on a tmpfs; empty: records are in memory alone
  std::size_t front_size = FrontRequest::kDefaultCapacity;
  std::string directory;  // empty: the front alone
  JournalGeometry geometry;
};

class Journal {
 public:
  // Memory alone: for tests, and where there is no front.
  Journal();
  // The error is one line: what is wrong, and what to do.
  static std::expected<std::unique_ptr<Journal>, std::string> open(const JournalOptions& options);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  RecordStore& store() { return *store_; }
  EventHistory& history() { return *history_; }
  const wire::Id128& boot() const { return boot_; }
  const std::string& directory() const { return options_.directory; }
  const std::string& front_path() const { return options_.front; }
  std::span<std::byte> front_memory() const { return front_.memory(); }

  // What the start found and did, for the log: a line each.
  const std::vector<std::string>& notes() const { return notes_; }

  // Readable when the journal thread has news; -1: there is none.
  int wake_fd() const { return wake_.get(); }
  // `first` runs in the thread before all else.
  void start_thread(std::function<void()> first);
  // After a turn: what was appended is the thread's to copy.
  void pass_on();
  // What the thread says of itself now; take_news() does it too.
  void note_health();
  // The thread has rung. True: readers that wait may look again.
  bool take_news();
  // Has what is in the front written and the thread ended. False: it still waits for the
  // disk; then nothing of this may be destroyed, and only _exit() is left.
  bool stop(std::chrono::milliseconds limit);
  // After that: gives the locks of front and directory up, for the next memfaild.
  void abandon();

 private:
  struct FromFiles;  // what the directory held, until the thread has it
  using Done = std::expected<void, std::string>;

  static std::expected<FromFiles, std::string> open_directory(const JournalOptions& options);
  Done take_up();
  Done take_up_front(const FromFiles* files);
  Done take_up_records(FromFiles* files);

  JournalOptions options_;
  wire::Id128 boot_;
  shm::UniqueFd directory_lock_;
  Front front_;
  shm::UniqueFd wake_;
  std::unique_ptr<JournalThread> thread_;
  std::unique_ptr<RecordStore> store_;
  std::unique_ptr<EventHistory> history_;
  std::vector<std::string> notes_;
};

// This boot of the host, as the kernel names it. All zeros where it does not say.
wire::Id128 boot_of_host();

}  // namespace memfail::journal

// SPDX-License-Identifier: BSD-3-Clause
//
// A listening Unix socket with a path: made with its final mode, refused early
// and by name, unlinked by its owner and by nobody else.
#pragma once

#include <sys/types.h>

#include <expected>
#include <string>

#include "shm/unique_fd.h"

namespace memfail::server {

inline constexpr std::size_t kMaxSocketPath = 107;  // sun_path, less its NUL

struct ListenOptions {
  std::string path;
  int type = 0;           // SOCK_SEQPACKET or SOCK_STREAM
  const char* name = "";  // "--socket-path": what the user called it
};

class UnixListener {
 public:
  // A socket file whose listener is gone is replaced; one that answers is not.
  // The error is one line for the user.
  static std::expected<UnixListener, std::string> open(const ListenOptions& options);

  UnixListener(UnixListener&& other) noexcept = default;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  // The file cannot be reached any more: it stays, and the next start replaces it.
  void leave_file() { path_.clear(); }

 private:
  UnixListener(shm::UniqueFd fd, std::string path, dev_t device, ino_t inode)
      : fd_(std::move(fd)), path_(std::move(path)), device_(device), inode_(inode) {}

  shm::UniqueFd fd_;
  std::string path_;
  dev_t device_;  // of the socket file: after a restart the path may be another's
  ino_t inode_;
};

}  // namespace memfail::server

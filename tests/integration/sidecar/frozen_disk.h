// SPDX-License-Identifier: BSD-3-Clause
//
// An ext4 file system of its own, in a file, that can be frozen: whoever writes to it
// then waits in the kernel. A second process thaws it if this one dies, whatever of.
#pragma once

#include <sys/types.h>

#include <string>

#include "shm/unique_fd.h"

namespace memfail::test {

class FrozenDisk {
 public:
  FrozenDisk();
  ~FrozenDisk();
  FrozenDisk(const FrozenDisk&) = delete;
  FrozenDisk& operator=(const FrozenDisk&) = delete;

  // False: this machine does not let us mount one.
  bool make();
  std::string at() const { return folder_ + "/disk"; }
  // False: it is not frozen.
  bool freeze();
  void thaw();

 private:
  std::string folder_;
  bool mounted_ = false;
  shm::UniqueFd alive_;  // closed by us or by our death: then it is thawed
  pid_t guard_ = -1;
};

}  // namespace memfail::test

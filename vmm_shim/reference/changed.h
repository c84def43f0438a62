// SPDX-License-Identifier: BSD-3-Clause
//
// "Something happened": wakes the event loop from any thread.
#pragma once

#include "vmm_shim/reference/unique_fd.h"

namespace memfail::reference {

class Changed {
 public:
  Changed();
  void signal() const;
  void clear() const;
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

}  // namespace memfail::reference

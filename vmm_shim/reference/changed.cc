// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/changed.h"

#include <sys/eventfd.h>

#include "vmm_shim/reference/exit.h"

namespace memfail::reference {

Changed::Changed() : fd_(must(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {}

// Neither can fail but by "already signalled" and "nothing there".
void Changed::signal() const { (void)eventfd_write(fd_.get(), 1); }

void Changed::clear() const {
  eventfd_t ignored = 0;
  (void)eventfd_read(fd_.get(), &ignored);
}

}  // namespace memfail::reference

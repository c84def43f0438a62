// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/sandbox/allocator.h"

#include <malloc.h>

namespace memfail::sandbox {

// Where much of a thread's arena is free, glibc gives it back to the kernel, and reads
// /proc/sys/vm/overcommit_memory first to see how: behind a filter, a burst that a thread
// has written and freed again would be the end of the process. So nothing is given back;
// what is large (128 KiB) has a mapping of its own and goes as it came.
void keep_allocator_from_files() { (void)::mallopt(M_TRIM_THRESHOLD, -1); }

}  // namespace memfail::sandbox

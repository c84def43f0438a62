// SPDX-License-Identifier: BSD-3-Clause
//
// Poison without a hardware error: on the destination of a migration the pages that
// were broken at the source are whole, and must not be: the guest was told, or will be.
//
// userfaultfd's UFFDIO_POISON (Linux 6.6) leaves a mark in the page table that acts as
// the real poison: a load is SIGBUS BUS_MCEERR_AR with the backing page's lsb, a vCPU
// that meets it gets the same from KVM (lsb 12), a system call EFAULT. The mark outlives
// the userfaultfd, asks for no right (UFFD_USER_MODE_ONLY) and is gone with the page:
// repair_page() clears it. Other mappings of the same file do not have it.
#pragma once

#include "sidecar/decision/region.h"
#include "vmm_shim/page_outcome.h"

namespace memfail::shim {

// Makes [hva, hva + size) poisoned; multiples of `region.page_size` where that is a huge
// one. What was there is dropped from the page table first: anonymous content is lost.
// With the vCPUs stopped. Any thread, not a signal handler; allocates nothing. The
// result is what the kernel says afterwards. Refusals by name: kKernelTooOld,
// kNotPermitted, kWatched (postcopy's userfaultfd has the range; try when it has ended),
// what the region's flags forbid; kPagePresent: another thread touched the page meanwhile.
PageOutcome poison_again(const decision::Region& region, std::uint64_t hva, std::uint64_t size);

}  // namespace memfail::shim

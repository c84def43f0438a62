// SPDX-License-Identifier: BSD-3-Clause
//
// A clean page in place of a broken one, under the same address: what a guest reset
// does for the pages of the poison table.
//
// The mapping stays, and with it its NUMA policy, its locks and whatever madvise()
// said of it; KVM's slot goes on as it is. How, by backing:
//   anonymous, THP, anonymous hugetlb   dropped from the page table
//   memfd, tmpfs, hugetlbfs (shared)    a hole punched into the file, and dropped from
//                                       each page table entry of this process: either
//                                       alone leaves the poison in place
// Another process that maps the same file and met the broken page keeps the mark in its
// page table until it drops it itself.
#pragma once

#include "sidecar/decision/region.h"
#include "vmm_shim/page_outcome.h"

namespace memfail::shim {

// Replaces the pages of [hva, hva + size); where the backing is hugetlb each page of
// `region.page_size` that the range touches, as a whole. The new ones read zero, whether
// the old ones were broken or not. Any thread, not a signal handler; allocates nothing.
//
// To be called with the vCPUs stopped and before anything writes guest RAM, while no
// other thread unmaps any of it: an address that was the file's when it was looked up
// must be so when the page is dropped there.
//
// A refusal (see PageResult) touches nothing. The rest is what the kernel says
// afterwards, by MADV_POPULATE_READ and never by a load: kNoPage means that the next
// access is a SIGBUS which is no hardware error.
PageOutcome repair_page(const decision::Region& region, std::uint64_t hva, std::uint64_t size);

}  // namespace memfail::shim

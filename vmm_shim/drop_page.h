// SPDX-License-Identifier: BSD-3-Clause
//
// The system calls that take pages away from under an address range, and the one that
// asks what is there. None of them touches the memory. Ranges are multiples of the
// backing page; results are 0 or errno.
#pragma once

#include <cstdint>

namespace memfail::shim {

// Drops the range from this process's page tables, locked (mlock) or not: anonymous
// pages are gone with it, a file's pages stay in the file.
int drop_pages(std::uint64_t hva, std::uint64_t size);

// Takes the pages out of the file that is mapped there; the mapping must be shared and
// writable. Needs no descriptor of the file.
int punch_hole(std::uint64_t hva, std::uint64_t size);

// Has the kernel find a page for each address, as a load would: 0; EHWPOISON: one is
// poisoned; EFAULT: a load would be a SIGBUS for want of a page.
int probe_pages(std::uint64_t hva, std::uint64_t size);

}  // namespace memfail::shim

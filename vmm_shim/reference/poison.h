// SPDX-License-Identifier: BSD-3-Clause
//
// Two ways to a memory failure. `hwpoison` breaks a page for real (needs root and
// a kernel with CONFIG_MEMORY_FAILURE). `signal` makes the kernel's exact
// siginfo where no page can be broken: only the thread that is to get it may raise
// it, for the kernel forbids a positive si_code between threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace memfail::reference {

enum class PoisonKind { kSignal, kHwpoison };

// Empty, or why this host cannot do it.
std::string why_unavailable(PoisonKind kind);

// Whether the calling thread is told of a broken page before anyone touches it.
// Threads inherit it from their creator.
void set_early_kill(bool early);

// A page of this size (the backing's), which nobody touches by that. By debugfs where
// that is there, else by MADV_HWPOISON. Dies when the kernel refuses.
void break_page(std::byte* page, std::size_t size);

// Raises SIGBUS on the calling thread; returns after the handler has run.
void raise_sigbus(int si_code, std::uint64_t address, unsigned lsb);

}  // namespace memfail::reference

// SPDX-License-Identifier: BSD-3-Clause
//
// A page of a running QEMU goes bad.
#pragma once

#include <cstdint>

#include "sidecar/decision/types.h"
#include "tests/qemu/machine.h"

namespace memfail::qemu {

// Where QEMU has a page of the guest.
std::uint64_t hva_of(Machine& machine, std::uint64_t gpa);

// The first vCPU's thread takes SIGBUS as the kernel sends it: one process may not
// queue such a signal to another, but who traces a thread may say what is in one.
// When this returns the signal is delivered; its handler need not have run.
void raise_sigbus(Machine& machine, decision::Severity severity, std::uint64_t hva);

}  // namespace memfail::qemu

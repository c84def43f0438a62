// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace memfail::shm {

// CRC32C (Castagnoli, reflected, as iSCSI and ext4 use it) of `bytes`, going on
// from `crc` (0 to begin). Async-signal-safe once crc32c_prepare() has run.
std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes);

// The same without the instruction: what crc32c() must agree with.
std::uint32_t crc32c_table(std::uint32_t crc, std::span<const std::byte> bytes);

// Looks for SSE 4.2. CPUID leaves a virtual machine, so it is asked only once,
// and not from a signal handler.
void crc32c_prepare();

}  // namespace memfail::shm

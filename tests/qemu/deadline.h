// SPDX-License-Identifier: BSD-3-Clause
//
// How long the tests wait for anything that must come. It is there to end what
// hangs, not to be met: what they wait for takes milliseconds.
#pragma once

#include <chrono>

namespace memfail::qemu {

inline std::chrono::steady_clock::time_point deadline() {
  return std::chrono::steady_clock::now() + std::chrono::seconds(20);
}

}  // namespace memfail::qemu

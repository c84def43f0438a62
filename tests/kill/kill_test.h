// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of this folder have in common.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "tests/kill/scene.h"

namespace memfail::kill {

// The longer form of a test is for `./dev test --long`.
inline std::uint64_t sized(std::uint64_t usual, std::uint64_t long_form) {
  return ::getenv("MEMFAIL_LONG") != nullptr ? long_form : usual;
}

inline std::string complaints(const Scene& scene) {
  std::string all;
  for (const std::string& one : scene.story().complaints()) all += "\n  " + one;
  return all;
}

}  // namespace memfail::kill

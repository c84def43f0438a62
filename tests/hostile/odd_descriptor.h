// SPDX-License-Identifier: BSD-3-Clause
//
// Descriptors of every kind that is not what a hello asks for.
#pragma once

#include <span>

namespace memfail::hostile {

struct OddDescriptor {
  const char* name;
  int (*make)();  // -1: this host has none
};

std::span<const OddDescriptor> odd_descriptors();

}  // namespace memfail::hostile

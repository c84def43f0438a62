// SPDX-License-Identifier: BSD-3-Clause
//
// A policy as FlatBuffer, from whoever sent it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "schema/policy_generated.h"

namespace memfail::policy {

inline constexpr std::size_t kMaxVms = 1024;
// Room for kMaxVms of the longest.
inline constexpr std::size_t kMaxBinary = std::size_t{256} * 1024;

using Binary = std::vector<std::byte>;

// Null: not a policy, or larger than the limits. What is pointed to lies in `bytes`,
// which are aligned to 8 and nobody else writes. Its values are not checked: check.h.
const wire::PolicyFile* verified(std::span<const std::byte> bytes);

}  // namespace memfail::policy

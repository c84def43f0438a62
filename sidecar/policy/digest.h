// SPDX-License-Identifier: BSD-3-Clause
//
// A number that two policies share when they mean the same: FNV-1a with 64 bits,
// over the text that docs/policy.md describes. For telling versions apart, not
// against forgery.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace memfail::policy {

class PolicySet;

std::uint64_t fnv1a64(std::string_view bytes);

// What the digest is taken of: rules after inheritance, patterns in one spelling.
std::string canonical_text(const PolicySet& set);

// As people and programs write it: 16 hexadecimal digits.
std::string digest_text(std::uint64_t digest);

}  // namespace memfail::policy

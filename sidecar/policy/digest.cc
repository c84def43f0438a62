// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/digest.h"

#include <array>
#include <cinttypes>
#include <cstdio>

#include "sidecar/policy/policy_set.h"

namespace memfail::policy {
namespace {

constexpr std::uint64_t kOffsetBasis = 0xcbf29ce484222325;
constexpr std::uint64_t kPrime = 0x100000001b3;

std::string members_text(const decision::Rules& rules) {
  std::string text;
  for (std::size_t i = 0; i < kMembers; ++i) {
    const Member member = member_at(i);
    text += std::string(info(member).name) + ' ' + spelled(member, number_of(rules, member)) + '\n';
  }
  return text;
}

}  // namespace

std::uint64_t fnv1a64(std::string_view bytes) {
  std::uint64_t hash = kOffsetBasis;
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<std::uint8_t>(byte)) * kPrime;
  }
  return hash;
}

// Unambiguous, as no pattern holds a newline.
std::string canonical_text(const PolicySet& set) {
  std::string text = "memfail-policy 1\ndefault\n" + members_text(set.default_rules());
  for (const VmRules& vm : set.vms()) {
    text += "vm " + vm.glob.canonical() + '\n' + members_text(vm.rules);
  }
  return text;
}

std::string digest_text(std::uint64_t digest) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016" PRIx64, digest);
  return text.data();
}

}  // namespace memfail::policy

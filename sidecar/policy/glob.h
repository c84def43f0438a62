// SPDX-License-Identifier: BSD-3-Clause
//
// The pattern of a VM's name: `*` any text or none, `?` any one character, a
// backslash before a character takes it as it is, all else is literal.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace memfail::policy {

class Glob {
 public:
  // In bytes; the longest name that a VM may have.
  static constexpr std::size_t kMaxPattern = 127;

  // The error says what the pattern must be.
  static std::expected<Glob, std::string> parse(std::string_view pattern);

  // The name as decode_all() gives it, which may be anything: a byte that is not
  // UTF-8 is a character. At most pattern times name steps, no memory.
  bool matches(std::u32string_view name) const;

  // Whether each name that `other` matches is surely matched by this one. False may
  // also mean that it takes a closer look: "?*a" covers "*ba" and this says false.
  // `steps` grows by the work, at most one pattern times the other.
  bool covers(const Glob& other, std::size_t& steps) const;

  // The same for patterns that are spelled differently ("a**", "a*").
  std::string canonical() const;

 private:
  void add(char32_t symbol);

  std::u32string symbols_;  // characters, and the two wildcards
};

}  // namespace memfail::policy

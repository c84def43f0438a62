// SPDX-License-Identifier: BSD-3-Clause
//
// Characters of UTF-8 text that need not be valid: names come from VMMs.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace memfail::policy {

// One past the last character of Unicode. What stands for an invalid byte, and
// marks of our own, come from here on: no text holds them.
inline constexpr char32_t kBeyondUnicode = 0x110000;

struct Decoded {
  char32_t character = 0;
  std::size_t size = 1;  // bytes
};

// The first character of `text`, which is not empty. A byte that begins no valid
// sequence (overlong, surrogate, cut short) stands alone: kBeyondUnicode + byte.
Decoded decode(std::string_view text);

std::u32string decode_all(std::string_view text);

void append_utf8(std::string& out, char32_t character);

// Offset of the first byte that is not UTF-8.
std::optional<std::size_t> find_invalid(std::string_view text);

// C0, DEL and C1: they would reach a terminal.
bool is_control(char32_t character);

// As it may be shown to a person: '?' for what is a control character or not UTF-8,
// cut to `most` characters with an ellipsis.
std::string shown(std::string_view text, std::size_t most);

}  // namespace memfail::policy

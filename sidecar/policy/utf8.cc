// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/utf8.h"

#include <array>

namespace memfail::policy {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

// Length by the first byte; 0: no character begins with it.
std::size_t length_of(std::uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

bool is_allowed(char32_t character, std::size_t size) {
  constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};  // by size: not overlong
  const bool surrogate = character >= 0xD800 && character < 0xE000;
  return character >= kLeast[size] && character < kBeyondUnicode && !surrogate;
}

}  // namespace

Decoded decode(std::string_view text) {
  const std::uint8_t first = byte_at(text, 0);
  const Decoded invalid{kBeyondUnicode + first, 1};
  const std::size_t size = length_of(first);
  if (size == 1) return {first, 1};
  if (size == 0 || size > text.size()) return invalid;
  char32_t character = first & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    const std::uint8_t byte = byte_at(text, i);
    if ((byte & 0xC0) != 0x80) return invalid;
    character = (character << 6) | (byte & 0x3F);
  }
  return is_allowed(character, size) ? Decoded{character, size} : invalid;
}

std::u32string decode_all(std::string_view text) {
  std::u32string out;
  while (!text.empty()) {
    const Decoded next = decode(text);
    out += next.character;
    text.remove_prefix(next.size);
  }
  return out;
}

void append_utf8(std::string& out, char32_t character) {
  const auto add = [&](char32_t byte) { out += static_cast<char>(byte); };
  const auto tail = [&](int shift) { add(0x80 | ((character >> shift) & 0x3F)); };
  if (character < 0x80) {
    add(character);
  } else if (character < 0x800) {
    add(0xC0 | (character >> 6));
    tail(0);
  } else if (character < 0x10000) {
    add(0xE0 | (character >> 12));
    tail(6);
    tail(0);
  } else {
    add(0xF0 | (character >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

std::optional<std::size_t> find_invalid(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Decoded next = decode(text.substr(at));
    if (next.character >= kBeyondUnicode) return at;
    at += next.size;
  }
  return std::nullopt;
}

bool is_control(char32_t character) {
  return character < 0x20 || (character >= 0x7F && character < 0xA0);
}

std::string shown(std::string_view text, std::size_t most) {
  std::string out;
  for (std::size_t count = 0; !text.empty(); ++count) {
    if (count == most) return out + "...";
    const Decoded next = decode(text);
    const bool bad = next.character >= kBeyondUnicode || is_control(next.character);
    append_utf8(out, bad ? U'?' : next.character);
    text.remove_prefix(next.size);
  }
  return out;
}

}  // namespace memfail::policy

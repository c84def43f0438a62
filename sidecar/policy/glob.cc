// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/glob.h"

#include <cstddef>
#include <optional>

#include "sidecar/policy/utf8.h"

namespace memfail::policy {
namespace {

// Beyond what decode() gives: kBeyondUnicode plus a byte.
constexpr char32_t kAnyOne = kBeyondUnicode + 0x100;
constexpr char32_t kAnyRun = kBeyondUnicode + 0x101;

// Whether the subject is one that the pattern matches. The subject may be a
// pattern too: its wildcards are matched as if they were letters that only a
// wildcard of at least the same reach matches, hence covers().
bool eats(char32_t pattern, char32_t subject) {
  return pattern == subject || (pattern == kAnyOne && subject != kAnyRun);
}

// After a mismatch only the last star may take more: an earlier one would only
// leave less for those behind it.
bool match(std::u32string_view pattern, std::u32string_view subject, std::size_t& steps) {
  std::size_t p = 0;
  std::size_t s = 0;
  std::optional<std::size_t> star;  // the last one met
  std::size_t star_end = 0;         // of what it takes now
  for (; s < subject.size(); ++steps) {
    if (p < pattern.size() && pattern[p] == kAnyRun) {
      star = p++;
      star_end = s;
    } else if (p < pattern.size() && eats(pattern[p], subject[s])) {
      ++p;
      ++s;
    } else if (star) {
      p = *star + 1;
      s = ++star_end;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == kAnyRun) ++p;
  return p == pattern.size();
}

bool is_special(char32_t character) {
  return character == U'*' || character == U'?' || character == U'\\' || character == U'[';
}

std::optional<std::string> refuse_text(std::string_view pattern, std::u32string_view characters) {
  if (pattern.empty()) return "must have at least one character";
  if (pattern.size() > Glob::kMaxPattern) {
    return std::to_string(pattern.size()) + " bytes long, must be at most " +
           std::to_string(Glob::kMaxPattern);
  }
  for (const char32_t one : characters) {
    if (one >= kBeyondUnicode) return "must be UTF-8";
    if (is_control(one)) return "must be without control characters";
  }
  return std::nullopt;
}

}  // namespace

// "*?" and "?*" are the same; the single characters stand first.
void Glob::add(char32_t symbol) {
  const bool after_run = !symbols_.empty() && symbols_.back() == kAnyRun;
  if (symbol == kAnyRun && after_run) return;
  if (symbol == kAnyOne && after_run) {
    symbols_.back() = kAnyOne;
    symbol = kAnyRun;
  }
  symbols_ += symbol;
}

std::expected<Glob, std::string> Glob::parse(std::string_view pattern) {
  const std::u32string characters = decode_all(pattern);
  if (auto refused = refuse_text(pattern, characters)) return std::unexpected(*refused);
  Glob glob;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    const char32_t one = characters[i];
    if (one == U'[') {
      return std::unexpected(R"(must be without sets like "[0-9]"; "?" is any character, )"
                             R"("\\[" in JSON a bracket)");
    }
    if (one == U'\\') {
      if (++i == characters.size()) {
        return std::unexpected("must have a character after the backslash");
      }
      glob.add(characters[i]);
    } else {
      glob.add(one == U'*' ? kAnyRun : one == U'?' ? kAnyOne : one);
    }
  }
  return glob;
}

bool Glob::matches(std::u32string_view name) const {
  std::size_t steps = 0;
  return match(symbols_, name, steps);
}

bool Glob::covers(const Glob& other, std::size_t& steps) const {
  return match(symbols_, other.symbols_, steps);
}

std::string Glob::canonical() const {
  std::string out;
  for (const char32_t symbol : symbols_) {
    if (symbol == kAnyOne || symbol == kAnyRun) {
      out += symbol == kAnyOne ? '?' : '*';
      continue;
    }
    if (is_special(symbol)) out += '\\';
    append_utf8(out, symbol);
  }
  return out;
}

}  // namespace memfail::policy

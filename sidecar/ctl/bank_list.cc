// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/bank_list.h"

#include <charconv>
#include <optional>

namespace memfail::ctl {
namespace {

using Banks = std::expected<std::uint32_t, std::string>;

std::uint32_t first_banks(unsigned count) {
  return count >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << count) - 1;
}

std::optional<std::uint32_t> number(std::string_view text, int base) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string has_not(std::string_view text, unsigned count) {
  const std::string banks = count == 0 ? "no banks" : "banks 0 to " + std::to_string(count - 1);
  return std::string(text) + ": the guest has " + banks;
}

std::string not_banks(std::string_view text) {
  return "\"" + std::string(text) +
         "\": must be banks like 9, 0,3 or 2-5, a map like 0x208, or all";
}

// "3" or "2-5"
Banks parse_range(std::string_view text, unsigned count) {
  const std::size_t dash = text.find('-');
  const auto first = number(text.substr(0, dash), 10);
  const auto last = dash == std::string_view::npos ? first : number(text.substr(dash + 1), 10);
  if (!first || !last || *first > *last) return std::unexpected(not_banks(text));
  if (*last >= count) return std::unexpected(has_not(text, count));
  return first_banks(*last + 1) & ~first_banks(*first);
}

Banks parse_map(std::string_view text, unsigned count) {
  const auto map = number(text.substr(2), 16);
  if (!map) return std::unexpected(not_banks(text));
  if ((*map & ~first_banks(count)) != 0) return std::unexpected(has_not(text, count));
  return *map;
}

// How many banks from `first` on are in the map without a gap.
unsigned run_length(std::uint32_t map, unsigned first, unsigned count) {
  unsigned length = 0;
  while (first + length < count && ((map >> (first + length)) & 1) != 0) ++length;
  return length;
}

}  // namespace

Banks parse_banks(std::string_view text, unsigned count) {
  if (text.empty() || text == "none") return 0;
  if (text == "all") return first_banks(count);
  if (text.starts_with("0x")) return parse_map(text, count);
  std::uint32_t map = 0;
  while (true) {
    const std::size_t comma = text.find(',');
    const Banks range = parse_range(text.substr(0, comma), count);
    if (!range) return range;
    map |= *range;
    if (comma == std::string_view::npos) return map;
    text.remove_prefix(comma + 1);
  }
}

std::string bank_names(std::uint32_t map, unsigned count) {
  if (map == 0) return "none";
  if (map == first_banks(count)) return "all";
  std::string names;
  for (unsigned bank = 0; bank < count; ++bank) {
    const unsigned length = run_length(map, bank, count);
    if (length == 0) continue;
    names += (names.empty() ? "" : ", ") + std::to_string(bank);
    if (length > 1) names += (length == 2 ? ", " : " to ") + std::to_string(bank + length - 1);
    bank += length - 1;
  }
  return names;
}

}  // namespace memfail::ctl

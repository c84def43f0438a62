// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/policy_load.h"

#include <span>

#include "sidecar/policy/compile.h"
#include "sidecar/policy/load.h"

namespace memfail::ctl {
namespace {

std::string to_hex(std::span<const std::byte> bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte one : bytes) {
    const auto byte = std::to_integer<unsigned>(one);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0xF];
  }
  return text;
}

}  // namespace

std::expected<nlohmann::json, std::string> policy_to_load(const std::string& file) {
  const auto text = policy::read_text(file);
  if (!text) return std::unexpected(file + ": " + text.error());
  const auto binary = policy::compile(*text);
  if (!binary) return std::unexpected(policy::problem_line(binary.error().front(), file));
  return nlohmann::json{{"command", "policy-load"}, {"name", file}, {"binary", to_hex(*binary)}};
}

}  // namespace memfail::ctl

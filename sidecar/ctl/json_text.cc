// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/json_text.h"

#include <algorithm>

#include "sidecar/policy/utf8.h"

namespace memfail::ctl {

using nlohmann::json;

std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 4096;
  return policy::shown(text, kLongest);
}

std::string text_at(const json& object, const char* pointer) {
  const json::json_pointer path(pointer);
  if (!object.contains(path) || object.at(path).is_null()) return "-";
  const json& value = object.at(path);
  return shown(value.is_string() ? value.get<std::string>() : value.dump());
}

std::size_t columns_of(std::string_view text) {
  const auto is_first = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  return static_cast<std::size_t>(std::ranges::count_if(text, is_first));
}

}  // namespace memfail::ctl

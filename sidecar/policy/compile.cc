// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/compile.h"

#include <flatbuffers/idl.h>

#include <optional>
#include <string>
#include <utility>

#include "sidecar/policy/check.h"
#include "sidecar/policy/outline.h"
#include "sidecar/policy/schema_text.h"
#include "sidecar/policy/shape.h"
#include "sidecar/policy/utf8.h"

namespace memfail::policy {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

Problem at(std::string_view text, std::size_t offset, std::string what) {
  return {"", std::move(what), position_of(text, offset)};
}

// Before anything looks at characters.
std::optional<Problem> refuse_bytes(std::string_view text) {
  if (text.empty()) return Problem{"", R"(empty, expected a policy: {"version": 1})", {}};
  if (text.size() > kMaxText) {
    return Problem{"", "larger than the limit of " + std::to_string(kMaxText) + " bytes", {}};
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return at(text, nul, "found a NUL byte, expected text");
  }
  if (const auto invalid = find_invalid(text)) {
    return at(text, *invalid, "found a byte that is not UTF-8, expected UTF-8 text");
  }
  if (text.starts_with(kByteOrderMark)) {
    return at(text, 0, "found a byte order mark, expected '{'; save the file without the mark");
  }
  return std::nullopt;
}

// What comes here has been checked; if the parser still finds something, its own
// words are the best there are.
std::expected<Binary, Problem> convert(const std::string& json) {
  flatbuffers::IDLOptions options;
  options.strict_json = true;
  options.set_empty_strings_to_null = false;  // an empty name is not an absent one
  flatbuffers::Parser parser(options);
  if (!parser.Parse(schema_text()) || !parser.ParseJson(json.c_str())) {
    return std::unexpected(Problem{"", "refused by FlatBuffers: " + parser.error_, {}});
  }
  const auto bytes =
      std::as_bytes(std::span(parser.builder_.GetBufferPointer(), parser.builder_.GetSize()));
  return Binary(bytes.begin(), bytes.end());
}

}  // namespace

std::expected<Binary, Problems> compile(std::string_view text) {
  if (auto problem = refuse_bytes(text)) return std::unexpected(Problems{std::move(*problem)});
  auto outline = Outline::read(text);
  if (!outline) return std::unexpected(Problems{std::move(outline.error())});
  Problems problems = check_shape(*outline, text);
  if (!problems.empty()) return std::unexpected(std::move(problems));

  auto binary = convert(outline->without_comments());
  if (!binary) return std::unexpected(Problems{std::move(binary.error())});
  const wire::PolicyFile* file = verified(*binary);
  if (file == nullptr) return std::unexpected(Problems{{"", "too large in binary form", {}}});
  problems = check(*file);
  for (Problem& problem : problems) {
    problem.position = position_of(text, outline->nearest(problem.place).offset);
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return std::move(*binary);
}

}  // namespace memfail::policy

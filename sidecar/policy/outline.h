// SPDX-License-Identifier: BSD-3-Clause
//
// The structure of a JSON text: which values it has, where, and of what kind. JSON
// as RFC 8259 has it, and comments: // to the end of the line, and /* */. What the
// values mean is for others; but a member given twice is refused here, and so is
// depth, where a place can be named.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/policy/problem.h"

namespace memfail::policy {

inline constexpr std::size_t kMaxDepth = 8;

enum class JsonKind : std::uint8_t { kObject, kArray, kString, kNumber, kTrue, kFalse, kNull };

struct Node {
  JsonKind kind = JsonKind::kNull;
  std::size_t parent = 0;  // the root is its own
  std::string_view key;    // in an object: the name, as spelled between its quotes
  std::size_t index = 0;   // among its parent's values
  std::string_view text;   // as spelled; of an object or array its bracket alone
  std::size_t offset = 0;  // of the key where there is one, else of the value
};

class Outline {
 public:
  // `text` is UTF-8 without NUL, and outlives the outline.
  static std::expected<Outline, Problem> read(std::string_view text);

  // In the order of the text: parents stand before what they hold.
  const std::vector<Node>& nodes() const { return nodes_; }

  // "vms[2].repeat_limit"; the root's is empty.
  std::string place_of(const Node& node) const;

  // The node at `place`, or the innermost one around it.
  const Node& nearest(std::string_view place) const;

  // The text with spaces for comments: every other byte is where it was.
  const std::string& without_comments() const { return without_comments_; }

 private:
  friend class OutlineReader;
  std::vector<Node> nodes_;
  std::string without_comments_;
};

}  // namespace memfail::policy

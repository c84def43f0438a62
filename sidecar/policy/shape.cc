// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/shape.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <span>
#include <utility>

#include "sidecar/policy/binary.h"
#include "sidecar/policy/members.h"
#include "sidecar/policy/utf8.h"

namespace memfail::policy {
namespace {

constexpr std::size_t kShown = 40;

// What a node is by its place.
enum class Role : std::uint8_t { kIgnored, kFile, kDefault, kVms, kVm };

constexpr std::array<std::string_view, 3> kFileMembers{"version", "default", "vms"};

std::string found(const Node& node) {
  if (node.kind == JsonKind::kObject) return "an object";
  if (node.kind == JsonKind::kArray) return "an array";
  return shown(node.text, kShown);
}

// Insertions, deletions and replacements that make one of the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
      corner = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string unknown_member(std::string_view key, std::span<const std::string_view> known) {
  constexpr std::size_t kTypos = 2;
  std::string names;
  for (const std::string_view name : known) {
    if (key.size() < 2 * name.size() && distance(key, name) <= kTypos) {
      return "no such member; \"" + std::string(name) + "\" is meant?";
    }
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return "no such member; known here: " + names;
}

// JSON's `-?[0-9]+`, whatever its size.
bool is_whole(const Node& node) {
  return node.kind == JsonKind::kNumber && node.text.find_first_of(".eE") == std::string_view::npos;
}

bool fits(std::string_view digits) {
  std::uint32_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  return error == std::errc() && stop == end;
}

bool is_word_of(const Node& node, std::span<const std::string_view> words) {
  if (node.kind != JsonKind::kString) return false;
  return std::ranges::find(words, node.text.substr(1, node.text.size() - 2)) != words.end();
}

bool is_right(const Node& node, Member member) {
  const MemberInfo& one = info(member);
  if (one.kind == Kind::kTruth) {
    return node.kind == JsonKind::kTrue || node.kind == JsonKind::kFalse;
  }
  // A number out of the member's range is check.h's to refuse.
  return one.kind == Kind::kNumber ? is_whole(node) && fits(node.text)
                                   : is_word_of(node, one.words);
}

std::string wrong_value(const Node& node, Member member) {
  std::string text = found(node) + ": " + expectation(member);
  if (info(member).kind == Kind::kNumber && !is_whole(node)) text += ", a whole number";
  if (node.kind == JsonKind::kString && info(member).kind != Kind::kWord) text += " without quotes";
  if (node.kind == JsonKind::kNull) text += "; leave it out to inherit it";
  return text;
}

class ShapeChecker {
 public:
  ShapeChecker(const Outline& outline, std::string_view text) : outline_(outline), text_(text) {}

  Problems run() && {
    for (const Node& node : outline_.nodes()) {
      if (problems_.size() >= kMaxProblems) break;
      roles_.push_back(role_of(node));
    }
    return std::move(problems_);
  }

 private:
  // Notes what is wrong with it, too.
  Role role_of(const Node& node);
  Role role_in_file(const Node& node);
  Role role_in_vms(const Node& node);
  Role role_in_set(const Node& node, bool of_vm);
  Role expect(const Node& node, JsonKind kind, Role role, std::string_view expected);
  Role add(const Node& node, std::string what) {
    problems_.push_back(
        {outline_.place_of(node), std::move(what), position_of(text_, node.offset)});
    return Role::kIgnored;
  }

  const Outline& outline_;
  std::string_view text_;
  std::vector<Role> roles_;  // by node
  Problems problems_;
};

Role ShapeChecker::expect(const Node& node, JsonKind kind, Role role, std::string_view expected) {
  if (node.kind == kind) return role;
  return add(node, found(node) + ": must be " + std::string(expected));
}

Role ShapeChecker::role_in_file(const Node& node) {
  if (node.key == "version") {
    const bool good = is_whole(node) && fits(node.text);
    return good ? Role::kIgnored : add(node, found(node) + ": must be 1");
  }
  if (node.key == "default") {
    return expect(node, JsonKind::kObject, Role::kDefault, "an object: {...}");
  }
  if (node.key == "vms") {
    return expect(node, JsonKind::kArray, Role::kVms, "an array of objects: [{...}, ...]");
  }
  return add(node, unknown_member(node.key, kFileMembers));
}

Role ShapeChecker::role_in_vms(const Node& node) {
  if (node.index == kMaxVms) {
    return add(node, "one too many: must be at most " + std::to_string(kMaxVms));
  }
  if (node.index > kMaxVms) return Role::kIgnored;
  return expect(node, JsonKind::kObject, Role::kVm, "an object: {\"name\": ...}");
}

Role ShapeChecker::role_in_set(const Node& node, bool of_vm) {
  if (node.key == "name") {
    return expect(node, JsonKind::kString, Role::kIgnored, "a pattern in double quotes");
  }
  const auto member = member_of_name(node.key);
  if (member)
    return is_right(node, *member) ? Role::kIgnored : add(node, wrong_value(node, *member));
  std::vector<std::string_view> known;
  if (of_vm) known.emplace_back("name");
  for (std::size_t i = 0; i < kMembers; ++i) known.push_back(info(member_at(i)).name);
  return add(node, unknown_member(node.key, known));
}

Role ShapeChecker::role_of(const Node& node) {
  if (roles_.empty()) {
    return expect(node, JsonKind::kObject, Role::kFile, "an object: {\"version\": 1, ...}");
  }
  switch (roles_[node.parent]) {
    case Role::kFile:
      return role_in_file(node);
    case Role::kVms:
      return role_in_vms(node);
    case Role::kDefault:
      return role_in_set(node, false);
    case Role::kVm:
      return role_in_set(node, true);
    case Role::kIgnored:
      break;
  }
  return Role::kIgnored;
}

}  // namespace

Problems check_shape(const Outline& outline, std::string_view text) {
  return ShapeChecker(outline, text).run();
}

}  // namespace memfail::policy

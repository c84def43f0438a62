// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/outline.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <utility>

#include "sidecar/policy/utf8.h"

namespace memfail::policy {
namespace {

constexpr std::size_t kShown = 40;  // characters of what is found

bool is_digit(char c) { return c >= '0' && c <= '9'; }
// The 16 bits of a \uXXXX whose digits begin `text`; none: not four of them.
std::optional<unsigned> unit_of(std::string_view text) {
  unsigned unit = 0;
  const char* const end = text.data() + std::min<std::size_t>(text.size(), 4);
  const auto [stop, error] = std::from_chars(text.data(), end, unit, 16);
  return error == std::errc() && stop - text.data() == 4 ? std::optional(unit) : std::nullopt;
}

bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
         c == '+' || c == '.';
}

}  // namespace

// Recursive descent; each step is false after a problem was noted.
class OutlineReader {
 public:
  explicit OutlineReader(std::string_view text) : text_(text) { outline_.without_comments_ = text; }

  std::expected<Outline, Problem> run() {
    if (skip() && read_value(Node{}, 1) && skip() && at_end()) return std::move(outline_);
    return std::unexpected(std::move(problem_));
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';  // NUL is not in the text
  }
  bool fail(std::size_t offset, std::string what) {
    problem_ = {"", std::move(what), position_of(text_, offset)};
    return false;
  }
  bool refuse(const std::string& expected) {
    return fail(at_, "found " + found() + ", expected " + expected);
  }
  bool at_end() { return at_ == text_.size() || refuse("the end of the file"); }

  std::string found() const;
  bool skip();
  bool skip_comment();
  bool read_value(Node node, std::size_t depth);
  bool read_object(std::size_t self, std::size_t depth);
  bool read_array(std::size_t self, std::size_t depth);
  bool read_member(std::size_t self, std::size_t index, std::size_t depth);
  bool read_string();
  bool read_escape();
  bool read_unicode_escape();
  bool read_number();
  bool read_literal(Node& node);
  bool next_or_end(char end, std::size_t opened, bool& more);
  bool note_key(std::size_t self, const Node& node);

  std::string_view text_;
  std::size_t at_ = 0;
  Outline outline_;
  Problem problem_;
  // Of each object that is open: where its keys stand.
  std::vector<std::unordered_map<std::string_view, std::size_t>> keys_;
};

std::string OutlineReader::found() const {
  if (at_ == text_.size()) return "the end of the file";
  if (peek() == '"') return "a string";
  std::size_t size = 0;
  while (is_word(peek(size))) ++size;
  if (size == 0) size = decode(text_.substr(at_)).size;
  return "'" + shown(text_.substr(at_, size), kShown) + "'";
}

bool OutlineReader::skip_comment() {
  const std::size_t begin = at_;
  const bool line = peek(1) == '/';
  const std::size_t end = text_.find(line ? "\n" : "*/", begin + 2);
  if (end == std::string_view::npos && !line) {
    return fail(begin, "found a comment that does not end, expected '*/' after it");
  }
  at_ = end == std::string_view::npos ? text_.size() : end + (line ? 0 : 2);
  std::string& blank = outline_.without_comments_;
  for (std::size_t i = begin; i < at_; ++i) {
    if (blank[i] != '\n') blank[i] = ' ';
  }
  return true;
}

bool OutlineReader::skip() {
  for (;;) {
    const char c = peek();
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at_;
    } else if (c == '/' && (peek(1) == '/' || peek(1) == '*')) {
      if (!skip_comment()) return false;
    } else {
      return true;
    }
  }
}

// A character beyond 16 bits takes two of them: a high surrogate, then a low one.
bool OutlineReader::read_unicode_escape() {
  const auto unit = unit_of(text_.substr(at_ + 2));
  if (!unit) return fail(at_, "found \\u, expected \\u and four hexadecimal digits");
  const bool high = *unit >= 0xD800 && *unit < 0xDC00;
  const bool low = *unit >= 0xDC00 && *unit < 0xE000;
  const auto next =
      high && text_.substr(at_ + 6).starts_with("\\u") ? unit_of(text_.substr(at_ + 8)) : unit;
  if (low || (high && (!next || *next < 0xDC00 || *next >= 0xE000))) {
    return fail(at_, "found half a surrogate pair, expected both halves");
  }
  at_ += high ? 12 : 6;
  return true;
}

bool OutlineReader::read_escape() {
  const char c = peek(1);
  if (c == 'u') return read_unicode_escape();
  if (c == '\0' || std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) {
    return fail(at_, R"(found a backslash, expected one of \" \\ \/ \b \f \n \r \t \uXXXX)");
  }
  at_ += 2;
  return true;
}

bool OutlineReader::read_string() {
  const std::size_t begin = at_++;
  while (peek() != '"') {
    if (at_ == text_.size() || peek() == '\n') {
      return fail(begin, "found a string that does not end, expected '\"' in the same line");
    }
    if (static_cast<unsigned char>(peek()) < 0x20) {
      return fail(at_, "found a control character in a string, expected an escape like \\t");
    }
    if (peek() != '\\') {
      ++at_;
    } else if (!read_escape()) {
      return false;
    }
  }
  ++at_;
  return true;
}

// Whether it is a number that JSON knows: -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
bool OutlineReader::read_number() {
  const std::size_t begin = at_;
  const auto digits = [&] {
    const std::size_t first = at_;
    while (is_digit(peek())) ++at_;
    return at_ > first;
  };
  if (peek() == '-') ++at_;
  const bool zero = peek() == '0';
  const std::size_t first = at_;
  bool good = digits() && (!zero || at_ == first + 1);
  if (good && peek() == '.') {
    ++at_;
    good = digits();
  }
  if (good && (peek() == 'e' || peek() == 'E')) {
    at_ += peek(1) == '+' || peek(1) == '-' ? 2 : 1;
    good = digits();
  }
  if (good && !is_word(peek())) return true;
  at_ = begin;
  return refuse("a number as JSON has it");
}

bool OutlineReader::read_literal(Node& node) {
  constexpr std::pair<std::string_view, JsonKind> kLiterals[] = {
      {"true", JsonKind::kTrue}, {"false", JsonKind::kFalse}, {"null", JsonKind::kNull}};
  for (const auto& [name, kind] : kLiterals) {
    if (!text_.substr(at_).starts_with(name) || is_word(peek(name.size()))) continue;
    node.kind = kind;
    at_ += name.size();
    return true;
  }
  return refuse("a value: a string in double quotes, a number, true, false, '{' or '['");
}

bool OutlineReader::read_value(Node node, std::size_t depth) {
  if (depth > kMaxDepth) {
    return fail(at_, "more than " + std::to_string(kMaxDepth) + " levels deep");
  }
  const std::size_t begin = at_;
  if (node.key.data() == nullptr) node.offset = begin;
  const char c = peek();
  if (c == '{' || c == '[') {
    node.kind = c == '{' ? JsonKind::kObject : JsonKind::kArray;
    node.text = text_.substr(at_++, 1);
    const std::size_t self = outline_.nodes_.size();
    outline_.nodes_.push_back(node);
    return c == '{' ? read_object(self, depth) : read_array(self, depth);
  }
  bool good = false;
  if (c == '"') {
    node.kind = JsonKind::kString;
    good = read_string();
  } else if (c == '-' || is_digit(c)) {
    node.kind = JsonKind::kNumber;
    good = read_number();
  } else {
    good = read_literal(node);
  }
  node.text = text_.substr(begin, at_ - begin);
  outline_.nodes_.push_back(node);
  return good;
}

// After a value: a comma and something behind it, or the closing bracket.
bool OutlineReader::next_or_end(char end, std::size_t opened, bool& more) {
  if (!skip()) return false;
  more = peek() == ',';
  if (more || peek() == end) {
    ++at_;
    return true;
  }
  std::string expected = std::string("',' or '") + end + "'";
  if (at_ == text_.size()) {
    const Position open = position_of(text_, opened);
    expected +=
        " for the bracket of " + std::to_string(open.line) + ":" + std::to_string(open.column);
  }
  return refuse(expected);
}

bool OutlineReader::note_key(std::size_t self, const Node& node) {
  const auto [earlier, fresh] = keys_.back().emplace(node.key, node.offset);
  if (fresh) return true;
  std::string place = outline_.place_of(outline_.nodes_[self]);
  place += (place.empty() ? "" : ".") + shown(node.key, kShown);
  const Position first = position_of(text_, earlier->second);
  fail(node.offset,
       "given twice, first at " + std::to_string(first.line) + ":" + std::to_string(first.column));
  problem_.place = std::move(place);
  return false;
}

bool OutlineReader::read_member(std::size_t self, std::size_t index, std::size_t depth) {
  if (peek() != '"') return refuse("a member's name in double quotes");
  Node node;
  node.parent = self;
  node.index = index;
  node.offset = at_;
  if (!read_string()) return false;
  node.key = text_.substr(node.offset + 1, at_ - node.offset - 2);
  if (!note_key(self, node) || !skip()) return false;
  if (peek() != ':') return refuse("':' after the name \"" + shown(node.key, kShown) + '"');
  ++at_;
  return skip() && read_value(node, depth + 1);
}

bool OutlineReader::read_object(std::size_t self, std::size_t depth) {
  const std::size_t opened = at_ - 1;
  if (!skip()) return false;
  if (peek() == '}') {
    ++at_;
    return true;
  }
  keys_.emplace_back();
  bool more = true;
  for (std::size_t index = 0; more; ++index) {
    if (!skip() || !read_member(self, index, depth) || !next_or_end('}', opened, more))
      return false;
  }
  keys_.pop_back();
  return true;
}

bool OutlineReader::read_array(std::size_t self, std::size_t depth) {
  const std::size_t opened = at_ - 1;
  if (!skip()) return false;
  if (peek() == ']') {
    ++at_;
    return true;
  }
  bool more = true;
  for (std::size_t index = 0; more; ++index) {
    Node node;
    node.parent = self;
    node.index = index;
    if (!skip() || !read_value(node, depth + 1) || !next_or_end(']', opened, more)) return false;
  }
  return true;
}

std::expected<Outline, Problem> Outline::read(std::string_view text) {
  return OutlineReader(text).run();
}

std::string Outline::place_of(const Node& node) const {
  std::string place;
  const Node* one = &node;
  while (one != nodes_.data()) {
    const Node& parent = nodes_[one->parent];
    const bool in_array = parent.kind == JsonKind::kArray;
    std::string step =
        in_array ? "[" + std::to_string(one->index) + "]" : "." + shown(one->key, kShown);
    place.insert(0, step);
    one = &parent;
  }
  return place.starts_with('.') ? place.substr(1) : place;
}

// Linear, and asked for a few problems only.
const Node& Outline::nearest(std::string_view place) const {
  while (!place.empty()) {
    const auto found = std::find_if(nodes_.begin(), nodes_.end(),
                                    [&](const Node& node) { return place_of(node) == place; });
    if (found != nodes_.end()) return *found;
    const std::size_t end = place.find_last_of(".[");
    place = place.substr(0, end == std::string_view::npos ? 0 : end);
  }
  return nodes_.front();
}

}  // namespace memfail::policy

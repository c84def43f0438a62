// SPDX-License-Identifier: BSD-3-Clause
//
// A decision written down as text: one rule a line, the first that fits decides.
// Left of "->" one cell a column: a value's name, several with "/" between, or
// "*"; right of it the results, as words.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace memfail::decision::testing {

struct Column {
  std::string name;
  std::vector<std::string> values;
};

class RuleTable {
 public:
  struct Row {
    std::string text;
    std::vector<std::uint64_t> masks;
    std::vector<std::string> results;
    std::uint64_t hits = 0;
  };

  RuleTable(std::vector<Column> columns, std::string_view text) : columns_(std::move(columns)) {
    std::istringstream lines{std::string(text)};
    for (std::string line; std::getline(lines, line);) {
      if (line.find("->") != std::string::npos) {
        rows_.push_back(parse(line));
      }
    }
  }

  std::vector<Row>& rows() { return rows_; }
  const std::vector<Column>& columns() const { return columns_; }

  // The row that decides for these values (indexes, by column); null: none.
  Row* match(const std::vector<std::uint32_t>& values) {
    for (Row& row : rows_) {
      if (fits(row, values)) {
        ++row.hits;
        return &row;
      }
    }
    return nullptr;
  }

  std::string describe(const std::vector<std::uint32_t>& values) const {
    std::string text;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      text += columns_[i].name + "=" + columns_[i].values[values[i]] + " ";
    }
    return text;
  }

  void expect_every_row_hit() const {
    for (const Row& row : rows_) {
      EXPECT_GT(row.hits, 0u) << "no combination of inputs reaches: " << row.text;
    }
  }

 private:
  static bool fits(const Row& row, const std::vector<std::uint32_t>& values) {
    for (std::size_t i = 0; i < row.masks.size(); ++i) {
      if (((row.masks[i] >> values[i]) & 1) == 0) {
        return false;
      }
    }
    return true;
  }

  static std::uint64_t parse_cell(const Column& column, const std::string& cell) {
    if (cell == "*") {
      return ~std::uint64_t{0};
    }
    std::uint64_t mask = 0;
    std::istringstream names(cell);
    for (std::string name; std::getline(names, name, '/');) {
      std::size_t value = 0;
      while (value < column.values.size() && column.values[value] != name) {
        ++value;
      }
      EXPECT_LT(value, column.values.size()) << column.name << " has no value " << name;
      mask |= std::uint64_t{1} << value;
    }
    return mask;
  }

  Row parse(const std::string& line) const {
    Row row;
    row.text = line;
    std::istringstream words(line);
    std::string word;
    while (words >> word && word != "->") {
      EXPECT_LT(row.masks.size(), columns_.size()) << line;
      row.masks.push_back(parse_cell(columns_[row.masks.size()], word));
    }
    EXPECT_EQ(row.masks.size(), columns_.size()) << line;
    while (words >> word) {
      row.results.push_back(word);
    }
    return row;
  }

  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

// Calls `visit` with every combination of values.
template <typename Visit>
void for_every_combination(const std::vector<std::uint32_t>& sizes, Visit visit) {
  std::vector<std::uint32_t> values(sizes.size(), 0);
  for (;;) {
    visit(values);
    std::size_t i = 0;
    while (i < sizes.size() && ++values[i] == sizes[i]) {
      values[i++] = 0;
    }
    if (i == sizes.size()) {
      return;
    }
  }
}

}  // namespace memfail::decision::testing

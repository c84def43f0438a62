// SPDX-License-Identifier: BSD-3-Clause
//
// Events as rows of a table that has no end: what the columns need is decided by the
// width, not by rows still to come.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace memfail::ctl {

class EventTable {
 public:
  struct Style {
    bool colour = false;
    std::size_t width = 0;  // of the terminal; 0: none, one line an event however long
  };

  explicit EventTable(Style style);

  std::string header() const;

  // Where the terminal is too narrow for the reason beside the columns it stands below
  // them, and a narrower one also gets the date in a line of its own.
  std::string row(const nlohmann::json& event);

 private:
  struct Cell {
    std::string text;
    std::size_t width = 0;
    bool right = false;
    const char* colour = nullptr;
  };

  std::vector<Cell> cells_of(const nlohmann::json& event);
  std::vector<Cell> titles() const;
  std::string line_of(const std::vector<Cell>& cells) const;
  std::string reason_of(const nlohmann::json& event) const;
  std::string vm_of(const nlohmann::json& event);
  std::string day_line(const nlohmann::json& event);

  Style style_;
  bool beside_;  // the reason beside the columns
  bool wide_;    // date, size and result have columns
  std::size_t vm_width_ = 12;
  std::string day_;  // last one shown on a line of its own
};

}  // namespace memfail::ctl

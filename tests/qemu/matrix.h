// SPDX-License-Identifier: BSD-3-Clause
//
// Rows of a matrix: each is tried, compared, and named where the two sides differ.
#pragma once

#include <gtest/gtest.h>

#include <iostream>
#include <stdexcept>
#include <string>

#include "tests/qemu/answer.h"
#include "tests/unit/decision/rule_table.h"

namespace memfail::qemu {

// Every combination of what KVM lets a guest set.
inline const std::vector<std::uint32_t> kStateSizes = {2, 2, 2, 2, 3};

inline State state_of(const std::vector<std::uint32_t>& values) {
  return {values[0] != 0, values[1] != 0, values[2] != 0, values[3] != 0,
          static_cast<Bank>(values.size() > 4 ? values[4] : 0)};
}

class Matrix {
 public:
  // `row` is its inputs in words: whatever fails in it names them.
  template <typename Try>
  void attempt(const std::string& row, Try attempt_row) {
    SCOPED_TRACE(row);
    try {
      attempt_row();
      ++rows_;
    } catch (const std::exception& error) {
      throw std::runtime_error(row + ": " + error.what());
    }
  }

  static void compare(const Answer& qemu, const Expectation& ours) {
    const std::string seen = text(qemu);
    const std::string expected = text(ours.answer());
    if (seen == expected) return;
    ADD_FAILURE() << "QEMU:\n" << seen << "the policy `qemu`:\n" << expected;
  }

  unsigned rows() const { return rows_; }

 private:
  unsigned rows_ = 0;
};

}  // namespace memfail::qemu

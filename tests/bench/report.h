// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/samples.h"

namespace memfail::bench {

// One thing measured in one placement.
struct Row {
  std::string name;
  std::string placement;
  std::size_t rounds = 0;
  Quantiles ns;
  std::string compared_with;  // the row of the same placement it is held against
  double ratio = 0;           // of the medians; with compared_with
  std::vector<std::pair<std::string, double>> counts;  // what else is worth knowing
};

struct Skipped {
  std::string name;
  std::string reason;
};

struct Report {
  std::vector<Row> rows;
  std::vector<Skipped> skipped;
};

Row make_row(const std::string& name, const std::string& placement, const Samples& samples);
// The same, with its ratio to a row that was measured in turns with it.
Row make_row(const std::string& name, const Samples& samples, const Row& compared_with);

void print_table(std::ostream& out, const Report& report);
// One object on one line.
void print_json(std::ostream& out, const Report& report);

}  // namespace memfail::bench

// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/report.h"

#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>

namespace memfail::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kNameWidth = 28;
constexpr int kPlacementWidth = 16;
constexpr int kNumberWidth = 11;

Json row_json(const Row& row) {
  Json json = {{"name", row.name},     {"placement", row.placement},
               {"rounds", row.rounds}, {"median-ns", row.ns.median},
               {"p99-ns", row.ns.p99}, {"p999-ns", row.ns.p999}};
  if (!row.compared_with.empty()) {
    json["compared-with"] = row.compared_with;
    json["ratio"] = row.ratio;
  }
  for (const auto& [name, value] : row.counts) json["counts"][name] = value;
  return json;
}

void print_row(std::ostream& out, const Row& row) {
  out << std::left << std::setw(kNameWidth) << row.name << std::setw(kPlacementWidth)
      << row.placement << std::right;
  for (const std::uint64_t ns : {row.ns.median, row.ns.p99, row.ns.p999}) {
    out << std::setw(kNumberWidth) << ns;
  }
  if (!row.compared_with.empty()) {
    out << std::fixed << std::setprecision(2) << std::setw(7) << row.ratio << " x "
        << row.compared_with;
  }
  out << "\n";
}

// A line of its own: most rows have none.
void print_counts(std::ostream& out, const Row& row) {
  if (row.counts.empty()) return;
  out << "  " << row.placement << ":";
  for (const auto& [name, value] : row.counts) {
    out << "  " << name << " " << std::defaultfloat << std::setprecision(4) << value;
  }
  out << "\n";
}

void print_all_counts(std::ostream& out, const Report& report) {
  std::string name;
  for (const Row& row : report.rows) {
    if (row.counts.empty()) continue;
    if (row.name != name) out << "\n" << row.name << "\n";
    name = row.name;
    print_counts(out, row);
  }
}

}  // namespace

Row make_row(const std::string& name, const std::string& placement, const Samples& samples) {
  Row row;
  row.name = name;
  row.placement = placement;
  row.rounds = samples.count();
  row.ns = samples.quantiles();
  return row;
}

Row make_row(const std::string& name, const Samples& samples, const Row& compared_with) {
  Row row = make_row(name, compared_with.placement, samples);
  row.compared_with = compared_with.name;
  const auto base = static_cast<double>(compared_with.ns.median);
  row.ratio = base > 0 ? static_cast<double>(row.ns.median) / base : 0;
  return row;
}

void print_table(std::ostream& out, const Report& report) {
  out << std::left << std::setw(kNameWidth) << "nanoseconds" << std::setw(kPlacementWidth)
      << "placement" << std::right;
  for (const char* title : {"median", "p99", "p99.9"}) out << std::setw(kNumberWidth) << title;
  out << std::setw(7) << "ratio" << "\n";
  for (const Row& row : report.rows) print_row(out, row);
  print_all_counts(out, report);
  for (const Skipped& one : report.skipped) {
    out << "\nSKIPPED " << one.name << ": " << one.reason << "\n";
  }
}

void print_json(std::ostream& out, const Report& report) {
  Json json;
  json["rows"] = Json::array();
  for (const Row& row : report.rows) json["rows"].push_back(row_json(row));
  json["skipped"] = Json::array();
  for (const Skipped& one : report.skipped) {
    json["skipped"].push_back({{"name", one.name}, {"reason", one.reason}});
  }
  out << json.dump() << "\n";
}

}  // namespace memfail::bench

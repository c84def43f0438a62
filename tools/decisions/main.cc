// SPDX-License-Identifier: BSD-3-Clause
//
// memfail-decisions [--check] PROSE PAGE: makes docs/decisions.md, or says whether it
// has to be made again.
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tools/decisions/page.h"

namespace memfail::docs {
namespace {

std::string contents(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  if (!in) throw std::runtime_error("'" + path + "': cannot be read");
  return out.str();
}

void write(const std::string& path, const std::string& page) {
  std::ofstream out(path);
  out << page << std::flush;
  if (!out) throw std::runtime_error("'" + path + "': cannot be written");
}

// The first line in which they differ.
void show_difference(const std::string& path, const std::string& is, const std::string& should) {
  std::istringstream left(is);
  std::istringstream right(should);
  std::string committed;
  std::string decided;
  int line = 0;
  do {
    ++line;
    if (!std::getline(left, committed)) committed = "(the end)";
    if (!std::getline(right, decided)) decided = "(the end)";
  } while (committed == decided && left && right);
  std::cerr << path << ':' << line << ": is not what the code decides\n"
            << "  is:     " << committed << '\n'
            << "  should: " << decided << '\n'
            << "Make it again, look at the difference, and commit it:\n"
            << "  cmake --build build/release --target decisions-page && git diff docs\n";
}

int run(const std::vector<std::string>& arguments) {
  const bool check = !arguments.empty() && arguments.front() == "--check";
  if (arguments.size() != (check ? 3U : 2U)) {
    throw std::runtime_error("usage: memfail-decisions [--check] PROSE PAGE");
  }
  const std::string& path = arguments.back();
  const std::string page = filled(contents(arguments[arguments.size() - 2]));
  if (!check) {
    write(path, page);
    return 0;
  }
  const std::string committed = contents(path);
  if (committed == page) return 0;
  show_difference(path, committed, page);
  return 1;
}

}  // namespace
}  // namespace memfail::docs

int main(int argc, char** argv) {
  try {
    return memfail::docs::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "memfail-decisions: " << error.what() << '\n';
    return 1;
  }
}

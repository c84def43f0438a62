// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/huge_pages.h"

#include <fstream>
#include <string>

namespace memfail::scenarios {
namespace {

constexpr long kNeeded = 3;  // a guest's two, and one in place of a broken one
const std::string kPool = "/sys/kernel/mm/hugepages/hugepages-2048kB/";

long read_number(const std::string& name) {
  long value = -1;
  std::ifstream(kPool + name) >> value;
  return value;
}

void set_pool(long pages) { std::ofstream(kPool + "nr_hugepages") << pages << std::flush; }

}  // namespace

// Without the right to write it, or without memory in one piece, the pool stays as
// it is and the scenario says so.
LentHugePages::LentHugePages() {
  const long free = read_number("free_hugepages");
  const long size = read_number("nr_hugepages");
  if (free < 0 || size < 0 || free >= kNeeded) return;
  before_ = size;
  set_pool(size + kNeeded - free);
}

LentHugePages::~LentHugePages() {
  if (before_ >= 0) set_pool(before_);
}

}  // namespace memfail::scenarios

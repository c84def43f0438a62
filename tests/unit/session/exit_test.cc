// SPDX-License-Identifier: BSD-3-Clause
//
// The end of a VM whose memory somebody still writes: a thread after a goodbye, or a child
// of the process that died.
#include <gtest/gtest.h>

#include "served_vm.h"

namespace memfail::session {
namespace {

using test::ServedVm;

constexpr std::uint32_t kVcpus = 2;
constexpr std::uint64_t kPages = 256;  // of its RAM, each with an event of its own

TEST(Exit, EndsThoughEachEventBringsAnotherIncident) {
  ServedVm vm(kVcpus);
  decision::Rules rules;
  rules.storm_pages = 100'000;
  vm.session().set_rules(rules);
  std::uint64_t page = 0;
  const auto write_one = [&] {
    if (page == kPages) return;
    const auto claim = vm.write_report(static_cast<std::uint32_t>(page % kVcpus), page);
    if (!claim) return;
    vm.write_outcome(*claim);
    ++page;
  };
  vm.host().on_event = write_one;
  for (std::uint32_t vcpu = 0; vcpu < kVcpus; ++vcpu) write_one();
  vm.session().exit();
  EXPECT_GT(page, kVcpus) << "it wrote on";
  EXPECT_LT(page, kPages) << "and nobody waited for its end";
}

}  // namespace
}  // namespace memfail::session

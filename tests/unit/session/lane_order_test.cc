// SPDX-License-Identifier: BSD-3-Clause
//
// Events of one lane come in the order in which its incidents ended, whatever cells
// they stand in and whenever a pass looks.
#include <gmock/gmock.h>

#include <cstdint>
#include <vector>

#include "served_vm.h"

namespace memfail::session {
namespace {

using test::ServedVm;
using ::testing::ElementsAre;

class LaneOrderTest : public ::testing::Test {
 protected:
  void serve() {
    const auto served = vm_.session().serve();
    EXPECT_TRUE(served) << served.error().text;
  }
  // One more report, of a page that had none.
  shm::Claim report() {
    const auto claim = vm_.write_report(0, ++pages_);
    EXPECT_TRUE(claim);
    return claim.value_or(shm::Claim());
  }
  void incident() { vm_.write_outcome(report()); }

  // Sequences of the events so far.
  std::vector<std::uint64_t> told() {
    const journal::RecordStore& records = vm_.host().records();
    std::vector<std::uint64_t> sequences;
    for (std::uint64_t seq = records.first_seq(); seq < records.next_seq(); ++seq) {
      sequences.push_back(records.event(seq)->sequence());
    }
    return sequences;
  }

  ServedVm vm_{1};
  std::uint64_t pages_ = 0;
};

TEST_F(LaneOrderTest, HoldsWhereTheLaneGoesOnInItsFirstCell) {
  for (int i = 0; i < 2; ++i) incident();
  serve();
  for (int i = 0; i < 4; ++i) incident();  // 3 and 4 in the last cells, 5 and 6 in the first
  serve();
  EXPECT_THAT(told(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(LaneOrderTest, HoldsWhereAnOlderOneEndsDuringThePass) {
  const shm::Claim first = report();
  vm_.write_outcome(report());  // an action-required one may come before an optional one
  const shm::Claim third = report();
  vm_.host().on_event = [&] {
    vm_.host().on_event = {};
    vm_.write_outcome(first);
    vm_.write_outcome(third);
  };
  serve();
  EXPECT_THAT(told(), ElementsAre(2, 1, 3));
}

TEST_F(LaneOrderTest, HoldsForWhatAVmLeavesOpen) {
  for (int i = 0; i < 2; ++i) incident();
  serve();
  for (int i = 0; i < 4; ++i) report();
  vm_.session().exit();
  EXPECT_THAT(told(), ElementsAre(1, 2, 3, 4, 5, 6));
}

}  // namespace
}  // namespace memfail::session

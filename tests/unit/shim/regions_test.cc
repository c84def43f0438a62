// SPDX-License-Identifier: BSD-3-Clause
//
// Memory transactions. What the shim holds is seen through a sidecar that counts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"

namespace memfail::test {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class RegionsTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(sidecar_.attach(vm_)); }

  void begin() { memfail_regions_begin(vm_.shim()); }
  int add(const memfail_region& added) { return memfail_regions_add(vm_.shim(), &added, &error_); }
  int remove(std::uint32_t slot) { return memfail_regions_remove(vm_.shim(), slot, &error_); }
  int commit() { return memfail_regions_commit(vm_.shim(), &error_); }
  // What a refused transaction must leave behind: nothing for the sidecar to do, and
  // a table in which the old regions are.
  void expect_unchanged() {
    begin();
    EXPECT_EQ(add(region(900, 0x9000'0000, kPage, 0x9000'0000)), 0);
    EXPECT_EQ(commit(), 0) << error_.text;
    EXPECT_TRUE(sidecar_.take_until_commit());
    sidecar_.send_ack(sidecar_.commit_id());
    memfail_shim_dispatch(vm_.shim());
    EXPECT_THAT(sidecar_.slots(), UnorderedElementsAre(0, 900));
    EXPECT_EQ(sidecar_.commit_regions(), 2U);
  }

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  TestVm vm_{[this](memfail_config& config) {
    config.socket_path = path_.c_str();
    config.max_regions = 4;
  }};
  memfail_error error_{};
};

TEST_F(RegionsTest, BecomeVisibleWithTheCommitOnly) {
  begin();
  EXPECT_EQ(add(region(1, 0, kPage, 0x1000)), 0);
  EXPECT_EQ(remove(0), 0);
  EXPECT_THAT(sidecar_.slots(), UnorderedElementsAre(0));
  EXPECT_EQ(commit(), 0);
  ASSERT_TRUE(sidecar_.take_until_commit());
  EXPECT_THAT(sidecar_.slots(), UnorderedElementsAre(1));
}

TEST_F(RegionsTest, ABegunTransactionThatIsBegunAgainIsForgotten) {
  begin();
  EXPECT_EQ(remove(0), 0);
  begin();
  EXPECT_EQ(add(region(1, 0, kPage, 0x1000)), 0);
  EXPECT_EQ(commit(), 0);
  ASSERT_TRUE(sidecar_.take_until_commit());
  EXPECT_THAT(sidecar_.slots(), UnorderedElementsAre(0, 1));
}

TEST_F(RegionsTest, AreRefusedUnalignedAndNameTheField) {
  memfail_region bad = region(1, 0x1001, kPage, 0x1000);
  begin();
  ASSERT_EQ(add(bad), 0);
  EXPECT_EQ(commit(), -EINVAL);
  EXPECT_THAT(error_.text, HasSubstr("gpa"));
  EXPECT_THAT(error_.text, HasSubstr("1"));
  expect_unchanged();
}

TEST_F(RegionsTest, AreRefusedWhenTheyWrap) {
  begin();
  ASSERT_EQ(add(region(1, ~std::uint64_t{0} - 2 * kPage + 1, 4 * kPage, 0x1000)), 0);
  EXPECT_EQ(commit(), -EINVAL);
  EXPECT_THAT(error_.text, HasSubstr("1"));
  expect_unchanged();
}

TEST_F(RegionsTest, AreRefusedWhenTheyOverlapInGuestAddressAndNameBoth) {
  begin();
  ASSERT_EQ(add(region(7, kRamGpa + kPage, kPage, 0x1000)), 0);
  EXPECT_EQ(commit(), -EEXIST);
  EXPECT_THAT(error_.text, HasSubstr("7"));
  EXPECT_THAT(error_.text, HasSubstr("0"));
  expect_unchanged();
}

TEST_F(RegionsTest, MayOverlapInAnotherAddressSpaceAndInHostAddress) {
  memfail_region smm = region(1, kRamGpa, kPage, vm_.hva());
  smm.address_space = 1;
  begin();
  ASSERT_EQ(add(smm), 0);
  EXPECT_EQ(commit(), 0) << error_.text;
}

TEST_F(RegionsTest, AreRefusedWithFlagsNobodyKnows) {
  memfail_region bad = region(1, 0, kPage, 0x1000);
  bad.flags = 32;
  begin();
  EXPECT_EQ(add(bad), -EINVAL);
  EXPECT_THAT(error_.text, HasSubstr("flags"));
  EXPECT_THAT(error_.text, HasSubstr("0x20"));
  expect_unchanged();
}

TEST_F(RegionsTest, OneTooManyIsNamedWithTheLimit) {
  begin();
  for (std::uint32_t slot = 1; slot < 4; ++slot) {
    ASSERT_EQ(add(region(slot, slot * kPage, kPage, slot * kPage)), 0);
  }
  EXPECT_EQ(add(region(4, 4 * kPage, kPage, 4 * kPage)), -ENOSPC);
  EXPECT_THAT(error_.text, HasSubstr("4"));
  expect_unchanged();
}

TEST_F(RegionsTest, ASlotInUseIsRefused) {
  begin();
  EXPECT_EQ(add(region(0, 0, kPage, 0x1000)), -EEXIST);
  EXPECT_THAT(error_.text, HasSubstr("slot 0"));
  expect_unchanged();
}

TEST_F(RegionsTest, AMissingSlotIsRefused) {
  begin();
  EXPECT_EQ(remove(17), -ENOENT);
  EXPECT_THAT(error_.text, HasSubstr("slot 17"));
  expect_unchanged();
}

TEST_F(RegionsTest, AnOlderCallersStructHasNoNameAndNoFlags) {
  memfail_region older = region(1, 0, kPage, 0x1000);
  older.struct_size = offsetof(memfail_region, address_space);
  older.flags = 0xFFFF;
  older.name = reinterpret_cast<const char*>(1);
  begin();
  EXPECT_EQ(add(older), 0);
  EXPECT_EQ(commit(), 0) << error_.text;
}

TEST_F(RegionsTest, ReplacedInOneTransactionAreSentAsRemovedAndAdded) {
  vm_.change_regions();
  ASSERT_TRUE(sidecar_.take_until_commit());
  EXPECT_THAT(sidecar_.slots(), UnorderedElementsAre(0));
}

TEST_F(RegionsTest, ChangesMadeWhileACommitIsUnansweredFollowIt) {
  vm_.change_regions();
  begin();
  ASSERT_EQ(add(region(2, 0, kPage, 0x1000)), 0);
  ASSERT_EQ(commit(), 0);
  ASSERT_TRUE(sidecar_.take_until_commit());
  EXPECT_THAT(sidecar_.slots(), UnorderedElementsAre(0));
  sidecar_.send_ack(sidecar_.commit_id());
  memfail_shim_dispatch(vm_.shim());
  ASSERT_TRUE(sidecar_.take_until_commit());
  EXPECT_THAT(sidecar_.slots(), UnorderedElementsAre(0, 2));
}

constexpr std::uint32_t kMany = 32768;

// Fills the table with regions of the longest name at new slots, in one transaction.
void replace_all(const TestVm& vm, std::uint32_t first_slot, std::uint32_t gone_from,
                 std::uint32_t gone) {
  memfail_error error{};
  const std::string name(63, 'n');
  memfail_regions_begin(vm.shim());
  for (std::uint32_t i = 0; i < gone; ++i) {
    ASSERT_EQ(memfail_regions_remove(vm.shim(), gone_from + gone - 1 - i, &error), 0) << error.text;
  }
  for (std::uint32_t i = 0; i < kMany; ++i) {
    memfail_region made = region(first_slot + i, i * kPage, kPage, i * kPage);
    made.name = name.c_str();
    ASSERT_EQ(memfail_regions_add(vm.shim(), &made, &error), 0) << error.text;
  }
  ASSERT_EQ(memfail_regions_commit(vm.shim(), &error), 0) << error.text;
}

TEST(ManyRegions, AFullTableIsReplacedWithoutEverBeingOverfull) {
  const TempDir dir;
  const std::string path = dir.file("s");
  FakeSidecar sidecar(path);
  TestVm vm([&](memfail_config& config) {
    config.socket_path = path.c_str();
    config.max_regions = kMany;
  });
  replace_all(vm, 40000, 0, 1);
  memfail_shim_dispatch(vm.shim());
  ASSERT_TRUE(sidecar.take_hello());
  sidecar.make_reply_area();
  sidecar.send_welcome();
  // The socket holds less than all of it: the rest waits for room.
  const auto finish = [&] {
    std::atomic<bool> taken{false};
    std::thread peer([&] {
      EXPECT_TRUE(sidecar.take_until_commit());
      taken.store(true);
    });
    for (int turn = 0; turn < 1000 && !taken.load(); ++turn) {
      memfail_shim_dispatch(vm.shim());
      pollfd wait{memfail_shim_fd(vm.shim()), POLLIN, 0};
      ::poll(&wait, 1, 100);
    }
    peer.join();
    sidecar.send_ack(sidecar.commit_id());
    memfail_shim_dispatch(vm.shim());
  };
  finish();
  EXPECT_EQ(vm.status().state, MEMFAIL_ATTACHED) << vm.status().last_error;
  EXPECT_EQ(sidecar.commit_regions(), kMany);
  replace_all(vm, 1, 40000, kMany);
  finish();
  EXPECT_EQ(sidecar.slots().size(), kMany);
  EXPECT_EQ(sidecar.most_regions(), kMany) << "a sidecar refuses what is beyond its limit";
}

}  // namespace
}  // namespace memfail::test

// SPDX-License-Identifier: BSD-3-Clause
#include "shm/lane.h"

#include <gtest/gtest.h>

#include "tests/unit/shm/areas.h"

namespace memfail::shm {
namespace {

using testing::Areas;

TEST(ALane, GivesItsFourCellsInOrderAndThenIsFull) {
  const Areas areas;
  for (std::uint64_t n = 1; n <= 4; ++n) {
    const auto claim = claim_in_lane(areas.shim_request(), areas.shim_reply(), 1);
    ASSERT_TRUE(claim);
    EXPECT_EQ(claim->n, n);
    EXPECT_EQ(claim->id, (CellId{1, static_cast<std::uint32_t>(n - 1)}));
  }
  EXPECT_FALSE(claim_in_lane(areas.shim_request(), areas.shim_reply(), 1));
  EXPECT_FALSE(claim_in_lane(areas.shim_request(), areas.shim_reply(), 1));
  EXPECT_TRUE(claim_in_lane(areas.shim_request(), areas.shim_reply(), 0)) << "another's lane";
}

TEST(ALane, IsFreedByRetirementInTheOrderOfItsRing) {
  const Areas areas;
  for (int i = 0; i < 4; ++i) claim_in_lane(areas.shim_request(), areas.shim_reply(), 0);
  areas.retire({0, 1}, 2);  // out of order: cell 0 is still the next one
  EXPECT_FALSE(claim_in_lane(areas.shim_request(), areas.shim_reply(), 0));
  areas.retire({0, 0}, 1);
  for (std::uint64_t n = 5; n <= 6; ++n) {
    const auto claim = claim_in_lane(areas.shim_request(), areas.shim_reply(), 0);
    ASSERT_TRUE(claim);
    EXPECT_EQ(claim->n, n);
  }
  EXPECT_FALSE(claim_in_lane(areas.shim_request(), areas.shim_reply(), 0));
}

TEST(ALane, GoesRoundForTenThousandIncidents) {
  const Areas areas;
  for (std::uint64_t n = 1; n <= 10'000; ++n) {
    const auto claim = claim_in_lane(areas.shim_request(), areas.shim_reply(), 0);
    ASSERT_TRUE(claim) << n;
    ASSERT_EQ(claim->n, n);
    ASSERT_EQ(claim->id.cell, (n - 1) % 4);
    areas.retire(claim->id, n);
  }
}

TEST(ALane, IsFreedByItsFreedWordsAfterAReAttach) {
  const Areas areas;
  for (int i = 0; i < 4; ++i) claim_in_lane(areas.shim_request(), areas.shim_reply(), 0);
  areas.retire({0, 0}, 1);
  areas.retire({0, 1}, 2);
  keep_retired(areas.shim_request(), areas.shim_reply());
  EXPECT_EQ(areas.shim_request().freed({0, 0}), 1U);
  EXPECT_EQ(areas.shim_request().freed({0, 1}), 2U);
  EXPECT_EQ(areas.shim_request().freed({0, 2}), 0U);

  // A new sidecar's area, in which nothing is retired yet.
  const OwnArea fresh =
      testing::must(make_area(AreaKind::kReply, areas.geometry, testing::kSession));
  const ReplyView reply(fresh.mapping.data(), areas.geometry);
  EXPECT_EQ(claim_in_lane(areas.shim_request(), reply, 0)->n, 5U);
  EXPECT_EQ(claim_in_lane(areas.shim_request(), reply, 0)->n, 6U);
  EXPECT_FALSE(claim_in_lane(areas.shim_request(), reply, 0));
}

TEST(ALane, KeepsTheLaterOfWhatTwoDeadAreasRetired) {
  const Areas areas;
  for (int i = 0; i < 4; ++i) claim_in_lane(areas.shim_request(), areas.shim_reply(), 0);
  areas.retire({0, 0}, 1);
  keep_retired(areas.shim_request(), areas.shim_reply());
  areas.retire({0, 0}, 0);  // the second dead area knew nothing of it
  keep_retired(areas.shim_request(), areas.shim_reply());
  EXPECT_EQ(areas.shim_request().freed({0, 0}), 1U);
}

TEST(ALane, IsNotBlockedByALyingRetiredWordOnceThatAreaIsGone) {
  const Areas areas;
  const std::uint64_t lies[] = {5, 6, 7, 1000, 1UL << 63, ~std::uint64_t{0}};
  claim_in_lane(areas.shim_request(), areas.shim_reply(), 0);
  for (const std::uint64_t lie : lies) {
    areas.retire({0, 0}, lie);
    areas.retire({0, 1}, lie);
    keep_retired(areas.shim_request(), areas.shim_reply());
    EXPECT_EQ(areas.shim_request().freed({0, 0}), 0U) << lie;
    EXPECT_EQ(areas.shim_request().freed({0, 1}), 0U) << lie;
  }
  areas.retire({0, 0}, 0);
  areas.retire({0, 1}, 0);
  for (std::uint64_t n = 2; n <= 4; ++n) {
    EXPECT_EQ(claim_in_lane(areas.shim_request(), areas.shim_reply(), 0)->n, n);
  }
}

TEST(ALane, IgnoresARetiredWordThatBelongsToAnotherCell) {
  const Areas areas;
  for (int i = 0; i < 4; ++i) claim_in_lane(areas.shim_request(), areas.shim_reply(), 0);
  for (const std::uint64_t other : {2UL, 3UL, 4UL}) {
    areas.retire({0, 0}, other);
    EXPECT_EQ(done_until(areas.shim_request(), areas.shim_reply(), {0, 0}), 0U);
    EXPECT_FALSE(claim_in_lane(areas.shim_request(), areas.shim_reply(), 0));
  }
}

TEST(ALane, CountsEachLostReportWhereTheSidecarSeesIt) {
  const Areas areas;
  for (int i = 0; i < 3; ++i) count_lost_report(areas.shim_request());
  EXPECT_EQ(areas.sidecar_request().lost_reports(), 3U);
  EXPECT_EQ(areas.sidecar_request().reclaimed_slots(), 0U);
}

TEST(AnArea, IsRefusedForMoreVcpusThanTheLimit) {
  const auto made = make_area(AreaKind::kRequest, Geometry(kMaxVcpus + 1), testing::kSession);
  ASSERT_FALSE(made);
  EXPECT_STREQ(made.error().field, "area vCPU count");
  EXPECT_EQ(made.error().value, kMaxVcpus + 1);
  EXPECT_EQ(made.error().limit, kMaxVcpus);
  const auto opened = open_peer_area(-1, AreaKind::kReply, Geometry(~0U), testing::kSession);
  ASSERT_FALSE(opened);
  EXPECT_STREQ(opened.error().field, "area vCPU count");
}

}  // namespace
}  // namespace memfail::shm

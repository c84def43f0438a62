// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/region_history.h"

#include "gtest/gtest.h"

namespace memfail::session {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using wire::ErrorCode;

struct Slot {
  std::uint32_t number;
  std::uint64_t gpa;
};

class RegionHistoryTest : public ::testing::Test {
 protected:
  ErrorCode stage(std::uint32_t generation, const std::vector<Slot>& add,
                  const std::vector<std::uint32_t>& remove = {}) {
    Builder builder;
    std::vector<flatbuffers::Offset<wire::RegionAdd>> added;
    for (const Slot& slot : add) {
      const wire::RegionRange range(slot.gpa, 0x1000, 0x7f0000000000 + slot.gpa, 4096, slot.number,
                                    0, 0);
      added.push_back(wire::CreateRegionAdd(builder, &range, builder.CreateString("ram")));
    }
    builder.Finish(wire::CreateRegions(builder, generation, builder.CreateVector(remove),
                                       builder.CreateVector(added)));
    const auto refusal =
        history_.stage(*flatbuffers::GetRoot<wire::Regions>(builder.GetBufferPointer()));
    return refusal ? refusal->code : ErrorCode::none;
  }

  ErrorCode commit(std::uint32_t generation, std::uint32_t regions) {
    Builder builder;
    builder.Finish(wire::CreateCommit(builder, generation, regions));
    const auto refusal =
        history_.commit(*flatbuffers::GetRoot<wire::Commit>(builder.GetBufferPointer()));
    return refusal ? refusal->code : ErrorCode::none;
  }

  RegionHistory history_;
};

TEST_F(RegionHistoryTest, NothingIsVisibleBeforeItsCommit) {
  EXPECT_EQ(stage(1, {{0, 0}}), ErrorCode::none);
  EXPECT_EQ(history_.find(1), nullptr);
  EXPECT_EQ(commit(1, 1), ErrorCode::none);
  ASSERT_NE(history_.find(1), nullptr);
  EXPECT_EQ(history_.find(1)->map().size(), 1U);
}

TEST_F(RegionHistoryTest, OneTransactionMayRemoveAndAddTheSameSlot) {
  stage(1, {{0, 0}});
  commit(1, 1);
  EXPECT_EQ(stage(2, {{0, 0x1000}}, {0}), ErrorCode::none);
  EXPECT_EQ(commit(2, 1), ErrorCode::none);
  EXPECT_EQ(history_.find(1)->map()[0].gpa, 0U);
  EXPECT_EQ(history_.find(2)->map()[0].gpa, 0x1000U);
}

TEST_F(RegionHistoryTest, OldGenerationsStayUpToEight) {
  for (std::uint32_t generation = 1; generation <= 10; ++generation) commit(generation, 0);
  EXPECT_EQ(history_.find(10)->generation(), 10U);
  EXPECT_EQ(history_.find(3)->generation(), 3U);
  EXPECT_EQ(history_.find(1)->generation(), 3U);  // the oldest there is
  EXPECT_EQ(history_.find(11), nullptr);          // still to come
}

TEST_F(RegionHistoryTest, ANewConnectionSendsAllAgainUnderTheSameGeneration) {
  stage(5, {{0, 0}});
  commit(5, 1);
  history_.restart();
  EXPECT_EQ(stage(5, {{0, 0}}), ErrorCode::none);
  EXPECT_EQ(commit(5, 1), ErrorCode::none);
  EXPECT_EQ(commit(5, 1), ErrorCode::generation);
}

TEST_F(RegionHistoryTest, ChunksOfOneTransactionShareTheirGeneration) {
  EXPECT_EQ(stage(1, {{0, 0}}), ErrorCode::none);
  EXPECT_EQ(stage(2, {{1, 0x1000}}), ErrorCode::generation);
}

TEST_F(RegionHistoryTest, ACommitCountsTheRegions) {
  stage(1, {{0, 0}});
  EXPECT_EQ(commit(1, 2), ErrorCode::region_count);
}

}  // namespace
}  // namespace memfail::session

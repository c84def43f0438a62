// SPDX-License-Identifier: BSD-3-Clause
#include "shm/geometry.h"

#include <gtest/gtest.h>

#include <vector>

namespace memfail::shm {
namespace {

// One bit a 64-byte line of an area; taking one twice, or beyond the end, fails.
class LineMap {
 public:
  explicit LineMap(std::size_t size) : taken_(size / wire::kLineSize) {}
  [[nodiscard]] bool take(std::size_t offset) {
    const std::size_t line = offset / wire::kLineSize;
    if (offset % wire::kLineSize != 0 || line >= taken_.size() || taken_[line]) return false;
    taken_[line] = true;
    return true;
  }
  [[nodiscard]] std::size_t count() const {
    std::size_t count = 0;
    for (const bool taken : taken_) count += taken ? 1 : 0;
    return count;
  }

 private:
  std::vector<bool> taken_;
};

bool take_header_page(LineMap& map) {
  for (std::size_t at = 0; at < kPage; at += wire::kLineSize) {
    if (!map.take(at)) return false;
  }
  return true;
}

bool take_lane(LineMap& map, const Geometry& geometry, std::uint32_t lane) {
  if (!map.take(geometry.lane_offset(lane))) return false;
  for (std::uint32_t cell = 0; cell < geometry.cells(lane); ++cell) {
    for (const auto kind : {LineKind::kReport, LineKind::kSnapshot, LineKind::kOutcome}) {
      if (!map.take(geometry.line_offset({lane, cell}, kind))) return false;
    }
  }
  return true;
}

TEST(Geometry, NoTwoLinesOfARequestAreaOverlapForAnyNumberOfVcpus) {
  for (std::uint32_t vcpus = 1; vcpus <= kMaxVcpus; ++vcpus) {
    const Geometry geometry(vcpus);
    LineMap map(geometry.request_size());
    ASSERT_TRUE(take_header_page(map));
    for (std::uint32_t lane = 0; lane < geometry.lanes(); ++lane) {
      ASSERT_TRUE(take_lane(map, geometry, lane)) << vcpus << " vCPUs, lane " << lane;
    }
    ASSERT_EQ(map.count(), 64 + vcpus * 13 + 16 * 4);
  }
}

TEST(Geometry, NoTwoLinesOfAReplyAreaOverlapForAnyNumberOfVcpus) {
  for (std::uint32_t vcpus = 1; vcpus <= kMaxVcpus; ++vcpus) {
    const Geometry geometry(vcpus);
    LineMap map(geometry.reply_size());
    ASSERT_TRUE(take_header_page(map));
    for (std::uint32_t lane = 0; lane < geometry.lanes(); ++lane) {
      for (std::uint32_t cell = 0; cell < geometry.cells(lane); ++cell) {
        ASSERT_TRUE(map.take(geometry.reply_offset({lane, cell}))) << vcpus << " " << lane;
      }
    }
    ASSERT_EQ(map.count(), 64 + geometry.total_cells());
  }
}

TEST(Geometry, SizesAreWholePagesAndNoPageLargerThanNeeded) {
  for (std::uint32_t vcpus = 1; vcpus <= kMaxVcpus; ++vcpus) {
    const Geometry geometry(vcpus);
    const std::size_t request = 4096 + vcpus * 832UL + 16 * 256;
    const std::size_t reply = 4096 + (vcpus * 4UL + 16) * 64;
    ASSERT_EQ(geometry.request_size() % kPage, 0U);
    ASSERT_EQ(geometry.reply_size() % kPage, 0U);
    ASSERT_GE(geometry.request_size(), request);
    ASSERT_LT(geometry.request_size(), request + kPage);
    ASSERT_GE(geometry.reply_size(), reply);
    ASSERT_LT(geometry.reply_size(), reply + kPage);
  }
}

TEST(Geometry, TheSmallestAndTheLargestHaveTheSizesWrittenDownHere) {
  EXPECT_EQ(Geometry(1).request_size(), 12288U);
  EXPECT_EQ(Geometry(1).reply_size(), 8192U);
  EXPECT_EQ(Geometry(1024).request_size(), 860160U);
  EXPECT_EQ(Geometry(1024).reply_size(), 270336U);
}

TEST(Geometry, ControlLinesNeverShareACacheLineWithACell) {
  const Geometry geometry(3);
  EXPECT_EQ(geometry.line_offset({2, 0}, LineKind::kReport), geometry.lane_offset(2) + 64);
  EXPECT_EQ(geometry.lane_offset(3), geometry.lane_offset(2) + 13 * 64);
  EXPECT_TRUE(geometry.is_slot(3));
  EXPECT_EQ(geometry.lane_offset(4), geometry.lane_offset(3) + 4 * 64);
}

TEST(Geometry, IncidentsOfALaneGoRoundItsFourCellsAndThoseOfASlotStayInOne) {
  const Geometry geometry(2);
  for (std::uint64_t n = 1; n < 100; ++n) {
    EXPECT_EQ(geometry.cell_of(1, n), (n - 1) % 4);
    EXPECT_EQ(geometry.cell_of(2, n), 0U);
  }
}

TEST(Geometry, ACellHoldsNextWhatTheRingGivesItNext) {
  const Geometry geometry(2);
  for (std::uint32_t cell = 0; cell < 4; ++cell) {
    std::uint64_t retired = 0;
    for (std::uint64_t round = 0; round < 5; ++round) {
      const std::uint64_t n = geometry.next_in_cell({0, cell}, retired);
      EXPECT_EQ(n, cell + 1 + 4 * round);
      EXPECT_EQ(geometry.cell_of(0, n), cell);
      retired = n;
    }
  }
  EXPECT_EQ(geometry.next_in_cell({2, 0}, 0), 1U);
  EXPECT_EQ(geometry.next_in_cell({2, 0}, 7), 8U);
}

TEST(Geometry, CellIndexesAreDenseAndUnique) {
  const Geometry geometry(5);
  std::uint32_t expected = 0;
  for (std::uint32_t lane = 0; lane < geometry.lanes(); ++lane) {
    for (std::uint32_t cell = 0; cell < geometry.cells(lane); ++cell) {
      EXPECT_EQ(geometry.cell_index({lane, cell}), expected++);
    }
  }
  EXPECT_EQ(expected, geometry.total_cells());
}

}  // namespace
}  // namespace memfail::shm

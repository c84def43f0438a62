// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/trouble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace memfail::server {
namespace {

using ::testing::HasSubstr;

TEST(Trouble, IsNoneWhereAllIsWell) {
  const journal::StoreStatus well;
  EXPECT_EQ(trouble_of(well), Trouble::kNone);
  EXPECT_EQ(trouble_text(well), "");
}

TEST(Trouble, OfACrowdIsNamedWithItsSizeAndLimit) {
  journal::StoreStatus status;
  status.degraded = status.crowded = true;
  status.checkpoint_size = 1'572'700;
  status.checkpoint_limit = 2'097'152;
  status.unrecorded = 17;
  EXPECT_THAT(trouble_text(status),
              HasSubstr("1572700 bytes of a checkpoint, the limit is 2097152:"));
  EXPECT_THAT(trouble_text(status), HasSubstr("17 so far"));
  EXPECT_THAT(trouble_text(status), HasSubstr("--journal-size"));
}

TEST(Trouble, OfTheDiskIsToldBeforeThatOfACrowd) {
  journal::StoreStatus status;
  status.degraded = status.crowded = true;
  status.error = ENOSPC;
  EXPECT_EQ(trouble_of(status), Trouble::kDiskFails);
  status.hung = true;
  EXPECT_EQ(trouble_text(status), "the disk does not answer");
}

TEST(Trouble, IsAFullFrontWhereNothingElseIsWrong) {
  journal::StoreStatus status;
  status.degraded = true;
  EXPECT_EQ(trouble_text(status), "the front is full");
}

}  // namespace
}  // namespace memfail::server

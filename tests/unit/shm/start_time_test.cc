// SPDX-License-Identifier: BSD-3-Clause
#include "shm/start_time.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace memfail::shm {
namespace {

TEST(StartTime, IsTheTwentySecondField) {
  EXPECT_EQ(start_time_in("7 (vmm) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 11 12"),
            98765U);
}

TEST(StartTime, IsFoundBehindANameOfAnyShape) {
  EXPECT_EQ(start_time_in("7 (a) b ) (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 11"),
            98765U);
}

TEST(StartTime, IsZeroWhereTheTextIsAnother) {
  EXPECT_EQ(start_time_in(""), 0U);
  EXPECT_EQ(start_time_in("7 (vmm"), 0U);
  EXPECT_EQ(start_time_in("7 (vmm) S 1 7"), 0U);
  EXPECT_EQ(start_time_in("7 (vmm) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 soon 11"), 0U);
}

TEST(StartTime, StaysAndAChildsIsNotEarlier) {
  const auto own = [] { return start_time_of(static_cast<std::uint32_t>(::getpid())); };
  const std::uint64_t ours = own();
  ASSERT_NE(ours, 0U);
  EXPECT_EQ(own(), ours);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(own() >= ours ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(start_time_of(static_cast<std::uint32_t>(child)), 0U) << "it is gone";
}

}  // namespace
}  // namespace memfail::shm

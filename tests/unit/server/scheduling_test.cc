// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/scheduling.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <thread>

namespace memfail::server {
namespace {

int policy() { return ::sched_getscheduler(0); }
int niceness() { return ::getpriority(PRIO_PROCESS, 0); }

TEST(Scheduling, WhoGivesWayGivesItAloneAndForGood) {
  const int policy_before = policy();
  const int nice_before = niceness();
  if (policy_before != SCHED_OTHER || nice_before > 9) GTEST_SKIP() << "gives way as it is";
  std::thread([nice_before] {
    give_way();
    EXPECT_EQ(policy(), SCHED_BATCH);
    EXPECT_EQ(niceness(), nice_before + 10);
    give_way();  // the operator's choice, or its own: left alone
    EXPECT_EQ(niceness(), nice_before + 10);
  }).join();
  EXPECT_EQ(policy(), policy_before);
  EXPECT_EQ(niceness(), nice_before);
}

}  // namespace
}  // namespace memfail::server

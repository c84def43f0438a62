// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <limits>

#include "sidecar/server/hello_rates.h"
#include "sidecar/server/token_bucket.h"

namespace memfail::server {
namespace {

constexpr Rate kRate{.at_once = 3, .per_second = 10};

int taken(TokenBucket& bucket, std::uint64_t now_ms) {
  int count = 0;
  while (bucket.take(now_ms)) ++count;
  return count;
}

TEST(TokenBucket, GivesSoManyAtOnceAndThenSoManyASecond) {
  TokenBucket bucket(kRate, 1000);
  EXPECT_EQ(taken(bucket, 1000), 3);
  EXPECT_EQ(taken(bucket, 1099), 0);
  EXPECT_EQ(taken(bucket, 1100), 1);
  EXPECT_EQ(taken(bucket, 1350), 2);
  EXPECT_EQ(taken(bucket, 1400), 1) << "the half of before counts";
}

TEST(TokenBucket, HoldsNoMoreThanAtFirst) {
  TokenBucket bucket(kRate, 0);
  EXPECT_EQ(taken(bucket, 1'000'000), 3);
  EXPECT_EQ(taken(bucket, std::numeric_limits<std::uint64_t>::max()), 3) << "nothing overflows";
}

TEST(TokenBucket, SaysWhenTheNextIsThere) {
  TokenBucket bucket(kRate, 0);
  EXPECT_EQ(bucket.wait_ms(0), 0U);
  taken(bucket, 0);
  for (const std::uint64_t now : {0U, 1U, 50U, 99U}) {
    TokenBucket copy = bucket;
    const std::uint64_t wait = copy.wait_ms(now);
    EXPECT_EQ(now + wait, 100U);
    EXPECT_FALSE(TokenBucket(copy).take(now + wait - 1));
    EXPECT_TRUE(copy.take(now + wait));
  }
}

TEST(TokenBucket, DoesNotRunBackwards) {
  TokenBucket bucket(kRate, 1000);
  EXPECT_EQ(taken(bucket, 500), 3);
  EXPECT_EQ(taken(bucket, 1000), 0);
}

session::Identity user(uid_t uid, const char* label = "") {
  return {.uid = uid, .gid = 1, .label = label, .pid = 1};
}

TEST(HelloRates, AreEachUsersAndEachLabelsOwn) {
  HelloRates rates;
  for (std::uint32_t i = 0; i < HelloRates::kRate.at_once; ++i) {
    ASSERT_TRUE(rates.admit(user(7), 0));
  }
  EXPECT_FALSE(rates.admit(user(7), 0));
  EXPECT_TRUE(rates.admit(user(8), 0));
  EXPECT_TRUE(rates.admit(user(7, "svirt:c1,c2"), 0));
  EXPECT_TRUE(rates.admit(user(7), 1000));
}

TEST(HelloRates, RememberOnlySoMany) {
  HelloRates rates;
  for (uid_t uid = 0; uid < HelloRates::kMaxKnown; ++uid) ASSERT_TRUE(rates.admit(user(uid), 0));
  EXPECT_FALSE(rates.admit(user(1'000'000), 0));
  EXPECT_TRUE(rates.admit(user(1'000'000), 1000)) << "the quiet ones are forgotten";
}

}  // namespace
}  // namespace memfail::server

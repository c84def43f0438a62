// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/bank_list.h"

#include <gtest/gtest.h>

namespace memfail::ctl {
namespace {

TEST(BankList, TakesBanksRangesMapsAndAll) {
  EXPECT_EQ(parse_banks("", 10), 0U);
  EXPECT_EQ(parse_banks("none", 10), 0U);
  EXPECT_EQ(parse_banks("9", 10), 0x200U);
  EXPECT_EQ(parse_banks("0,3,9", 10), 0x209U);
  EXPECT_EQ(parse_banks("2-5,9", 10), 0x23CU);
  EXPECT_EQ(parse_banks("0x208", 10), 0x208U);
  EXPECT_EQ(parse_banks("all", 10), 0x3FFU);
  EXPECT_EQ(parse_banks("all", 32), 0xFFFFFFFFU);
  EXPECT_EQ(parse_banks("31", 32), 0x80000000U);
  EXPECT_EQ(parse_banks("0-31", 32), 0xFFFFFFFFU);
  EXPECT_EQ(parse_banks("all", 0), 0U);
}

TEST(BankList, RefusesABankThatTheGuestHasNot) {
  EXPECT_EQ(parse_banks("10", 10).error(), "10: the guest has banks 0 to 9");
  EXPECT_EQ(parse_banks("3,8-12", 10).error(), "8-12: the guest has banks 0 to 9");
  EXPECT_EQ(parse_banks("0x400", 10).error(), "0x400: the guest has banks 0 to 9");
  EXPECT_EQ(parse_banks("0", 0).error(), "0: the guest has no banks");
}

TEST(BankList, RefusesWhatIsNoList) {
  for (const char* text : {"x", "1,", ",", "5-2", "1-", "-1", "0x", "0xg", "1 2", "4294967296"}) {
    EXPECT_FALSE(parse_banks(text, 32)) << text;
  }
  EXPECT_EQ(parse_banks("1,x", 32).error(),
            "\"x\": must be banks like 9, 0,3 or 2-5, a map like 0x208, or all");
}

TEST(BankList, NamesAMapShortest) {
  EXPECT_EQ(bank_names(0, 10), "none");
  EXPECT_EQ(bank_names(0x3FF, 10), "all");
  EXPECT_EQ(bank_names(0x200, 10), "9");
  EXPECT_EQ(bank_names(0x3, 10), "0, 1");
  EXPECT_EQ(bank_names(0x239, 10), "0, 3 to 5, 9");
  EXPECT_EQ(bank_names(0x80000000, 32), "31");
}

}  // namespace
}  // namespace memfail::ctl

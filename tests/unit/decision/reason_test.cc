// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/reason.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace memfail::decision {
namespace {

std::string kebab(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// flatc's own list of values and names is the reference.
template <typename E, std::size_t N>
void expect_all_names(const E (&values)[N], const char* (*name)(E)) {
  EXPECT_EQ(EnumNames<E>::kNames.size(), N);
  for (const E value : values) {
    EXPECT_EQ(name_of(value), kebab(name(value)));
    EXPECT_EQ(from_name<E>(name_of(value)), value);
  }
}

TEST(Names, AreTheSchemasOwnInKebabCase) {
  expect_all_names(wire::EnumValuesReportKind(), wire::EnumNameReportKind);
  expect_all_names(wire::EnumValuesThreadKind(), wire::EnumNameThreadKind);
  expect_all_names(wire::EnumValuesVendor(), wire::EnumNameVendor);
  expect_all_names(wire::EnumValuesVerdict(), wire::EnumNameVerdict);
  expect_all_names(wire::EnumValuesSiblingRule(), wire::EnumNameSiblingRule);
  expect_all_names(wire::EnumValuesDecidedBy(), wire::EnumNameDecidedBy);
  expect_all_names(wire::EnumValuesDelivered(), wire::EnumNameDelivered);
  expect_all_names(wire::EnumValuesReason(), wire::EnumNameReason);
  expect_all_names(wire::EnumValuesRepair(), wire::EnumNameRepair);
  expect_all_names(wire::EnumValuesSnapshotField(), wire::EnumNameSnapshotField);
  expect_all_names(wire::EnumValuesSnapshotFlag(), wire::EnumNameSnapshotFlag);
  expect_all_names(wire::EnumValuesReplyFlag(), wire::EnumNameReplyFlag);
}

TEST(Names, AreConstantExpressions) {
  static_assert(name_of(wire::Reason::previous_mce_in_progress) == "previous-mce-in-progress");
  static_assert(from_name<wire::Reason>("bank-ctl-off") == wire::Reason::bank_ctl_off);
  static_assert(!from_name<wire::Reason>("bank_ctl_off"));
  static_assert(name_of(wire::SnapshotField::banks) == "banks");
}

TEST(Names, OfNumbersOutsideTheEnumerationAreInvalid) {
  EXPECT_EQ(name_of(static_cast<wire::Reason>(static_cast<int>(wire::Reason::MAX) + 1)), "invalid");
  EXPECT_EQ(name_of(static_cast<wire::Verdict>(255)), "invalid");
  EXPECT_EQ(name_of(static_cast<wire::SnapshotField>(3)), "invalid");
  EXPECT_EQ(name_of(static_cast<wire::SnapshotField>(0x8000)), "invalid");
  EXPECT_FALSE(from_name<wire::Verdict>("invalid").has_value());
}

std::string text_of(wire::Reason reason, int vcpu) {
  char buffer[200];
  const int length = reason_text(buffer, sizeof buffer, reason, vcpu);
  EXPECT_LT(length, static_cast<int>(sizeof buffer));
  return buffer;
}

TEST(ReasonText, RepeatsTheTwoTextsOfTheOriginalSeriesWordForWord) {
  EXPECT_EQ(text_of(wire::Reason::previous_mce_in_progress, 3),
            "CPU 3: Previous MCE still in progress, raising triple fault");
  EXPECT_EQ(text_of(wire::Reason::mce_not_enabled, 1023),
            "CPU 1023: MCE capability is not enabled, raising triple fault");
}

TEST(ReasonText, IsASentenceOfItsOwnForEachReason) {
  std::set<std::string> seen;
  for (const wire::Reason reason : wire::EnumValuesReason()) {
    const std::string text = text_of(reason, -1);
    EXPECT_TRUE(seen.insert(text).second) << text;
    EXPECT_EQ(text_of(reason, 0), "CPU 0: " + text);
  }
}

TEST(ReasonText, IsCutToTheBufferAndSaysItsWholeLength) {
  char buffer[8];
  EXPECT_GT(reason_text(buffer, sizeof buffer, wire::Reason::vmm_memory, 1), 8);
  EXPECT_STREQ(buffer, "CPU 1: ");
}

}  // namespace
}  // namespace memfail::decision

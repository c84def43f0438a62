// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <vector>

#include "vmm_shim/poison_list.h"

namespace memfail::test {

inline constexpr std::uint64_t kSmall = 0x1000;
inline constexpr std::uint64_t kHuge = 0x20'0000;
inline constexpr std::uint64_t kSecond = 1'000'000'000;
inline constexpr std::uint64_t kWindow = 10 * kSecond;
inline constexpr std::uint64_t kNow = 1000 * kSecond;
inline constexpr std::uint64_t kRam = 0x7f00'0000'0000;  // where guest address 0 is mapped

// An address of guest RAM that is backed by pages of `size`.
inline decision::Classification at(std::uint64_t gpa, std::uint64_t size = kSmall) {
  decision::Classification where;
  where.address = decision::AddressClass::kGuestRam;
  where.hva = kRam + gpa;
  where.gpa = gpa & ~(kSmall - 1);
  where.lost_size = size;
  return where;
}

class PoisonListTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kCapacity = 8;
  using Pages = std::vector<std::uint64_t>;

  PoisonListTest() { list_.use(items_.data(), kCapacity); }

  decision::History optional(const decision::Classification& where, bool drill = false) {
    return list_.note_report(where, {decision::Severity::kActionOptional, drill, kNow}, kWindow);
  }
  decision::History required(const decision::Classification& where, std::uint64_t now = kNow) {
    return list_.note_report(where, {decision::Severity::kActionRequired, false, now}, kWindow);
  }
  shim::PoisonedPage page(std::uint32_t index = 0) {
    shim::PoisonedPage page;
    EXPECT_TRUE(list_.page(index, page));
    return page;
  }
  void remember(std::uint64_t gpa) {
    optional(at(gpa));
    list_.note_to_tell(at(gpa), true);
  }
  Pages to_tell() {
    Pages all;
    shim::PoisonedPage page;
    for (std::uint32_t cursor = 0; list_.next_to_tell(cursor, page);) all.push_back(page.gpa);
    return all;
  }

  std::array<shim::PoisonedPage, kCapacity> items_;
  shim::PoisonList list_;
};

}  // namespace memfail::test

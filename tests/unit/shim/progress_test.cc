// SPDX-License-Identifier: BSD-3-Clause
//
// Without a sidecar no error that is action required is ignored for ever either: the
// shim's own list counts, and the linked policy ends it.
#include <gtest/gtest.h>

#include "poison_list_fixture.h"
#include "tests/unit/decision/stubborn_guest.h"

namespace memfail::test {
namespace {

class ListMemory final : public decision::testing::PageMemory {
 public:
  ListMemory() { list_.use(items_.data(), static_cast<std::uint32_t>(items_.size())); }

  decision::History report(std::int32_t vcpu, std::uint64_t now_ns) override {
    const shim::PoisonList::Report report{decision::Severity::kActionRequired, false, now_ns, vcpu};
    return list_.note_report(at(0x5000), report, kWindow);
  }
  void answered(std::int32_t vcpu, wire::Verdict verdict, std::uint64_t /*now_ns*/) override {
    if (verdict == wire::Verdict::inject) list_.note_told(at(0x5000));
    if (verdict == wire::Verdict::retry) list_.take_back_repeat(at(0x5000), vcpu);
  }

 private:
  std::array<shim::PoisonedPage, 4> items_;
  shim::PoisonList list_;
};

class Progress : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(Progress, IsMadeOrTheGuestsRunIsEnded) {
  constexpr std::uint32_t kGuests = 500;
  for (std::uint32_t i = 0; i < kGuests; ++i) {
    const std::uint32_t seed = GetParam() * kGuests + i;
    ListMemory memory;
    decision::testing::StubbornGuest guest(seed, memory);
    ASSERT_EQ(guest.run(), "") << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Progress, ::testing::Range(1U, 9U));

}  // namespace
}  // namespace memfail::test

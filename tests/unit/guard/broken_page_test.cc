// SPDX-License-Identifier: BSD-3-Clause
//
// Real SIGBUS in this process: a file that shrinks under its mapping (the kernel says
// BUS_ADRERR) is a lost page that any kernel can make; the lab breaks real ones.
#include "sidecar/guard/broken_page.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <span>

#include "sidecar/guard/guarded_range.h"

namespace memfail::test {
namespace {

using guard::GuardedRange;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kSize = 4 * kPage;

// A shared mapping full of ones, of which pages can be lost.
class FailingMemory {
 public:
  explicit FailingMemory(int rights = PROT_READ | PROT_WRITE)
      : fd_(::memfd_create("failing", MFD_CLOEXEC)) {
    EXPECT_EQ(::ftruncate(fd_, kSize), 0);
    base_ =
        static_cast<std::byte*>(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
    std::memset(base_, 1, kSize);
    ::mprotect(base_, kSize, rights);
  }
  ~FailingMemory() {
    ::munmap(base_, kSize);
    ::close(fd_);
  }
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;

  void lose_from(std::size_t page) const {
    EXPECT_EQ(::ftruncate(fd_, static_cast<off_t>(page * kPage)), 0);
  }
  std::span<std::byte> all() const { return {base_, kSize}; }
  unsigned load(std::size_t page) const {
    return std::to_integer<unsigned>(static_cast<volatile std::byte*>(base_)[page * kPage]);
  }
  void store(std::size_t page, std::byte value) const {
    static_cast<volatile std::byte*>(base_)[page * kPage] = value;
  }

 private:
  int fd_;
  std::byte* base_ = nullptr;
};

class BrokenPageTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(guard::handle_sigbus()); }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }
};

TEST_F(BrokenPageTest, AnAccessToALostPageGoesOnWithZeros) {
  const FailingMemory memory;
  const GuardedRange range(memory.all(), true);
  ASSERT_TRUE(range.is_guarded());
  memory.lose_from(2);
  EXPECT_FALSE(range.is_broken()) << "nobody has met it yet";
  EXPECT_EQ(memory.load(2), 0U);
  EXPECT_TRUE(range.is_broken());
  EXPECT_EQ(memory.load(1), 1U) << "its neighbours stay";
  memory.store(2, std::byte{7});
  EXPECT_EQ(memory.load(2), 7U);
}

TEST_F(BrokenPageTest, WhatCouldNotBeWrittenStaysSo) {
  const FailingMemory memory(PROT_READ);
  const GuardedRange range(memory.all(), false);
  memory.lose_from(0);
  EXPECT_EQ(memory.load(3), 0U);
  EXPECT_DEATH(memory.store(3, std::byte{1}), "");
}

TEST_F(BrokenPageTest, OneRangesLossIsNotItsNeighbours) {
  const FailingMemory lost;
  const FailingMemory whole;
  const GuardedRange first(lost.all(), true);
  const GuardedRange second(whole.all(), true);
  lost.lose_from(0);
  (void)lost.load(0);
  EXPECT_TRUE(first.is_broken());
  EXPECT_FALSE(second.is_broken());
}

TEST_F(BrokenPageTest, ARangeThatIsLeftGuardsNoMore) {
  const FailingMemory memory;
  {
    const GuardedRange range(memory.all(), true);
  }
  memory.lose_from(0);
  EXPECT_EXIT((void)memory.load(0), ::testing::ExitedWithCode(128 + SIGBUS), "memory of its own");
}

TEST_F(BrokenPageTest, ASignalThatSomebodySentIsTheEnd) {
  EXPECT_EXIT(::kill(::getpid(), SIGBUS), ::testing::ExitedWithCode(128 + SIGBUS), "ending");
}

TEST_F(BrokenPageTest, ALargePageTakesItsWholePartOfTheRange) {
  const FailingMemory memory;
  const GuardedRange range(memory.all(), true);
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.all().data());
  const guard::LostPart part = guard::mark_broken(begin + kPage + 1, 21);
  EXPECT_GE(part.begin, begin) << "no byte before the range";
  EXPECT_LE(part.begin + part.size, begin + kSize) << "no byte behind it";
  EXPECT_GE(part.size, kPage);
}

TEST_F(BrokenPageTest, SlotsAreUsedAgain) {
  const FailingMemory memory;
  for (std::size_t i = 0; i < 2 * GuardedRange::kMaxRanges; ++i) {
    const GuardedRange range(memory.all(), true);
    ASSERT_TRUE(range.is_guarded()) << i;
  }
}

}  // namespace
}  // namespace memfail::test

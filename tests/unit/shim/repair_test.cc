// SPDX-License-Identifier: BSD-3-Clause
//
// Pages that are replaced though nothing is wrong with them, and refusals. The lab does
// the same with broken ones (tests/lab/repair.cc).
#include "vmm_shim/repair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <string>
#include <tuple>

#include "tests/unit/shim/backed_ram.h"

namespace memfail::test {
namespace {

using shim::PageOutcome;
using shim::PageResult;
using ::testing::HasSubstr;

constexpr long kTmpfs = 0x01021994;

std::string text_of(const PageOutcome& outcome) {
  std::array<char, 256> text{};
  shim::format_page_outcome(text.data(), text.size(), outcome, 0x7000, 4096);
  return text.data();
}

// What smaps says of the mapping at `hva`: its first line, and its flags.
std::string mapping_at(std::uint64_t hva) {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  std::string found;
  while (std::getline(smaps, line)) {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &start, &end) == 2) {
      if (!found.empty()) break;
      if (hva >= start && hva < end) found = line;
    } else if (!found.empty() && line.starts_with("VmFlags:")) {
      found += line;
    }
  }
  return found;
}

class RepairTest : public ::testing::TestWithParam<std::tuple<RamKind, bool>> {
 protected:
  // One page and a neighbour on each side; huge ones may be few on this machine, so
  // that one has to do.
  void SetUp() override {
    const auto [kind, locked] = GetParam();
    auto made = BackedRam::make(kind, is_hugetlb(kind) ? 1 : 3);
    if (!made) GTEST_SKIP() << made.error();
    ram_.emplace(std::move(*made));
    if (locked && !ram_->lock()) GTEST_SKIP() << "mlock is not allowed here";
    page_ = is_hugetlb(kind) ? 0 : 1;
  }
  // Skips where the hugetlb pool of this machine has none to spare.
  PageOutcome repair(std::uint64_t hva, std::uint64_t size) {
    return shim::repair_page(ram_->region(), hva, size);
  }
  void expect_neighbours() const {
    for (std::uint64_t page = 0; page < ram_->pages(); ++page) {
      EXPECT_TRUE(page == page_ || ram_->has_pattern(page)) << page;
    }
  }

  std::optional<BackedRam> ram_;
  std::uint64_t page_ = 0;
};

TEST_P(RepairTest, ThePageReadsZeroAndAllElseIsAsBefore) {
  ASSERT_EQ(::madvise(reinterpret_cast<void*>(ram_->hva()), ram_->pages() * ram_->page_size(),
                      MADV_DONTFORK),
            0);
  const std::string before = mapping_at(ram_->hva(page_));
  ASSERT_THAT(before, HasSubstr(" dc"));
  const PageOutcome outcome = repair(ram_->hva(page_), ram_->page_size());
  if (outcome.result == PageResult::kPoolEmpty) GTEST_SKIP() << text_of(outcome);
  ASSERT_TRUE(outcome.done()) << text_of(outcome);
  EXPECT_TRUE(ram_->is_zero(page_));
  expect_neighbours();
  EXPECT_EQ(mapping_at(ram_->hva(page_)), before);
}

TEST_P(RepairTest, AnAddressInsideOfAPageMeansAllOfIt) {
  const PageOutcome outcome = repair(ram_->hva(page_) + ram_->page_size() / 2, 1);
  if (outcome.result == PageResult::kPoolEmpty) GTEST_SKIP() << text_of(outcome);
  ASSERT_TRUE(outcome.done()) << text_of(outcome);
  EXPECT_TRUE(ram_->is_zero(page_));
  expect_neighbours();
}

TEST_P(RepairTest, NothingIsTouchedInARegionThatForbidsIt) {
  const std::array<std::pair<std::uint16_t, PageResult>, 5> refusals{{
      {decision::kRegionReadOnly, PageResult::kReadOnly},
      {decision::kRegionPrivateFile, PageResult::kPrivateFile},
      {decision::kRegionPersistent, PageResult::kPersistent},
      {decision::kRegionPinned, PageResult::kPinned},
      {decision::kRegionNoHva, PageResult::kNoHva},
  }};
  for (const auto& [flag, result] : refusals) {
    const PageOutcome outcome =
        shim::repair_page(ram_->region(flag), ram_->hva(page_), ram_->page_size());
    EXPECT_EQ(outcome.result, result) << flag;
    EXPECT_TRUE(ram_->has_pattern(page_));
  }
}

TEST_P(RepairTest, NothingIsTouchedOutsideTheRegion) {
  const std::uint64_t size = ram_->pages() * ram_->page_size();
  const auto refused = [&](std::uint64_t hva, std::uint64_t length) {
    return repair(hva, length).result == PageResult::kOutsideRegion;
  };
  EXPECT_TRUE(refused(ram_->hva() - 1, 1));
  EXPECT_TRUE(refused(ram_->hva() + size, 1));
  EXPECT_TRUE(refused(ram_->hva(), size + 1));
  EXPECT_TRUE(refused(ram_->hva() + 1, size));
  EXPECT_TRUE(refused(ram_->hva(), 0));
  EXPECT_TRUE(refused(ram_->hva(), ~std::uint64_t{0}));
  for (std::uint64_t page = 0; page < ram_->pages(); ++page) {
    EXPECT_TRUE(ram_->has_pattern(page)) << page;
  }
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<RamKind, bool>>& info) {
  std::string name = ram_kind_name(std::get<0>(info.param));
  std::erase(name, ' ');
  return name + (std::get<1>(info.param) ? "_locked" : "");
}
INSTANTIATE_TEST_SUITE_P(Kinds, RepairTest,
                         ::testing::Combine(::testing::ValuesIn(kRamKinds), ::testing::Bool()),
                         name_of);

TEST(Repair, ManyPagesAreReplacedAtOnce) {
  auto ram = BackedRam::make(RamKind::kMemfd, 8);
  ASSERT_TRUE(ram) << ram.error();
  const auto outcome = shim::repair_page(ram->region(), ram->hva(2), 3 * ram->page_size());
  ASSERT_TRUE(outcome.done()) << text_of(outcome);
  for (std::uint64_t page = 0; page < 8; ++page) {
    EXPECT_TRUE(page >= 2 && page < 5 ? ram->is_zero(page) : ram->has_pattern(page)) << page;
  }
}

TEST(Repair, AnyMappingOfTheFileShowsTheNewPage) {
  auto ram = BackedRam::make(RamKind::kMemfd, 3);
  ASSERT_TRUE(ram) << ram.error();
  const auto again = ram->map_again();
  ASSERT_TRUE(again) << again.error();
  ASSERT_TRUE(again->has_pattern(1));
  ASSERT_TRUE(shim::repair_page(ram->region(), ram->hva(1), ram->page_size()).done());
  EXPECT_TRUE(again->is_zero(1));
  EXPECT_TRUE(again->has_pattern(0));
  EXPECT_TRUE(again->has_pattern(2));
  EXPECT_EQ(::pwrite(ram->fd(), "x", 1, 4096), 1) << "the file has kept its size";
  EXPECT_EQ(*reinterpret_cast<const char*>(ram->hva(1)), 'x');
}

TEST(Repair, APrivateCopyOfAnotherMappingIsItsOwners) {
  auto ram = BackedRam::make(RamKind::kMemfd, 3);
  ASSERT_TRUE(ram) << ram.error();
  const auto copy = BackedRam::map_file(ram->fd(), 4096, 3, MAP_PRIVATE);
  ASSERT_TRUE(copy) << copy.error();
  *reinterpret_cast<char*>(copy->hva(1)) = 'c';
  ASSERT_TRUE(shim::repair_page(ram->region(), ram->hva(1), ram->page_size()).done());
  EXPECT_EQ(*reinterpret_cast<const char*>(copy->hva(1)), 'c');
}

TEST(Repair, APrivateFileIsRefusedThoughItsVmmSaysNothing) {
  auto ram = BackedRam::make(RamKind::kMemfd, 3);
  ASSERT_TRUE(ram) << ram.error();
  const auto copy = BackedRam::map_file(ram->fd(), 4096, 3, MAP_PRIVATE);
  ASSERT_TRUE(copy) << copy.error();
  *reinterpret_cast<char*>(copy->hva(1)) = 'c';
  const auto outcome = shim::repair_page(copy->region(), copy->hva(1), 4096);
  EXPECT_EQ(outcome.result, PageResult::kPrivateFile);
  EXPECT_EQ(*reinterpret_cast<const char*>(copy->hva(1)), 'c');
}

TEST(Repair, AFileOnADiskIsRefusedThoughItsVmmSaysNothing) {
  std::string path = "repair_test.XXXXXX";
  const shm::UniqueFd file(::mkostemp(path.data(), O_CLOEXEC));
  ASSERT_TRUE(file.valid()) << path;
  ::unlink(path.c_str());
  struct statfs system{};
  ASSERT_EQ(::fstatfs(file.get(), &system), 0);
  if (system.f_type == kTmpfs) GTEST_SKIP() << "the build is on a tmpfs";
  ASSERT_EQ(::ftruncate(file.get(), 3 * 4096), 0);
  const auto ram = BackedRam::map_file(file.get(), 4096, 3, MAP_SHARED);
  ASSERT_TRUE(ram) << ram.error();
  *reinterpret_cast<char*>(ram->hva(1)) = 'd';
  const auto outcome = shim::repair_page(ram->region(), ram->hva(1), 4096);
  EXPECT_EQ(outcome.result, PageResult::kNotMemory) << text_of(outcome);
  EXPECT_EQ(*reinterpret_cast<const char*>(ram->hva(1)), 'd');
}

TEST(Repair, AHoleBetweenMappingsIsRefused) {
  auto ram = BackedRam::make(RamKind::kAnonymous, 3);
  ASSERT_TRUE(ram) << ram.error();
  const auto region = ram->region();
  ASSERT_EQ(::munmap(reinterpret_cast<void*>(ram->hva(1)), 4096), 0);
  EXPECT_EQ(shim::repair_page(region, ram->hva(1), 4096).result, PageResult::kNotMapped);
  EXPECT_EQ(shim::repair_page(region, ram->hva(0), 3 * 4096UL).result, PageResult::kNotMapped);
  EXPECT_TRUE(ram->has_pattern(0));
  EXPECT_TRUE(ram->has_pattern(2));
}

TEST(Repair, ASealedFileIsRefusedAndUntouched) {
  auto ram = BackedRam::make(RamKind::kMemfd, 3);
  ASSERT_TRUE(ram) << ram.error();
  constexpr int kFutureWrite = 0x0010;  // F_SEAL_FUTURE_WRITE
  ASSERT_TRUE(::fcntl(ram->fd(), F_ADD_SEALS, kFutureWrite) == 0);
  const auto outcome = shim::repair_page(ram->region(), ram->hva(1), 4096);
  EXPECT_EQ(outcome.result, PageResult::kNotPunched);
  EXPECT_EQ(outcome.number, EPERM);
  EXPECT_TRUE(ram->has_pattern(1));
}

// In a child: it gives its rights away.
int repair_without_a_lock_to_spare() {
  auto ram = BackedRam::make(RamKind::kMemfd, 3);
  if (!ram || !ram->lock()) return 77;
  const rlimit limit{3 * 4096, 3 * 4096};
  if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return 77;
  if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return 77;
  const auto outcome = shim::repair_page(ram->region(), ram->hva(1), 4096);
  if (outcome.result != PageResult::kNotPunched) return 1;
  if (outcome.number != EAGAIN) return 2;
  return ram->has_pattern(1) ? 0 : 3;
}

TEST(Repair, ALockedFilePageNeedsTheRightToLockOneMoreAndIsLeftAloneWithoutIt) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(repair_without_a_lock_to_spare());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "mlock or setrlimit is not allowed here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(PageOutcome, EachResultHasANameOfItsOwn) {
  std::vector<std::string> names;
  for (int i = 0; i <= static_cast<int>(PageResult::kNotVerified); ++i) {
    names.emplace_back(shim::page_result_name(static_cast<PageResult>(i)));
    EXPECT_THAT(names, ::testing::Contains(names.back()).Times(1));
  }
  EXPECT_EQ(std::string(shim::page_result_name(PageResult::kPoolEmpty)), "hugetlb-pool-empty");
}

TEST(PageOutcome, ItsLineNamesTheRangeTheCauseAndTheError) {
  EXPECT_EQ(text_of({PageResult::kStillPoisoned, EHWPOISON}),
            "page 0x7000, 4096 bytes: still-poisoned: the page is poisoned as before, errno 133");
  EXPECT_THAT(text_of({PageResult::kPinned, 0}), ::testing::Not(HasSubstr("errno")));
}

}  // namespace
}  // namespace memfail::test

// SPDX-License-Identifier: BSD-3-Clause
//
// Pages that are poisoned by a mark, and their repair. Needs Linux 6.6; on an older one
// it is the refusal that is tested.
#include "vmm_shim/poison_again.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <functional>
#include <string>
#include <tuple>

#include "tests/unit/shim/backed_ram.h"
#include "tests/unit/shim/lesser_kernel.h"
#include "vmm_shim/drop_page.h"
#include "vmm_shim/repair.h"

namespace memfail::test {
namespace {

using shim::PageOutcome;
using shim::PageResult;
using shim::probe_pages;

std::string text_of(const PageOutcome& outcome) {
  std::array<char, 256> text{};
  shim::format_page_outcome(text.data(), text.size(), outcome, 0, 0);
  return text.data();
}

sigjmp_buf out_of_load;        // NOLINT(*-non-const-global-variables)
siginfo_t last_signal;         // NOLINT(*-non-const-global-variables)

void leave_load(int /*number*/, siginfo_t* info, void* /*context*/) {
  last_signal = *info;
  siglongjmp(out_of_load, 1);
}

// Whether a load at `hva` is a SIGBUS; last_signal says which.
bool load_faults(std::uint64_t hva) {
  struct sigaction action{};
  struct sigaction before{};
  action.sa_sigaction = leave_load;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, &before);
  volatile bool faulted = true;
  if (sigsetjmp(out_of_load, 1) == 0) {
    (void)*reinterpret_cast<const volatile char*>(hva);
    faulted = false;
  }
  ::sigaction(SIGBUS, &before, nullptr);
  return faulted;
}

// A kernel that cannot lose memory calls the signal another one.
bool kernel_has_memory_failure() {
  std::ifstream meminfo("/proc/meminfo");
  const std::string text((std::istreambuf_iterator<char>(meminfo)), {});
  return text.find("HardwareCorrupted") != std::string::npos;
}

class PoisonAgainTest : public ::testing::TestWithParam<std::tuple<RamKind, bool>> {
 protected:
  void SetUp() override {
    const auto [kind, locked] = GetParam();
    auto made = BackedRam::make(kind, is_hugetlb(kind) ? 1 : 3);
    if (!made) GTEST_SKIP() << made.error();
    ram_.emplace(std::move(*made));
    if (locked && !ram_->lock()) GTEST_SKIP() << "mlock is not allowed here";
    page_ = is_hugetlb(kind) ? 0 : 1;
  }
  [[nodiscard]] PageOutcome poison() const {
    return shim::poison_again(ram_->region(), ram_->hva(page_), ram_->page_size());
  }
  // False where this kernel cannot, and then it must have said so and done nothing.
  [[nodiscard]] bool poisoned() const {
    const PageOutcome outcome = poison();
    if (outcome.result == PageResult::kKernelTooOld) {
      EXPECT_TRUE(ram_->has_pattern(page_));
      return false;
    }
    EXPECT_TRUE(outcome.done()) << text_of(outcome);
    return outcome.done();
  }
  void expect_neighbours() const {
    for (std::uint64_t page = 0; page < ram_->pages(); ++page) {
      EXPECT_TRUE(page == page_ || ram_->has_pattern(page)) << page;
    }
  }

  std::optional<BackedRam> ram_;
  std::uint64_t page_ = 0;
};

TEST_P(PoisonAgainTest, AnAccessIsAMemoryFailureAndItsNeighboursAreWhole) {
  if (!poisoned()) GTEST_SKIP() << "UFFDIO_POISON needs Linux 6.6";
  EXPECT_EQ(probe_pages(ram_->hva(page_), ram_->page_size()), EHWPOISON);
  ASSERT_TRUE(load_faults(ram_->hva(page_) + 8));
  EXPECT_EQ(last_signal.si_code, kernel_has_memory_failure() ? BUS_MCEERR_AR : BUS_ADRERR);
  const int lsb = ram_->page_size() == 4096 ? 12 : 21;
  EXPECT_EQ(last_signal.si_addr_lsb, kernel_has_memory_failure() ? lsb : 0);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(last_signal.si_addr) & ~0xFFFUL, ram_->hva(page_));
  expect_neighbours();
}

TEST_P(PoisonAgainTest, ASystemCallOnItFails) {
  if (!poisoned()) GTEST_SKIP() << "UFFDIO_POISON needs Linux 6.6";
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  EXPECT_EQ(::write(ends[1], reinterpret_cast<const void*>(ram_->hva(page_)), 16), -1);
  EXPECT_EQ(errno, EFAULT);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_P(PoisonAgainTest, TwiceIsAsOnce) {
  if (!poisoned()) GTEST_SKIP() << "UFFDIO_POISON needs Linux 6.6";
  EXPECT_TRUE(poison().done()) << text_of(poison());
  EXPECT_EQ(probe_pages(ram_->hva(page_), ram_->page_size()), EHWPOISON);
}

TEST_P(PoisonAgainTest, RepairTakesItAway) {
  if (!poisoned()) GTEST_SKIP() << "UFFDIO_POISON needs Linux 6.6";
  const auto outcome = shim::repair_page(ram_->region(), ram_->hva(page_), ram_->page_size());
  if (outcome.result == PageResult::kPoolEmpty) {
    EXPECT_EQ(probe_pages(ram_->hva(page_), ram_->page_size()), EHWPOISON);
    GTEST_SKIP() << text_of(outcome);
  }
  ASSERT_TRUE(outcome.done()) << text_of(outcome);
  EXPECT_TRUE(ram_->is_zero(page_));
  expect_neighbours();
}

TEST_P(PoisonAgainTest, NothingIsTouchedInARegionThatForbidsIt) {
  for (const std::uint16_t flag :
       {decision::kRegionReadOnly, decision::kRegionPrivateFile, decision::kRegionPersistent,
        decision::kRegionPinned, decision::kRegionNoHva}) {
    const auto outcome =
        shim::poison_again(ram_->region(flag), ram_->hva(page_), ram_->page_size());
    EXPECT_LE(outcome.result, PageResult::kPrivateFile) << flag;
    EXPECT_FALSE(outcome.done()) << flag;
    EXPECT_TRUE(ram_->has_pattern(page_));
  }
}

TEST_P(PoisonAgainTest, APartOfAPageIsRefused) {
  const auto region = ram_->region();
  const std::uint64_t half = ram_->page_size() / 2;
  EXPECT_EQ(shim::poison_again(region, ram_->hva(page_) + half, half).result,
            PageResult::kPartOfPage);
  EXPECT_EQ(shim::poison_again(region, ram_->hva(page_), half).result, PageResult::kPartOfPage);
  EXPECT_TRUE(ram_->has_pattern(page_));
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<RamKind, bool>>& info) {
  std::string name = ram_kind_name(std::get<0>(info.param));
  std::erase(name, ' ');
  return name + (std::get<1>(info.param) ? "_locked" : "");
}
INSTANTIATE_TEST_SUITE_P(Kinds, PoisonAgainTest,
                         ::testing::Combine(::testing::ValuesIn(kRamKinds), ::testing::Bool()),
                         name_of);

// A VMM that maps its RAM twice; the mark in the other mapping is of another page table
// entry, as the kernel's own is after a real failure.
TEST(PoisonAgain, RepairTakesTheMarkOutOfAnyMappingOfTheFile) {
  auto ram = BackedRam::make(RamKind::kMemfd, 3);
  ASSERT_TRUE(ram) << ram.error();
  const auto again = ram->map_again();
  ASSERT_TRUE(again) << again.error();
  if (!shim::poison_again(again->region(), again->hva(1), 4096).done()) {
    GTEST_SKIP() << "UFFDIO_POISON needs Linux 6.6";
  }
  EXPECT_EQ(probe_pages(ram->hva(1), 4096), 0) << "the mark is of one mapping";
  ASSERT_TRUE(shim::repair_page(ram->region(), ram->hva(1), 4096).done());
  EXPECT_EQ(probe_pages(again->hva(1), 4096), 0);
  EXPECT_TRUE(again->is_zero(1));
  EXPECT_TRUE(again->has_pattern(2));
}

TEST(PoisonAgain, ARangeThatPostcopyWatchesIsRefusedAndUntouched) {
  auto ram = BackedRam::make(RamKind::kAnonymous, 3);
  ASSERT_TRUE(ram) << ram.error();
  const shm::UniqueFd postcopy(
      static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)));
  uffdio_api api{UFFD_API, 0, 0};
  if (::ioctl(postcopy.get(), UFFDIO_API, &api) != 0) GTEST_SKIP() << "no userfaultfd here";
  uffdio_register all{{ram->hva(), 3 * 4096}, UFFDIO_REGISTER_MODE_MISSING, 0};
  ASSERT_EQ(::ioctl(postcopy.get(), UFFDIO_REGISTER, &all), 0);
  const auto outcome = shim::poison_again(ram->region(), ram->hva(1), 4096);
  if (outcome.result == PageResult::kKernelTooOld) GTEST_SKIP() << "needs Linux 6.6";
  EXPECT_EQ(outcome.result, PageResult::kWatched) << text_of(outcome);
  EXPECT_TRUE(ram->has_pattern(1));
}

TEST(PoisonAgain, AnAddressWithoutAMappingIsRefused) {
  auto ram = BackedRam::make(RamKind::kAnonymous, 3);
  ASSERT_TRUE(ram) << ram.error();
  const auto region = ram->region();
  ASSERT_EQ(::munmap(reinterpret_cast<void*>(ram->hva(1)), 4096), 0);
  const auto result = shim::poison_again(region, ram->hva(1), 4096).result;
  EXPECT_TRUE(result == PageResult::kNotMarked || result == PageResult::kKernelTooOld);
}

// --- In a child, which may give up its rights ---------------------------------------

// 0: refused as `wanted`, and the page is as it was.
int refused_as(PageResult wanted, const std::function<bool()>& prepare) {
  return in_child([&] {
    auto ram = BackedRam::make(RamKind::kAnonymous, 3);
    if (!ram || !prepare()) return 77;
    const auto outcome = shim::poison_again(ram->region(), ram->hva(1), 4096);
    if (outcome.result != wanted) return 100 + static_cast<int>(outcome.result);
    return ram->has_pattern(1) ? 0 : 1;
  });
}

TEST(PoisonAgain, WithoutThePermissionItSaysSo) {
  EXPECT_EQ(refused_as(PageResult::kNotPermitted, [] { return forbid(SYS_userfaultfd, 0, EPERM); }),
            0);
}

TEST(PoisonAgain, AKernelWithoutUserfaultfdIsTooOld) {
  EXPECT_EQ(
      refused_as(PageResult::kKernelTooOld, [] { return forbid(SYS_userfaultfd, 0, ENOSYS); }), 0);
}

TEST(PoisonAgain, AKernelThatDoesNotKnowTheFeatureIsTooOld) {
  EXPECT_EQ(
      refused_as(PageResult::kKernelTooOld,
                 [] { return forbid(SYS_ioctl, static_cast<std::uint32_t>(UFFDIO_API), EINVAL); }),
      0);
}

TEST(PoisonAgain, NeedsNoPrivilege) {
  const int result = in_child([] {
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return 77;
    auto ram = BackedRam::make(RamKind::kMemfd, 3);
    if (!ram) return 77;
    const auto outcome = shim::poison_again(ram->region(), ram->hva(1), 4096);
    if (outcome.result == PageResult::kKernelTooOld) return 77;
    return outcome.done() && probe_pages(ram->hva(1), 4096) == EHWPOISON ? 0 : 1;
  });
  if (result == 77) GTEST_SKIP() << "needs Linux 6.6";
  EXPECT_EQ(result, 0);
}

}  // namespace
}  // namespace memfail::test

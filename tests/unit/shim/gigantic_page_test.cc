// SPDX-License-Identifier: BSD-3-Clause
//
// A real 1 GiB page, lost and replaced as a whole. Skipped where the machine has none to
// spare, and cannot make one.
#include <gtest/gtest.h>

#include <sys/mman.h>

#include <cerrno>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/shim/backed_ram.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/poison_again.h"
#include "vmm_shim/repair.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kGpa = 4 * kGiB;
const std::string kPool = "/sys/kernel/mm/hugepages/hugepages-1048576kB/";

long number(const char* name) {
  long value = -1;
  std::ifstream(kPool + name) >> value;
  return value;
}

void set_pool(long pages) { std::ofstream(kPool + "nr_hugepages") << pages << std::flush; }

constexpr long kNeeded = 2;  // the guest's, and one to put in its place

// So many free pages of 1 GiB for as long as this lives, and the pool as it was afterwards.
class LentPages {
 public:
  LentPages() : before_(number("nr_hugepages")) {
    const long missing = kNeeded - number("free_hugepages");
    if (before_ >= 0 && missing > 0) set_pool(before_ + missing);
  }
  ~LentPages() {
    if (before_ >= 0) set_pool(before_);
  }
  LentPages(const LentPages&) = delete;
  LentPages& operator=(const LentPages&) = delete;
  static bool are_there() { return number("free_hugepages") >= kNeeded; }

 private:
  long before_;
};

class GiganticPage : public ::testing::TestWithParam<RamKind> {
 protected:
  void SetUp() override {
    if (!LentPages::are_there()) {
      GTEST_SKIP() << "fewer than 2 free huge pages of 1 GiB, and they cannot be made: " << kPool
                   << "nr_hugepages takes root, and memory in one piece";
    }
    auto made = BackedRam::make(GetParam(), 1);
    ASSERT_TRUE(made) << made.error();
    ram_.emplace(std::move(*made));
    install_handler();
  }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }
  // Guest RAM, at 4 GiB, besides the VM's own.
  void add_to(const TestVm& vm) const {
    memfail_region added = region(7, kGpa, kGiB, ram_->hva());
    added.page_size = kGiB;
    memfail_error error{};
    memfail_regions_begin(vm.shim());
    ASSERT_EQ(memfail_regions_add(vm.shim(), &added, &error), 0) << error.text;
    ASSERT_EQ(memfail_regions_commit(vm.shim(), &error), 0) << error.text;
  }
  int probe() const {
    void* page = reinterpret_cast<void*>(ram_->hva());
    return ::madvise(page, kGiB, MADV_POPULATE_READ) == 0 ? 0 : errno;
  }

  LentPages lent_;
  std::optional<BackedRam> ram_;
};

TEST_P(GiganticPage, IsReplacedByACleanOne) {
  const auto outcome = shim::repair_page(ram_->region(), ram_->hva() + 0x1234'5000, 1);
  ASSERT_TRUE(outcome.done());
  EXPECT_TRUE(ram_->is_zero(0));
}

// Known before anything is lost: the page stays as it was.
TEST_P(GiganticPage, StaysWhereThePoolHasNoOther) {
  std::vector<BackedRam> others;
  while (number("free_hugepages") > 0) {
    auto other = BackedRam::make(GetParam(), 1);
    ASSERT_TRUE(other) << other.error();
    others.push_back(std::move(*other));
  }
  EXPECT_EQ(shim::repair_page(ram_->region(), ram_->hva(), kGiB).result,
            shim::PageResult::kPoolEmpty);
  EXPECT_TRUE(ram_->has_pattern(0));
}

TEST_P(GiganticPage, ThatIsPoisonedIsReplacedToo) {
  const auto outcome = shim::poison_again(ram_->region(), ram_->hva(), kGiB);
  if (outcome.result == shim::PageResult::kKernelTooOld) {
    GTEST_SKIP() << "UFFDIO_POISON needs Linux 6.6";
  }
  ASSERT_TRUE(outcome.done());
  ASSERT_EQ(probe(), EHWPOISON);
  ASSERT_TRUE(shim::repair_page(ram_->region(), ram_->hva(), kGiB).done());
  EXPECT_EQ(probe(), 0);
  EXPECT_TRUE(ram_->is_zero(0));
}

// KVM names a 4 KiB page; all of the 1 GiB is gone, which the event says, and a touch of
// another part is of the same loss. A guest reset replaces it once.
TEST_P(GiganticPage, IsLostAsAWholeAndRepairedAtAReset) {
  TestVm vm;
  add_to(vm);
  constexpr std::uint64_t kFirst = 0x1234'5000;
  constexpr std::uint64_t kSecond = 0x3FFF'F000;
  for (const std::uint64_t offset : {kFirst, kSecond}) {
    vm.raise_in_run(kRequired, ram_->hva() + offset);
    memfail_handle(vm.lane());
    const memfail_incident incident = vm.incidents().back();
    EXPECT_EQ(incident.hva, ram_->hva() + offset);
    EXPECT_EQ(incident.gpa, kGpa + offset);
    EXPECT_EQ(incident.size, kGiB);
  }
  EXPECT_EQ(vm.status().poisoned, 1U);
  shim::PoisonedPage page;
  ASSERT_TRUE(vm.shim()->poison.page(0, page));
  EXPECT_EQ(page.gpa, kGpa);
  EXPECT_EQ(page.hva, ram_->hva());
  EXPECT_EQ(page.size, kGiB);
  EXPECT_EQ(memfail_guest_reset(vm.shim()), 0);
  EXPECT_TRUE(ram_->is_zero(0));
}

INSTANTIATE_TEST_SUITE_P(Kinds, GiganticPage,
                         ::testing::Values(RamKind::kAnonymousGigantic, RamKind::kMemfdGigantic),
                         [](const auto& given) {
                           return given.param == RamKind::kMemfdGigantic ? "Memfd" : "Anonymous";
                         });

}  // namespace
}  // namespace memfail::test

// SPDX-License-Identifier: BSD-3-Clause
//
// memfail_poison_import() where the destination cannot have the pages, or must not.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "tests/unit/shim/lesser_kernel.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/poison_blob.h"

namespace memfail::test {
namespace {

using shim::kPoisonTold;
using shim::PoisonRecord;
using ::testing::AnyOf;
using ::testing::HasSubstr;

const std::vector<PoisonRecord> kUntold{{TestVm::gpa(3), kPage, 0}};
const std::vector<PoisonRecord> kTold{{TestVm::gpa(3), kPage, kPoisonTold}};

struct Answer {
  int pages = 0;
  std::string why;
  std::uint64_t broken = 0;  // in the destination's list afterwards
  bool intact = false;       // its memory is as it was received
};

std::uint8_t* bytes_of(const TestVm& vm) { return reinterpret_cast<std::uint8_t*>(vm.hva()); }

Answer import(const TestVm& vm, std::vector<PoisonRecord> pages) {
  std::vector<std::byte> blob(shim::poison_blob_size(static_cast<std::uint32_t>(pages.size())));
  EXPECT_TRUE(shim::write_poison_blob(pages, blob));
  bytes_of(vm)[3 * kPage] = 0xA5;
  memfail_error error{};
  Answer answer;
  answer.pages = memfail_poison_import(vm.shim(), blob.data(), blob.size(), &error);
  answer.why = error.text;
  answer.broken = vm.status().poisoned;
  answer.intact = answer.pages < 0 && bytes_of(vm)[3 * kPage] == 0xA5;
  return answer;
}

// 0: refused for this reason with nothing changed, where `system_call` fails.
int refused_because(const char* why, const std::function<bool()>& prepare) {
  return in_child([&] {
    const TestVm vm;
    if (!prepare()) return 77;
    const Answer answer = import(vm, kUntold);
    if (answer.pages != -EOPNOTSUPP) return 1;
    const bool named = answer.why.find("0x103000") != std::string::npos &&
                       answer.why.find(why) != std::string::npos;
    if (!named) return 2;
    return answer.broken == 0 && answer.intact ? 0 : 3;
  });
}

TEST(Import, IsRefusedByAKernelWithoutMarks) {
  EXPECT_EQ(
      refused_because(
          "6.6", [] { return forbid(SYS_ioctl, static_cast<std::uint32_t>(UFFDIO_API), EINVAL); }),
      0);
  EXPECT_EQ(refused_because("6.6", [] { return forbid(SYS_userfaultfd, 0, ENOSYS); }), 0);
}

TEST(Import, IsRefusedWhereItIsNotAllowed) {
  EXPECT_EQ(refused_because("not-permitted", [] { return forbid(SYS_userfaultfd, 0, EPERM); }), 0);
}

TEST(Import, IsRefusedWherePostcopyHoldsTheMemory) {
  const TestVm vm;
  const shm::UniqueFd postcopy(
      static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)));
  uffdio_api api{UFFD_API, 0, 0};
  if (::ioctl(postcopy.get(), UFFDIO_API, &api) != 0) GTEST_SKIP() << "no userfaultfd here";
  bytes_of(vm)[3 * kPage] = 1;  // received: the kernel asks nobody for it
  uffdio_register all{{vm.hva(), kRamPages * kPage}, UFFDIO_REGISTER_MODE_MISSING, 0};
  ASSERT_EQ(::ioctl(postcopy.get(), UFFDIO_REGISTER, &all), 0);
  const Answer answer = import(vm, kUntold);
  EXPECT_EQ(answer.pages, -EOPNOTSUPP);
  EXPECT_THAT(answer.why, HasSubstr("0x103000"));
  EXPECT_THAT(answer.why, AnyOf(HasSubstr("as postcopy does"), HasSubstr("Linux 6.6")));
  EXPECT_EQ(answer.broken, 0U);
  EXPECT_TRUE(answer.intact);
}

// The guest has left that page alone since it was told; a reset will repair nothing there.
TEST(Import, OfAPageThatTheGuestWasToldOfNeedsNoMark) {
  const int result = in_child([] {
    const TestVm vm;
    if (!forbid(SYS_userfaultfd, 0, ENOSYS)) return 77;
    const Answer answer = import(vm, kTold);
    return answer.pages == 1 && answer.broken == 1 ? 0 : 1;
  });
  EXPECT_EQ(result, 0);
}

// Of a huge page it was told one small page, and uses the rest.
TEST(Import, OfAHugePageThatTheGuestWasToldOfNeedsOne) {
  const int result = in_child([] {
    const TestVm vm;
    if (!forbid(SYS_userfaultfd, 0, ENOSYS)) return 77;
    const Answer answer = import(vm, {{TestVm::gpa(2), 2 * kPage, kPoisonTold}});
    return answer.pages == -EOPNOTSUPP && answer.broken == 0 ? 0 : 1;
  });
  EXPECT_EQ(result, 0);
}

TEST(Import, WithOnePageThatIsNotInRamTakesOverNone) {
  const TestVm vm;
  const Answer answer =
      import(vm, {{TestVm::gpa(3), kPage, 0}, {TestVm::gpa(kRamPages), kPage, 0}});
  EXPECT_EQ(answer.pages, -ERANGE);
  EXPECT_THAT(answer.why, HasSubstr("0x140000"));
  EXPECT_EQ(answer.broken, 0U);
  EXPECT_TRUE(answer.intact);
}

TEST(Import, OfMorePagesThanThereIsRoomForTakesOverNone) {
  const TestVm vm([](memfail_config& config) { config.max_poisoned = 1; });
  const Answer answer = import(vm, {{TestVm::gpa(3), kPage, 0}, {TestVm::gpa(4), kPage, 0}});
  EXPECT_LT(answer.pages, 0);
  EXPECT_EQ(answer.broken, 0U);
  EXPECT_TRUE(answer.intact);
}

}  // namespace
}  // namespace memfail::test

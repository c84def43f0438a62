// SPDX-License-Identifier: BSD-3-Clause
//
// A guest reset: pages are replaced, and the sidecar hears of each until it has it. And
// the list of broken pages on its way to another host.
#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/poison_blob.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

class GuestResetTest : public ::testing::Test {
 protected:
  void SetUp() override { install_handler(); }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }

  // An action-optional failure of the page, while the VM is paused: it is remembered.
  static void lose(TestVm& vm, std::uint64_t page) {
    memfail_vm_running(vm.shim(), 0);
    vm.raise_in_run(kOptional, vm.hva(page));
    memfail_handle(vm.lane());
  }
  static std::uint8_t& byte_of(TestVm& vm, std::uint64_t page) {
    return *reinterpret_cast<std::uint8_t*>(vm.hva(page));
  }
  // The next message with pages.
  std::vector<wire::PoisonPage> heard(std::uint64_t* id = nullptr) {
    while (const auto packet = sidecar_.receive()) {
      const auto* message = packet->message().body_as_PoisonPages();
      if (message == nullptr) continue;
      if (id != nullptr) *id = packet->message().id();
      std::vector<wire::PoisonPage> pages;
      for (const wire::PoisonPage* page : *message->pages()) pages.push_back(*page);
      return pages;
    }
    return {};
  }

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  TestVm vm_{[this](memfail_config& config) { config.socket_path = path_.c_str(); }};
};

TEST_F(GuestResetTest, ReplacesThePageAndLeavesItsNeighbour) {
  byte_of(vm_, 3) = 0xA5;
  byte_of(vm_, 4) = 0x5A;
  lose(vm_, 3);
  EXPECT_EQ(memfail_guest_reset(vm_.shim()), 0);
  EXPECT_EQ(byte_of(vm_, 3), 0);
  EXPECT_EQ(byte_of(vm_, 4), 0x5A);
  EXPECT_FALSE(vm_.shim()->poison.has_to_tell()) << "a guest that begins anew needs no word";
}

TEST_F(GuestResetTest, TheSidecarHearsOfTheRepairUntilItHasIt) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  lose(vm_, 3);
  memfail_guest_reset(vm_.shim());
  memfail_shim_dispatch(vm_.shim());
  const auto first = heard();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].hva(), vm_.hva(3));
  EXPECT_EQ(first[0].gpa(), TestVm::gpa(3));
  EXPECT_EQ(first[0].size(), kPage);
  EXPECT_EQ(first[0].repair(), wire::Repair::repaired);
  EXPECT_EQ(vm_.shim()->poison.size(), 1U);
  // Not acknowledged: the next sidecar is told again.
  sidecar_.hang_up();
  ASSERT_TRUE(dispatch_until(vm_.shim(), [&] { return sidecar_.is_called(); }));
  ASSERT_TRUE(sidecar_.attach(vm_));
  memfail_shim_dispatch(vm_.shim());
  std::uint64_t id = 0;
  ASSERT_EQ(heard(&id).size(), 1U);
  sidecar_.send_ack(id);
  ASSERT_TRUE(dispatch_until(vm_.shim(), [&] { return vm_.shim()->poison.size() == 0; }));
}

TEST_F(GuestResetTest, AVmmsOwnWayIsUsedAndItsFailureIsTold) {
  static int calls;
  calls = 0;
  TestVm vm([](memfail_config& config) {
    config.ops.repair = [](void*, std::uint64_t, std::uint64_t gpa, std::uint64_t size) {
      EXPECT_EQ(gpa, TestVm::gpa(3));
      EXPECT_EQ(size, kPage);
      ++calls;
      return -5;
    };
  });
  byte_of(vm, 3) = 0xA5;
  lose(vm, 3);
  EXPECT_EQ(memfail_guest_reset(vm.shim()), 1);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(byte_of(vm, 3), 0xA5);
  shim::PoisonedPage page;
  ASSERT_TRUE(vm.shim()->poison.page(0, page));
  EXPECT_EQ(page.repair, wire::Repair::failed);
}

TEST_F(GuestResetTest, ASidecarThatAttachesIsSentWhatIsBroken) {
  lose(vm_, 3);
  lose(vm_, 9);
  memfail_shim_dispatch(vm_.shim());
  ASSERT_TRUE(sidecar_.take_hello());
  sidecar_.make_reply_area();
  sidecar_.send_welcome();
  memfail_shim_dispatch(vm_.shim());
  const auto pages = heard();
  ASSERT_EQ(pages.size(), 2U);
  EXPECT_EQ(pages[0].reports(), 1U);
  EXPECT_GT(pages[0].first_us(), 0U);
  EXPECT_EQ(pages[0].first_us(), pages[0].last_us());
  EXPECT_EQ(pages[0].hva(), vm_.hva(3));
  EXPECT_EQ(pages[1].hva(), vm_.hva(9));
  EXPECT_EQ(pages[1].repair(), wire::Repair::none);
}

// ---- migration ---------------------------------------------------------------------------

std::vector<std::byte> exported(const TestVm& vm) {
  std::vector<std::byte> blob(
      static_cast<std::size_t>(memfail_poison_export(vm.shim(), nullptr, 0)));
  EXPECT_EQ(memfail_poison_export(vm.shim(), blob.data(), blob.size()),
            static_cast<long>(blob.size()));
  return blob;
}

TEST_F(GuestResetTest, TheListOfBrokenPagesGoesToAnotherHost) {
  lose(vm_, 3);
  lose(vm_, 9);
  const auto blob = exported(vm_);
  TestVm destination;
  memfail_error error{};
  const int count = memfail_poison_import(destination.shim(), blob.data(), blob.size(), &error);
  if (count == -EOPNOTSUPP) GTEST_SKIP() << "this kernel cannot poison: " << error.text;
  ASSERT_EQ(count, 2) << error.text;
  EXPECT_EQ(destination.status().poisoned, 2U);
  EXPECT_TRUE(destination.shim()->poison.has_to_tell()) << "its guest does not know yet";
  // What was broken there is broken here; what was not, is not.
  char data = 0;
  const auto readable = [&](std::uint64_t page) {
    int pipe[2];
    EXPECT_EQ(::pipe(pipe), 0);
    const bool good = ::write(pipe[1], reinterpret_cast<char*>(destination.hva(page)), 1) == 1 &&
                      ::read(pipe[0], &data, 1) == 1;
    ::close(pipe[0]);
    ::close(pipe[1]);
    return good;
  };
  EXPECT_FALSE(readable(3));
  EXPECT_TRUE(readable(4));
  EXPECT_FALSE(readable(9));
  EXPECT_EQ(memfail_guest_reset(destination.shim()), 0);
  EXPECT_TRUE(readable(3));
}

// All of its RAM, at another guest address, or (kNoAddress) where the guest cannot see it.
void move_ram(const TestVm& vm, std::uint64_t gpa) {
  memfail_error error{};
  memfail_regions_begin(vm.shim());
  ASSERT_EQ(memfail_regions_remove(vm.shim(), 0, &error), 0) << error.text;
  const memfail_region moved = region(0, gpa, kRamPages * kPage, vm.hva());
  ASSERT_EQ(memfail_regions_add(vm.shim(), &moved, &error), 0) << error.text;
  ASSERT_EQ(memfail_regions_commit(vm.shim(), &error), 0) << error.text;
}

TEST_F(GuestResetTest, APageGoesByTheAddressThatTheGuestHasItAtNow) {
  constexpr std::uint64_t kElsewhere = std::uint64_t{1} << 32;
  lose(vm_, 3);
  move_ram(vm_, kElsewhere);
  std::array<shim::PoisonRecord, 4> records;
  const auto count = shim::read_poison_blob(exported(vm_), records);
  ASSERT_TRUE(count);
  ASSERT_EQ(*count, 1U);
  EXPECT_EQ(records[0].gpa, kElsewhere + 3 * kPage);
}

// A list without it would let the guest meet a clean page at the destination.
TEST_F(GuestResetTest, WithAPageThatTheGuestCannotSeeNowThereIsNoListUntilItCan) {
  lose(vm_, 3);
  move_ram(vm_, wire::kNoAddress);
  EXPECT_EQ(memfail_poison_export(vm_.shim(), nullptr, 0), -EADDRNOTAVAIL);
  move_ram(vm_, TestVm::gpa(0));
  EXPECT_EQ(exported(vm_).size(), shim::poison_blob_size(1));
}

TEST_F(GuestResetTest, OfRamThatIsGoneNothingIsListed) {
  lose(vm_, 3);
  memfail_error error{};
  memfail_regions_begin(vm_.shim());
  ASSERT_EQ(memfail_regions_remove(vm_.shim(), 0, &error), 0) << error.text;
  ASSERT_EQ(memfail_regions_commit(vm_.shim(), &error), 0) << error.text;
  EXPECT_EQ(exported(vm_).size(), shim::poison_blob_size(0));
}

TEST_F(GuestResetTest, ABadListIsRefusedWholeWithAReason) {
  lose(vm_, 3);
  auto blob = exported(vm_);
  memfail_error error{};
  EXPECT_EQ(memfail_poison_import(vm_.shim(), blob.data(), blob.size() - 1, &error), -EBADMSG);
  EXPECT_NE(error.text[0], '\0');
  blob[0] ^= std::byte{1};
  EXPECT_EQ(memfail_poison_import(vm_.shim(), blob.data(), blob.size(), &error), -EBADMSG);
  EXPECT_EQ(vm_.status().poisoned, 1U);
}

TEST_F(GuestResetTest, APageOutsideTheRegionsIsRefused) {
  lose(vm_, 3);
  const auto blob = exported(vm_);
  TestVm destination;
  memfail_error error{};
  memfail_regions_begin(destination.shim());
  ASSERT_EQ(memfail_regions_remove(destination.shim(), 0, &error), 0) << error.text;
  ASSERT_EQ(memfail_regions_commit(destination.shim(), &error), 0) << error.text;
  EXPECT_EQ(memfail_poison_import(destination.shim(), blob.data(), blob.size(), &error), -ERANGE);
  EXPECT_NE(std::strstr(error.text, "0x103000"), nullptr) << error.text;
  EXPECT_EQ(destination.status().poisoned, 0U);
}

}  // namespace
}  // namespace memfail::test

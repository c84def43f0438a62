// SPDX-License-Identifier: BSD-3-Clause
//
// After a session that ended badly: what is kept of it, and when the next one comes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "shm/reply_wait.h"
#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/outcome.h"

namespace memfail::test {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kMostSetAside = 16;
constexpr std::uint32_t kFirstBackoffMs = 10;
constexpr std::uint32_t kLastBackoffMs = 1000;
constexpr std::uint64_t kStoodNs = 100 * shim::kNsPerMs;

class ReconnectTest : public ::testing::Test {
 protected:
  void SetUp() override { install_handler(); }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }

  void dispatch() { memfail_shim_dispatch(vm_.shim()); }
  memfail_session_state state() { return vm_.status().state; }
  shim::Session& session() { return vm_.shim()->session; }
  void skip_backoff() { session().retry_at_ns = 0; }
  bool attach() {
    skip_backoff();
    return sidecar_.attach(vm_);
  }
  void hang_up() {
    sidecar_.hang_up();
    dispatch();
  }
  // Up to the hello: the sidecar's answer is the test's.
  void greet() {
    hang_up();
    skip_backoff();
    dispatch();
    ASSERT_TRUE(sidecar_.take_hello());
    sidecar_.make_reply_area();
  }

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  TestVm vm_{[this](memfail_config& config) { config.socket_path = path_.c_str(); }};
};

// ---- descriptors that come with a bad message ----------------------------------------

class BadDescriptors : public ReconnectTest {
 protected:
  // How often the file is open in this process: once by the sidecar itself.
  static std::size_t times_open() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const auto link = std::filesystem::read_symlink(entry.path(), gone);
      count += link.string().starts_with("/memfd:no-area") ? 1 : 0;
    }
    return count;
  }
  void send_bad_welcome() { sidecar_.send_welcome({.area = file_.get()}); }
  void expect_set_aside() {
    const std::uint32_t before = session().set_aside;
    const std::size_t open = times_open();
    dispatch();
    EXPECT_EQ(state(), MEMFAIL_DETACHED);
    EXPECT_EQ(session().set_aside, before + 1);
    EXPECT_EQ(times_open(), open + 1) << "closed, and a close may hang";
  }

  const shm::UniqueFd file_{::memfd_create("no-area", MFD_CLOEXEC)};
};

TEST_F(BadDescriptors, OfAnAreaThatIsRefusedAreSetAside) {
  ASSERT_EQ(times_open(), 1U);
  greet();
  send_bad_welcome();
  expect_set_aside();
}

TEST_F(BadDescriptors, OfAMalformedMessageAreSetAside) {
  greet();
  const std::array<std::byte, 40> junk{};
  sidecar_.send_bytes(junk, file_.get());
  expect_set_aside();
}

TEST_F(BadDescriptors, OfAnEmptyMessageAreSetAside) {
  greet();
  sidecar_.send_bytes({}, file_.get());
  expect_set_aside();
}

TEST_F(BadDescriptors, OfAWelcomeThatIsRefusedForSomethingElseAreSetAside) {
  greet();
  sidecar_.send_welcome({.version = 2, .area = file_.get()});
  expect_set_aside();
}

// What the kernel has no room for it closes itself, in the VMM's event loop.
TEST_F(BadDescriptors, ThatAreMoreThanOneAreAllSetAside) {
  greet();
  const std::size_t open = times_open();
  sidecar_.send_welcome({.area = file_.get(), .two_areas = true});
  dispatch();
  EXPECT_EQ(state(), MEMFAIL_DETACHED);
  EXPECT_EQ(session().set_aside, 2U);
  EXPECT_EQ(times_open(), open + 1);
}

// So it does with those in a socket that is closed: the socket is set aside.
TEST_F(BadDescriptors, WhereNoneIsExpectedStayUnread) {
  ASSERT_TRUE(attach());
  const std::array<std::byte, 40> junk{};
  sidecar_.send_bytes(junk, file_.get());
  dispatch();
  EXPECT_EQ(state(), MEMFAIL_DETACHED);
  EXPECT_EQ(session().set_aside, 1U);
}

TEST_F(BadDescriptors, BehindABadMessageStayUnread) {
  ASSERT_TRUE(attach());
  const std::array<std::byte, 40> junk{};
  sidecar_.send_bytes(junk);
  sidecar_.send_bytes({});
  sidecar_.send_bytes(junk, file_.get());
  dispatch();
  EXPECT_EQ(state(), MEMFAIL_DETACHED);
  EXPECT_EQ(session().set_aside, 1U);
}

TEST_F(BadDescriptors, AreNoneOfAGoodSession) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(attach());
    hang_up();
  }
  EXPECT_EQ(session().set_aside, 0U);
}

TEST_F(BadDescriptors, FifteenOfThemAreBorne) {
  for (std::uint32_t i = 1; i < kMostSetAside; ++i) {
    greet();
    send_bad_welcome();
    dispatch();
  }
  EXPECT_EQ(session().set_aside, kMostSetAside - 1);
  hang_up();
  EXPECT_TRUE(attach());
}

TEST_F(BadDescriptors, AfterSixteenNobodyIsAttachedToAnyMore) {
  for (std::uint32_t i = 0; i < kMostSetAside; ++i) {
    greet();
    send_bad_welcome();
    dispatch();
  }
  hang_up();
  const std::size_t open = times_open();
  skip_backoff();
  dispatch();
  EXPECT_EQ(state(), MEMFAIL_DETACHED);
  EXPECT_THAT(vm_.status().last_error, HasSubstr("16 bad descriptors: not attaching any more"));
  memfail_error error{};
  EXPECT_EQ(memfail_shim_attach(vm_.shim(), 1000, &error), -ENOTCONN);
  EXPECT_THAT(error.text, HasSubstr("16 bad descriptors"));
  EXPECT_FALSE(sidecar_.is_called());
  EXPECT_EQ(times_open(), open);
}

TEST_F(BadDescriptors, TheFallbackGoesOnWithoutASidecar) {
  session().set_aside = kMostSetAside;
  dispatch();
  vm_.raise_in_run(kOptional, vm_.hva(1));
  EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
  ASSERT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.incidents()[0].decided_by, static_cast<int>(wire::DecidedBy::builtin));
}

// ---- back-off -----------------------------------------------------------------------

class Backoff : public ReconnectTest {
 protected:
  std::uint32_t backoff_ms() { return session().backoff_ms; }
  // A sidecar that attaches and is gone. Whether it stood for less than 100 ms: on a
  // busy machine nobody knows.
  bool attach_and_drop() {
    const std::uint64_t begin = shm::monotonic_ns();
    EXPECT_TRUE(attach());
    hang_up();
    return shm::monotonic_ns() - begin < kStoodNs;
  }
  void drop_until(std::uint32_t at_least_ms) {
    for (int i = 0; i < 200 && backoff_ms() < at_least_ms; ++i) attach_and_drop();
    ASSERT_GE(backoff_ms(), at_least_ms);
  }
};

TEST_F(Backoff, GrowsForASidecarThatAttachesAndDropsAtOnce) {
  EXPECT_EQ(backoff_ms(), 0U);
  int drops = 0;
  for (int i = 0; i < 200 && drops < 10; ++i) {
    const std::uint32_t before = backoff_ms();
    if (!attach_and_drop()) continue;
    ++drops;
    EXPECT_EQ(backoff_ms(), std::clamp(before * 2, kFirstBackoffMs, kLastBackoffMs));
  }
  EXPECT_EQ(drops, 10) << "of a machine on which this takes 100 ms";
}

TEST_F(Backoff, IsWaitedOutBeforeTheNextCall) {
  drop_until(80);
  const std::uint64_t dropped = session().retry_at_ns - backoff_ms() * shim::kNsPerMs;
  ASSERT_TRUE(dispatch_until(vm_.shim(), [&] { return sidecar_.is_called(); }));
  EXPECT_GE(shm::monotonic_ns() - dropped, 80 * shim::kNsPerMs);
}

TEST_F(Backoff, StartsAnewAfterASessionThatStood) {
  drop_until(80);
  ASSERT_TRUE(attach());
  const std::uint64_t end = shm::monotonic_ns() + kStoodNs;
  while (shm::monotonic_ns() < end) dispatch();
  EXPECT_EQ(state(), MEMFAIL_ATTACHED);
  hang_up();
  EXPECT_EQ(backoff_ms(), kFirstBackoffMs);
}

TEST_F(Backoff, TimeWithoutASessionIsNoStanding) {
  drop_until(80);
  const std::uint32_t before = backoff_ms();
  const std::uint64_t end = shm::monotonic_ns() + kStoodNs;
  while (shm::monotonic_ns() < end) {  // the hello is sent, and no answer comes
    skip_backoff();
    dispatch();
  }
  ASSERT_EQ(state(), MEMFAIL_ATTACHING);
  ASSERT_TRUE(sidecar_.accept());
  hang_up();
  EXPECT_EQ(state(), MEMFAIL_DETACHED);
  EXPECT_EQ(backoff_ms(), std::min(before * 2, kLastBackoffMs));
}

// ---- reply areas that lied ------------------------------------------------------------

class LyingArea : public ReconnectTest {
 protected:
  std::uint32_t serial() { return session().area_serial.load(); }
};

TEST_F(LyingArea, EndsItsOwnSession) {
  ASSERT_TRUE(attach());
  vm_.raise_in_run(kOptional, vm_.hva(1));
  sidecar_.write_reply_word(claim(0, 1, sidecar_.geometry()), 2);  // without a checksum
  memfail_handle(vm_.lane());
  dispatch();
  EXPECT_EQ(state(), MEMFAIL_DETACHED);
  EXPECT_THAT(vm_.status().last_error, HasSubstr("lied"));
}

TEST_F(LyingArea, OfADeadSidecarDoesNotEndTheNextSession) {
  ASSERT_TRUE(attach());
  const std::uint32_t first = serial();
  hang_up();
  ASSERT_TRUE(attach());
  EXPECT_NE(serial(), first);
  // A vCPU that read the old area, and did not get to say so before now.
  shim::drop_session(*vm_.shim(), first);
  dispatch();
  EXPECT_EQ(state(), MEMFAIL_ATTACHED);
  EXPECT_STREQ(vm_.status().last_error, "");
  shim::drop_session(*vm_.shim(), serial());
  dispatch();
  EXPECT_EQ(state(), MEMFAIL_DETACHED);
}

TEST_F(LyingArea, ThatNobodyWasToldOfBeforeItsHangUpDoesNotEndTheNextSession) {
  ASSERT_TRUE(attach());
  sidecar_.hang_up();
  dispatch();
  shim::drop_session(*vm_.shim(), serial());
  dispatch();
  ASSERT_TRUE(attach());
  dispatch();
  EXPECT_EQ(state(), MEMFAIL_ATTACHED);
}

TEST_F(LyingArea, IsForgivenToTheSidecarThatComesBack) {
  for (std::uint64_t n = 1; n <= 3; ++n) {
    ASSERT_TRUE(attach());
    const shm::Claim lied = claim(0, n, sidecar_.geometry());
    vm_.raise_in_run(kOptional, vm_.hva(n));
    sidecar_.write_reply_word(lied, 2 * n);
    memfail_handle(vm_.lane());
    EXPECT_EQ(state(), MEMFAIL_ATTACHED) << "dispatch ends it";
    dispatch();
    EXPECT_EQ(state(), MEMFAIL_DETACHED);
    sidecar_.hang_up();
  }
  EXPECT_TRUE(attach());
}

}  // namespace
}  // namespace memfail::test

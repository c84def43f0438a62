// SPDX-License-Identifier: BSD-3-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>

#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"

namespace memfail::test {
namespace {

using ::testing::HasSubstr;

int post_nowhere(void* /*opaque*/, std::uint32_t /*vcpu*/, void (* /*fn*/)(void*), void* /*arg*/) {
  return -1;
}
void abort_not(void* /*opaque*/, const memfail_incident* /*incident*/) {}

memfail_config good_config() {
  memfail_config config{};
  config.struct_size = sizeof config;
  config.socket_fd = -1;
  config.vcpus = 1;
  config.ops.struct_size = sizeof config.ops;
  config.ops.post = post_nowhere;
  config.ops.abort = abort_not;
  return config;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

// Creation with `config` fails with `number`, one line that holds all of `parts`, and
// no shim.
void expect_refusal(const memfail_config& config, int number,
                    const std::vector<const char*>& parts) {
  memfail_shim* shim = nullptr;
  memfail_error error{};
  EXPECT_EQ(memfail_shim_create(&config, &shim, &error), number);
  EXPECT_EQ(shim, nullptr);
  for (const char* part : parts) EXPECT_THAT(error.text, HasSubstr(part));
  EXPECT_EQ(memfail_shim_create(&config, &shim, nullptr), number) << "the error may be NULL";
}

TEST(Create, RefusesAVcpuCountOfZeroOrAboveTheLimitAndNamesBoth) {
  memfail_config config = good_config();
  config.vcpus = 0;
  expect_refusal(config, -EINVAL, {"vcpus", "0", "1024"});
  config.vcpus = 1025;
  expect_refusal(config, -EINVAL, {"vcpus", "1025", "1024"});
}

TEST(Create, RefusesMoreRegionsThanTheLimit) {
  memfail_config config = good_config();
  config.max_regions = 32769;
  expect_refusal(config, -EINVAL, {"max_regions", "32769", "32768"});
}

TEST(Create, RefusesADeadlineAboveHalfASecond) {
  memfail_config config = good_config();
  config.deadline_ms = 501;
  expect_refusal(config, -EINVAL, {"deadline_ms", "501", "500"});
}

TEST(Create, RefusesAnUnknownFallbackOrVendor) {
  memfail_config config = good_config();
  config.fallback = static_cast<memfail_fallback>(3);
  expect_refusal(config, -EINVAL, {"fallback", "3", "2"});
  config = good_config();
  config.vendor = static_cast<memfail_vendor>(3);
  expect_refusal(config, -EINVAL, {"vendor", "3", "2"});
}

TEST(Create, RefusesMissingOperationsByName) {
  memfail_config config = good_config();
  config.ops.post = nullptr;
  expect_refusal(config, -EINVAL, {"ops.post"});
  config = good_config();
  config.ops.abort = nullptr;
  expect_refusal(config, -EINVAL, {"ops.abort"});
}

TEST(Create, RefusesASocketPathThatIsTooLongAndSaysHowLongItMayBe) {
  memfail_config config = good_config();
  const std::string path(108, 'x');
  config.socket_path = path.c_str();
  expect_refusal(config, -ENAMETOOLONG, {"socket path", "108", "107"});
}

TEST(Create, RefusesADescriptorThatIsNoSeqpacketSocketAndLeavesItToTheCaller) {
  memfail_config config = good_config();
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  config.socket_fd = pair[0];
  expect_refusal(config, -EINVAL, {"socket_fd", "SEQPACKET"});
  EXPECT_EQ(::close(pair[0]), 0);
  ::close(pair[1]);
}

TEST(Create, RefusesAStructTooShortToHoldTheOperations) {
  memfail_config config = good_config();
  config.struct_size = 0;
  expect_refusal(config, -EINVAL, {"struct_size", "0"});
}

TEST(Create, TakesAnOlderCallersShorterStruct) {
  memfail_config config = good_config();
  config.struct_size = offsetof(memfail_config, ops.set_mce);
  // Beyond what the older caller has.
  config.ops.set_mce = [](void*, std::uint32_t, const memfail_mce*) { return -1; };
  memfail_shim* shim = nullptr;
  memfail_error error{};
  ASSERT_EQ(memfail_shim_create(&config, &shim, &error), 0) << error.text;
  memfail_shim_destroy(shim);
}

TEST(Create, TakesANewerCallersLongerStruct) {
  struct Newer {
    memfail_config config = good_config();
    std::uint64_t more = ~std::uint64_t{0};
  } newer;
  newer.config.struct_size = sizeof newer;
  memfail_shim* shim = nullptr;
  ASSERT_EQ(memfail_shim_create(&newer.config, &shim, nullptr), 0);
  memfail_shim_destroy(shim);
}

TEST(Create, FailsCleanlyWhereverDescriptorsRunOut) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const std::size_t before = open_descriptors();
  const memfail_config config = good_config();
  int failures = 0;
  for (std::size_t room = 0; room < 8; ++room) {
    // The directory being read counted one descriptor of its own.
    const rlimit less{before - 1 + room, old.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &less), 0);
    memfail_shim* shim = nullptr;
    memfail_error error{};
    const int result = memfail_shim_create(&config, &shim, &error);
    ::setrlimit(RLIMIT_NOFILE, &old);
    if (result != 0) {
      ++failures;
      EXPECT_EQ(result, -EMFILE);
      EXPECT_STRNE(error.text, "");
      EXPECT_EQ(shim, nullptr);
    }
    memfail_shim_destroy(shim);
    EXPECT_EQ(open_descriptors(), before) << "with room for " << room;
  }
  EXPECT_GT(failures, 2);
  EXPECT_LT(failures, 8);
}

TEST(Create, FreesEverythingOnDestroy) {
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 20; ++i) {
    const TestVm vm({}, 8);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Create, HoldsAThousandAndTwentyFourVcpus) {
  const TestVm vm({}, 1024);
  EXPECT_NE(vm.lane(1023), nullptr);
}

TEST(Create, DestroysNothingGladly) { memfail_shim_destroy(nullptr); }

TEST(Create, SaysItsVersion) { EXPECT_STREQ(memfail_version(), "0.1.0"); }

TEST(Create, AForkedChildThatDestroysItsCopyDoesNotSayGoodbyeForItsParent) {
  const TempDir dir;
  FakeSidecar sidecar(dir.file("s"));
  const std::string path = dir.file("s");
  TestVm vm([&](memfail_config& config) { config.socket_path = path.c_str(); });
  ASSERT_TRUE(sidecar.attach(vm));
  const pid_t child = ::fork();
  if (child == 0) {
    memfail_shim_destroy(vm.shim());
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  memfail_guest_reset(vm.shim());  // what comes next on the socket
  memfail_shim_dispatch(vm.shim());
  const auto next = sidecar.receive();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->message().body_type(), wire::Body::GuestReset);
}

}  // namespace
}  // namespace memfail::test

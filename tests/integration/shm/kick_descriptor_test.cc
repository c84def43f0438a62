// SPDX-License-Identifier: BSD-3-Clause
//
// The other two descriptors of a hello: the kick eventfd and the pidfd.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/memfd.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "shm/area.h"
#include "shm/descriptor.h"
#include "tests/integration/shm/child.h"

namespace memfail::shm {
namespace {

using testing::Child;
using testing::fd_from_peer;

struct Kind {
  std::string name;
  std::function<int()> make;
};

int own_pidfd() { return static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)); }

int make_signalfd() {
  sigset_t all{};
  ::sigfillset(&all);
  return ::signalfd(-1, &all, 0);
}

int make_memfd() {
  const auto area = make_area(AreaKind::kRequest, Geometry(1), {});
  return area ? ::dup(area->fd.get()) : -1;
}

int pipe_end(std::size_t end, bool filled) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return -1;
  if (filled && ::write(ends[1], "12345678", 8) != 8) return -1;
  return ends.at(end);
}

int file_of_eight_bytes() {
  std::string path = "/tmp/memfail-test-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ::unlink(path.c_str());
  if (fd < 0) return -1;
  return ::write(fd, "12345678", 8) == 8 && ::lseek(fd, 0, SEEK_SET) == 0 ? fd : -1;
}

std::vector<Kind> neither() {
  return {
      {"memfd", make_memfd},
      {"empty pipe", [] { return pipe_end(0, false); }},
      {"full pipe", [] { return pipe_end(0, true); }},
      {"pipe's writing end", [] { return pipe_end(1, false); }},
      {"file", file_of_eight_bytes},
      {"folder", [] { return ::open("/tmp", O_RDONLY | O_DIRECTORY); }},
      {"folder of /proc", [] { return ::open("/proc/self", O_RDONLY | O_DIRECTORY); }},
      {"folder of /proc of another", [] { return ::open("/proc/1", O_RDONLY | O_DIRECTORY); }},
      {"/proc as O_PATH", [] { return ::open("/proc/self", O_PATH); }},
      {"file of /proc", [] { return ::open("/proc/self/stat", O_RDONLY); }},
      {"/dev/zero", [] { return ::open("/dev/zero", O_RDWR); }},
      {"/dev/null", [] { return ::open("/dev/null", O_RDWR); }},
      {"stream socket", [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }},
      {"packet socket", [] { return ::socket(AF_UNIX, SOCK_SEQPACKET, 0); }},
      {"signalfd", make_signalfd},
      {"epoll", [] { return ::epoll_create1(0); }},
      {"inotify", [] { return ::inotify_init1(0); }},
  };
}

int make_eventfd(int flags, std::uint64_t count) {
  const int fd = ::eventfd(0, flags);
  return count == 0 || ::write(fd, &count, sizeof count) == 8 ? fd : -1;
}

TEST(AKickDescriptorFromAPeer, IsTakenIfItIsAnEventfdBlockingOrNotAndWhateverItHolds) {
  for (const int flags : {0, int{EFD_NONBLOCK}, int{EFD_SEMAPHORE}}) {
    for (const std::uint64_t count : {0UL, 1UL, 0xFFFFFFFFFFFFFFFEUL}) {
      const UniqueFd fd = fd_from_peer([&] { return make_eventfd(flags, count); });
      EXPECT_TRUE(check_eventfd(fd.get(), "kick")) << flags << " " << count;
    }
  }
}

TEST(AKickDescriptorFromAPeer, OfAnyOtherKindIsRefused) {
  auto kinds = neither();
  kinds.push_back({"pidfd", own_pidfd});
  for (const Kind& kind : kinds) {
    const UniqueFd fd = fd_from_peer(kind.make);
    const auto result = check_eventfd(fd.get(), "kick eventfd");
    ASSERT_FALSE(result) << kind.name;
    EXPECT_STREQ(result.error().field, "kick eventfd");
  }
}

// A timerfd reads like an eventfd where the kernel lets it be read without waiting.
// Taken or not, it can neither block us nor do more than kick.
TEST(AKickDescriptorFromAPeer, ThatIsATimerfdNeverBlocks) {
  const UniqueFd fd = fd_from_peer([] { return ::timerfd_create(CLOCK_MONOTONIC, 0); });
  const auto taken = check_eventfd(fd.get(), "kick");
  EXPECT_TRUE(taken || taken.error().number != 0 || taken.error().value != 0);
  EXPECT_FALSE(drain_eventfd(fd.get()));
}

TEST(AKickDescriptorFromAPeer, IsDrainedWithoutBlockingThoughThePeerMadeItBlocking) {
  const testing::SocketPair sockets;
  const UniqueFd fd(::eventfd(0, EFD_NONBLOCK));
  EXPECT_FALSE(drain_eventfd(fd.get()));
  // O_NONBLOCK belongs to the open file that both hold.
  Child peer([&] { return ::fcntl(fd.get(), F_SETFL, 0) == 0 ? 0 : 1; });
  ASSERT_TRUE(peer.exited_with(0));
  ASSERT_EQ(::fcntl(fd.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_FALSE(drain_eventfd(fd.get()));
  const std::uint64_t three = 3;
  ASSERT_EQ(::write(fd.get(), &three, sizeof three), 8);
  EXPECT_TRUE(drain_eventfd(fd.get()));
  EXPECT_FALSE(drain_eventfd(fd.get()));
}

TEST(APidfdFromAPeer, IsTakenForALivingAndForADeadProcess) {
  const UniqueFd living = fd_from_peer(own_pidfd);  // its process is gone by now, and reaped
  EXPECT_TRUE(check_pidfd(living.get(), "pidfd"));
  const UniqueFd ours(own_pidfd());
  EXPECT_TRUE(check_pidfd(ours.get(), "pidfd"));
  Child child([] {
    ::pause();
    return 0;
  });
  const UniqueFd childs(static_cast<int>(::syscall(SYS_pidfd_open, child.pid(), 0)));
  EXPECT_TRUE(check_pidfd(childs.get(), "pidfd"));
  child.kill();
  ASSERT_TRUE(testing::readable(childs.get()));
  EXPECT_TRUE(check_pidfd(childs.get(), "pidfd")) << "a zombie's";
}

TEST(APidfdFromAPeer, OfAProcessWeMayNotSignalIsTaken) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: needs root to become somebody else";
  Child nobody([] {
    const int init = static_cast<int>(::syscall(SYS_pidfd_open, 1, 0));
    if (init < 0 || ::setresuid(65534, 65534, 65534) != 0) return 2;
    return check_pidfd(init, "pidfd") ? 0 : 1;
  });
  EXPECT_TRUE(nobody.exited_with(0));
}

TEST(APidfdFromAPeer, OfAnyOtherKindIsRefused) {
  auto kinds = neither();
  kinds.push_back({"eventfd", [] { return ::eventfd(0, 0); }});
  kinds.push_back({"eventfd with a count", [] { return ::eventfd(1, 0); }});
  kinds.push_back({"timerfd", [] { return ::timerfd_create(CLOCK_MONOTONIC, 0); }});
  for (const Kind& kind : kinds) {
    const UniqueFd fd = fd_from_peer(kind.make);
    const auto result = check_pidfd(fd.get(), "pidfd");
    ASSERT_FALSE(result) << kind.name;
    EXPECT_STREQ(result.error().field, "pidfd");
  }
}

}  // namespace
}  // namespace memfail::shm

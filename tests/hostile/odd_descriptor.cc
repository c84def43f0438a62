// SPDX-License-Identifier: BSD-3-Clause
#include "tests/hostile/odd_descriptor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>

#include "shm/descriptor.h"

namespace memfail::hostile {
namespace {

int pipe_end(std::size_t end) {
  std::array<int, 2> fds{};
  return ::pipe(fds.data()) == 0 ? fds.at(end) : -1;
}

// The other end stays open in the attacker: nothing says that it is alone.
int reading_end() { return pipe_end(0); }
int writing_end() { return pipe_end(1); }
int folder() { return ::open("/", O_RDONLY | O_DIRECTORY); }
int path_alone() { return ::open("/", O_PATH); }
int zeros() { return ::open("/dev/zero", O_RDWR); }
int full() { return ::open("/dev/full", O_RDWR); }
int process_file() { return ::open("/proc/self/mem", O_RDWR); }
int kvm() { return ::open("/dev/kvm", O_RDWR); }
int stream() { return ::socket(AF_UNIX, SOCK_STREAM, 0); }
int netlink() { return ::socket(AF_NETLINK, SOCK_RAW, 0); }
int signals() {
  sigset_t none;
  sigemptyset(&none);
  return ::signalfd(-1, &none, 0);
}
int timer() { return ::timerfd_create(CLOCK_MONOTONIC, 0); }
int epoll() { return ::epoll_create1(0); }
int inotify() { return ::inotify_init1(0); }
int event() { return ::eventfd(0, 0); }
int semaphore() { return ::eventfd(0, EFD_SEMAPHORE); }
int process() { return static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)); }

int memory(off_t size, int seals) {
  const int fd = ::memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 || ::ftruncate(fd, size) != 0) return -1;
  return seals == 0 || ::fcntl(fd, F_ADD_SEALS, seals) == 0 ? fd : -1;
}
int unsealed() { return memory(1 << 20, 0); }
int write_sealed() { return memory(1 << 20, shm::kAreaSeals | F_SEAL_WRITE); }
int empty() { return memory(0, shm::kAreaSeals); }
int sparse_and_huge() { return memory(off_t{1} << 40, shm::kAreaSeals); }
int huge_pages() {
  const int fd = ::memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
  if (fd < 0 || ::ftruncate(fd, 2 << 20) != 0) return -1;
  return ::fcntl(fd, F_ADD_SEALS, shm::kAreaSeals) == 0 ? fd : -1;
}
// One that grows while it is looked at.
int growing() {
  const int fd = memory(4096, 0);
  if (fd >= 0 && ::fork() == 0) {
    for (off_t size = 4096;; size = size % (1 << 24) + 4096) {
      if (::ftruncate(fd, size) != 0 || ::getppid() == 1) ::_exit(0);
    }
  }
  return fd;
}

constexpr auto kOdd = std::to_array<OddDescriptor>({
    {"reading end of a pipe", reading_end},
    {"writing end of a pipe", writing_end},
    {"folder", folder},
    {"O_PATH", path_alone},
    {"/dev/zero", zeros},
    {"/dev/full", full},
    {"/proc/self/mem", process_file},
    {"/dev/kvm", kvm},
    {"stream socket", stream},
    {"netlink socket", netlink},
    {"signalfd", signals},
    {"timerfd", timer},
    {"epoll", epoll},
    {"inotify", inotify},
    {"eventfd", event},
    {"eventfd, a semaphore", semaphore},
    {"pidfd", process},
    {"memfd without seals", unsealed},
    {"memfd sealed against writing", write_sealed},
    {"memfd without size", empty},
    {"memfd of a terabyte", sparse_and_huge},
    {"memfd of huge pages", huge_pages},
    {"memfd that grows", growing},
});

}  // namespace

std::span<const OddDescriptor> odd_descriptors() { return kOdd; }

}  // namespace memfail::hostile

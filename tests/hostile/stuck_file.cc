// SPDX-License-Identifier: BSD-3-Clause
//
// Just enough of the kernel's FUSE protocol (linux/fuse.h) for one file to be opened.
#include "tests/hostile/stuck_file.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>

namespace memfail::hostile {
namespace {

constexpr std::uint64_t kFile = 2;  // its node; the root is 1
constexpr std::uint32_t kMaxWrite = 4096;

class Server {
 public:
  // Answers until somebody writes to the other end of `mute`.
  Server(int fd, int mute) : fd_(fd), mute_(mute) {}

  void run() {
    alignas(8) std::array<char, kMaxWrite + 65536> request{};
    while (::read(fd_, request.data(), request.size()) > 0) {
      pollfd told{mute_, POLLIN, 0};
      if (::poll(&told, 1, 0) == 1) continue;
      answer(*reinterpret_cast<const fuse_in_header*>(request.data()));
    }
  }

 private:
  static fuse_attr attributes(std::uint64_t node) {
    fuse_attr out{};
    out.ino = node;
    out.size = 1 << 20;
    out.nlink = 1;
    out.blksize = 4096;
    out.mode = node == kFile ? S_IFREG | 0666 : S_IFDIR | 0777;
    return out;
  }

  void answer(const fuse_in_header& in) const {
    switch (in.opcode) {
      case FUSE_INIT: {
        fuse_init_out out{};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = FUSE_KERNEL_MINOR_VERSION;
        out.max_write = kMaxWrite;
        return send(in, out);
      }
      case FUSE_LOOKUP: {
        fuse_entry_out out{};
        out.nodeid = kFile;
        out.attr = attributes(kFile);  // valid for no time: each fstat() asks anew
        return send(in, out);
      }
      case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr = attributes(in.nodeid);
        return send(in, out);
      }
      case FUSE_OPEN: {
        fuse_open_out out{};
        out.fh = 1;
        return send(in, out);
      }
      case FUSE_FORGET:
        return;
      default:
        return refuse(in);
    }
  }

  template <typename Body>
  void send(const fuse_in_header& in, const Body& body) const {
    fuse_out_header head{sizeof head + sizeof body, 0, in.unique};
    Body copy = body;
    const std::array parts{iovec{&head, sizeof head}, iovec{&copy, sizeof copy}};
    (void)!::writev(fd_, parts.data(), parts.size());
  }
  void refuse(const fuse_in_header& in) const {
    const fuse_out_header head{sizeof head, -ENOSYS, in.unique};
    (void)!::write(fd_, &head, sizeof head);
  }

  int fd_;
  int mute_;
};

constexpr unsigned kServesFor = 30;  // seconds

bool mount_on(const std::string& place, int fuse) {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return false;
  }
  const std::string options = "fd=" + std::to_string(fuse) +
                              ",rootmode=40000,user_id=" + std::to_string(::geteuid()) +
                              ",group_id=" + std::to_string(::getegid()) + ",allow_other";
  return ::mount("stuck", place.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) == 0;
}

}  // namespace

int open_stuck_file() {
  std::string place = "/tmp/memfail-stuck-XXXXXX";
  const int fuse = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fuse < 0 || ::mkdtemp(place.data()) == nullptr) return -1;
  const bool mounted = mount_on(place, fuse);
  int fd = -1;
  std::array<int, 2> mute{-1, -1};
  if (mounted && ::pipe2(mute.data(), O_CLOEXEC) == 0) {
    if (::fork() == 0) {
      ::alarm(kServesFor);
      Server(fuse, mute[0]).run();
      ::_exit(0);
    }
    ::close(fuse);  // the child's alone: with it the file system ends
    fd = ::open((place + "/file").c_str(), O_RDWR | O_CLOEXEC);
    (void)!::write(mute[1], "m", 1);
    ::umount2(place.c_str(), MNT_DETACH);  // the open file keeps it
  }
  const int error = errno;
  ::rmdir(place.c_str());
  errno = error;
  return fd;
}

}  // namespace memfail::hostile

// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): fcntl=seals fstatfs lseek
// syscall(loop): preadv2=no-wait pidfd_send_signal=probe
#include "shm/descriptor.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace memfail::shm {
namespace {

std::unexpected<Error> refuse(const char* field, const char* what, std::uint64_t value = 0,
                              std::uint64_t limit = 0, int number = 0) {
  return std::unexpected(Error{field, what, value, limit, number});
}

// Reads 8 bytes as an eventfd would give them. Files, pipes and devices answer
// too; a file system that could block (FUSE, NFS) lacks FMODE_NOWAIT and answers
// EOPNOTSUPP at once.
ssize_t read_now(int fd, std::uint64_t& value) {
  iovec vector{&value, sizeof value};
  return ::preadv2(fd, &vector, 1, -1, RWF_NOWAIT);
}

// Sealing is known to memfds (tmpfs and hugetlbfs) only, and F_GET_SEALS never
// reaches a file system's own code: on anything else it is EINVAL at once.
bool knows_seals(int fd) { return ::fcntl(fd, F_GET_SEALS) >= 0; }

}  // namespace

const int kAreaSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

std::expected<void, Error> check_area_descriptor(int fd, std::size_t size, const char* field) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) return refuse(field, "is not a memfd", 0, 0, errno);
  if ((seals & kAreaSeals) != kAreaSeals) {
    return refuse(field, "lacks seals", static_cast<std::uint64_t>(seals),
                  static_cast<std::uint64_t>(kAreaSeals));
  }
  struct statfs fs = {};
  if (::fstatfs(fd, &fs) != 0) return refuse(field, "cannot be examined", 0, 0, errno);
  if (static_cast<std::uint64_t>(fs.f_type) != TMPFS_MAGIC) {  // hugetlbfs has seals as well
    return refuse(field, "is not on tmpfs", static_cast<std::uint64_t>(fs.f_type), TMPFS_MAGIC);
  }
  const off_t end = ::lseek(fd, 0, SEEK_END);
  if (end < 0) return refuse(field, "cannot be examined", 0, 0, errno);
  if (static_cast<std::uint64_t>(end) != size) {
    return refuse(field, "has the wrong size", static_cast<std::uint64_t>(end), size);
  }
  // Not its blocks: those beyond the end count too. Holes would be filled, and paid for, by
  // our reads.
  const off_t hole = ::lseek(fd, 0, SEEK_HOLE);
  if (hole < 0) return refuse(field, "cannot be examined", 0, 0, errno);
  if (static_cast<std::uint64_t>(hole) < size) {
    return refuse(field, "is not preallocated", static_cast<std::uint64_t>(hole), size);
  }
  return {};
}

std::expected<void, Error> check_eventfd(int fd, const char* field) {
  if (knows_seals(fd)) return refuse(field, "is a memfd, not an eventfd");
  std::uint64_t value = 0;
  const ssize_t got = read_now(fd, value);
  if (got < 0 && errno != EAGAIN) return refuse(field, "is not an eventfd", 0, 0, errno);
  // What got here is no file that could block: asking its file system is safe.
  struct statfs fs = {};
  if (::fstatfs(fd, &fs) != 0) return refuse(field, "cannot be examined", 0, 0, errno);
  if (static_cast<std::uint64_t>(fs.f_type) != ANON_INODE_FS_MAGIC) {
    return refuse(field, "is not an eventfd", static_cast<std::uint64_t>(fs.f_type),
                  ANON_INODE_FS_MAGIC);
  }
  return {};
}

std::expected<void, Error> check_pidfd(int fd, const char* field) {
  if (knows_seals(fd)) return refuse(field, "is a memfd, not a pidfd");
  // A pidfd cannot be read; a folder of /proc, which the next call would take as
  // well, says EOPNOTSUPP instead.
  std::uint64_t value = 0;
  if (read_now(fd, value) >= 0 || errno != EINVAL) return refuse(field, "is not a pidfd");
  // Signal 0 asks whether this is a pidfd: anything else is EBADF before its file
  // system hears of it. EPERM or ESRCH are a pidfd's own answers.
  if (::syscall(SYS_pidfd_send_signal, fd, 0, nullptr, 0) != 0 && errno == EBADF) {
    return refuse(field, "is not a pidfd", 0, 0, EBADF);
  }
  return {};
}

bool drain_eventfd(int fd) {
  std::uint64_t value = 0;
  return read_now(fd, value) == static_cast<ssize_t>(sizeof value);
}

}  // namespace memfail::shm

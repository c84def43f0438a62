// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/sandbox/root.h"

#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace memfail::sandbox {
namespace {

// Any directory that is there on every Linux: it is hidden by the new root at once.
constexpr const char* kPlace = "/proc";
constexpr unsigned long kFlags = MS_NODEV | MS_NOEXEC | MS_NOSUID;
constexpr const char* kHint = "in a container: a profile that lets mount and pivot_root through";

}  // namespace

Done enter_empty_root() {
  // Nothing mounted here reaches the host.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return refused("mount(/)", kHint);
  }
  if (::mount("none", kPlace, "tmpfs", kFlags, "mode=0555,nr_inodes=2") != 0) {
    return refused("mount(tmpfs)", kHint);
  }
  if (::chdir(kPlace) != 0) return refused("chdir");
  // The old root onto the new one's place, and then off: no directory is needed for it.
  if (::syscall(SYS_pivot_root, ".", ".") != 0) {
    return refused("pivot_root", "the root must be a mounted file system, not an initramfs");
  }
  if (::umount2(".", MNT_DETACH) != 0) return refused("umount");
  if (::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kFlags, nullptr) != 0) {
    return refused("mount(read-only)");
  }
  if (::chdir("/") != 0) return refused("chdir");
  return {};
}

}  // namespace memfail::sandbox

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/sandbox/namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

namespace memfail::sandbox {
namespace {

constexpr const char* kAllowUsers =
    "allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone; "
    "in a container: a profile that lets unshare through)";
constexpr const char* kEverybody = "0 0 4294967295";

bool write_to(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool done = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  ::close(fd);
  errno = error;
  return done;
}

// The kernel takes a second try after a refused one; a map is written once.
bool map_ids(const char* path, unsigned own) {
  const std::string number = std::to_string(own);
  return write_to(path, kEverybody) || write_to(path, number + " " + number + " 1");
}

Done enter(int flag, const char* hint) {
  if (::unshare(flag) != 0) return refused("unshare", hint);
  return {};
}

}  // namespace

Done enter_user_namespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (auto done = enter(CLONE_NEWUSER, kAllowUsers); !done) return done;
  if (!map_ids("/proc/self/uid_map", uid)) return refused("uid_map", "is /proc mounted?");
  if (map_ids("/proc/self/gid_map", gid)) return {};
  // Without CAP_SETGID a group map needs this first.
  if (!write_to("/proc/self/setgroups", "deny") || !map_ids("/proc/self/gid_map", gid)) {
    return refused("gid_map", "is /proc mounted?");
  }
  return {};
}

Done enter_mount_namespace() { return enter(CLONE_NEWNS, kAllowUsers); }
Done enter_network_namespace() { return enter(CLONE_NEWNET, kAllowUsers); }
Done enter_ipc_namespace() { return enter(CLONE_NEWIPC, kAllowUsers); }
Done enter_uts_namespace() { return enter(CLONE_NEWUTS, kAllowUsers); }
Done enter_cgroup_namespace() { return enter(CLONE_NEWCGROUP, kAllowUsers); }

}  // namespace memfail::sandbox

// SPDX-License-Identifier: BSD-3-Clause
//
// Runs a command as on a host that allows less than this one:
//
//   memfail-narrow-host PROFILE COMMAND [ARGUMENT…]
//
//   no-user-namespaces  a user namespace in which user.max_user_namespaces is 0
//   container           what a container engine's default profile refuses to a process
//                       without CAP_SYS_ADMIN: namespaces, mounts, Landlock
//   no-unshare          no new namespaces, and whoever may mount still may (in a mount
//                       namespace of the profile's own, lest the host suffers)
//   no-seccomp          a kernel without filters
//   bounding-set        capabilities that stay in the bounding set
//   long-label          peers whose security label is longer than anybody reads
//   no-label            no security module that labels peers
//   descriptors=N       RLIMIT_NOFILE
//   unread-log          stderr is a pipe whose other end is open and never read
//
// Ends with 125 if that cannot be had, else as the command does.
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "shm/unique_fd.h"

namespace memfail::test {
namespace {

constexpr int kCannot = 125;

bool write_to(const char* path, std::string_view text) {
  const shm::UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  return fd.valid() &&
         ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool forbid_user_namespaces() {
  const std::string uid = std::to_string(::geteuid());
  const std::string gid = std::to_string(::getegid());
  return ::unshare(CLONE_NEWUSER) == 0 && write_to("/proc/self/uid_map", uid + " " + uid + " 1") &&
         write_to("/proc/self/setgroups", "deny") &&
         write_to("/proc/self/gid_map", gid + " " + gid + " 1") &&
         write_to("/proc/sys/user/max_user_namespaces", "0");
}

// For good, and for what the command starts.
class Refusals {
 public:
  Refusals() : filter_(seccomp_init(SCMP_ACT_ALLOW)) {}
  ~Refusals() { seccomp_release(filter_); }
  Refusals(const Refusals&) = delete;
  Refusals& operator=(const Refusals&) = delete;

  template <typename... Comparisons>
  void add(int call, int error, Comparisons... comparisons) {
    good_ = good_ && seccomp_rule_add(filter_, SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error)),
                                      call, sizeof...(comparisons), comparisons...) == 0;
  }
  bool load() { return good_ && seccomp_load(filter_) == 0; }

 private:
  scmp_filter_ctx filter_;
  bool good_ = true;
};

void refuse_namespaces(Refusals& refusals) {
  refusals.add(SCMP_SYS(unshare), EPERM);
  refusals.add(SCMP_SYS(setns), EPERM);
  for (const std::uint64_t flag : {CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNS}) {
    refusals.add(SCMP_SYS(clone), EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
  }
  refusals.add(SCMP_SYS(clone3), ENOSYS);  // its flags cannot be seen: the C library asks clone
}

bool be_a_container() {
  Refusals refusals;
  refuse_namespaces(refusals);
  for (const int call : {SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root)}) {
    refusals.add(call, EPERM);
  }
  refusals.add(SCMP_SYS(landlock_create_ruleset), ENOSYS);
  return refusals.load();
}

bool forbid_namespaces() {
  if (::unshare(CLONE_NEWNS) != 0) return false;
  Refusals refusals;
  refuse_namespaces(refusals);
  return refusals.load();
}

bool forbid_filters() {
  Refusals refusals;
  refusals.add(SCMP_SYS(seccomp), ENOSYS);
  refusals.add(SCMP_SYS(prctl), EINVAL, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
  return refusals.load();
}

bool keep_bounding_set() {
  Refusals refusals;
  refusals.add(SCMP_SYS(prctl), EPERM, SCMP_A0(SCMP_CMP_EQ, PR_CAPBSET_DROP));
  return refusals.load();
}

bool label_peers(int error) {
  Refusals refusals;
  refusals.add(SCMP_SYS(getsockopt), error, SCMP_A2(SCMP_CMP_EQ, SO_PEERSEC));
  return refusals.load();
}

bool limit_descriptors(const char* number) {
  const auto most = std::strtoull(number, nullptr, 10);
  const rlimit limit{.rlim_cur = most, .rlim_max = most};
  return most != 0 && ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

bool let_nobody_read() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return false;
  // The holder of the other end lives as long as the command. It watches that itself: a
  // command behind Landlock sends no signal out, not even by its death.
  pollfd command{static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)), POLLIN, 0};
  const pid_t holder = ::fork();
  if (holder == 0) {
    ::poll(&command, 1, -1);
    ::_exit(0);
  }
  ::close(command.fd);
  return holder > 0 && ::dup2(ends[1], STDERR_FILENO) == STDERR_FILENO && ::close(ends[0]) == 0 &&
         ::close(ends[1]) == 0;
}

bool narrow(std::string_view profile) {
  constexpr std::string_view kDescriptors = "descriptors=";
  if (profile == "no-user-namespaces") return forbid_user_namespaces();
  if (profile == "container") return be_a_container();
  if (profile == "no-unshare") return forbid_namespaces();
  if (profile == "no-seccomp") return forbid_filters();
  if (profile == "bounding-set") return keep_bounding_set();
  if (profile == "long-label") return label_peers(ERANGE);
  if (profile == "no-label") return label_peers(ENOPROTOOPT);
  if (profile == "unread-log") return let_nobody_read();
  if (profile.starts_with(kDescriptors)) {
    return limit_descriptors(profile.substr(kDescriptors.size()).data());
  }
  errno = EINVAL;
  return false;
}

}  // namespace
}  // namespace memfail::test

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s PROFILE COMMAND [ARGUMENT…]\n", argv[0]);
    return memfail::test::kCannot;
  }
  if (!memfail::test::narrow(argv[1])) {
    std::fprintf(stderr, "profile %s cannot be had: %s\n", argv[1], std::strerror(errno));
    return memfail::test::kCannot;
  }
  ::execv(argv[2], argv + 2);
  std::fprintf(stderr, "%s: %s\n", argv[2], std::strerror(errno));
  return memfail::test::kCannot;
}

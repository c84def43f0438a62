// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/sandbox/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace memfail::sandbox {
namespace {

// The kernel's structure as of ABI 6, whatever the headers of the build know.
struct RulesetAttr {
  std::uint64_t files = 0;
  std::uint64_t ports = 0;
  std::uint64_t scopes = 0;
};

constexpr unsigned kVersion = 1;  // LANDLOCK_CREATE_RULESET_VERSION

constexpr std::uint64_t low_bits(unsigned count) { return (std::uint64_t{1} << count) - 1; }

// Rights that an ABI has: 13 in the first, then REFER, TRUNCATE, IOCTL_DEV.
constexpr unsigned file_rights(long abi) {
  if (abi >= 5) return 16;
  if (abi >= 3) return 15;
  return abi == 2 ? 14 : 13;
}

constexpr std::size_t size_of(long abi) {
  if (abi >= 6) return sizeof(RulesetAttr);
  return abi >= 4 ? 2 * sizeof(std::uint64_t) : sizeof(std::uint64_t);
}

}  // namespace

Done grant_no_files() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersion);
  if (abi < 1) return refused("landlock_create_ruleset", "boot with lsm=landlock,… (Linux 5.13)");
  RulesetAttr attr{.files = low_bits(file_rights(abi))};
  if (abi >= 4) attr.ports = low_bits(2);
  if (abi >= 6) attr.scopes = low_bits(2);
  const int ruleset =
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, size_of(abi), 0));
  if (ruleset < 0) return refused("landlock_create_ruleset");
  const bool done = ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  const int error = errno;
  ::close(ruleset);
  errno = error;
  if (!done) return refused("landlock_restrict_self");
  return {};
}

}  // namespace memfail::sandbox

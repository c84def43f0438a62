// SPDX-License-Identifier: BSD-3-Clause
#include "frozen_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace memfail::test {
namespace {

std::string make_folder() {
  std::string path = std::filesystem::temp_directory_path() / "memfaild-test-XXXXXX";
  return ::mkdtemp(path.data()) == nullptr ? "" : path;
}

}  // namespace

FrozenDisk::FrozenDisk() : folder_(make_folder()) {}

FrozenDisk::~FrozenDisk() {
  thaw();
  if (mounted_) (void)!std::system(("umount " + at()).c_str());
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

bool FrozenDisk::make() {
  const std::string image = folder_ + "/image";
  const std::string commands = "truncate -s 32M " + image + " && mkfs.ext4 -q " + image +
                               " && mkdir " + at() + " && mount -o loop " + image + " " + at();
  mounted_ = ::geteuid() == 0 && std::system(("(" + commands + ") 2>/dev/null").c_str()) == 0;
  return mounted_;
}

bool FrozenDisk::freeze() {
  const shm::UniqueFd disk(::open(at().c_str(), O_RDONLY | O_CLOEXEC));
  std::array<int, 2> ends{};
  if (!disk.valid() || ::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  const shm::UniqueFd ours_ends(ends[0]);
  alive_.reset(ends[1]);
  guard_ = ::fork();
  if (guard_ == 0) {
    ::close(ends[1]);
    ::setsid();  // not ended with us
    char nothing = 0;
    (void)!::read(ends[0], &nothing, 1);
    ::ioctl(disk.get(), FITHAW, 0);
    ::_exit(0);
  }
  if (guard_ > 0 && ::ioctl(disk.get(), FIFREEZE, 0) == 0) return true;
  thaw();
  return false;
}

void FrozenDisk::thaw() {
  alive_.reset();
  if (guard_ > 0) ::waitpid(std::exchange(guard_, -1), nullptr, 0);
}

}  // namespace memfail::test

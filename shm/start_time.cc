// SPDX-License-Identifier: BSD-3-Clause
#include "shm/start_time.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>

#include "shm/unique_fd.h"

namespace memfail::shm {
namespace {

constexpr int kStartTimeField = 22;
constexpr int kFieldAfterName = 3;

}  // namespace

std::uint64_t start_time_in(std::string_view stat) {
  // The name, in parentheses, may hold spaces and parentheses of its own.
  const std::size_t name_end = stat.rfind(") ");
  if (name_end == std::string_view::npos) return 0;
  std::string_view rest = stat;
  rest.remove_prefix(name_end + 2);  // substr() would throw, and bring the C++ library in
  for (int field = kFieldAfterName; field < kStartTimeField; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return 0;
    rest.remove_prefix(space + 1);
  }
  std::uint64_t ticks = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), ticks);
  return ticks;
}

std::uint64_t start_time_of(std::uint32_t pid) {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/%u/stat", pid);
  const UniqueFd fd(::open(path.data(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return 0;
  std::array<char, 1024> text{};
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  return size <= 0 ? 0 : start_time_in({text.data(), static_cast<std::size_t>(size)});
}

}  // namespace memfail::shm

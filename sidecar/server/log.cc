// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): write poll
#include "sidecar/server/log.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <utility>

#include "shm/reply_wait.h"
#include "sidecar/server/token_bucket.h"

namespace memfail::server {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::size_t kLongest = 3800;  // with its prefix within PIPE_BUF

// systemd's journal has times of its own.
bool journald() {
  static const bool set = std::getenv("JOURNAL_STREAM") != nullptr;
  return set;
}

std::string time_prefix() {
  if (journald()) return "";
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  std::array<char, 32> date{};
  std::array<char, 64> text{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text.data(), text.size(), "%s.%03ldZ ", date.data(), now.tv_nsec / 1'000'000);
  return text.data();
}

// What peers make happen is logged, too: so many lines, no more.
constexpr Rate kLines{.at_once = 10'000, .per_second = 300};

// A reader of stderr that is gone or asleep must not take verdicts with it: a pipe has
// room for a whole line, or gets none.
bool has_room() {
  pollfd stderr_now{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&stderr_now, 1, 0) == 1;
}

void write_line(std::string_view line) {
  std::string out = time_prefix() + "memfaild: ";
  for (const char c : line.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  out += '\n';
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, out.data(), out.size());
}

}  // namespace

void prepare_log() {
  (void)journald();
  ::tzset();
}

void log_line(std::string_view line) {
  static TokenBucket lines(kLines, shm::monotonic_ns() / kNsPerMs);
  static std::uint64_t left_out = 0;
  const bool may = lines.take(shm::monotonic_ns() / kNsPerMs);
  if (may && left_out != 0 && has_room()) {
    write_line(std::to_string(std::exchange(left_out, 0)) +
               " line(s) left out: too many at once, or nobody read them");
  }
  if (may && left_out == 0 && has_room()) {
    write_line(line);
  } else {
    ++left_out;
  }
}

}  // namespace memfail::server

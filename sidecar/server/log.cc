// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): write
#include "sidecar/server/log.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

namespace memfail::server {
namespace {

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

}  // namespace

void prepare_log() {
  (void)journald();
  ::tzset();
}

void log_line(std::string_view line) {
  std::string out = time_prefix() + "memfaild: ";
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  out += '\n';
  // A reader of stderr that is gone or full must not take verdicts with it.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, out.data(), out.size());
}

}  // namespace memfail::server

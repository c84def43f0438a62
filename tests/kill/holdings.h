// SPDX-License-Identifier: BSD-3-Clause
//
// What a process has, as /proc tells it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace memfail::kill {

struct Holdings {
  std::uint64_t descriptors = 0;
  std::uint64_t mappings = 0;
  std::uint64_t private_kib = 0;  // resident, of its own
};

inline std::uint64_t private_kib(const std::string& process) {
  std::ifstream in(process + "/status");
  for (std::string word; in >> word;) {
    std::uint64_t size = 0;
    if (word == "RssAnon:" && in >> size) return size;
  }
  return 0;
}

inline Holdings holdings_of(pid_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  Holdings now;
  const std::filesystem::directory_iterator descriptors(process + "/fd");
  now.descriptors = static_cast<std::uint64_t>(std::distance(begin(descriptors), end(descriptors)));
  std::ifstream maps(process + "/maps");
  for (std::string line; std::getline(maps, line);) ++now.mappings;
  now.private_kib = private_kib(process);
  return now;
}

}  // namespace memfail::kill

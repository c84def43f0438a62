// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/armed_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "shm/unique_fd.h"

namespace memfail::kill {
namespace {

constexpr unsigned char kBreakpoint = 0xCC;
constexpr unsigned char kNop = 0x90;

struct MappedPart {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
};

std::optional<MappedPart> part_of(const std::string& line, const std::string& path) {
  std::istringstream in(line);
  MappedPart part;
  char dash = 0;
  std::string rights;
  std::string device;
  std::uint64_t inode = 0;
  std::string file;
  in >> std::hex >> part.begin >> dash >> part.end >> rights >> part.offset >> device >> std::dec >>
      inode >> file;
  const bool code = rights.find('x') != std::string::npos;
  return in && code && file == path ? std::optional(part) : std::nullopt;
}

// Where the process has mapped this offset of the file as code; 0: nowhere.
std::uint64_t address_of(pid_t pid, const std::string& path, std::uint64_t offset) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    const auto part = part_of(line, path);
    if (!part || offset < part->offset) continue;
    const std::uint64_t address = part->begin + (offset - part->offset);
    if (address < part->end) return address;
  }
  return 0;
}

std::string failed(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

}  // namespace

std::expected<void, std::string> arm(pid_t pid, const ProbeTable& table, const std::string& step) {
  const auto places = table.places(step);
  if (places.empty()) return std::unexpected("no step " + step + " in " + table.path());
  const std::string path = std::filesystem::canonical(table.path());
  const shm::UniqueFd memory(
      ::open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDWR | O_CLOEXEC));
  if (!memory.valid()) return std::unexpected(failed("its memory"));
  for (const std::uint64_t offset : places) {
    const auto address = static_cast<off_t>(address_of(pid, path, offset));
    if (address == 0) return std::unexpected("step " + step + " is not mapped");
    unsigned char there = 0;
    if (::pread(memory.get(), &there, 1, address) != 1) return std::unexpected(failed("reading"));
    if (there != kNop) return std::unexpected("step " + step + " is no nop");
    if (::pwrite(memory.get(), &kBreakpoint, 1, address) != 1) {
      return std::unexpected(failed("writing"));
    }
  }
  return {};
}

}  // namespace memfail::kill

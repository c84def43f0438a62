// SPDX-License-Identifier: BSD-3-Clause
//
// Where the named steps (shm/step.h) are in a built program: read from the notes that
// the tracepoints leave in it.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <vector>

namespace memfail::kill {

class ProbeTable {
 public:
  // Reads an ELF file of this machine's kind; an error names the file and what is wrong.
  static std::expected<ProbeTable, std::string> read(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  // Offsets in the file of every place that has this step (inlining makes several of
  // one); empty: there is none.
  [[nodiscard]] std::vector<std::uint64_t> places(const std::string& step) const;
  [[nodiscard]] std::vector<std::string> steps() const;

 private:
  std::string path_;
  std::map<std::string, std::vector<std::uint64_t>> places_;
};

}  // namespace memfail::kill

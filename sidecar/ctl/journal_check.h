// SPDX-License-Identifier: BSD-3-Clause
//
// `memfailctl journal verify` and `dump`: what stands in a journal's directory.
// Reads only and takes no lock, so it works beside a memfaild that is writing. A
// file that memfaild begins anew meanwhile is read again.
#pragma once

#include <cstdint>
#include <expected>
#include <ostream>
#include <string>
#include <vector>

#include "sidecar/journal/journal_directory.h"
#include "sidecar/journal/journal_io.h"

namespace memfail::ctl {

struct FileReport {
  std::string name;               // "journal.3"
  std::string state;  // "whole", "unused", "begun", "torn", "damaged", "foreign", "newer"
  std::string detail;  // for a person; may be empty
  bool bad = false;  // more than a power cut can explain
  std::uint64_t generation = 0;
  std::uint64_t records = 0;
  std::uint64_t first_seq = 0;  // of its events; 0: none
  std::uint64_t last_seq = 0;
  std::uint64_t used = 0;  // bytes
};

struct JournalReport {
  std::string journal;  // its id, 32 hex digits; empty: none was begun
  std::vector<FileReport> files;  // in the order in which they were written
  [[nodiscard]] bool good() const;
};

JournalReport inspect_journal(journal::JournalIo& io, const journal::JournalGeometry& geometry);

std::string journal_report(const JournalReport& report, bool colour);
std::string journal_report_json(const JournalReport& report);

// One JSON object a line, a record each, in the order in which they were written.
void dump_records(journal::JournalIo& io, const journal::JournalGeometry& geometry,
                  std::ostream& out);

// The two commands; the status to exit with: 0 all is well, 1 it is not. What is not is said
// on stderr, a line for each file.
int verify_journal(const std::string& directory, bool as_json, bool colour);
int dump_journal(const std::string& directory);

}  // namespace memfail::ctl

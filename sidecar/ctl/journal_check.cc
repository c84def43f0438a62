// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/journal_check.h"

#include <algorithm>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "schema/journal_generated.h"
#include "sidecar/ctl/journal_record_json.h"
#include "sidecar/ctl/view.h"
#include "sidecar/events/event_json.h"
#include "sidecar/journal/file_reader.h"
#include "sidecar/journal/journal_recovery.h"

namespace memfail::ctl {
namespace {

using journal::BadHeader;
using journal::FileHeader;
using journal::FileReader;
using journal::Frame;
using journal::FrameState;
using journal::JournalIo;
using journal::RecordType;
using Json = nlohmann::ordered_json;

constexpr int kRounds = 3;  // a live journal may begin a file while it is looked at

struct Scan {
  FileReport report;
  std::optional<FileHeader> header;
  std::uint32_t file = 0;
  std::uint64_t begins_at = 0;  // number of the record that follows the checkpoint
  std::uint64_t ends_at = 0;    // number of the one that would follow the last whole one
};

void spoil(FileReport& report, const char* state, std::string detail) {
  report.state = state;
  report.detail = std::move(detail);
  report.bad = true;
}

bool take_header(JournalIo& io, Scan& scan) {
  const auto header = journal::read_header(io, scan.file);
  if (!header) {
    spoil(scan.report, "unreadable", std::strerror(header.error()));
    return false;
  }
  if (*header) {
    scan.header = **header;
    scan.report.generation = scan.header->generation;
    return true;
  }
  const BadHeader& bad = header->error();
  if (bad.kind == BadHeader::Kind::kUnused) {
    scan.report.state = "unused";
  } else if (bad.kind == BadHeader::Kind::kNewer) {
    spoil(scan.report, "newer", "format version " + std::to_string(bad.version));
  } else {
    spoil(scan.report, "foreign", "does not begin as a journal does");
  }
  return false;
}

FileReader reader_of(JournalIo& io, const Scan& scan, const journal::JournalGeometry& geometry) {
  return {io,
          {scan.file,
           {scan.header->journal, scan.header->generation},
           journal::kFileHeaderSize,
           geometry.file_size}};
}

// False: the file has no checkpoint yet, and so nothing else.
bool take_checkpoint(const Frame& frame, Scan& scan) {
  if (frame.state != FrameState::kWhole || frame.record.type != RecordType::kCheckpoint) {
    scan.report.state = "begun";
    scan.report.detail = "its checkpoint is not whole";
    return false;
  }
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(frame.record.payload.data());
  flatbuffers::Verifier verifier(bytes, frame.record.payload.size());
  if (!wire::VerifyCheckpointBuffer(verifier)) {
    spoil(scan.report, "damaged", "its checkpoint makes no sense");
    return false;
  }
  scan.begins_at = scan.ends_at = wire::GetCheckpoint(bytes)->next_number();
  return true;
}

void take_record(const journal::Record& record, Scan& scan) {
  FileReport& report = scan.report;
  ++report.records;
  if (record.number != 0) scan.ends_at = std::max(scan.ends_at, record.number + 1);
  if (record.type != RecordType::kEvent) return;
  if (report.first_seq == 0) report.first_seq = record.seq;
  report.last_seq = std::max(report.last_seq, record.seq);
}

void take_records(JournalIo& io, const journal::JournalGeometry& geometry, Scan& scan) {
  FileReader reader = reader_of(io, scan, geometry);
  auto frame = reader.next();
  if (frame && !take_checkpoint(*frame, scan)) return;
  scan.report.state = "whole";
  for (frame = frame ? reader.next() : frame; frame; frame = reader.next()) {
    scan.report.used = reader.offset();
    if (frame->state == FrameState::kTorn) scan.report.state = "torn";
    if (frame->state != FrameState::kWhole) return;
    take_record(frame->record, scan);
  }
  spoil(scan.report, "unreadable", std::strerror(frame.error()));
}

bool has_records(const Scan& scan) { return scan.begins_at != 0; }

// In the order of writing: the unused first, the newest last.
std::vector<Scan> scan_all(JournalIo& io, const journal::JournalGeometry& geometry) {
  std::vector<Scan> scans(geometry.files);
  for (std::uint32_t file = 0; file < geometry.files; ++file) {
    Scan& scan = scans[file];
    scan.file = file;
    scan.report.name = journal::journal_file_name(file);
    if (take_header(io, scan)) take_records(io, geometry, scan);
  }
  std::ranges::sort(scans, {},
                    [](const Scan& scan) { return std::pair(scan.report.generation, scan.file); });
  return scans;
}

// What a file lacks of the records up to the next file's checkpoint, nobody has.
void compare(Scan& scan, const Scan& next, bool oldest) {
  if (scan.report.bad) return;
  if (scan.ends_at >= next.begins_at) {
    scan.report.state = "whole";  // what follows in it stands in the next file again
    return;
  }
  const std::string lost = "records " + std::to_string(scan.ends_at) + " to " +
                           std::to_string(next.begins_at - 1) + " cannot be read";
  if (!oldest) return spoil(scan.report, "damaged", lost);
  scan.report.state = "partly used again";
  scan.report.detail = lost;
}

void judge(std::vector<Scan>& scans, JournalReport& report) {
  Scan* before = nullptr;
  bool oldest = true;
  for (Scan& scan : scans) {
    if (!scan.header) continue;
    const std::string journal = events::hex_id(scan.header->journal);
    if (report.journal.empty()) report.journal = journal;
    if (journal != report.journal) spoil(scan.report, "foreign", "of journal " + journal);
    if (!has_records(scan)) continue;
    if (before != nullptr) {
      compare(*before, scan, oldest);
      oldest = false;
    }
    before = &scan;
  }
}

std::uint64_t highest_generation(JournalIo& io, std::uint32_t files) {
  std::uint64_t highest = 0;
  for (std::uint32_t file = 0; file < files; ++file) {
    const auto header = journal::read_header(io, file);
    if (header && *header) highest = std::max(highest, (*header)->generation);
  }
  return highest;
}

std::string seq_range(const FileReport& file) {
  if (file.first_seq == 0) return "-";
  return std::to_string(file.first_seq) + "-" + std::to_string(file.last_seq);
}

int fail(const std::string& line) {
  std::cerr << "memfailctl: " << line << '\n';
  return 1;
}

// A line for each file that is not what it should be; and where all look good, what a start
// of memfaild would refuse nevertheless. Gives the status to exit with.
int conclude(const JournalReport& report, JournalIo& io, const journal::JournalGeometry& geometry,
             const std::string& directory) {
  for (const FileReport& file : report.files) {
    if (!file.bad) continue;
    (void)fail("'" + directory + "/" + file.name + "' is " + file.state + ": " + file.detail);
  }
  if (!report.good()) return 1;
  const auto recovered = journal::recover(io, geometry, directory);
  return recovered ? 0 : fail(recovered.error());
}

}  // namespace

bool JournalReport::good() const {
  return std::ranges::none_of(files, [](const FileReport& file) { return file.bad; });
}

JournalReport inspect_journal(JournalIo& io, const journal::JournalGeometry& geometry) {
  JournalReport report;
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t before = highest_generation(io, geometry.files);
    std::vector<Scan> scans = scan_all(io, geometry);
    report = {};
    judge(scans, report);
    for (Scan& scan : scans) report.files.push_back(std::move(scan.report));
    if (highest_generation(io, geometry.files) == before) break;
  }
  return report;
}

std::string journal_report(const JournalReport& report, bool colour) {
  std::vector<std::vector<std::string>> rows{
      {"FILE", "STATE", "GENERATION", "RECORDS", "EVENTS", "BYTES", "WHY"}};
  for (const FileReport& file : report.files) {
    rows.push_back({file.name, file.state, std::to_string(file.generation),
                    std::to_string(file.records), seq_range(file), std::to_string(file.used),
                    file.detail});
  }
  const std::string about =
      report.journal.empty() ? "no journal was begun here" : "journal " + report.journal;
  return about + (report.good() ? ": good\n" : ": damaged\n") + table(rows, colour);
}

std::string journal_report_json(const JournalReport& report) {
  Json files = Json::array();
  for (const FileReport& file : report.files) {
    files.push_back({{"name", file.name},
                     {"state", file.state},
                     {"detail", file.detail},
                     {"bad", file.bad},
                     {"generation", file.generation},
                     {"records", file.records},
                     {"first-seq", file.first_seq},
                     {"last-seq", file.last_seq},
                     {"used", file.used}});
  }
  const Json all{{"journal", report.journal}, {"good", report.good()}, {"files", files}};
  return all.dump() + '\n';
}

void dump_records(JournalIo& io, const journal::JournalGeometry& geometry, std::ostream& out) {
  for (const Scan& scan : scan_all(io, geometry)) {
    if (!scan.header) continue;
    out << Json{{"file", scan.report.name}, {"generation", scan.report.generation}}.dump() << '\n';
    FileReader reader = reader_of(io, scan, geometry);
    for (auto frame = reader.next(); frame && frame->state == FrameState::kWhole && out;
         frame = reader.next()) {
      out << record_json(frame->record);
    }
  }
}

int verify_journal(const std::string& directory, bool as_json, bool colour) {
  auto opened = journal::open_journal_to_read(directory);
  if (!opened) return fail(opened.error());
  journal::DiskIo io(std::move(opened->files));
  const JournalReport report = inspect_journal(io, opened->geometry);
  std::cout << (as_json ? journal_report_json(report) : journal_report(report, colour));
  return conclude(report, io, opened->geometry, directory);
}

int dump_journal(const std::string& directory) {
  auto opened = journal::open_journal_to_read(directory);
  if (!opened) return fail(opened.error());
  journal::DiskIo io(std::move(opened->files));
  dump_records(io, opened->geometry, std::cout);
  if (!std::cout.flush()) return 1;
  return conclude(inspect_journal(io, opened->geometry), io, opened->geometry, directory);
}

}  // namespace memfail::ctl

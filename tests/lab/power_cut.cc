// SPDX-License-Identifier: BSD-3-Clause
//
// The journal through a real power cut: on ext4 over dm-log-writes, whose log says what
// had reached the device at each moment.
//
//   write DIR          appends records to a journal in DIR; after each acknowledged group
//                      it puts a mark into the log: "durable=N"
//   check LOG REPLAY SCRATCH MOUNTPOINT DIR [POINTS]
//                      plays the log back onto REPLAY; at so many of its points (without
//                      the number: at each) copies that to SCRATCH, mounts it (ext4
//                      recovers), and recovers the journal
//
// What must hold at each point: every event up to the last mark before it is there, what
// is there is what was written, and none is missing between.
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "sidecar/journal/event_fields.h"
#include "sidecar/journal/history.h"
#include "sidecar/journal/journal_directory.h"
#include "sidecar/journal/journal_files.h"
#include "sidecar/journal/journal_recovery.h"
#include "tests/lab/log_writes.h"

namespace memfail::lab {
namespace {

using journal::Record;
using journal::RecordType;

constexpr journal::JournalGeometry kGeometry{.files = 3, .file_size = 64 << 10};
constexpr std::uint64_t kEvents = 1600;  // several times around the ring
constexpr std::size_t kLargestGroup = 7;
const journal::JournalIdentity kIdentity{wire::Id128(1, 2), wire::Id128(3, 4)};

// Event `seq`, in full: whoever reads it knows what it must be.
std::vector<std::byte> event_bytes(std::uint64_t seq) {
  journal::EventFields fields;
  fields.session = wire::Id128(7, 13);
  fields.sequence = seq;
  fields.vm_name = "power";
  fields.gpa = seq << 12;
  flatbuffers::FlatBufferBuilder builder;
  journal::encode(builder, fields, seq);
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  return {bytes.begin(), bytes.end()};
}

// As `dmsetup message NAME 0 mark TEXT` does, without a process for each.
void mark(int control, const std::string& text) {
  // The message behind the header: its sector, then its text.
  alignas(dm_ioctl) std::array<char, 512> request{};
  dm_ioctl header{};
  header.version[0] = DM_VERSION_MAJOR;
  header.data_size = request.size();
  header.data_start = sizeof header;
  std::strncpy(header.name, "log", sizeof header.name - 1);
  std::memcpy(request.data(), &header, sizeof header);
  constexpr std::size_t kTextAt = sizeof(dm_ioctl) + sizeof(dm_target_msg);
  std::snprintf(request.data() + kTextAt, request.size() - kTextAt, "mark %s", text.c_str());
  if (::ioctl(control, DM_TARGET_MSG, request.data()) != 0) give_up("a mark in the log");
}

journal::JournalFiles open_files(const std::string& directory) {
  auto opened = journal::open_journal_directory(directory, kGeometry);
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().c_str());
    std::exit(2);
  }
  auto io = std::make_unique<journal::DiskIo>(std::move(opened->files));
  auto found = journal::recover(*io, kGeometry, directory);
  if (!found) {
    std::fprintf(stderr, "%s\n", found.error().c_str());
    std::exit(1);
  }
  return {std::move(io), kGeometry, kIdentity, std::move(*found)};
}

int write_journal(const std::string& directory) {
  const int control = ::open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
  if (control < 0) give_up("/dev/mapper/control");
  journal::JournalFiles files = open_files(directory);
  mark(control, "begin");
  std::uint64_t next = 1;
  while (next <= kEvents) {
    std::vector<std::vector<std::byte>> payloads;
    std::vector<Record> records;
    const std::size_t group = 1 + next % kLargestGroup;
    for (std::size_t i = 0; i < group; ++i) payloads.push_back(event_bytes(next + i));
    for (std::size_t i = 0; i < group; ++i) {
      records.push_back({RecordType::kEvent, next + i, next + i, payloads[i]});
    }
    const journal::Appended done = files.append(records);
    if (done.error != 0) {
      errno = done.error;
      give_up("appending");
    }
    next += done.records;
    mark(control, "durable=" + std::to_string(files.durable_seq()));
  }
  std::printf("%llu events written, %llu generations of files\n",
              static_cast<unsigned long long>(next - 1),
              static_cast<unsigned long long>(files.generation()));
  return 0;
}

struct Seen {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::string wrong;
};

// What a start finds, and what readers would get.
Seen look(const std::string& directory) {
  Seen seen;
  journal::JournalFiles files = open_files(directory);
  if (!files.confirm()) seen.wrong = "its newest file cannot be made sure";
  journal::History history;
  seen.first = files.first_seq();
  seen.last = files.durable_seq();
  for (std::uint64_t next = seen.first; next <= seen.last && seen.wrong.empty();) {
    const auto past = history.read(files, next, {64, 1 << 20});
    if (!past || past->next <= next) {
      seen.wrong = "event " + std::to_string(next) + " cannot be read";
      break;
    }
    for (const journal::PastEvent& event : past->events) {
      if (event.record != event_bytes(event.seq)) {
        seen.wrong = "event " + std::to_string(event.seq) + " is not what was written";
      }
    }
    next = past->next;
  }
  return seen;
}

struct Devices {
  const char* scratch;
  const char* mountpoint;
  std::string directory;
};

// True: it is as it must be.
bool check_point(const Devices& devices, std::size_t point, std::uint64_t promised) {
  if (::mount(devices.scratch, devices.mountpoint, "ext4", 0, nullptr) != 0) {
    give_up("mounting at point " + std::to_string(point));
  }
  Seen seen = look(std::string(devices.mountpoint) + "/" + devices.directory);
  if (seen.last < promised) {
    seen.wrong = "event " + std::to_string(promised) + " was acknowledged, and the last is " +
                 std::to_string(seen.last);
  }
  if (::umount(devices.mountpoint) != 0) give_up("unmounting");
  if (seen.wrong.empty()) return true;
  std::printf("point %zu: %s\n", point, seen.wrong.c_str());
  return false;
}

std::uint64_t number_behind(const std::string& text, std::string_view word) {
  std::uint64_t value = 0;
  if (text.starts_with(word)) {
    std::from_chars(text.data() + word.size(), text.data() + text.size(), value);
  }
  return value;
}

// Where a power cut differs from one an entry earlier: something was written, and the marks
// behind that say what had been promised by then.
std::vector<std::size_t> points_of(const std::vector<LogEntry>& entries) {
  std::vector<std::size_t> points;
  auto at = std::ranges::find_if(entries, [](const LogEntry& e) { return e.mark == "begin"; });
  for (; at != entries.end(); ++at) {
    const auto next = std::next(at);
    if (next == entries.end() || WriteLog::writes(*next)) {
      points.push_back(static_cast<std::size_t>(at - entries.begin()));
    }
  }
  return points;
}

// `most` of them, evenly; 0: all.
std::vector<std::size_t> thinned(const std::vector<std::size_t>& points, std::size_t most) {
  const std::size_t stride = most == 0 ? 1 : std::max<std::size_t>(1, points.size() / most);
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < points.size(); i += stride) out.push_back(points[i]);
  return out;
}

int check_log(const char* log_path, const char* replay_path, const Devices& devices,
              std::size_t most_points) {
  const WriteLog log(log_path);
  const int replay = ::open(replay_path, O_RDWR | O_CLOEXEC);
  const int scratch = ::open(devices.scratch, O_RDWR | O_CLOEXEC);
  if (replay < 0 || scratch < 0) give_up("a device");
  const auto& entries = log.entries();
  const std::vector<std::size_t> all = points_of(entries);
  const std::vector<std::size_t> chosen = thinned(all, most_points);
  std::uint64_t promised = 0;
  std::size_t points = 0;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    log.replay(entries[i], replay);
    if (entries[i].mark) promised = std::max(promised, number_behind(*entries[i].mark, "durable="));
    if (!std::ranges::binary_search(chosen, i)) continue;
    copy_device(replay, scratch, size_of_device(replay));
    if (::fsync(scratch) != 0) give_up("fsync of the scratch device");
    wrong += check_point(devices, i, promised) ? 0 : 1;
    if (++points % 25 == 0) {
      std::printf("%zu points, up to event %llu\n", points,
                  static_cast<unsigned long long>(promised));
    }
  }
  std::printf(
      "%zu entries in the log, %zu points in them, %zu power cuts, %zu wrong; "
      "%llu events acknowledged\n",
      entries.size(), all.size(), points, wrong, static_cast<unsigned long long>(promised));
  return wrong == 0 && points != 0 && promised >= kEvents ? 0 : 1;
}

}  // namespace
}  // namespace memfail::lab

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::vector<std::string> words(argv, argv + argc);
  if (argc == 3 && words[1] == "write") return memfail::lab::write_journal(words[2]);
  if ((argc == 7 || argc == 8) && words[1] == "check") {
    const std::size_t points = argc == 8 ? std::strtoul(argv[7], nullptr, 10) : 0;
    return memfail::lab::check_log(argv[2], argv[3], {argv[4], argv[5], words[6]}, points);
  }
  std::fputs(
      "usage: memfail-lab-power-cut write DIR\n"
      "       memfail-lab-power-cut check LOG REPLAY SCRATCH MOUNTPOINT DIR [POINTS]\n",
      stderr);
  return 2;
}

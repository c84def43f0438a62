// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): read fcntl=unlock
#include "sidecar/journal/journal.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "sidecar/journal/id_text.h"
#include "sidecar/journal/journal_recovery.h"
#include "sidecar/journal/random_id.h"
#include "sidecar/journal/replay.h"

namespace memfail::journal {
namespace {

constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::uint64_t realtime_us() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

// "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
wire::Id128 id_of_uuid(std::string_view text) {
  std::array<std::uint64_t, 2> halves{};
  std::size_t digits = 0;
  for (const char c : text) {
    const int digit = hex_digit(c);
    if (digit < 0 || digits == 32) continue;
    std::uint64_t& half = halves.at(digits / 16);
    half = half << 4 | static_cast<std::uint64_t>(digit);
    ++digits;
  }
  return {halves[1], halves[0]};
}

}  // namespace

wire::Id128 boot_of_host() {
  const shm::UniqueFd fd(::open(kBootId, O_RDONLY | O_CLOEXEC));
  std::array<char, 64> text{};
  const ssize_t size = fd.valid() ? ::read(fd.get(), text.data(), text.size()) : -1;
  return size <= 0 ? wire::Id128() : id_of_uuid({text.data(), static_cast<std::size_t>(size)});
}

Journal::Journal()
    : boot_(boot_of_host()),
      store_(std::make_unique<RecordStore>(make_memory_journal_id())),
      history_(std::make_unique<EventHistory>(*store_)) {}

Journal::~Journal() = default;

struct Journal::FromFiles {
  shm::UniqueFd lock;
  std::unique_ptr<JournalIo> io;
  JournalGeometry geometry;
  Recovered recovered;
  wire::Id128 journal;
};

std::expected<std::unique_ptr<Journal>, std::string> Journal::open(const JournalOptions& options) {
  auto journal = std::make_unique<Journal>();
  journal->options_ = options;
  if (options.front.empty()) {
    if (options.directory.empty()) return journal;
    return std::unexpected("--journal " + options.directory +
                           ": needs a front on a tmpfs as well: give --front FILE, in /run or "
                           "/dev/shm");
  }
  if (auto taken = journal->take_up(); !taken) return std::unexpected(taken.error());
  return journal;
}

std::expected<Journal::FromFiles, std::string> Journal::open_directory(
    const JournalOptions& options) {
  auto opened = open_journal_directory(options.directory, options.geometry);
  if (!opened) return std::unexpected(opened.error());
  FromFiles files;
  files.lock = std::move(opened->lock);
  files.io = std::make_unique<DiskIo>(std::move(opened->files));
  files.geometry = opened->geometry;
  auto recovered = recover(*files.io, files.geometry, options.directory);
  if (!recovered) return std::unexpected(recovered.error());
  files.recovered = std::move(*recovered);
  files.journal = files.recovered.journal.value_or(random_id());
  return files;
}

Journal::Done Journal::take_up() {
  if (options_.directory.empty()) {
    if (auto done = take_up_front(nullptr); !done) return done;
    return take_up_records(nullptr);
  }
  auto files = open_directory(options_);
  if (!files) return std::unexpected(files.error());
  if (auto done = take_up_front(&*files); !done) return done;
  return take_up_records(&*files);
}

Journal::Done Journal::take_up_front(const FromFiles* files) {
  FrontRequest request{options_.front, options_.front_size, boot_, {}, random_id()};
  if (files != nullptr) request.journal = files->journal;
  auto opened = open_front(request);
  if (!opened) return std::unexpected(opened.error().text);
  front_ = std::move(opened->front);
  if (opened->damaged != 0) {
    notes_.push_back("front " + options_.front + ": " + std::to_string(opened->damaged) +
                     " bytes behind its last whole record are damaged and given up");
  }
  return {};
}

Journal::Done Journal::take_up_records(FromFiles* files) {
  std::optional<LiveState> from_files;
  if (files != nullptr) from_files = files->recovered.state;
  auto replayed = replay_front(front_, std::move(from_files));
  if (!replayed) return std::unexpected("front " + options_.front + ": " + replayed.error());
  StoreParts parts{id_text(front_.journal()), &front_, {}, std::move(replayed->state), boot_};
  if (files != nullptr) {
    wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_.valid()) return std::unexpected(std::string("eventfd: ") + std::strerror(errno));
    thread_ = std::make_unique<JournalThread>(
        front_,
        JournalFiles(std::move(files->io), files->geometry, {files->journal, boot_},
                     std::move(files->recovered)),
        wake_.get());
    directory_lock_ = std::move(files->lock);
    parts.journal = thread_->health();
  }
  store_ = std::make_unique<RecordStore>(std::move(parts));
  history_ = std::make_unique<EventHistory>(*store_);
  history_->use(thread_.get());
  if (replayed->replayed != 0) {
    notes_.push_back(std::to_string(replayed->replayed) + " record(s) taken up from the front");
  }
  if (replayed->missing != 0) store_->append_event(missing_event(replayed->missing, realtime_us()));
  return {};
}

// ---- while it serves ---------------------------------------------------------------

void Journal::start_thread(std::function<void()> first) {
  if (thread_ != nullptr) thread_->start(std::move(first));
}

void Journal::pass_on() {
  if (store_->take_appended() && thread_ != nullptr) thread_->ring();
}

void Journal::note_health() {
  if (thread_ != nullptr) store_->note_health(thread_->health());
}

bool Journal::take_news() {
  std::uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
  note_health();
  for (const Outage& outage : thread_->take_outages()) store_->note_outage(outage);
  return history_->take_answers();
}

void Journal::abandon() {
  directory_lock_.reset();
  front_.unlock();
}

bool Journal::stop(std::chrono::milliseconds limit) {
  return thread_ == nullptr || thread_->stop(limit);
}

}  // namespace memfail::journal

// SPDX-License-Identifier: BSD-3-Clause
//
// The journal's writes and syncs are recorded; the power is cut behind each, with
// everything that a disk may make of what was not synced; each is recovered.
// Everything acknowledged is there, nothing is invented, and what is written after
// a recovery never mixes with what was lost before it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "sidecar/journal/history.h"
#include "sidecar/journal/journal_files.h"
#include "tests/unit/journal/record_maker.h"
#include "tests/unit/journal/recorded_io.h"

namespace memfail::journal {
namespace {

constexpr JournalGeometry kTiny{4, 8192};

// What was given to the journal, and what it must come to.
class Story {
 public:
  explicit Story(std::uint64_t seed) : maker_(seed) {}

  void add(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      OwnedRecord record = maker_.next(state_);
      EXPECT_EQ(state_.apply(record.view()), Applied::kNew);
      if (record.type == RecordType::kEvent) events_[record.seq] = record.payload;
      records_.push_back(std::move(record));
      pictures_.push_back(picture(state_));
    }
  }
  // Only the first `count` happened: the rest was lost with the power, and other
  // things happen in its place.
  void forget(std::size_t count, std::uint64_t seed) {
    records_.resize(count);
    pictures_.resize(count + 1);
    state_ = {};
    for (const OwnedRecord& record : records_) (void)state_.apply(record.view());
    std::erase_if(events_, [&](const auto& event) { return event.first >= state_.next_seq(); });
    maker_ = RecordMaker(seed);
  }

  [[nodiscard]] const std::vector<OwnedRecord>& records() const { return records_; }
  // Of the state that the first `count` come to.
  [[nodiscard]] const std::vector<std::byte>& picture_after(std::size_t count) const {
    return pictures_[count];
  }
  [[nodiscard]] const std::vector<std::byte>* event(std::uint64_t seq) const {
    const auto found = events_.find(seq);
    return found == events_.end() ? nullptr : &found->second;
  }

 private:
  RecordMaker maker_;
  std::vector<OwnedRecord> records_;
  std::map<std::uint64_t, std::vector<std::byte>> events_;
  LiveState state_;
  std::vector<std::vector<std::byte>> pictures_{picture(LiveState())};
};

JournalFiles open(std::unique_ptr<RecordedIo> io, Recovered recovered) {
  return {std::move(io), kTiny, {kJournalId, kBootId}, std::move(recovered)};
}

Recovered recovered_from(RecordedIo& io) {
  auto found = recover(io, kTiny, "journal");
  EXPECT_TRUE(found) << found.error();
  return found ? std::move(*found) : Recovered{};
}

// Every event that can be read is what was given, and from `latest_first` on none is
// missing. Of those before, a file that was being used again may have lost any.
void check_history(JournalFiles& files, const Story& story, std::uint64_t latest_first) {
  ASSERT_TRUE(files.confirm());
  ASSERT_LE(files.first_seq(), latest_first);
  History history;
  std::uint64_t next = files.first_seq();
  while (next <= files.durable_seq()) {
    const auto past = history.read(files, next, {7, 100'000});
    ASSERT_TRUE(past);
    for (const PastEvent& event : past->events) {
      ASSERT_GE(event.seq, next);
      ASSERT_TRUE(event.seq == next || event.seq <= latest_first) << next << " is gone";
      next = event.seq + 1;
      const auto* given = story.event(event.seq);
      ASSERT_NE(given, nullptr) << "event " << event.seq << " was never given";
      ASSERT_EQ(event.record, *given) << "event " << event.seq;
    }
    ASSERT_TRUE(past->next == next || past->next <= latest_first) << next << " is gone";
    ASSERT_TRUE(!past->events.empty() || past->next > next) << "no end";
    next = past->next;
  }
}

// What the journal must hold at some moment.
struct Promise {
  std::uint64_t acknowledged = 0;     // records
  std::uint64_t latest_first = 1;     // no event from here on may have been overwritten
};

// Gives the number of records that were recovered.
std::size_t check_recovery(const FileImages& images, const Story& story, const Promise& promise) {
  auto io = std::make_unique<RecordedIo>(images);
  Recovered found = recovered_from(*io);
  const std::size_t count = found.state.next_number() - 1;
  EXPECT_GE(count, promise.acknowledged) << "an acknowledged record is lost";
  EXPECT_LE(count, story.records().size()) << "a record is invented";
  if (count > story.records().size()) return count;
  EXPECT_EQ(picture(found.state), story.picture_after(count));
  JournalFiles files = open(std::move(io), std::move(found));
  check_history(files, story, promise.latest_first);
  return count;
}

// A journal, its disk, and the process that writes it.
class Machine {
 public:
  explicit Machine(std::uint64_t seed)
      : random_(seed), story_(seed), disk_(FileImages(kTiny.files, zeros())) {
    start(FileImages(kTiny.files, zeros()));
  }

  Story& story() { return story_; }
  RecordedIo& io() { return *io_; }
  std::mt19937_64& random() { return random_; }
  [[nodiscard]] const Promise& promise() const { return promise_; }
  [[nodiscard]] const std::vector<IoStep>& steps() const { return io_->steps(); }

  // Gives the journal all that it has not acknowledged, in one go.
  int append() {
    const auto given = views(story_.records(), acknowledged_, story_.records().size());
    const Appended done = files_->append(given);
    acknowledged_ += done.records;
    io_->acknowledge(acknowledged_, files_->first_seq());
    return done.error;
  }

  // The process dies and starts again; page cache and front are as they were.
  void crash() {
    settle();
    start(io_->images());
  }

  // Everything not synced is in the disk's hands.
  void cut_power(double keep) {
    settle();
    std::bernoulli_distribution kept(keep);
    const FileImages images = disk_.cut([&] { return kept(random_); });
    const std::size_t count = check_recovery(images, story_, promise_);
    if (testing::Test::HasFailure()) return;
    story_.forget(count, random_());
    acknowledged_ = count;
    disk_ = PowerCut(images);
    start(images);
  }

  // Brings disk and promise up to date with what the process did.
  void settle() {
    for (; settled_ < io_->steps().size(); ++settled_) {
      disk_.apply(io_->steps()[settled_]);
    }
    promise_ = {acknowledged_, files_->first_seq()};
  }

 private:
  static std::vector<std::byte> zeros() { return std::vector<std::byte>(kTiny.file_size); }

  void start(FileImages images) {
    auto io = std::make_unique<RecordedIo>(std::move(images));
    if (io_ != nullptr) io->fault = io_->fault;
    Recovered found = recovered_from(*io);
    io_ = io.get();
    settled_ = 0;
    files_.emplace(open(std::move(io), std::move(found)));
  }

  std::mt19937_64 random_;
  Story story_;
  PowerCut disk_;
  RecordedIo* io_ = nullptr;
  std::optional<JournalFiles> files_;
  std::size_t settled_ = 0;
  std::uint64_t acknowledged_ = 0;
  Promise promise_;
};

// From what step on which events may be overwritten: those before the oldest that
// the journal names the next time it says anything.
std::vector<std::uint64_t> latest_firsts(const std::vector<IoStep>& steps) {
  std::vector<std::uint64_t> firsts(steps.size());
  std::uint64_t first = ~std::uint64_t{0};
  for (std::size_t i = steps.size(); i-- > 0;) {
    if (steps[i].kind == IoStep::Kind::kAcknowledged) first = steps[i].first_seq;
    firsts[i] = first;
  }
  return firsts;
}

void check_cuts(const PowerCut& disk, const Story& story, const Promise& promise,
                std::mt19937_64& random) {
  check_recovery(disk.cut([] { return false; }), story, promise);
  check_recovery(disk.cut([] { return true; }), story, promise);
  for (int round = 0; round < 3; ++round) {
    check_recovery(disk.cut([&] { return random() % 2 == 0; }), story, promise);
  }
  // All but one sector; one sector alone.
  for (const bool others : {true, false}) {
    const std::uint64_t chosen = random() % 8;
    std::uint64_t at = 0;
    check_recovery(disk.cut([&] { return (at++ == chosen) != others; }), story, promise);
  }
}

void check_all_cuts(const Machine& machine, const Story& story, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::vector<IoStep>& steps = machine.steps();
  const std::vector<std::uint64_t> firsts = latest_firsts(steps);
  PowerCut disk(FileImages(kTiny.files, std::vector<std::byte>(kTiny.file_size)));
  Promise promise;
  for (std::size_t i = 0; i < steps.size() && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("behind step " + std::to_string(i));
    disk.apply(steps[i]);
    if (steps[i].kind == IoStep::Kind::kAcknowledged) promise.acknowledged = steps[i].acknowledged;
    promise.latest_first = firsts[i];
    check_cuts(disk, story, promise, random);
  }
}

TEST(PowerCut, LosesNothingAcknowledgedAtAnyStep) {
  for (const std::uint64_t seed : {1u}) {
    Machine machine(seed);
    for (int batch = 0; batch < 50 && !testing::Test::HasFailure(); ++batch) {
      machine.story().add(1 + machine.random()() % 6);
      ASSERT_EQ(machine.append(), 0);
    }
    check_all_cuts(machine, machine.story(), seed);
  }
}

TEST(PowerCut, LosesNothingAcknowledgedWhenWritesAndSyncsFail) {
  for (const std::uint64_t seed : {3u}) {
    Machine machine(seed);
    std::mt19937_64 dice(seed);
    machine.io().fault = [&](const IoStep&) -> std::optional<int> {
      if (dice() % 5 == 0) return EIO;
      return std::nullopt;
    };
    for (int batch = 0; batch < 50; ++batch) {
      machine.story().add(1 + machine.random()() % 6);
      machine.append();
    }
    check_all_cuts(machine, machine.story(), seed);
  }
}

// Years of bad luck: batches, deaths of the process, failures, power cuts, in any
// order. After each cut other things happen under the numbers that were lost.
TEST(PowerCut, KeepsItsPromisesThroughAnyHistory) {
  for (std::uint64_t seed = 100; seed < 130 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Machine machine(seed);
    std::mt19937_64& dice = machine.random();
    const std::uint64_t fault_rate = seed % 3 == 0 ? 0 : 12;
    machine.io().fault = [&](const IoStep&) -> std::optional<int> {
      if (fault_rate != 0 && dice() % fault_rate == 0) return dice() % 2 == 0 ? EIO : ENOSPC;
      return std::nullopt;
    };
    for (int step = 0; step < 120 && !testing::Test::HasFailure(); ++step) {
      machine.story().add(dice() % 5);
      machine.append();
      const std::uint64_t what = dice() % 16;
      if (what == 0) machine.cut_power(static_cast<double>(dice() % 5) / 4);
      if (what == 1 || what == 2) machine.crash();
    }
    machine.cut_power(0.5);
  }
}

}  // namespace
}  // namespace memfail::journal

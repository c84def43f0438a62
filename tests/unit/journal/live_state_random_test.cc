// SPDX-License-Identifier: BSD-3-Clause
//
// Random lives of some sessions beside a model that keeps everything: the state
// answers as the model does, and is the same by way of any checkpoint.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <tuple>

#include "tests/unit/journal/records.h"

namespace memfail::journal {
namespace {

namespace records = testing;
using Key = std::tuple<std::uint64_t, std::uint32_t, std::uint64_t>;  // session, lane, sequence

// One cell's life: reported and answered, or not; then its event; then the next.
struct Cell {
  std::uint64_t sequence = 0;
  bool answered = false;
};

class Lives {
 public:
  explicit Lives(std::uint32_t seed) : random_(seed) {}

  records::MadeRecord next() {
    const std::uint64_t session = random_() % 3 + 1;
    if (!attached_.contains(session)) {
      attached_.insert(session);
      return records::session(number_++, records::session_fields(records::session_id(session)));
    }
    const auto lane = static_cast<std::uint32_t>(random_() % 5);
    const auto place = static_cast<std::uint32_t>(random_() % LiveState::kPlaces);
    Cell& cell = cells_[{session, lane, place}];
    if (cell.sequence == 0) cell.sequence = place + 1;
    return step(session, lane, cell);
  }

  IncidentId id_of(const Key& key) const {
    return {records::session_id(std::get<0>(key)), std::get<1>(key), std::get<2>(key)};
  }
  const std::map<Key, std::uint64_t>& open() const { return open_; }
  const std::set<Key>& evented() const { return evented_; }
  const std::map<Key, int>& seen() const { return seen_; }
  std::uint64_t next_seq() const { return seq_; }
  std::uint64_t folded(std::uint64_t session) { return folded_[session]; }

 private:
  records::MadeRecord step(std::uint64_t session, std::uint32_t lane, Cell& cell) {
    const Key key{session, lane, cell.sequence};
    seen_[key] = 1;
    if (!cell.answered && random_() % 3 != 0) {
      cell.answered = true;
      open_[key] = random_();
      return records::verdict(number_++, id_of(key), open_[key]);
    }
    cell.sequence += LiveState::kPlaces;
    cell.answered = false;
    open_.erase(key);
    evented_.insert(key);
    if (random_() % 4 == 0) {
      ++folded_[session];
      return records::folded(number_++, id_of(key));
    }
    EventFields fields = records::event_fields(id_of(key));
    fields.folded = static_cast<std::uint32_t>(std::min<std::uint64_t>(folded_[session], 2));
    folded_[session] -= fields.folded;
    return records::event(number_++, seq_++, fields);
  }

  std::mt19937 random_;
  std::uint64_t number_ = 1;
  std::uint64_t seq_ = 1;
  std::set<std::uint64_t> attached_;
  std::map<std::tuple<std::uint64_t, std::uint32_t, std::uint32_t>, Cell> cells_;
  std::map<Key, std::uint64_t> open_;  // status of the verdict
  std::set<Key> evented_;
  std::map<Key, int> seen_;
  std::map<std::uint64_t, std::uint64_t> folded_;
};

void expect_as_the_model(const LiveState& state, Lives& lives) {
  for (const auto& [key, unused] : lives.seen()) {
    const IncidentId id = lives.id_of(key);
    EXPECT_EQ(state.has_event(id), lives.evented().contains(key));
    const auto open = lives.open().find(key);
    const wire::VerdictRecord* found = state.find_verdict(id);
    ASSERT_EQ(found != nullptr, open != lives.open().end());
    if (found != nullptr) {
      EXPECT_EQ(found->reply().status(), open->second);
    }
  }
  EXPECT_EQ(state.open_verdicts(), lives.open().size());
  EXPECT_EQ(state.next_seq(), lives.next_seq());
  for (std::uint64_t session = 1; session <= 3; ++session) {
    const auto found = state.sessions().find(records::session_id(session));
    if (found != state.sessions().end()) {
      EXPECT_EQ(found->second.folded, lives.folded(session));
    }
  }
}

// What a checkpoint takes at most is known before it is made, to some hundred bytes a session.
TEST(ALiveState, KnowsHowLargeItsCheckpointIsAtMost) {
  Lives lives(7);
  LiveState state;
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(state.apply(lives.next().record()), Applied::kNew);
    const std::size_t size = frame_size(records::bytes_of(state).size());
    ASSERT_LE(size, state.room().used());
    ASSERT_LE(state.room().used(), size + 1024);
  }
  const auto again = LiveState::from_checkpoint(records::bytes_of(state));
  EXPECT_EQ(again->room().used(), state.room().used());
}

// A limit of 3 KiB: three sessions, and a handful of what they have open.
TEST(ALiveState, IsNeverLargerThanItsCheckpointMayBeWhateverComes) {
  for (std::uint32_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Lives lives(seed);
    LiveState state;
    state.limit_checkpoint(3 << 10);
    LiveState resumed = state;
    std::mt19937 random(seed);
    for (int i = 0; i < 2000; ++i) {
      const records::MadeRecord record = lives.next();
      ASSERT_EQ(state.apply(record.record()), Applied::kNew);
      ASSERT_EQ(resumed.apply(record.record()), Applied::kNew);
      ASSERT_LE(frame_size(records::bytes_of(state).size()), std::size_t{3} << 10);
      if (random() % 20 != 0) continue;
      resumed = *LiveState::from_checkpoint(records::bytes_of(resumed));
      resumed.limit_checkpoint(3 << 10);
    }
    EXPECT_EQ(records::bytes_of(state), records::bytes_of(resumed));
    EXPECT_EQ(state.next_seq(), lives.next_seq());
    EXPECT_LT(state.open_verdicts(), lives.open().size());
  }
}

TEST(ALiveStateAndAModel, AgreeAndTheStateIsTheSameByWayOfAnyCheckpoint) {
  for (std::uint32_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Lives lives(seed);
    LiveState state;
    LiveState resumed;
    std::mt19937 random(seed);
    for (int i = 0; i < 300; ++i) {
      const records::MadeRecord record = lives.next();
      ASSERT_EQ(state.apply(record.record()), Applied::kNew);
      ASSERT_EQ(resumed.apply(record.record()), Applied::kNew);
      if (random() % 20 != 0) continue;
      const auto again = LiveState::from_checkpoint(records::bytes_of(resumed));
      ASSERT_TRUE(again.has_value());
      resumed = *again;
    }
    expect_as_the_model(state, lives);
    ASSERT_EQ(records::bytes_of(state), records::bytes_of(resumed));
  }
}

}  // namespace
}  // namespace memfail::journal

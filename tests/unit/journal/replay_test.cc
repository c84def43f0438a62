// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/journal/front_fixture.h"
#include "tests/unit/journal/records.h"

namespace memfail::journal {
namespace {

namespace records = testing;
using records::session_id;
using ::testing::HasSubstr;
using testing::kBoot;

class AReplay : public ::testing::Test {
 protected:
  void put(const records::MadeRecord& record) { ASSERT_TRUE(front_.append(record.record())); }
  static LiveState state_after(std::initializer_list<records::MadeRecord> made) {
    LiveState state;
    for (const auto& record : made) EXPECT_EQ(state.apply(record.record()), Applied::kNew);
    return state;
  }

  testing::TmpfsDirectory directory_;
  OpenFront opened_ = testing::must_open(testing::request_for(directory_));
  Front& front_ = opened_.front;
  IncidentId first_{session_id(1), 0, 1};
  IncidentId second_{session_id(1), 0, 2};
};

TEST_F(AReplay, OfNothingIsNothing) {
  const auto recovered = replay_front(front_, std::nullopt);
  ASSERT_TRUE(recovered.has_value());
  EXPECT_EQ(recovered->state.next_number(), 1u);
}

TEST_F(AReplay, AppliesWhatTheFilesDoNotHave) {
  const auto session = records::session(1, records::session_fields(session_id(1)));
  const auto verdict = records::verdict(2, first_);
  const auto event = records::event(3, 1, first_);
  put(session);
  put(verdict);
  put(event);
  for (const bool both : {false, true}) {
    const auto recovered =
        replay_front(front_, both ? state_after({session, verdict}) : state_after({session}));
    ASSERT_TRUE(recovered.has_value());
    EXPECT_EQ(recovered->replayed, both ? 1u : 2u);
    EXPECT_EQ(recovered->missing, 0u);
    EXPECT_EQ(records::bytes_of(recovered->state),
              records::bytes_of(state_after({session, verdict, event})));
  }
}

TEST_F(AReplay, KeepsFilesThatAreAheadOfTheFront) {
  const auto session = records::session(1, records::session_fields(session_id(1)));
  const auto event = records::event(2, 1, first_);
  put(session);
  const auto recovered = replay_front(front_, state_after({session, event}));
  ASSERT_TRUE(recovered.has_value());
  EXPECT_EQ(recovered->replayed, 0u);
  EXPECT_EQ(recovered->state.next_seq(), 2u);
}

TEST_F(AReplay, CountsWhatNeitherHas) {
  put(records::event(9, 5, second_));
  const auto recovered = replay_front(
      front_, state_after({records::session(1, records::session_fields(session_id(1)))}));
  ASSERT_TRUE(recovered.has_value());
  EXPECT_EQ(recovered->missing, 7u);
  EXPECT_EQ(recovered->state.next_seq(), 6u);
  const EventFields lost = missing_event(recovered->missing, 3);
  EXPECT_EQ(lost.reason, wire::Reason::records_lost);
  EXPECT_EQ(lost.count, 7u);
}

TEST_F(AReplay, OfAFrontAloneBeginsWithItsCheckpoint) {
  const LiveState before = state_after(
      {records::session(1, records::session_fields(session_id(1))), records::event(2, 1, first_)});
  const std::vector<std::byte> checkpoint = records::bytes_of(before);
  ASSERT_TRUE(front_.append({RecordType::kCheckpoint, 0, 0, checkpoint}));
  put(records::event(3, 2, second_));
  const auto recovered = replay_front(front_, std::nullopt);
  ASSERT_TRUE(recovered.has_value());
  EXPECT_EQ(recovered->replayed, 1u);
  EXPECT_TRUE(recovered->state.has_event(first_));
  EXPECT_TRUE(recovered->state.has_event(second_));
}

TEST_F(AReplay, RefusesAFrontAloneThatNeedsItsJournal) {
  put(records::event(7, 3, first_));
  const auto begun = replay_front(front_, std::nullopt);
  ASSERT_FALSE(begun.has_value());
  EXPECT_THAT(begun.error(), HasSubstr("record 7"));
  front_.release(front_.head());
  const auto emptied = replay_front(front_, std::nullopt);
  ASSERT_FALSE(emptied.has_value());
  EXPECT_THAT(emptied.error(), HasSubstr("--journal"));
}

TEST_F(AReplay, RefusesARecordItCannotRead) {
  const std::vector<std::byte> junk(24);
  ASSERT_TRUE(front_.append({RecordType::kVerdict, 1, 0, junk}));
  const auto recovered = replay_front(front_, std::nullopt);
  ASSERT_FALSE(recovered.has_value());
  EXPECT_THAT(recovered.error(), HasSubstr("record 1"));
}

// ---- whose VMM is gone -----------------------------------------------------------------

bool alive(std::int32_t pid, std::uint64_t start_time) { return pid == 4711 && start_time == 99; }

class WhatIsOver : public AReplay {
 protected:
  WhatIsOver() : fields_(records::session_fields(session_id(1))) {}

  std::vector<OverSession> over() {
    return over_sessions(state_after({records::session(1, fields_), records::verdict(2, first_),
                                      records::verdict(3, second_), records::event(4, 1, first_),
                                      records::folded(5, {session_id(1), 1, 1})}),
                         kBoot, alive);
  }

  SessionFields fields_;
};

TEST_F(WhatIsOver, IsNothingWhileTheVmmRuns) { EXPECT_TRUE(over().empty()); }

TEST_F(WhatIsOver, IsASessionWhoseProcessIsGone) {
  fields_.vmm_start_time = 100;
  const auto found = over();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].reason, wire::Reason::vmm_exited);
  ASSERT_EQ(found[0].open.size(), 1u);
  EXPECT_EQ(found[0].open[0].sequence(), 2u);
  EXPECT_EQ(found[0].folded, 1u);
}

TEST_F(WhatIsOver, IsASessionOfAnotherBootWhateverRunsUnderItsPid) {
  fields_.boot = wire::Id128(8, 8);
  const auto found = over();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].reason, wire::Reason::host_restarted);
}

TEST_F(WhatIsOver, BecomesAnEventFromTheRecordedVerdict) {
  fields_.boot = wire::Id128(8, 8);
  const auto found = over();
  ASSERT_EQ(found.size(), 1u);
  const EventFields event = recorded_event(found[0], found[0].open[0], 1234);
  EXPECT_TRUE(same_id(event.session, session_id(1)));
  EXPECT_EQ(event.sequence, 2u);
  EXPECT_EQ(event.vm_name, "db1");
  EXPECT_EQ(event.verdict, wire::Verdict::inject);
  EXPECT_EQ(event.decided_by, wire::DecidedBy::sidecar);
  EXPECT_EQ(event.delivered, wire::Delivered::unknown);
  EXPECT_EQ(event.reason, wire::Reason::host_restarted);
  EXPECT_EQ(event.gpa, 0x3000u);
  EXPECT_EQ(event.realtime_us, 1234u);
  EXPECT_EQ(event.since_us, 1u);
  const EventFields folded = folded_event(found[0], 1234);
  EXPECT_EQ(folded.reason, wire::Reason::repeats);
  EXPECT_EQ(folded.count, 1u);
  EXPECT_EQ(folded.folded, 1u);
}

}  // namespace
}  // namespace memfail::journal

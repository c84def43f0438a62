// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/live_state.h"

#include <gtest/gtest.h>

#include "tests/unit/journal/records.h"

namespace memfail::journal {
namespace {

namespace records = testing;
using records::session_id;

class ALiveState : public ::testing::Test {
 protected:
  void take(const records::MadeRecord& record) {
    ASSERT_EQ(state_.apply(record.record()), Applied::kNew) << "number " << record.number;
  }
  Applied apply(const records::MadeRecord& record) { return state_.apply(record.record()); }
  static IncidentId incident(std::uint64_t sequence, std::uint32_t lane = 0) {
    return {session_id(1), lane, sequence};
  }

  LiveState state_;
};

TEST_F(ALiveState, FindsAVerdictUntilItsIncidentHasItsEvent) {
  take(records::session(1, records::session_fields(session_id(1))));
  take(records::verdict(2, incident(1), 0xABC));
  ASSERT_NE(state_.find_verdict(incident(1)), nullptr);
  EXPECT_EQ(state_.find_verdict(incident(1))->reply().status(), 0xABCu);
  EXPECT_FALSE(state_.has_event(incident(1)));
  take(records::event(3, 1, incident(1)));
  EXPECT_EQ(state_.find_verdict(incident(1)), nullptr);
  EXPECT_TRUE(state_.has_event(incident(1)));
  EXPECT_EQ(state_.open_verdicts(), 0u);
}

TEST_F(ALiveState, KnowsTheEventsOfEachCellByItself) {
  take(records::event(1, 1, incident(3)));  // out of order: cell 2 before cell 0
  EXPECT_TRUE(state_.has_event(incident(3)));
  EXPECT_FALSE(state_.has_event(incident(1)));
  EXPECT_FALSE(state_.has_event(incident(7)));
  take(records::event(2, 2, incident(7)));
  EXPECT_TRUE(state_.has_event(incident(3)));
  EXPECT_FALSE(state_.has_event(incident(3, 1)));
  EXPECT_FALSE(state_.has_event({session_id(2), 0, 3}));
}

TEST_F(ALiveState, AVerdictThatComesAfterItsEventIsNoPromise) {
  take(records::event(1, 1, incident(1)));
  take(records::verdict(2, incident(1)));
  EXPECT_EQ(state_.find_verdict(incident(1)), nullptr);
  EXPECT_EQ(state_.open_verdicts(), 0u);
}

TEST_F(ALiveState, CountsWhatWasFoldedUntilAnEventStandsForIt) {
  take(records::session(1, records::session_fields(session_id(1))));
  take(records::folded(2, incident(1)));
  take(records::folded(3, incident(2)));
  EXPECT_TRUE(state_.has_event(incident(2)));
  EXPECT_EQ(state_.sessions().at(session_id(1)).folded, 2u);
  EventFields counts = records::event_fields({session_id(1), 0, 0});
  counts.folded = 2;
  take(records::event(4, 1, counts));
  EXPECT_EQ(state_.sessions().at(session_id(1)).folded, 0u);
}

TEST_F(ALiveState, ForgetsASessionThatEnded) {
  take(records::session(1, records::session_fields(session_id(1))));
  take(records::event(2, 1, incident(1)));
  take(records::session_end(3, session_id(1)));
  EXPECT_TRUE(state_.sessions().empty());
}

TEST_F(ALiveState, KeepsAnEndedSessionUntilItsIncidentsHaveTheirEvents) {
  take(records::session(1, records::session_fields(session_id(1))));
  take(records::verdict(2, incident(1)));
  take(records::session_end(3, session_id(1)));
  ASSERT_EQ(state_.open_of(session_id(1)).size(), 1u);
  take(records::event(4, 1, incident(1)));
  EXPECT_TRUE(state_.sessions().empty());
}

TEST_F(ALiveState, KnowsASessionAsItWasLastRecorded) {
  SessionFields fields = records::session_fields(session_id(1));
  take(records::session(1, fields));
  fields.vm_name = "db2";
  fields.vmm_pid = 12;
  take(records::session(2, fields));
  const auto& record = state_.sessions().at(session_id(1)).record;
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->vm_name, "db2");
  EXPECT_EQ(record->vmm_pid, 12);
  EXPECT_EQ(record->uid, 107u);
  EXPECT_EQ(record->label, "unconfined");
  EXPECT_EQ(record->resume_key.low(), 2u);
}

TEST_F(ALiveState, EventsGiveTheNextSeq) {
  EXPECT_EQ(state_.next_seq(), 1u);
  take(records::event(1, 1, incident(1)));
  take(records::event(2, 2, incident(2)));
  EXPECT_EQ(state_.next_seq(), 3u);
  EXPECT_EQ(state_.next_number(), 3u);
}

TEST_F(ALiveState, AnEventWithoutAnIncidentMakesNoSession) {
  take(records::event(1, 1, EventFields()));
  EXPECT_TRUE(state_.sessions().empty());
}

TEST_F(ALiveState, ARecordIsAppliedOnce) {
  const auto first = records::folded(1, incident(1));
  take(first);
  EXPECT_EQ(apply(first), Applied::kKnown);
  EXPECT_EQ(state_.sessions().at(session_id(1)).folded, 1u);
}

TEST_F(ALiveState, WhatBelongsToTheStorageChangesNothing) {
  records::MadeRecord checkpoint{RecordType::kCheckpoint, 0, 0, {}};
  EXPECT_EQ(apply(checkpoint), Applied::kKnown);
  EXPECT_EQ(state_.next_number(), 1u);
}

TEST_F(ALiveState, MissingRecordsAreAGapUntilTheyAreGivenUp) {
  EXPECT_EQ(apply(records::event(5, 9, incident(1))), Applied::kGap);
  EXPECT_EQ(state_.next_seq(), 1u);
  state_.skip_to(5);
  EXPECT_EQ(apply(records::event(5, 9, incident(1))), Applied::kNew);
  EXPECT_EQ(state_.next_seq(), 10u);
}

TEST_F(ALiveState, ASeqIsNeverGivenTwice) {
  take(records::event(1, 5, incident(1)));
  EXPECT_EQ(apply(records::event(2, 5, incident(2))), Applied::kInvalid);
  EXPECT_EQ(state_.next_number(), 2u);
}

TEST_F(ALiveState, RefusesWhatIsNoPayloadOfItsType) {
  const std::vector<std::byte> junk(40, std::byte{0x5A});
  for (const RecordType type : {RecordType::kSession, RecordType::kVerdict, RecordType::kEvent,
                                RecordType::kFolded, RecordType::kCheckpoint, RecordType::kLoss}) {
    EXPECT_EQ(state_.apply({type, 1, 1, junk}), Applied::kInvalid) << static_cast<int>(type);
  }
  EXPECT_EQ(apply(records::verdict(1, incident(0))), Applied::kInvalid);
  EXPECT_EQ(apply(records::verdict(1, incident(1, LiveState::kMaxLane))), Applied::kInvalid);
  EXPECT_EQ(apply(records::event(1, 1, incident(1, LiveState::kMaxLane))), Applied::kInvalid);
  SessionFields huge = records::session_fields(session_id(1));
  huge.vcpus = LiveState::kMaxLane;
  EXPECT_EQ(apply(records::session(1, huge)), Applied::kInvalid);
  EXPECT_TRUE(state_.sessions().empty());
}

TEST_F(ALiveState, HoldsMoreVerdictsThanItHasRoomForAtFirst) {
  std::uint64_t number = 1;
  for (std::uint32_t lane = 0; lane < VerdictPool::kFirst; ++lane) {
    take(records::verdict(number++, incident(1, lane), lane));
    take(records::verdict(number++, incident(2, lane), lane + 5000));
  }
  EXPECT_EQ(state_.open_verdicts(), 2 * VerdictPool::kFirst);
  EXPECT_EQ(state_.find_verdict(incident(2, 77))->reply().status(), 5077u);
}

TEST_F(ALiveState, IsTheSameAfterACheckpoint) {
  take(records::session(1, records::session_fields(session_id(1))));
  take(records::verdict(2, incident(1)));
  take(records::verdict(3, incident(2)));
  take(records::event(4, 1, incident(1)));
  take(records::folded(5, incident(3)));
  const CheckpointLabel label{wire::Id128(1, 2), wire::Id128(3, 4), 5, 1};
  const std::vector<std::byte> payload = state_.checkpoint(label);
  const auto again = LiveState::from_checkpoint(payload);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->checkpoint(label), payload);
  EXPECT_EQ(again->next_seq(), 2u);
  EXPECT_EQ(again->next_number(), 6u);
  EXPECT_TRUE(again->has_event(incident(1)));
  EXPECT_NE(again->find_verdict(incident(2)), nullptr);
  EXPECT_EQ(again->sessions().at(session_id(1)).record->vm_name, "db1");
  EXPECT_EQ(again->sessions().at(session_id(1)).folded, 1u);
}

TEST_F(ALiveState, ACheckpointSaysWhoseItIs) {
  const CheckpointLabel label{wire::Id128(1, 2), wire::Id128(3, 4), 5, 77};
  const auto read = checkpoint_label(state_.checkpoint(label));
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(same_id(read->journal, label.journal));
  EXPECT_TRUE(same_id(read->boot, label.boot));
  EXPECT_EQ(read->generation, 5u);
  EXPECT_EQ(read->first_seq, 77u);
}

TEST_F(ALiveState, WhatIsNoCheckpointIsNone) {
  take(records::session(1, records::session_fields(session_id(1))));
  take(records::verdict(2, incident(1)));
  std::vector<std::byte> payload = records::bytes_of(state_);
  for (std::size_t length = 0; length < payload.size(); length += 4) {
    (void)LiveState::from_checkpoint(std::span(payload).first(length));
  }
  EXPECT_FALSE(LiveState::from_checkpoint({}).has_value());
  payload[5] ^= std::byte{1};  // its file identifier
  EXPECT_FALSE(LiveState::from_checkpoint(payload).has_value());
}

}  // namespace
}  // namespace memfail::journal

// SPDX-License-Identifier: BSD-3-Clause
//
// The store on a front, with a journal that a test plays, and alone.
#include "sidecar/journal/record_store.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "sidecar/journal/replay.h"
#include "tests/unit/journal/front_fixture.h"
#include "tests/unit/journal/records.h"

namespace memfail::journal {
namespace {

namespace records = testing;
using records::session_id;
using testing::must_open;

constexpr std::uint64_t kNow = 1'700'000'000'000'000;

VerdictRecord promise(const IncidentId& id) { return from_wire(records::verdict_of(id, 0xABC)); }

class AStore : public ::testing::Test {
 protected:
  void SetUp() override { open(); }

  // A life of the process, after what the one before left in the front.
  void open() {
    store_.reset();
    front_.reset();
    front_.emplace(must_open(testing::request_for(directory_)).front);
    auto recovered = replay_front(*front_, files_);
    ASSERT_TRUE(recovered.has_value()) << recovered.error();
    recovered_ = *recovered;
    StoreParts parts;
    parts.id = "test";
    parts.front = &*front_;
    if (!alone_) parts.journal = health_;
    parts.state = recovered_.state;
    parts.boot = testing::kBoot;
    store_.emplace(std::move(parts));
  }

  void attach(std::uint64_t session) {
    store_->append_session(records::session_fields(session_id(session)));
  }
  std::uint64_t publish(std::uint64_t session, std::uint64_t sequence) {
    EventFields fields = records::event_fields({session_id(session), 0, sequence});
    fields.realtime_us = kNow;
    return store_->append_event(fields);
  }
  // The disk takes all that is in the front.
  void sync() {
    for (FrontItem item = front_->read(front_->tail()); item.state == FrontRead::kRecord;
         item = front_->read(front_->tail())) {
      if (item.record.seq != 0) health_.durable_seq = item.record.seq;
      (void)files_->apply(item.record);
      front_->release(item.next);
    }
    store_->note_health(health_);
  }
  // One session's events until they are only counted; how many had a seq.
  std::uint64_t fill(std::uint64_t session, std::uint64_t first = 1) {
    std::uint64_t sequence = first;
    while (publish(session, sequence) != 0) ++sequence;
    return sequence - first;
  }

  // So many as have room, and one more.
  std::size_t promise_until_crowded() {
    for (std::uint32_t cell = 0; cell < 8000; ++cell) {
      if (!store_->append_verdict(promise({session_id(1), cell / 4, cell % 4 + 1}))) return cell;
      sync();
    }
    return 8000;
  }

  testing::TmpfsDirectory directory_;
  bool alone_ = false;
  JournalHealth health_;
  std::optional<LiveState> files_ = LiveState();
  std::optional<Front> front_;
  Replayed recovered_;
  std::optional<RecordStore> store_;
};

class AStoreAlone : public AStore {
 protected:
  AStoreAlone() {
    alone_ = true;
    files_.reset();
  }
};

TEST_F(AStore, FindsAVerdictInTheNextLife) {
  attach(1);
  EXPECT_TRUE(store_->append_verdict(promise({session_id(1), 2, 3})));
  open();
  EXPECT_EQ(recovered_.replayed, 2u);
  const auto found = store_->find_verdict({session_id(1), 2, 3});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->reply.status(), 0xABCu);
  EXPECT_EQ(found->gpa, 0x3000u);
  EXPECT_FALSE(store_->find_verdict({session_id(1), 2, 7}).has_value());
}

TEST_F(AStore, KnowsInTheNextLifeWhichIncidentsHaveTheirEvent) {
  attach(1);
  EXPECT_EQ(publish(1, 1), 1u);
  store_->append_folded({session_id(1), 0, 2});
  open();
  EXPECT_TRUE(store_->has_event({session_id(1), 0, 1}));
  EXPECT_TRUE(store_->has_event({session_id(1), 0, 2}));
  EXPECT_FALSE(store_->has_event({session_id(1), 0, 3}));
  EXPECT_EQ(publish(1, 3), 2u);
  ASSERT_NE(store_->event(1), nullptr);
  EXPECT_EQ(store_->event(1)->sequence(), 1u);
}

TEST_F(AStore, GoesOnWhereTheFilesEndWhenTheFrontIsEmpty) {
  attach(1);
  publish(1, 1);
  sync();
  open();
  EXPECT_EQ(store_->next_seq(), 2u);
  EXPECT_EQ(store_->event(1), nullptr);
  EXPECT_EQ(store_->memory_first_seq(), 2u);
  EXPECT_EQ(store_->first_seq(), 1u);
  EXPECT_TRUE(store_->has_event({session_id(1), 0, 1}));
}

TEST_F(AStore, ShowsReadersWhatIsDurableAndAllWhileDegraded) {
  attach(1);
  publish(1, 1);
  publish(1, 2);
  EXPECT_EQ(store_->next_readable(), 1u);
  health_.durable_seq = 1;
  store_->note_health(health_);
  EXPECT_EQ(store_->next_readable(), 2u);
  EXPECT_TRUE(store_->durable(1));
  EXPECT_FALSE(store_->durable(2));
  health_.degraded_since_us = kNow;
  store_->note_health(health_);
  EXPECT_EQ(store_->next_readable(), 3u);
  EXPECT_TRUE(store_->status().degraded);
  EXPECT_EQ(store_->status().at_risk, 1u);
}

TEST_F(AStore, GivesOneSessionAQuarterOfTheFront) {
  attach(1);
  attach(2);
  const std::uint64_t events = fill(1);
  EXPECT_GT(events, 10u);
  EXPECT_LE(front_->used(), front_->capacity() / 4 + 1024);
  EXPECT_FALSE(store_->append_verdict(promise({session_id(1), 0, 999})));
  EXPECT_EQ(publish(2, 1), events + 1);
  EXPECT_TRUE(store_->status().degraded);
  EXPECT_EQ(store_->status().counted_only, 1u);
}

TEST_F(AStore, CountsWhatHasNoRoomAndSaysSoWhenThereIs) {
  attach(1);
  const std::uint64_t events = fill(1);
  publish(1, events + 2);
  publish(1, events + 3);
  EXPECT_TRUE(store_->has_event({session_id(1), 0, events + 3}));
  EXPECT_FALSE(store_->tend(kNow + 5)) << "there is still no room";
  sync();
  EXPECT_TRUE(store_->tend(kNow + 9));
  const wire::EventRecord* told = store_->event(events + 1);
  ASSERT_NE(told, nullptr);
  EXPECT_EQ(told->reason(), wire::Reason::records_lost);
  EXPECT_EQ(told->count(), 3u);
  EXPECT_EQ(told->since_us(), kNow);
  EXPECT_EQ(told->realtime_us(), kNow + 9);
  EXPECT_EQ(told->vm_name()->str(), "db1");
  EXPECT_FALSE(store_->status().degraded);
  open();
  EXPECT_TRUE(store_->has_event({session_id(1), 0, events + 3}));
  EXPECT_EQ(store_->state().sessions().at(session_id(1)).folded, 0u);
}

TEST_F(AStore, AnIncidentThatIsOnlyCountedIsNoPromiseAnyMore) {
  attach(1);
  store_->append_verdict(promise({session_id(1), 1, 1}));
  fill(1);
  EventFields fields = records::event_fields({session_id(1), 1, 1});
  EXPECT_EQ(store_->append_event(fields), 0u);
  EXPECT_FALSE(store_->find_verdict({session_id(1), 1, 1}).has_value());
  sync();
  store_->tend(kNow);
  EXPECT_EQ(store_->state().open_verdicts(), 0u);
}

TEST_F(AStore, WritesASessionsRecordOnceThereIsRoom) {
  for (std::uint64_t session = 1; session <= 6; ++session) fill(session);
  while (front_->append({RecordType::kLoss, 0, 0, {}})) continue;  // to the last byte
  attach(9);
  EXPECT_TRUE(store_->status().degraded);
  EXPECT_FALSE(store_->state().sessions().contains(session_id(9)));
  sync();
  store_->tend(kNow);
  EXPECT_TRUE(store_->state().sessions().contains(session_id(9)));
}

TEST_F(AStore, ASessionThatEndsWhileItIsOnlyCountedIsForgottenAfterItsCount) {
  attach(1);
  const std::uint64_t events = fill(1);
  store_->end_session(session_id(1));
  EXPECT_TRUE(store_->state().sessions().contains(session_id(1)));
  sync();
  EXPECT_TRUE(store_->tend(kNow));
  EXPECT_NE(store_->event(events + 1), nullptr);
  EXPECT_TRUE(store_->state().sessions().empty());
}

TEST_F(AStore, TellsOnceWhatAnOutageHadAtRisk) {
  EXPECT_FALSE(store_->tend(kNow));
  store_->note_outage({kNow - 77, kNow, EIO, 9});
  store_->note_outage({kNow - 33, kNow, EIO, 3});
  EXPECT_TRUE(store_->tend(kNow));
  EXPECT_FALSE(store_->tend(kNow));
  ASSERT_NE(store_->event(1), nullptr);
  EXPECT_EQ(store_->event(1)->reason(), wire::Reason::records_at_risk);
  EXPECT_EQ(store_->event(1)->count(), 12u);
  EXPECT_EQ(store_->event(1)->since_us(), kNow - 77);
}

TEST_F(AStore, TellsWhatAHangHadAtRiskOnceItIsOver) {
  attach(1);
  publish(1, 1);
  sync();
  store_->note_hung(kNow - 50);
  publish(1, 2);
  publish(1, 3);
  EXPECT_TRUE(store_->status().degraded);
  EXPECT_EQ(store_->next_readable(), 4u) << "told at once";
  store_->note_hung(kNow - 40);  // it still hangs
  sync();
  store_->note_hung_over(kNow);
  EXPECT_FALSE(store_->status().degraded);
  EXPECT_TRUE(store_->tend(kNow));
  ASSERT_NE(store_->event(4), nullptr);
  EXPECT_EQ(store_->event(4)->reason(), wire::Reason::records_at_risk);
  EXPECT_EQ(store_->event(4)->count(), 2u);
  EXPECT_EQ(store_->event(4)->since_us(), kNow - 50);
}

TEST_F(AStore, LeavesAHangThatEndsInAnErrorToThatOutage) {
  attach(1);
  sync();
  store_->note_hung(kNow - 50);
  publish(1, 1);
  health_.degraded_since_us = kNow;
  store_->note_health(health_);
  store_->note_hung_over(kNow);
  EXPECT_FALSE(store_->tend(kNow));
  EXPECT_TRUE(store_->status().degraded);
}

TEST_F(AStore, SaysWhenThereIsSomethingForTheJournal) {
  EXPECT_FALSE(store_->take_appended());
  attach(1);
  EXPECT_TRUE(store_->take_appended());
  EXPECT_FALSE(store_->take_appended());
  open();
  EXPECT_TRUE(store_->take_appended()) << "what the last life left";
}

TEST_F(AStore, GivesAVerdictWithoutARecordWhereACheckpointHasNoRoomForIt) {
  files_->limit_checkpoint(32 << 10);
  open();
  attach(1);
  const std::size_t promised = promise_until_crowded();
  EXPECT_GT(promised, 100u);
  EXPECT_LT(promised, 160u);
  StoreStatus status = store_->status();
  EXPECT_TRUE(status.degraded);
  EXPECT_TRUE(status.crowded);
  EXPECT_EQ(status.unrecorded, 1u);
  EXPECT_EQ(status.checkpoint_limit, 32u << 10);
  EXPECT_LE(status.checkpoint_size, status.checkpoint_limit);
  for (std::uint64_t sequence = 1; sequence <= promised / 2; ++sequence) {
    EventFields fields = records::event_fields(
        {session_id(1), static_cast<std::uint32_t>((sequence - 1) / 4), (sequence - 1) % 4 + 1});
    ASSERT_EQ(store_->append_event(fields), sequence);
    sync();
  }
  store_->tend(kNow);
  status = store_->status();
  EXPECT_FALSE(status.degraded);
  EXPECT_TRUE(store_->append_verdict(promise({session_id(1), 900, 1})));
  open();
  EXPECT_EQ(store_->state().open_verdicts(), promised - promised / 2 + 1);
}

TEST_F(AStore, RecordsASessionOnceACheckpointHasRoomForIt) {
  files_->limit_checkpoint(16 << 10);
  open();
  std::uint64_t session = 0;
  do {
    attach(++session);
    sync();
  } while (!store_->crowded());
  EXPECT_GT(session, 16u);
  EXPECT_FALSE(store_->state().sessions().contains(session_id(session)));
  EXPECT_EQ(publish(session, 1), 1u) << "it is told all the same";
  store_->tend(kNow);
  EXPECT_TRUE(store_->status().degraded);
  for (std::uint64_t other = 1; other <= 12; ++other) store_->end_session(session_id(other));
  store_->tend(kNow);
  EXPECT_TRUE(store_->state().sessions().contains(session_id(session)));
  EXPECT_FALSE(store_->status().degraded);
}

TEST_F(AStoreAlone, KeepsWhatItHasRoomForAndItsStateForEver) {
  attach(1);
  store_->append_verdict(promise({session_id(1), 3, 1}));
  for (std::uint64_t sequence = 1; sequence <= 2000; ++sequence) {
    ASSERT_EQ(publish(1, sequence), sequence);
    if (sequence % 10 == 0) store_->tend(kNow);
  }
  open();
  EXPECT_EQ(store_->next_seq(), 2001u);
  EXPECT_GT(store_->first_seq(), 1u);
  EXPECT_LT(store_->first_seq(), 1950u);
  for (std::uint64_t seq = store_->first_seq(); seq <= 2000; ++seq) {
    ASSERT_NE(store_->event(seq), nullptr) << seq;
    ASSERT_EQ(store_->event(seq)->sequence(), seq);
  }
  EXPECT_TRUE(store_->find_verdict({session_id(1), 3, 1}).has_value());
  EXPECT_TRUE(store_->has_event({session_id(1), 0, 5}));
}

TEST_F(AStoreAlone, GoesOnWithoutAnybodyTendingIt) {
  attach(1);
  for (std::uint64_t sequence = 1; sequence <= 2000; ++sequence) {
    ASSERT_EQ(publish(1, sequence), sequence);
    if (sequence % 700 == 0) open();
  }
  open();
  EXPECT_EQ(store_->next_seq(), 2001u);
}

// More promises than the front has room for.
TEST_F(AStoreAlone, GoesOnWithMoreIncidentsOpenThanACheckpointHasRoomFor) {
  attach(1);
  std::size_t promised = 0;
  for (std::uint32_t cell = 0; cell < 1024; ++cell) {
    promised += store_->append_verdict(promise({session_id(1), cell / 4, cell % 4 + 1})) ? 1 : 0;
  }
  EXPECT_GT(promised, 16u);
  EXPECT_LT(promised, 1024u);
  for (std::uint32_t cell = 0; cell < 1024; ++cell) {
    EventFields fields = records::event_fields({session_id(1), cell / 4, cell % 4 + 1});
    ASSERT_EQ(store_->append_event(fields), cell + 1u);
    if (cell % 100 == 50) open();
  }
  EXPECT_EQ(store_->state().open_verdicts(), 0u);
  EXPECT_TRUE(store_->append_verdict(promise({session_id(1), 0, 5})));
}

TEST_F(AStoreAlone, ShowsEventsAtOnce) {
  attach(1);
  publish(1, 1);
  EXPECT_EQ(store_->next_readable(), 2u);
  EXPECT_FALSE(store_->durable(1)) << "a power cut takes the front";
}

TEST(AStoreInMemory, KeepsTheLastEventsAndAnyNumberOfVerdicts) {
  RecordStore store("memory-test");
  for (std::uint64_t sequence = 1; sequence <= RecordStore::kEvents + 10; ++sequence) {
    EXPECT_TRUE(store.append_verdict(promise({session_id(1), 0, sequence})));
    EXPECT_EQ(store.append_event(records::event_fields({session_id(1), 0, sequence})), sequence);
  }
  EXPECT_EQ(store.first_seq(), 11u);
  EXPECT_EQ(store.event(10), nullptr);
  EXPECT_EQ(store.event(11)->sequence(), 11u);
  EXPECT_EQ(store.next_readable(), RecordStore::kEvents + 11);
}

}  // namespace
}  // namespace memfail::journal

// SPDX-License-Identifier: BSD-3-Clause
//
// A journal in memory whose writes and syncs can be failed.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "sidecar/journal/history.h"
#include "sidecar/journal/journal_files.h"
#include "tests/unit/journal/record_maker.h"
#include "tests/unit/journal/recorded_io.h"

namespace memfail::journal {

class JournalFixture : public ::testing::Test {
 protected:
  static constexpr JournalGeometry kGeometry{4, 8192};

  void SetUp() override { start(FileImages(kGeometry.files, std::vector<std::byte>(8192))); }

  // As a new process does, over what the files hold.
  void start(FileImages images) {
    auto io = std::make_unique<RecordedIo>(std::move(images));
    auto found = recover(*io, kGeometry, "/j");
    ASSERT_TRUE(found) << found.error();
    io_ = io.get();
    files_.emplace(std::move(io), kGeometry, JournalIdentity{kJournalId, kBootId},
                   std::move(*found));
  }
  void restart() { start(io_->images()); }

  // What a start says of these files.
  std::string refusal() {
    const auto found = recover(*io_, kGeometry, "/j");
    return found ? "" : found.error();
  }

  void make(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      records_.push_back(maker_.next(state_));
      ASSERT_EQ(state_.apply(records_.back().view()), Applied::kNew);
    }
  }
  // Records of one size, without an event among them.
  void make_verdicts(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      OwnedRecord record = maker_.next(state_);
      while (record.type != RecordType::kVerdict) record = maker_.next(state_);
      ASSERT_EQ(state_.apply(record.view()), Applied::kNew);
      records_.push_back(std::move(record));
    }
  }
  // Gives all that was made and is not durable yet.
  Appended give() {
    const Appended done = files_->append(views(records_, durable_, records_.size()));
    durable_ += done.records;
    return done;
  }
  void give_until_full_turns(std::uint64_t generation) {
    while (files_->generation() < generation) {
      make(1);
      ASSERT_EQ(give().error, 0);
    }
  }

  std::vector<std::uint64_t> seqs(std::uint64_t from, const PastLimit& limit = {}) {
    std::vector<std::uint64_t> out;
    const auto past = history_.read(*files_, from, limit);
    EXPECT_TRUE(past);
    if (past) next_ = past->next;
    if (!past) return out;
    for (const PastEvent& event : past->events) out.push_back(event.seq);
    return out;
  }

  void fail_syncs(std::size_t count, int error) {
    io_->fault = [left = count, error](const IoStep& step) mutable -> std::optional<int> {
      if (step.kind != IoStep::Kind::kSync || left == 0) return std::nullopt;
      --left;
      return error;
    };
  }
  void fail_everything(int error) {
    io_->fault = [error](const IoStep&) -> std::optional<int> { return error; };
  }

  RecordedIo* io_ = nullptr;
  std::optional<JournalFiles> files_;
  History history_;
  std::uint64_t next_ = 0;
  RecordMaker maker_{1};
  LiveState state_;
  std::vector<OwnedRecord> records_;
  std::size_t durable_ = 0;
};

}  // namespace memfail::journal

// SPDX-License-Identifier: BSD-3-Clause
//
// The state machine: every state meets every message.
#include "sidecar/session/dialogue.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "host.h"

namespace memfail::session {
namespace {

using test::FakeHost;
using wire::Body;
using wire::ErrorCode;
using Builder = flatbuffers::FlatBufferBuilder;

constexpr std::uint32_t kVcpus = 2;
const wire::Id128 kSession{1, 2};

flatbuffers::Offset<void> hello_body(Builder& builder) {
  return wire::CreateHello(builder, 1, 1, 0, &kSession, nullptr, builder.CreateString("uuid"),
                           builder.CreateString("vm1"), wire::Vendor::intel, 0, 0, 0, 0, kVcpus,
                           100)
      .Union();
}

// A well-formed message of each kind, that would be good in the right state.
Builder message_of(Body body) {
  Builder builder;
  const wire::Id128 key{};
  const auto offset = [&]() -> flatbuffers::Offset<void> {
    switch (body) {
      case Body::Hello:
        return hello_body(builder);
      case Body::Welcome:
        return wire::CreateWelcome(builder, 1, 0, &key).Union();
      case Body::Regions:
        return wire::CreateRegions(builder, 2).Union();
      case Body::Commit:
        return wire::CreateCommit(builder, 2, 0).Union();
      case Body::VcpuState:
        return wire::CreateVcpuState(builder, 0, true).Union();
      case Body::GuestReset:
        return wire::CreateGuestReset(builder, 1).Union();
      case Body::Goodbye:
        return wire::CreateGoodbye(builder).Union();
      case Body::Ack:
        return wire::CreateAck(builder, 1).Union();
      case Body::Error:
      case Body::NONE:
        break;
    }
    return wire::CreateError(builder).Union();
  }();
  wire::FinishMessageBuffer(builder, wire::CreateMessage(builder, 1, body, offset));
  return builder;
}

class DialogueTest : public ::testing::Test {
 protected:
  void take(const Builder& builder, shm::Received received = {}) {
    received.size = builder.GetSize();
    dialogue_.take(std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())),
                   received);
  }

  static shm::Received hello_descriptors() {
    shm::Received received;
    auto area = shm::make_area(shm::AreaKind::kRequest, shm::Geometry(kVcpus), {1, 2});
    received.fds[0] = std::move(area->fd);
    received.fds[1].reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    received.fds[2].reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    received.fd_count = 3;
    return received;
  }

  void send(Body body) {
    take(message_of(body), body == Body::Hello ? hello_descriptors() : shm::Received());
  }

  void reach(DialogueState state) {
    if (state == DialogueState::kAwaitHello) return;
    send(Body::Hello);
    if (state == DialogueState::kAwaitCommit) return;
    Builder builder;
    wire::FinishMessageBuffer(
        builder,
        wire::CreateMessage(builder, 1, Body::Commit, wire::CreateCommit(builder, 1, 0).Union()));
    take(builder);
    if (state == DialogueState::kEnded) send(Body::Goodbye);
  }

  const wire::Message* answer() {
    return dialogue_.answer().empty() ? nullptr : wire::GetMessage(dialogue_.answer().data());
  }
  ErrorCode error() {
    const wire::Error* body = answer() == nullptr ? nullptr : answer()->body_as_Error();
    return body == nullptr ? ErrorCode::none : body->code();
  }

  FakeHost host_;
  SessionTable table_{host_, decision::Policy::kQemu};
  Dialogue dialogue_{table_, host_, {.uid = 1000, .gid = 1000}};
};

struct Expected {
  Body body;
  // State afterwards: await hello, await commit, ready, ended; kEnded without
  // `good` is out_of_state.
  std::array<std::optional<DialogueState>, kDialogueStates> after;
};

constexpr auto kCommit = DialogueState::kAwaitCommit;
constexpr auto kReady = DialogueState::kReady;
constexpr auto kOver = DialogueState::kEnded;
constexpr std::optional<DialogueState> kNo = std::nullopt;

// As docs/protocol.md has it.
const Expected kTable[] = {
    {Body::Hello, {kCommit, kNo, kNo, kNo}},     {Body::Regions, {kNo, kCommit, kReady, kNo}},
    {Body::Commit, {kNo, kReady, kReady, kNo}},  {Body::VcpuState, {kNo, kNo, kReady, kNo}},
    {Body::GuestReset, {kNo, kNo, kReady, kNo}}, {Body::Goodbye, {kNo, kOver, kOver, kNo}},
    {Body::Welcome, {kNo, kNo, kNo, kNo}},       {Body::Ack, {kNo, kNo, kNo, kNo}},
    {Body::Error, {kNo, kNo, kNo, kNo}},
};

class EveryState : public DialogueTest,
                   public ::testing::WithParamInterface<std::tuple<std::size_t, std::size_t>> {};

TEST_P(EveryState, MeetsEveryMessage) {
  const auto [row, column] = GetParam();
  const auto state = static_cast<DialogueState>(column);
  reach(state);
  ASSERT_EQ(dialogue_.state(), state);
  send(kTable[row].body);
  const auto expected = kTable[row].after[column];
  if (expected) {
    EXPECT_EQ(dialogue_.state(), *expected);
    EXPECT_EQ(error(), ErrorCode::none) << host_.last_line;
  } else {
    EXPECT_EQ(dialogue_.state(), DialogueState::kEnded);
    EXPECT_EQ(error(), ErrorCode::out_of_state);
    EXPECT_EQ(table_.size(), 0U);  // the session ended with it
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryState,
                         ::testing::Combine(::testing::Range<std::size_t>(0, std::size(kTable)),
                                            ::testing::Range<std::size_t>(0, kDialogueStates)));

TEST_F(DialogueTest, DescriptorsAreExpectedWithAHelloOnly) {
  EXPECT_EQ(dialogue_.expected_descriptors(), 3U);
  reach(DialogueState::kAwaitCommit);
  EXPECT_EQ(dialogue_.expected_descriptors(), 0U);
}

TEST_F(DialogueTest, DescriptorsThatFailAreLeftToTheCloser) {
  shm::Received received = hello_descriptors();
  std::swap(received.fds[0], received.fds[1]);
  take(message_of(Body::Hello), std::move(received));
  EXPECT_EQ(error(), ErrorCode::descriptor);
  EXPECT_EQ(host_.discarded, 3);
}

TEST_F(DialogueTest, HellosAreRefusedWhileDescriptorsAreStuck) {
  host_.clogged = true;
  send(Body::Hello);
  EXPECT_EQ(error(), ErrorCode::limit);
}

TEST_F(DialogueTest, TruncatedMessagesEndTheSession) {
  reach(DialogueState::kReady);
  shm::Received received;
  received.truncated = true;
  take(message_of(Body::GuestReset), std::move(received));
  EXPECT_EQ(error(), ErrorCode::descriptor);
}

TEST_F(DialogueTest, AHangUpDetachesAndKeepsTheSession) {
  reach(DialogueState::kReady);
  dialogue_.hang_up();
  EXPECT_EQ(table_.size(), 1U);
  EXPECT_EQ(host_.gones, 0);
}

TEST_F(DialogueTest, EveryBitOfAMessageMayBeWrong) {
  const Builder good = message_of(Body::Hello);
  for (std::size_t bit = 0; bit < good.GetSize() * 8UL; ++bit) {
    std::vector<std::byte> bytes(good.GetSize());
    std::memcpy(bytes.data(), good.GetBufferPointer(), bytes.size());
    bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    Dialogue other(table_, host_, {.uid = 1000, .gid = 1000});
    shm::Received received = hello_descriptors();
    other.take(bytes, received);
    if (other.session() != nullptr) table_.end(*other.session(), "test");
  }
}

}  // namespace
}  // namespace memfail::session

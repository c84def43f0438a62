// SPDX-License-Identifier: BSD-3-Clause
//
// The state machine: every state meets every message.
#include "sidecar/session/dialogue.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

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
// Drills, and one that nobody knows.
constexpr std::uint64_t kOffered = static_cast<std::uint64_t>(wire::Feature::drills) | 1 << 20;

flatbuffers::Offset<void> hello_body(Builder& builder, const wire::Id128* key = nullptr) {
  return wire::CreateHello(builder, 1, 1, kOffered, &kSession, key, builder.CreateString("uuid"),
                           builder.CreateString("vm1"), wire::Vendor::intel, 0, 0, 0, 0, kVcpus,
                           100)
      .Union();
}

// A well-formed message of each kind, that would be good in the right state.
Builder message_of(Body body) {
  Builder builder;
  const wire::Id128 key{};
  const wire::FallbackRules rules{};
  const auto offset = [&]() -> flatbuffers::Offset<void> {
    switch (body) {
      case Body::Hello:
        return hello_body(builder);
      case Body::Welcome:
        return wire::CreateWelcome(builder, 1, 0, &key, 0, 0, &rules).Union();
      case Body::PoisonPages:
        return wire::CreatePoisonPages(
                   builder, 0, builder.CreateVectorOfStructs(std::vector<wire::PoisonPage>{}))
            .Union();
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
      case Body::Drill:
        return wire::CreateDrill(builder, 0x1000).Union();
      case Body::Inject:
        return wire::CreateInject(builder).Union();
      case Body::Rules: {
        const wire::FallbackRules none;
        return wire::CreateRules(builder, &none).Union();
      }
      case Body::OperatorAnswer:
        return wire::CreateOperatorAnswer(builder, 2).Union();
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
  SessionTable table_{host_};
  Dialogue dialogue_{table_, host_, {.uid = 1000, .gid = 1000, .label = {}}};
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
    {Body::Hello, {kCommit, kNo, kNo, kNo}},
    {Body::Regions, {kNo, kCommit, kReady, kNo}},
    {Body::Commit, {kNo, kReady, kReady, kNo}},
    {Body::VcpuState, {kNo, kNo, kReady, kNo}},
    {Body::GuestReset, {kNo, kNo, kReady, kNo}},
    {Body::Goodbye, {kNo, kOver, kOver, kNo}},
    {Body::Welcome, {kNo, kNo, kNo, kNo}},
    {Body::Ack, {kNo, kNo, kNo, kNo}},
    {Body::Error, {kNo, kNo, kNo, kNo}},
    {Body::PoisonPages, {kNo, kCommit, kReady, kNo}},
    {Body::Drill, {kNo, kNo, kNo, kNo}},
    {Body::Inject, {kNo, kNo, kNo, kNo}},
    {Body::Rules, {kNo, kNo, kNo, kNo}},
    // To nothing that was asked; see Orders.
    {Body::OperatorAnswer, {kNo, kNo, kNo, kNo}},
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

TEST_F(DialogueTest, HellosAreRefusedUnreadWhileDescriptorsAreStuck) {
  EXPECT_FALSE(dialogue_.refuse_unread());
  host_.clogged = true;
  EXPECT_TRUE(dialogue_.refuse_unread());
  EXPECT_EQ(error(), ErrorCode::limit);
  EXPECT_EQ(dialogue_.state(), DialogueState::kEnded);
}

TEST_F(DialogueTest, WhoIsAttachedIsReadWhileDescriptorsAreStuck) {
  reach(DialogueState::kReady);
  host_.clogged = true;
  EXPECT_FALSE(dialogue_.refuse_unread());
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

// ---- what operators ask --------------------------------------------------------------

class Orders : public DialogueTest {
 protected:
  void SetUp() override {
    reach(DialogueState::kReady);
    dialogue_.answer_sent();
  }
  std::string why_not(const Order& order) {
    const auto given = dialogue_.give(order);
    return given ? "" : given.error();
  }
  void send_answer(std::uint64_t of, unsigned refusal = 0) {
    Builder builder;
    const auto body =
        wire::CreateOperatorAnswer(builder, of, static_cast<wire::OperatorRefusal>(refusal));
    wire::FinishMessageBuffer(builder,
                              wire::CreateMessage(builder, 2, Body::OperatorAnswer, body.Union()));
    take(builder);
  }
};

TEST_F(Orders, AreSentAndTheirAnswerIsTakenOnce) {
  ASSERT_EQ(why_not(DrillOrder{0x5000, wire::DrillKind::action_optional, 1}), "");
  const std::uint64_t id = answer()->id();
  const wire::Drill* drill = answer()->body_as_Drill();
  ASSERT_NE(drill, nullptr);
  EXPECT_EQ(drill->gpa(), 0x5000U);
  EXPECT_EQ(drill->kind(), wire::DrillKind::action_optional);
  EXPECT_EQ(drill->vcpu(), 1U);
  dialogue_.answer_sent();
  EXPECT_THAT(why_not(DrillOrder{}), ::testing::HasSubstr("has not answered"));
  send_answer(id, 3);
  EXPECT_EQ(host_.order_answers, 1);
  EXPECT_EQ(host_.refusal, wire::OperatorRefusal::vcpu_index);
  EXPECT_EQ(error(), ErrorCode::none);
  dialogue_.answer_sent();
  send_answer(id);
  EXPECT_EQ(error(), ErrorCode::out_of_state);
  EXPECT_EQ(host_.order_answers, 1);
}

TEST_F(Orders, NeedTheVmsConsent) {
  EXPECT_EQ(dialogue_.session()->features(), static_cast<std::uint64_t>(wire::Feature::drills));
  EXPECT_EQ(why_not(InjectionOrder{}), "the VM does not allow injections: its VMM did not opt in");
  EXPECT_TRUE(dialogue_.answer().empty());
}

TEST_F(Orders, AnAnswerToAnotherMessageEndsTheSession) {
  ASSERT_EQ(why_not(DrillOrder{}), "");
  const std::uint64_t id = answer()->id();
  dialogue_.answer_sent();
  send_answer(id + 1);
  EXPECT_EQ(error(), ErrorCode::out_of_state);
}

TEST_F(Orders, ARefusalThatIsNoneEndsTheSession) {
  ASSERT_EQ(why_not(DrillOrder{}), "");
  const std::uint64_t id = answer()->id();
  dialogue_.answer_sent();
  send_answer(id, static_cast<unsigned>(wire::OperatorRefusal::MAX) + 1);
  EXPECT_EQ(error(), ErrorCode::malformed);
  EXPECT_EQ(host_.order_answers, 0);
}

TEST_F(Orders, WaitUntilTheVmIsReady) {
  Dialogue other(table_, host_, {.uid = 1000, .gid = 1000, .label = {}});
  EXPECT_EQ(other.give(DrillOrder{}).error(), "the VM is not ready yet; try again");
}

// ---- who may come back ---------------------------------------------------------------

// A session of this peer, detached; and another connection that asks for it.
class Resume : public DialogueTest {
 protected:
  static inline const Identity kOwner{.uid = 1000, .gid = 1000, .label = "svirt:c1,c2"};

  void SetUp() override {
    hello(owner_, nullptr);
    key_ = *wire::GetMessage(owner_.answer().data())->body_as_Welcome()->resume_key();
    owner_.hang_up();
    ASSERT_EQ(table_.size(), 1U);
  }
  static void hello(Dialogue& dialogue, const wire::Id128* key,
                    shm::Received received = hello_descriptors()) {
    Builder builder;
    const auto body = hello_body(builder, key);
    wire::FinishMessageBuffer(builder, wire::CreateMessage(builder, 1, Body::Hello, body));
    dialogue.take(std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())),
                  received);
  }
  // What the peer is refused for; none: it has the session.
  // The owner's, but with the area of another session.
  void fail_to_resume() {
    shm::Received received = hello_descriptors();
    auto other_area = shm::make_area(shm::AreaKind::kRequest, shm::Geometry(kVcpus), {3, 4});
    received.fds[0] = std::move(other_area->fd);
    Dialogue failing(table_, host_, kOwner);
    hello(failing, &key_, std::move(received));
    EXPECT_EQ(failing.state(), DialogueState::kEnded);
    EXPECT_EQ(table_.size(), 0U);
  }
  ErrorCode resume_as(const Identity& identity, std::string* text = nullptr) {
    Dialogue other(table_, host_, identity);
    hello(other, &key_);
    const wire::Message* message = wire::GetMessage(other.answer().data());
    const wire::Error* refused = message->body_as_Error();
    if (refused == nullptr) {
      EXPECT_TRUE(message->body_as_Welcome()->resumed());
      other.hang_up();
      return ErrorCode::none;
    }
    EXPECT_EQ(other.state(), DialogueState::kEnded);
    EXPECT_EQ(other.session(), nullptr);
    if (text != nullptr) *text = refused->text()->str();
    return refused->code();
  }

  Dialogue owner_{table_, host_, kOwner};
  wire::Id128 key_{};
};

TEST_F(Resume, TheSamePeerMay) { EXPECT_EQ(resume_as(kOwner), ErrorCode::none); }

TEST_F(Resume, AnotherUserMayNot) {
  EXPECT_EQ(resume_as({.uid = 1001, .gid = kOwner.gid, .label = kOwner.label}),
            ErrorCode::identity);
}

TEST_F(Resume, AnotherGroupMayNot) {
  std::string text;
  EXPECT_EQ(resume_as({.uid = kOwner.uid, .gid = 1001, .label = kOwner.label}, &text),
            ErrorCode::identity);
  EXPECT_THAT(text, ::testing::HasSubstr("gid 1000"));
}

TEST_F(Resume, AnotherSecurityLabelMayNot) {
  for (const char* label : {"svirt:c1,c3", "svirt:c1,c2 ", "svirt:c1", ""}) {
    std::string text;
    EXPECT_EQ(resume_as({.uid = kOwner.uid, .gid = kOwner.gid, .label = label}, &text),
              ErrorCode::identity);
    EXPECT_THAT(text, ::testing::HasSubstr("label 'svirt:c1,c2'"));
  }
}

TEST_F(Resume, WhoIsRefusedLeavesTheSessionToItsOwner) {
  EXPECT_EQ(resume_as({.uid = kOwner.uid, .gid = 1001, .label = kOwner.label}),
            ErrorCode::identity);
  EXPECT_EQ(table_.size(), 1U);
  EXPECT_EQ(host_.gones, 0);
  EXPECT_EQ(resume_as(kOwner), ErrorCode::none);
}

// Its areas are kept, and with them who may come back; what it comes to is fresh.
TEST_F(Resume, AfterABreachItsOwnerHasAFreshSession) {
  Dialogue back(table_, host_, kOwner);
  hello(back, &key_);
  ASSERT_NE(back.session(), nullptr);
  back.fail(refuse(ErrorCode::malformed, "message", "test"));
  EXPECT_EQ(table_.size(), 0U);
  EXPECT_EQ(host_.gones, 0);
  EXPECT_EQ(resume_as({.uid = 1001, .gid = kOwner.gid, .label = kOwner.label}),
            ErrorCode::identity);
  Dialogue again(table_, host_, kOwner);
  hello(again, &key_);
  const wire::Welcome* welcome = wire::GetMessage(again.answer().data())->body_as_Welcome();
  ASSERT_NE(welcome, nullptr);
  EXPECT_FALSE(welcome->resumed());
  EXPECT_EQ(welcome->resume_key()->low(), key_.low());
  EXPECT_EQ(table_.size(), 1U);
  EXPECT_EQ(host_.gones, 1);
}

// The VMM lives on, with incidents on record: somebody has to know when it ends.
TEST_F(Resume, ThatFailsKeepsTheWatchOnItsVm) {
  Dialogue again(table_, host_, kOwner);
  hello(again, &key_);
  Builder commit;
  wire::FinishMessageBuffer(commit, wire::CreateMessage(commit, 2, Body::Commit,
                                                        wire::CreateCommit(commit, 1, 0).Union()));
  shm::Received none;
  again.take(std::as_bytes(std::span(commit.GetBufferPointer(), commit.GetSize())), none);
  ASSERT_EQ(again.state(), DialogueState::kReady);
  again.hang_up();
  fail_to_resume();
  EXPECT_EQ(host_.absent, 1);
}

// Nothing of it is on record yet: nobody would be told anything.
TEST_F(Resume, ThatFailsBeforeAnyRecordLeavesNoWatch) {
  fail_to_resume();
  EXPECT_EQ(host_.absent, 0);
}

TEST_F(Resume, TheKeyIsAskedForFirst) {
  key_ = {key_.low() ^ 1, key_.high()};
  EXPECT_EQ(resume_as(kOwner), ErrorCode::resume_key);
  EXPECT_EQ(resume_as({.uid = kOwner.uid, .gid = 1001, .label = {}}), ErrorCode::resume_key)
      << "who has no key learns nothing of the owner";
}

TEST_F(DialogueTest, EveryBitOfAMessageMayBeWrong) {
  const Builder good = message_of(Body::Hello);
  for (std::size_t bit = 0; bit < good.GetSize() * 8UL; ++bit) {
    std::vector<std::byte> bytes(good.GetSize());
    std::memcpy(bytes.data(), good.GetBufferPointer(), bytes.size());
    bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    Dialogue other(table_, host_, {.uid = 1000, .gid = 1000, .label = {}});
    shm::Received received = hello_descriptors();
    other.take(bytes, received);
    if (other.session() != nullptr) table_.end(*other.session(), "test");
  }
}

}  // namespace
}  // namespace memfail::session

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/dialogue.h"

#include <algorithm>
#include <array>
#include <utility>

#include "shm/step.h"

namespace memfail::session {
namespace {

using wire::Body;
using wire::ErrorCode;

constexpr std::size_t kHelloDescriptors = 3;
constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxTables = 4096;

std::size_t index_of(DialogueState state) { return static_cast<std::size_t>(state); }

// The verifier walks offsets in a private copy: nothing the peer does now can
// change what was verified.
const wire::Message* verified(std::span<const std::byte> packet) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(packet.data());
  flatbuffers::Verifier verifier(bytes, packet.size(), kMaxDepth, kMaxTables);
  return wire::VerifyMessageBuffer(verifier) ? wire::GetMessage(bytes) : nullptr;
}

Refusal too_long() {
  return {ErrorCode::malformed, "message", shm::kMaxMessage + 1, shm::kMaxMessage,
          "a message is longer than " + std::to_string(shm::kMaxMessage) + " bytes"};
}

// Of those that were not received, nobody knows the number.
Refusal too_many(std::size_t descriptors, std::size_t limit) {
  return {ErrorCode::descriptor, "message descriptors", std::max(descriptors, limit + 1), limit,
          "a message has more descriptors than the " + std::to_string(limit) +
              " that this state allows"};
}

}  // namespace

struct Dialogue::Row {
  Body body;
  std::array<Handler, kDialogueStates> handlers;  // null: out of state
};

// clang-format off
const Dialogue::Row Dialogue::kRows[] = {
    //                   await hello        await commit             ready                    ended
    {Body::Hello,      {&Dialogue::hello,  nullptr,                 nullptr,                 nullptr}},
    {Body::Regions,    {nullptr,           &Dialogue::regions,      &Dialogue::regions,      nullptr}},
    {Body::Commit,     {nullptr,           &Dialogue::commit,       &Dialogue::commit,       nullptr}},
    {Body::PoisonPages,{nullptr,           &Dialogue::poison_pages, &Dialogue::poison_pages, nullptr}},
    {Body::VcpuState,  {nullptr,           nullptr,                 &Dialogue::vcpu_state,   nullptr}},
    {Body::GuestReset, {nullptr,           nullptr,                 &Dialogue::guest_reset,  nullptr}},
    {Body::OperatorAnswer,
                       {nullptr,           nullptr,              &Dialogue::operator_answer, nullptr}},
    {Body::Goodbye,    {nullptr,           &Dialogue::goodbye,      &Dialogue::goodbye,      nullptr}},
};
// clang-format on

std::string_view name_of(DialogueState state) {
  static constexpr std::array<std::string_view, kDialogueStates> kNames{
      "await-hello", "await-commit", "ready", "ended"};
  return kNames[index_of(state)];
}

Dialogue::Dialogue(SessionTable& table, Host& host, Identity identity)
    : table_(table), host_(host), identity_(std::move(identity)) {}

std::size_t Dialogue::expected_descriptors() const {
  return state_ == DialogueState::kAwaitHello ? kHelloDescriptors : 0;
}

std::span<const std::byte> Dialogue::answer() const {
  return std::as_bytes(std::span(builder_.GetCurrentBufferPointer(), builder_.GetSize()));
}

void Dialogue::answer_sent() {
  builder_.Clear();
  reply_fd_.reset();
  say_rules();
}

void Dialogue::renew_rules() {
  constexpr auto kLive = static_cast<std::uint64_t>(wire::Feature::live_rules);
  rules_due_ = session_ != nullptr && (session_->features() & kLive) != 0;
  say_rules();
}

void Dialogue::say_rules() {
  if (!answer().empty() || session_ == nullptr || state_ == DialogueState::kEnded) return;
  if (std::exchange(rules_due_, false)) {
    encode_rules(builder_, ++sent_, session_->config().rules);
  }
}

// What is never received is closed by the kernel, which asks nobody.
bool Dialogue::refuse_unread() {
  if (state_ != DialogueState::kAwaitHello || !host_.discards_clogged()) return false;
  fail(refuse(ErrorCode::limit, "descriptors",
              "too many descriptors that cannot be closed; try again later"));
  return true;
}

void Dialogue::discard(shm::Received& received) {
  for (shm::UniqueFd& fd : received.fds) host_.discard(std::move(fd));
  while (received.surplus.size() != 0) host_.discard(received.surplus.take());
}

void Dialogue::take(std::span<const std::byte> packet, shm::Received& received) {
  std::optional<Refusal> refusal;
  const wire::Message* message = nullptr;
  if (received.truncated) {
    refusal = packet.size() >= shm::kMaxMessage
                  ? too_long()
                  : too_many(received.fd_count + received.surplus.size(), expected_descriptors());
  } else if ((message = verified(packet)) == nullptr) {
    refusal =
        refuse(ErrorCode::malformed, "message",
               "a packet of " + std::to_string(packet.size()) + " bytes is not a valid message");
  } else {
    refusal = dispatch(*message, received);
  }
  discard(received);  // what no handler took
  if (refusal) fail(*refusal);
}

std::optional<Refusal> Dialogue::dispatch(const wire::Message& message, shm::Received& received) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [&](const Row& one) { return one.body == message.body_type(); });
  const Handler handler = row == std::end(kRows) ? nullptr : row->handlers[index_of(state_)];
  if (handler == nullptr) {
    const char* body = wire::EnumNameBody(message.body_type());
    return Refusal{ErrorCode::out_of_state, "message.body",
                   static_cast<std::uint64_t>(message.body_type()), 0,
                   std::string(*body == '\0' ? "an unknown message" : body) +
                       " is not allowed in state " + std::string(name_of(state_))};
  }
  return (this->*handler)(message, received);
}

std::optional<Refusal> Dialogue::hello(const wire::Message& message, shm::Received& received) {
  MEMFAIL_STEP(hello_taken);
  if (received.fd_count != kHelloDescriptors) {
    return Refusal{ErrorCode::descriptor, "hello descriptors", received.fd_count, kHelloDescriptors,
                   "hello came with " + std::to_string(received.fd_count) +
                       " descriptors, 3 are needed: request area, kick, VMM"};
  }
  AttachedDescriptors descriptors{std::move(received.fds[0]), std::move(received.fds[1]),
                                  std::move(received.fds[2])};
  const wire::Hello& body = *message.body_as_Hello();
  auto attached = table_.hello(body, identity_, std::move(descriptors));
  if (!attached) return attached.error();
  session_ = attached->session;
  reply_fd_ = std::move(attached->reply);
  WelcomeFields welcome;
  welcome.features = body.features() & kFeatures;
  session_->agree_on(welcome.features);
  welcome.resume_key = session_->config().resume_key;
  welcome.rules = session_->config().rules;
  welcome.resumed = attached->resumed;
  encode_welcome(builder_, ++sent_, welcome);
  state_ = DialogueState::kAwaitCommit;
  return std::nullopt;
}

std::optional<Refusal> Dialogue::regions(const wire::Message& message, shm::Received&) {
  if (auto refusal = session_->stage(*message.body_as_Regions())) return refusal;
  acknowledge(message);
  return std::nullopt;
}

std::optional<Refusal> Dialogue::commit(const wire::Message& message, shm::Received&) {
  if (auto refusal = session_->commit(*message.body_as_Commit())) return refusal;
  MEMFAIL_STEP(commit_taken);
  if (state_ == DialogueState::kAwaitCommit) {
    const VmLabel& vm = session_->label();
    host_.log("VM '" + vm.name + "' (" + vm.uuid +
              ") attached: " + std::to_string(session_->config().guest.vcpus) + " vCPU(s), " +
              std::to_string(session_->regions().size()) + " region(s), uid " +
              std::to_string(identity_.uid));
  }
  state_ = DialogueState::kReady;
  acknowledge(message);
  host_.ready(*session_);  // also after a region change: reports may wait for it
  return std::nullopt;
}

std::optional<Refusal> Dialogue::poison_pages(const wire::Message& message, shm::Received&) {
  if (auto refusal = session_->poison_pages(*message.body_as_PoisonPages())) return refusal;
  acknowledge(message);
  return std::nullopt;
}

std::optional<Refusal> Dialogue::vcpu_state(const wire::Message& message, shm::Received&) {
  if (auto refusal = session_->vcpu_state(*message.body_as_VcpuState())) return refusal;
  acknowledge(message);
  return std::nullopt;
}

std::optional<Refusal> Dialogue::guest_reset(const wire::Message& message, shm::Received&) {
  session_->guest_reset(*message.body_as_GuestReset());
  acknowledge(message);
  return std::nullopt;
}

std::expected<void, std::string> Dialogue::give(const Order& order) {
  if (state_ != DialogueState::kReady) return std::unexpected("the VM is not ready yet; try again");
  const auto feature = feature_of(order);
  if ((session_->features() & static_cast<std::uint64_t>(feature)) == 0) {
    return std::unexpected(std::string("the VM does not allow ") + wire::EnumNameFeature(feature) +
                           ": its VMM did not opt in");
  }
  if (ordered_ != 0 || !answer().empty()) {
    return std::unexpected("the VMM has not answered what it was asked before; try again");
  }
  ordered_ = ++sent_;
  encode_order(builder_, ordered_, order);
  return {};
}

std::optional<Refusal> Dialogue::operator_answer(const wire::Message& message, shm::Received&) {
  const wire::OperatorAnswer& body = *message.body_as_OperatorAnswer();
  if (body.of() != ordered_ || ordered_ == 0) {
    return refuse_limit(ErrorCode::out_of_state, "operator_answer.of", body.of(), ordered_);
  }
  if (body.refusal() > wire::OperatorRefusal::MAX) {
    return refuse_limit(ErrorCode::malformed, "operator_answer.refusal",
                        static_cast<std::uint64_t>(body.refusal()),
                        static_cast<std::uint64_t>(wire::OperatorRefusal::MAX));
  }
  ordered_ = 0;
  host_.order_answered(*session_, body);
  acknowledge(message);
  return std::nullopt;
}

std::optional<Refusal> Dialogue::goodbye(const wire::Message& message, shm::Received&) {
  acknowledge(message);
  state_ = DialogueState::kEnded;
  const auto* reason = message.body_as_Goodbye()->reason();
  Session& session = *std::exchange(session_, nullptr);
  table_.goodbye(session, reason == nullptr ? "goodbye" : reason->str().substr(0, 200));
  return std::nullopt;
}

void Dialogue::acknowledge(const wire::Message& message) {
  encode_ack(builder_, ++sent_, message.id());
}

void Dialogue::fail(const Refusal& refusal) {
  state_ = DialogueState::kEnded;
  reply_fd_.reset();
  encode_error(builder_, ++sent_, refusal);
  if (session_ == nullptr) {
    host_.log("connection of uid " + std::to_string(identity_.uid) + " refused: " + refusal.text);
    return;
  }
  table_.end(*std::exchange(session_, nullptr), refusal.text);
}

void Dialogue::hang_up() {
  if (session_ != nullptr) table_.hang_up(*std::exchange(session_, nullptr));
  state_ = DialogueState::kEnded;
}

}  // namespace memfail::session

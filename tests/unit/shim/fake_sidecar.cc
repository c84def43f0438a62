// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/shim/fake_sidecar.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "shm/crc32c.h"
#include "shm/reply_wait.h"

namespace memfail::test {
namespace {

constexpr int kPatienceMs = 5000;

bool readable(int fd) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, kPatienceMs) == 1;
}

}  // namespace

FakeSidecar::FakeSidecar(const std::string& path) {
  shm::crc32c_prepare();
  listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ::unlink(path.c_str());
  const bool ok =
      ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(listener_.get(), 8) == 0;
  if (!ok) {
    std::perror("FakeSidecar");
    std::abort();
  }
}

bool FakeSidecar::accept() {
  if (!readable(listener_.get())) return false;
  socket_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return socket_.valid();
}

std::optional<Packet> FakeSidecar::receive() {
  if (!socket_.valid() || !readable(socket_.get())) return {};
  Packet packet;
  packet.bytes.resize(shm::kMaxMessage);
  auto received = shm::receive_message(socket_.get(), packet.bytes, 3);
  if (!received || received->size == 0 || received->truncated) return {};
  packet.bytes.resize(received->size);
  packet.received = std::move(*received);
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(packet.bytes.data()),
                                 packet.bytes.size());
  if (!wire::VerifyMessageBuffer(verifier)) return {};
  return packet;
}

bool FakeSidecar::was_hung_up() {
  while (readable(socket_.get())) {
    std::array<std::byte, shm::kMaxMessage> bytes;
    const auto received = shm::receive_message(socket_.get(), bytes, 3);
    if (!received || received->size == 0) return true;
  }
  return false;
}

bool FakeSidecar::is_called() const {
  pollfd look{listener_.get(), POLLIN, 0};
  return ::poll(&look, 1, 0) == 1;
}

bool FakeSidecar::take_hello() {
  if (!socket_.valid() && !accept()) return false;
  auto packet = receive();
  if (!packet || packet->received.fd_count != 3) return false;
  const wire::Hello* hello = packet->message().body_as_Hello();
  if (hello == nullptr) return false;
  session_ = {hello->session()->low(), hello->session()->high()};
  offered_ = hello->features();
  hello_key_low_.reset();
  if (hello->resume_key() != nullptr) hello_key_low_ = hello->resume_key()->low();
  geometry_ = shm::Geometry(hello->vcpus());
  auto area = shm::open_peer_area(packet->received.fds[0].get(), shm::AreaKind::kRequest, geometry_,
                                  session_);
  if (!area) return false;
  request_ = std::move(*area);
  kick_ = std::move(packet->received.fds[1]);
  pidfd_ = std::move(packet->received.fds[2]);
  slots_.clear();
  epoch_ = 0;
  return true;
}

void FakeSidecar::make_reply_area() {
  auto area = shm::make_area(shm::AreaKind::kReply, geometry_, session_);
  if (!area) std::abort();
  reply_ = std::move(*area);
  for (std::uint32_t lane = 0; lane < geometry_.lanes(); ++lane) {
    for (std::uint32_t cell = 0; cell < geometry_.cells(lane); ++cell) {
      const shm::CellId id{lane, cell};
      shm::store_word(reply().line(id), wire::kReplyRetiredOffset, request().freed(id));
    }
  }
}

template <typename Build>
void FakeSidecar::send(Build build, std::span<const int> fds) {
  flatbuffers::FlatBufferBuilder builder;
  const auto [type, body] = build(builder);
  builder.Finish(wire::CreateMessage(builder, next_id_++, type, body), wire::MessageIdentifier());
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  (void)shm::send_message(socket_.get(), bytes, fds);
}

void FakeSidecar::send_welcome(const WelcomeWith& with) {
  std::vector<int> fds;
  if (!with.no_area) fds.push_back(with.area >= 0 ? with.area : reply_.fd.get());
  if (with.two_areas) fds.push_back(reply_.fd.get());
  send(
      [&](flatbuffers::FlatBufferBuilder& builder) {
        const wire::Id128 key(kKeyLow, kKeyHigh);
        return std::pair(wire::Body::Welcome,
                         wire::CreateWelcome(builder, with.version, with.features, &key, 32768,
                                             1024, &with.rules)
                             .Union());
      },
      fds);
}

void FakeSidecar::send_ack(std::uint64_t of) {
  send([&](flatbuffers::FlatBufferBuilder& builder) {
    return std::pair(wire::Body::Ack, wire::CreateAck(builder, of).Union());
  });
}

void FakeSidecar::send_rules(const wire::FallbackRules& rules) {
  send([&](flatbuffers::FlatBufferBuilder& builder) {
    return std::pair(wire::Body::Rules, wire::CreateRules(builder, &rules).Union());
  });
}

void FakeSidecar::send_error(const char* text) {
  send([&](flatbuffers::FlatBufferBuilder& builder) {
    return std::pair(wire::Body::Error, wire::CreateError(builder, wire::ErrorCode::limit,
                                                          builder.CreateString("vcpus"), 1, 0,
                                                          builder.CreateString(text))
                                            .Union());
  });
}

void FakeSidecar::send_drill(std::uint64_t gpa, wire::DrillKind kind, std::uint32_t vcpu) {
  ordered_ = next_id_;
  send([&](flatbuffers::FlatBufferBuilder& builder) {
    return std::pair(wire::Body::Drill, wire::CreateDrill(builder, gpa, kind, vcpu).Union());
  });
}

void FakeSidecar::send_inject(const memfail_mce& record, std::uint32_t vcpu, bool broadcast) {
  ordered_ = next_id_;
  send([&](flatbuffers::FlatBufferBuilder& builder) {
    return std::pair(wire::Body::Inject,
                     wire::CreateInject(builder, vcpu, record.bank, record.status,
                                        record.mcg_status, record.addr, record.misc, broadcast)
                         .Union());
  });
}

std::optional<FakeSidecar::OrderAnswer> FakeSidecar::take_order_answer() {
  while (const auto packet = receive()) {
    const auto* answer = packet->message().body_as_OperatorAnswer();
    if (answer == nullptr || answer->of() != ordered_) continue;
    return OrderAnswer{answer->refusal(), answer->value(), answer->limit(), answer->sequence(),
                       answer->lane()};
  }
  return {};
}

void FakeSidecar::send_bytes(std::span<const std::byte> bytes, int fd) {
  (void)shm::send_message(socket_.get(), bytes, std::span(&fd, fd < 0 ? 0 : 1));
}

bool FakeSidecar::take_regions(const wire::Regions& regions) {
  for (const std::uint32_t slot : *regions.remove()) {
    if (slots_.erase(slot) != 1) return false;
  }
  for (const wire::RegionAdd* add : *regions.add()) {
    if (!slots_.insert(add->range()->slot()).second) return false;
    most_regions_ = std::max(most_regions_, static_cast<std::uint32_t>(slots_.size()));
  }
  return true;
}

bool FakeSidecar::take_until_commit() {
  while (true) {
    const auto packet = receive();
    if (!packet) return false;
    const wire::Message& message = packet->message();
    if (const auto* regions = message.body_as_Regions(); regions != nullptr) {
      if (!take_regions(*regions)) return false;
    } else if (const auto* reset = message.body_as_GuestReset(); reset != nullptr) {
      epoch_ = reset->epoch();
    } else if (message.body_type() == wire::Body::PoisonPages) {
      send_ack(message.id());
    } else if (const auto* commit = message.body_as_Commit(); commit != nullptr) {
      commit_id_ = message.id();
      commit_regions_ = commit->regions();
      return true;
    } else {
      return false;
    }
  }
}

bool FakeSidecar::attach_until_commit(memfail_shim* shim) {
  memfail_shim_dispatch(shim);
  if (!take_hello()) return false;
  make_reply_area();
  send_welcome({.features = features_});
  memfail_shim_dispatch(shim);
  return take_until_commit();
}

bool FakeSidecar::attach(memfail_shim* shim) {
  if (!attach_until_commit(shim)) return false;
  send_ack(commit_id_);
  memfail_shim_dispatch(shim);
  memfail_status status{};
  status.struct_size = sizeof status;
  memfail_shim_state(shim, &status);
  return status.state == MEMFAIL_ATTACHED;
}

shm::RequestView FakeSidecar::request() const { return {request_.data(), geometry_}; }
shm::ReplyView FakeSidecar::reply() const { return {reply_.mapping.data(), geometry_}; }

void FakeSidecar::answer(const shm::Claim& claim, const wire::ReplyLine& reply_line) {
  shm::write_line(reply().line(claim.id), reply_line, key(claim.id.lane), claim.n);
  shm::wake_waiter(request(), reply(), claim.id);
}

void FakeSidecar::write_reply_word(const shm::Claim& claim, std::uint64_t word) {
  shm::store_word(reply().line(claim.id), wire::kWordOffset, word);
  shm::wake_waiter(request(), reply(), claim.id);
}

void FakeSidecar::retire(const shm::Claim& claim) {
  shm::store_word(reply().line(claim.id), wire::kReplyRetiredOffset, claim.n);
}

bool FakeSidecar::wait_for_waiter(const shm::Claim& claim) const {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::milliseconds(kPatienceMs);
  std::atomic_ref<std::uint32_t> waiter(*request().waiter(claim.id));
  while (waiter.load() == 0) {
    if (Clock::now() >= until) return false;
    std::this_thread::yield();
  }
  return true;
}

shm::Claim claim(std::uint32_t lane, std::uint64_t n, const shm::Geometry& geometry) {
  return {{lane, geometry.cell_of(lane, n)}, n};
}

wire::ReplyLine inject_required(std::uint64_t gpa, wire::SiblingRule rule,
                                wire::Verdict otherwise) {
  return {0,
          0,
          wire::Verdict::inject,
          wire::Reason::guest_memory,
          rule,
          9,
          0,
          otherwise,
          0x8C,
          7,
          0xBD80'0000'0000'0134,
          gpa,
          gpa,
          0,
          0};
}

wire::ReplyLine inject_optional(std::uint64_t gpa) {
  return {0,
          0,
          wire::Verdict::inject,
          wire::Reason::guest_memory,
          wire::SiblingRule::none,
          9,
          0,
          wire::Verdict::ignore,
          0x8C,
          5,
          0xBD00'0000'0000'00C0,
          gpa,
          gpa,
          0,
          0};
}

wire::ReplyLine verdict_only(wire::Verdict verdict, wire::Reason reason, std::uint64_t gpa,
                             bool on_record) {
  return {0,
          0,
          verdict,
          reason,
          wire::SiblingRule::none,
          wire::kNoBank,
          static_cast<std::uint8_t>(on_record ? wire::ReplyFlag::journaled : wire::ReplyFlag{}),
          wire::Verdict::ignore,
          0,
          0,
          0,
          0,
          gpa,
          0,
          0};
}

}  // namespace memfail::test

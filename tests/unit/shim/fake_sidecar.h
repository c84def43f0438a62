// SPDX-License-Identifier: BSD-3-Clause
//
// A sidecar that tests drive step by step: the peer that may lie. It speaks the real
// contract, with the schema's code and shm/; only its mind is the test's.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "schema/control_generated.h"
#include "shm/area.h"
#include "shm/control_socket.h"
#include "shm/lane.h"
#include "sidecar/decision/fallback_rules.h"
#include "tests/unit/shim/test_vm.h"

namespace memfail::test {

struct Packet {
  std::vector<std::byte> bytes;
  shm::Received received;
  [[nodiscard]] const wire::Message& message() const { return *wire::GetMessage(bytes.data()); }
};

struct WelcomeWith {
  std::uint32_t version = 1;
  std::uint64_t features = 0;
  wire::FallbackRules rules = decision::to_wire({});
  int area = -1;           // instead of the sidecar's own reply area
  bool no_area = false;
  bool two_areas = false;
};

class FakeSidecar {
 public:
  explicit FakeSidecar(const std::string& path);

  // ---- one step of a conversation; false or nothing after 5 s without it
  bool accept();
  std::optional<Packet> receive();
  bool take_hello();              // accepts first if nobody is connected
  bool take_until_commit();       // regions and the commit that ends them
  void make_reply_area();         // fresh; retired := freed
  void send_welcome(const WelcomeWith& with = {});
  void send_ack(std::uint64_t of);
  void send_rules(const wire::FallbackRules& rules);
  void send_error(const char* text);
  void send_drill(std::uint64_t gpa, wire::DrillKind kind, std::uint32_t vcpu = 0);
  void send_inject(const memfail_mce& record, std::uint32_t vcpu = 0, bool broadcast = false);
  // What the VMM says to the last of these; nothing after 5 s without it.
  struct OrderAnswer {
    wire::OperatorRefusal refusal;
    std::uint64_t value, limit, sequence;
    std::uint32_t lane;
  };
  std::optional<OrderAnswer> take_order_answer();
  void send_bytes(std::span<const std::byte> bytes, int fd = -1);
  void hang_up() { socket_.reset(); }
  bool was_hung_up();
  [[nodiscard]] bool is_called() const;  // somebody waits to be accepted

  // The whole of it, in lock-step with the shim's dispatch.
  bool attach(memfail_shim* shim);
  bool attach(TestVm& vm) { return attach(vm.shim()); }
  // All but the last: welcomed, everything received.
  bool attach_until_commit(memfail_shim* shim);

  // What its welcomes agree to.
  void agree_on(std::uint64_t features) { features_ = features; }

  // ---- what came
  [[nodiscard]] std::uint64_t offered() const { return offered_; }
  [[nodiscard]] bool hello_had_key() const { return hello_key_low_.has_value(); }
  [[nodiscard]] std::uint64_t hello_key_low() const { return hello_key_low_.value_or(0); }
  [[nodiscard]] std::uint64_t commit_id() const { return commit_id_; }
  [[nodiscard]] std::uint32_t commit_regions() const { return commit_regions_; }
  [[nodiscard]] std::uint32_t most_regions() const { return most_regions_; }
  [[nodiscard]] const std::set<std::uint32_t>& slots() const { return slots_; }
  [[nodiscard]] std::uint32_t epoch() const { return epoch_; }
  [[nodiscard]] int kick_fd() const { return kick_.get(); }
  [[nodiscard]] shm::SessionId session() const { return session_; }
  [[nodiscard]] const shm::Geometry& geometry() const { return geometry_; }
  [[nodiscard]] shm::RequestView request() const;
  [[nodiscard]] shm::ReplyView reply() const;

  // ---- incidents
  template <typename Line>
  std::optional<Line> line(const shm::Claim& claim, shm::LineKind kind) const {
    Line out;
    const auto state =
        shm::read_line(request().line(claim.id, kind), key(claim.id.lane), claim.n, out);
    return state == shm::LineState::kCommitted ? std::optional(out) : std::nullopt;
  }
  [[nodiscard]] std::optional<wire::OutcomeLine> outcome(const shm::Claim& claim) const {
    return line<wire::OutcomeLine>(claim, shm::LineKind::kOutcome);
  }
  void answer(const shm::Claim& claim, const wire::ReplyLine& reply_line);
  void write_reply_word(const shm::Claim& claim, std::uint64_t word);
  void retire(const shm::Claim& claim);
  // Until a thread of the VMM waits for the reply of `claim`.
  bool wait_for_waiter(const shm::Claim& claim) const;

 private:
  [[nodiscard]] shm::LineKey key(std::uint32_t lane) const {
    return {session_.low, session_.high, lane};
  }
  template <typename Build>
  void send(Build build, std::span<const int> fds = {});
  bool take_regions(const wire::Regions& regions);

  shm::UniqueFd listener_;
  shm::UniqueFd socket_;
  shm::UniqueFd kick_;
  shm::UniqueFd pidfd_;
  std::uint64_t next_id_ = 1;
  shm::SessionId session_;
  shm::Geometry geometry_{0};
  shm::Mapping request_;
  shm::OwnArea reply_;
  std::optional<std::uint64_t> hello_key_low_;
  std::uint64_t features_ = 0;
  std::uint64_t offered_ = 0;
  std::uint64_t ordered_ = 0;  // the message of the last drill or injection
  std::uint64_t commit_id_ = 0;
  std::uint32_t commit_regions_ = 0;
  std::uint32_t most_regions_ = 0;
  std::uint32_t epoch_ = 0;
  std::set<std::uint32_t> slots_;
};

// The resume key that the fake gives out.
inline constexpr std::uint64_t kKeyLow = 0x1122'3344'5566'7788;
inline constexpr std::uint64_t kKeyHigh = 0x99AA'BBCC'DDEE'FF00;

// Incident `n` of a vCPU's lane, or of a slot.
shm::Claim claim(std::uint32_t lane, std::uint64_t n, const shm::Geometry& geometry);

// A verdict that injects Intel's record for an action-required error at `gpa`;
// `otherwise`, where KVM does not take it.
wire::ReplyLine inject_required(std::uint64_t gpa, wire::SiblingRule rule = wire::SiblingRule::none,
                                wire::Verdict otherwise = wire::Verdict::ignore);
// The same for an action-optional one.
wire::ReplyLine inject_optional(std::uint64_t gpa);
wire::ReplyLine verdict_only(wire::Verdict verdict, wire::Reason reason,
                             std::uint64_t gpa = wire::kNoAddress, bool on_record = true);

}  // namespace memfail::test

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/session.h"

#include <atomic>
#include <utility>

#include "shm/fence.h"
#include "shm/reply_wait.h"

namespace memfail::session {
namespace {

shm::SessionId area_id(const VmLabel& label) { return {label.session.low(), label.session.high()}; }

}  // namespace

Session::Session(Host& host, SessionConfig config)
    : host_(host),
      config_(std::move(config)),
      intake_(host, config_.label, config_.guest, regions_, config_.policy) {}

std::expected<shm::UniqueFd, Refusal> Session::attach(AttachedDescriptors descriptors) {
  const shm::Geometry geometry(config_.guest.vcpus);
  auto request = shm::open_peer_area(descriptors.request.get(), shm::AreaKind::kRequest, geometry,
                                     area_id(config_.label));
  if (!request) return std::unexpected(refuse(wire::ErrorCode::area, request.error()));
  auto reply = shm::make_area(shm::AreaKind::kReply, geometry, area_id(config_.label));
  if (!reply) return std::unexpected(refuse(wire::ErrorCode::limit, reply.error()));
  const shm::ReplyView view(reply->mapping.data(), geometry);
  if (auto refusal = intake_.attach(shm::RequestView(request->data(), geometry), view)) {
    return std::unexpected(*refusal);
  }
  request_ = std::move(*request);
  reply_ = std::move(*reply);
  reply_view_ = view;
  // The peer shares these open files: closing ours would not end a watch on them.
  if (vmm_fd() >= 0) host_.replacing(*this);
  descriptors_ = std::move(descriptors);
  descriptors_.request.reset();  // mapped: the descriptor is of no more use
  regions_.restart();
  state_ = SessionState::kAttached;
  return std::move(reply_.fd);
}

void Session::detach() {
  state_ = SessionState::kDetached;
  ready_ = false;
  descriptors_.kick.reset();
}

std::optional<Refusal> Session::commit(const wire::Commit& commit) {
  if (auto refusal = regions_.commit(commit)) return refusal;
  if (!ready_) intake_.repeat_answers();
  ready_ = true;
  return std::nullopt;
}

std::optional<Refusal> Session::vcpu_state(const wire::VcpuState& message) {
  if (message.index() >= config_.guest.vcpus) {
    return refuse_limit(wire::ErrorCode::vcpu_index, "vcpu_state.index", message.index(),
                        config_.guest.vcpus - 1);
  }
  offline_.set(message.index(), !message.online());
  return std::nullopt;
}

void Session::set_sleeping(std::uint32_t value) {
  std::atomic_ref<std::uint32_t>(*reply_view_.sleeping()).store(value, std::memory_order_relaxed);
}

void Session::wake() { set_sleeping(0); }

std::expected<Session::Served, Refusal> Session::serve() {
  auto pass = intake_.pass();
  if (!pass) return std::unexpected(pass.error());
  if (*pass == Intake::Pass::kBudgetSpent) return Served::kMore;
  // Store, fence, load: a commit that saw us awake and did not ring is found by
  // the second pass; one that comes after it sees us asleep.
  set_sleeping(1);
  shm::full_fence();
  pass = intake_.pass();
  if (!pass) return std::unexpected(pass.error());
  if (*pass == Intake::Pass::kNothing) return Served::kIdle;
  set_sleeping(0);
  return Served::kMore;
}

void Session::exit() {
  state_ = SessionState::kExited;
  if (request_.valid()) intake_.orphan_all();
}

}  // namespace memfail::session

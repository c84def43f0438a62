// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/session.h"

#include <atomic>
#include <utility>

#include "shm/fence.h"
#include "shm/reply_wait.h"
#include "shm/step.h"

namespace memfail::session {
namespace {

shm::SessionId area_id(const VmLabel& label) { return {label.session.low(), label.session.high()}; }

}  // namespace

Session::Session(Host& host, SessionConfig config)
    : host_(host),
      config_(std::move(config)),
      intake_(host, config_.label, config_.guest, regions_, config_.rules) {}

std::expected<shm::UniqueFd, Refusal> Session::attach(AttachedDescriptors descriptors) {
  const shm::Geometry geometry(config_.guest.vcpus);
  auto request = shm::open_peer_area(descriptors.request.get(), shm::AreaKind::kRequest, geometry,
                                     area_id(config_.label));
  if (!request) return std::unexpected(refuse(wire::ErrorCode::area, request.error()));
  auto reply = shm::make_area(shm::AreaKind::kReply, geometry, area_id(config_.label));
  if (!reply) return std::unexpected(refuse(wire::ErrorCode::limit, reply.error()));
  guard::GuardedRange request_guard({request->data(), request->size()}, false);
  guard::GuardedRange reply_guard({reply->mapping.data(), reply->mapping.size()}, true);
  const shm::ReplyView view(reply->mapping.data(), geometry);
  if (auto refusal = intake_.attach(shm::RequestView(request->data(), geometry), view)) {
    return std::unexpected(*refusal);
  }
  MEMFAIL_STEP(reply_area_made);
  request_guard_ = std::move(request_guard);
  reply_guard_ = std::move(reply_guard);
  request_ = std::move(*request);
  reply_ = std::move(*reply);
  reply_view_ = view;
  awake_ = false;  // as a fresh area says
  // The peer shares these open files: closing ours would not end a watch on them.
  if (vmm_fd() >= 0) host_.replacing(*this);
  descriptors_ = std::move(descriptors);
  descriptors_.request.reset();  // mapped: the descriptor is of no more use
  regions_.restart();
  offline_.reset();
  state_ = SessionState::kAttached;
  return std::move(reply_.fd);
}

void Session::detach() {
  state_ = SessionState::kDetached;
  ready_ = false;
  descriptors_.kick.reset();
}

void Session::give_up() {
  if (ready_) intake_.take_last_look();
  given_up_ = true;
}

std::optional<Refusal> Session::commit(const wire::Commit& commit) {
  if (auto refusal = regions_.commit(commit)) return refusal;
  if (!recorded_) record();
  if (!ready_) intake_.repeat_answers();
  ready_ = true;
  return std::nullopt;
}

void Session::record() {
  const journal::RecordStore& records = host_.records();
  host_.records().append_session({.session = config_.label.session,
                                  .state = wire::SessionState::attached,
                                  .uid = config_.identity.uid,
                                  .gid = config_.identity.gid,
                                  .label = config_.identity.label,
                                  .resume_key = config_.resume_key,
                                  .vm_uuid = config_.label.uuid,
                                  .vm_name = config_.label.name,
                                  .vcpus = config_.guest.vcpus,
                                  .boot = records.boot(),
                                  .vmm_pid = static_cast<std::int32_t>(config_.process.pid),
                                  .vmm_start_time = config_.process.start_time});
  recorded_ = true;
  intake_.tell_leftovers();
}

std::optional<Refusal> Session::vcpu_state(const wire::VcpuState& message) {
  if (message.index() >= config_.guest.vcpus) {
    return refuse_limit(wire::ErrorCode::vcpu_index, "vcpu_state.index", message.index(),
                        config_.guest.vcpus - 1);
  }
  offline_.set(message.index(), !message.online());
  return std::nullopt;
}

void Session::set_awake(bool awake) {
  awake_ = awake;
  std::atomic_ref<std::uint32_t>(*reply_view_.sleeping())
      .store(awake ? 0 : 1, std::memory_order_relaxed);
}

std::optional<Refusal> Session::broken_area() const {
  if (!request_guard_.is_broken() && !reply_guard_.is_broken()) return std::nullopt;
  return refuse(wire::ErrorCode::area, request_guard_.is_broken() ? "request area" : "reply area",
                std::string("a page of the ") + (request_guard_.is_broken() ? "request" : "reply") +
                    " area is lost: this host's memory is broken there");
}

std::expected<Session::Served, Refusal> Session::serve() {
  auto served = turn();
  if (auto refusal = broken_area()) return std::unexpected(*refusal);
  return served;
}

std::expected<Session::Served, Refusal> Session::turn() {
  const auto moved = intake_.pass();
  if (!moved) return std::unexpected(moved.error());
  if (!awake_) {
    // To the VMM we sleep: what it commits from here on rings again, so this pass
    // was enough. Most often one vCPU waits, and its answer is out.
    set_awake(*moved >= kBusy);
    return awake_ ? Served::kMore : Served::kIdle;
  }
  if (*moved >= Intake::kBudget) return Served::kMore;
  // Store, fence, load: a commit that saw us awake and did not ring is found by
  // the second pass; one that comes after it sees us asleep.
  set_awake(false);
  shm::full_fence();
  const auto missed = intake_.pass();
  if (!missed) return std::unexpected(missed.error());
  set_awake(*missed != 0);
  return awake_ ? Served::kMore : Served::kIdle;
}

void Session::exit() {
  state_ = SessionState::kExited;
  if (request_.valid()) intake_.orphan_all();
}

}  // namespace memfail::session

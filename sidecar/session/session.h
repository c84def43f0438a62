// SPDX-License-Identifier: BSD-3-Clause
//
// One VM. It outlives its connections: a hang-up is not a death. What ends it is
// the end of the VMM's process, a goodbye, or a breach of the contract.
#pragma once

#include <sys/types.h>

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shm/area.h"
#include "sidecar/session/host.h"
#include "sidecar/session/intake.h"
#include "sidecar/session/refusal.h"
#include "sidecar/session/region_history.h"

namespace memfail::session {

// Who is at the other end: captured at connect. The pid is never used.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
};

enum class SessionState : std::uint8_t { kAttached, kDetached, kExited };

struct SessionConfig {
  VmLabel label;
  Identity identity;
  decision::GuestProfile guest;
  decision::Policy policy = decision::Policy::kQemu;
  wire::Id128 resume_key;
  std::uint64_t started_ns = 0;  // CLOCK_MONOTONIC
};

// What came with a hello, checked.
struct AttachedDescriptors {
  shm::UniqueFd request;
  shm::UniqueFd kick;
  shm::UniqueFd vmm;  // pidfd
};

class Session {
 public:
  Session(Host& host, SessionConfig config);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const SessionConfig& config() const { return config_; }
  const VmLabel& label() const { return config_.label; }
  SessionState state() const { return state_; }
  bool is_ready() const { return ready_; }  // scanned: attached and committed
  const RegionHistory& regions() const { return regions_; }
  const Intake& intake() const { return intake_; }
  int kick_fd() const { return descriptors_.kick.get(); }
  int vmm_fd() const { return descriptors_.vmm.get(); }

  // Maps the VMM's area and makes a fresh reply area; its descriptor is for the
  // VMM. Nothing is scanned before the first commit: until then the VMM may still
  // wait in the old reply area.
  std::expected<shm::UniqueFd, Refusal> attach(AttachedDescriptors descriptors);
  void detach();

  std::optional<Refusal> stage(const wire::Regions& chunk) { return regions_.stage(chunk); }
  std::optional<Refusal> commit(const wire::Commit& commit);
  std::optional<Refusal> vcpu_state(const wire::VcpuState& message);
  void guest_reset(const wire::GuestReset& message) { guest_epoch_ = message.epoch(); }

  // The VMM rang: it need not ring again while this session is served.
  void wake();

  enum class Served : std::uint8_t { kIdle, kMore };
  // One turn of bounded work. kIdle: armed again, the next commit rings.
  std::expected<Served, Refusal> serve();

  // The VMM is gone: drains what it left, and turns the open rest into events.
  void exit();

 private:
  void set_sleeping(std::uint32_t value);

  Host& host_;
  SessionConfig config_;
  SessionState state_ = SessionState::kDetached;
  bool ready_ = false;
  std::uint32_t guest_epoch_ = 0;
  std::bitset<shm::kMaxVcpus> offline_;
  RegionHistory regions_;
  AttachedDescriptors descriptors_;
  shm::Mapping request_;
  shm::OwnArea reply_;
  shm::ReplyView reply_view_;
  Intake intake_;
};

}  // namespace memfail::session

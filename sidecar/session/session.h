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
#include "sidecar/guard/guarded_range.h"
#include "sidecar/session/host.h"
#include "sidecar/session/intake.h"
#include "sidecar/session/refusal.h"
#include "sidecar/session/region_history.h"

namespace memfail::session {

// Who is at the other end: captured at connect. The pid is never used.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string label;  // of the security module, SO_PEERSEC; empty: there is none
  // Who it was then; never compared: pids are used again.
  std::uint32_t pid = 0;

  bool operator==(const Identity& other) const {
    return uid == other.uid && gid == other.gid && label == other.label;
  }
};

enum class SessionState : std::uint8_t { kAttached, kDetached, kExited };

// The VMM, as far as it can be told apart from later processes; 0: not known.
struct VmmProcess {
  std::uint32_t pid = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot
};

struct SessionConfig {
  VmLabel label;
  Identity identity;
  VmmProcess process;
  decision::GuestProfile guest;
  decision::Rules rules;
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
  // What the VMM's owner allows operators to do, as wire::Feature bits.
  std::uint64_t features() const { return features_; }
  void agree_on(std::uint64_t features) { features_ = features; }
  std::uint32_t guest_epoch() const { return guest_epoch_; }
  int vmm_fd() const { return descriptors_.vmm.get(); }
  shm::UniqueFd release_vmm() { return std::move(descriptors_.vmm); }

  // Maps the VMM's area and makes a fresh reply area; its descriptor is for the
  // VMM. Nothing is scanned before the first commit: until then the VMM may still
  // wait in the old reply area.
  std::expected<shm::UniqueFd, Refusal> attach(AttachedDescriptors descriptors);
  void detach();
  // It ended by a breach, while its VMM lives on. What had been committed is put on record;
  // what may yet be stays in reach until that process ends or attaches anew.
  void give_up();
  bool given_up() const { return given_up_; }

  void set_rules(const decision::Rules& rules) { config_.rules = rules; }

  std::optional<Refusal> stage(const wire::Regions& chunk) { return regions_.stage(chunk); }
  std::optional<Refusal> commit(const wire::Commit& commit);
  std::optional<Refusal> poison_pages(const wire::PoisonPages& message) {
    return intake_.take_pages(message);
  }
  std::optional<Refusal> vcpu_state(const wire::VcpuState& message);
  void guest_reset(const wire::GuestReset& message) { guest_epoch_ = message.epoch(); }

  enum class Served : std::uint8_t { kIdle, kMore };
  // One turn of bounded work. kIdle: the next commit rings. kMore: serve again; a
  // busy VM need not ring meanwhile.
  std::expected<Served, Refusal> serve();

  // The VMM is gone: drains what it left, and turns the open rest into events.
  void exit();

 private:
  // Cells that move in one pass from which on a VM counts as busy.
  static constexpr std::uint32_t kBusy = 4;

  std::expected<Served, Refusal> turn();
  // A page of an area was lost: what was read since is zeros, so all this session
  // knows is that it cannot go on. Its VMM attaches again, with a fresh reply area.
  std::optional<Refusal> broken_area() const;
  // From here on its VMM has the resume key: on record is who may come back, and whose
  // the verdicts are that follow.
  void record();
  void set_awake(bool awake);

  Host& host_;
  SessionConfig config_;
  SessionState state_ = SessionState::kDetached;
  bool ready_ = false;
  bool recorded_ = false;
  bool given_up_ = false;
  bool awake_ = false;  // the reply area says so: no ring is needed
  std::uint32_t guest_epoch_ = 0;
  std::uint64_t features_ = 0;
  std::bitset<shm::kMaxVcpus> offline_;
  RegionHistory regions_;
  AttachedDescriptors descriptors_;
  shm::Mapping request_;
  guard::GuardedRange request_guard_;
  shm::OwnArea reply_;
  guard::GuardedRange reply_guard_;
  shm::ReplyView reply_view_;
  Intake intake_;
};

}  // namespace memfail::session

// SPDX-License-Identifier: BSD-3-Clause
//
// What the shim of one VM holds. All of it is one block of memory, mapped by
// memfail_shim_create() and never grown.
//
// Who touches what:
//  - `lanes[i]` belongs to vCPU i's thread and its signal handler; what other
//    threads may touch is atomic.
//  - `regions` is guarded by its mutex, held for look-ups and commits only, never
//    while waiting.
//  - `session` belongs to the dispatching thread; what others read is atomic.
#pragma once

#include <signal.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "memfail/shim.h"
#include "shm/area.h"
#include "shm/lane.h"
#include "shm/mapping.h"
#include "shm/mutex.h"
#include "shm/unique_fd.h"
#include "sidecar/decision/decide.h"
#include "sidecar/decision/region_map.h"
#include "vmm_shim/operator_task.h"
#include "vmm_shim/poison_blob.h"
#include "vmm_shim/poison_list.h"

namespace memfail::shim {

inline constexpr std::size_t kNameSize = 64;
inline constexpr std::uint32_t kDefaultRegions = 512;
inline constexpr std::uint32_t kDefaultPoisoned = 1024;
inline constexpr std::uint32_t kMaxPoisoned = 65536;
inline constexpr std::uint32_t kDefaultDeadlineMs = 100;
inline constexpr std::uint32_t kMaxDeadlineMs = 500;
inline constexpr std::uint64_t kNsPerMs = 1'000'000;

struct StoredRegion {
  decision::Region region;
  std::uint64_t stamp = 0;  // of the memfail_regions_add() that made it
  std::array<char, kNameSize> name{};
};

// A fixed-capacity list of regions, ordered by slot.
struct RegionList {
  StoredRegion* items = nullptr;
  std::uint32_t count = 0;
};

struct Regions {
  shm::Mutex mutex;
  std::uint32_t capacity = 0;
  RegionList current;           // committed
  RegionList staged;            // the transaction under way
  std::uint64_t next_stamp = 1;
  decision::Region* flat = nullptr;  // `current` as the map wants it
  decision::Region* spare_flat = nullptr;
  decision::RegionScratch scratch;
  decision::RegionScratch spare_scratch;
  decision::RegionMap map MEMFAIL_GUARDED_BY(mutex);
  std::atomic<std::uint32_t> generation{0};
};

// Results of one injection on the other vCPUs, until the last has answered or the
// deadline has passed; whoever is last commits the outcome.
struct Siblings {
  // Counts and the incident's n in one word (siblings.cc): one that comes after the
  // deadline cannot count for the cell's next incident.
  std::atomic<std::uint64_t> tally{0};
  std::atomic<std::uint64_t> reset{0};     // n << 32 | reason << 16 | vCPU + 1: ended so
  std::atomic<std::uint64_t> until_ns{0};  // its deadline
};

// One cell's incident, as this side knows it.
struct CellState {
  std::atomic<std::uint64_t> handled{0};  // last n taken up by a thread
  std::atomic<std::uint64_t> finished{0}; // last n whose outcome is committed
  std::uint64_t lost_size = 0;            // bytes
  wire::ReportLine report;
  wire::OutcomeLine outcome;
  Siblings siblings;
};

struct SlotTask {  // argument of a posted function: handle this slot's report
  std::atomic<std::uint32_t> posted{0};  // 1: it is the posted function's
  memfail_lane* lane = nullptr;          // of the vCPU that handles it
  shm::Claim claim;
  std::uint64_t until_ns = 0;  // dispatch's own: when it is recorded without a vCPU; 0: never
};

struct SiblingTask {  // argument of a posted function: apply the sibling rule
  memfail_lane* lane = nullptr;
  std::atomic<std::uint32_t> busy{0};
  shm::Claim source;  // the incident it belongs to
  wire::SiblingRule rule = wire::SiblingRule::none;
  std::uint32_t guest_epoch = 0;
};

inline constexpr std::uint32_t kSiblingTasks = 8;  // a vCPU's, waiting at once

// A report that found no cell: handled without one, and counted.
struct Overflow {
  std::atomic<std::uint32_t> waiting{0};
  siginfo_t info{};
};

}  // namespace memfail::shim

struct memfail_lane {
  memfail_shim* shim = nullptr;
  std::int32_t vcpu = -1;  // -1: the process lane
  int vcpu_fd = -1;
  kvm_run* run = nullptr;
  std::atomic<std::uint32_t> present{0};
  std::uint32_t said_offline = 0;  // dispatch's own: what the sidecar was told last
  std::atomic<std::uint32_t> in_run{0};
  std::atomic<std::uint32_t> pending{0};  // memfail_handle() has work
  std::atomic<std::uint32_t> flags{0};    // MEMFAIL_DO_* that another path decided
  bool set_immediate_exit = false;
  memfail::shim::Overflow overflow;
  // One pass over the lane: its cells, the overflow, and what slots posted here.
  std::array<siginfo_t, memfail::shm::kCellsPerLane + 1 + memfail::shm::kSlots> handed_back{};
  std::uint32_t handed_back_count = 0;
  std::array<memfail::shim::SiblingTask, memfail::shim::kSiblingTasks> sibling_tasks;
};

namespace memfail::shim {

// The connection to a sidecar. Dispatching thread only, but for the atomics.
struct Session {
  // Dispatch and attach against each other, region pushes and state queries.
  mutable shm::Mutex mutex;
  shm::UniqueFd socket;
  shm::UniqueFd epoll;
  shm::UniqueFd timer;      // back-off, and open siblings' deadline
  shm::UniqueFd wake;       // eventfd: the handler has something for dispatch
  shm::UniqueFd kick;       // its number never changes: handlers hold it
  shm::UniqueFd pidfd;
  shm::SessionId id;
  std::uint64_t resume_low = 0;
  std::uint64_t resume_high = 0;
  bool have_resume_key = false;
  std::uint64_t features = 0;  // that were agreed on
  enum class Step : std::uint8_t { kDown, kHelloSent, kSending, kCommitSent, kReady };
  Step step = Step::kDown;
  std::uint64_t next_message = 1;
  std::uint64_t commit_message = 0;
  std::uint64_t retry_at_ns = 0;
  std::uint64_t ready_since_ns = 0;  // 0: not ready
  std::uint64_t answer_due_ns = 0;  // 0: no answer is waited for
  std::uint32_t backoff_ms = 0;
  // Descriptors that are never closed: a file system in user space can hold close() for
  // ever, and with it the VMM's event loop.
  std::uint32_t set_aside = 0;
  std::uint32_t sent_generation = 0;
  std::uint32_t sending_generation = 0;
  RegionList sent;       // what the sidecar has
  RegionList sending;    // what it is being sent
  std::uint32_t sent_cursor = 0;
  std::uint32_t sending_cursor = 0;
  bool removing = false;  // the first of two passes: only what goes is sent
  std::uint32_t epoch_sent = 0;
  std::uint32_t pages_cursor = 0;  // in the list of broken pages
  std::byte* buffer = nullptr;  // one message, either way
  std::array<char, 256> last_error{};
  std::uint32_t up = 0;  // 1: a sidecar scans our cells; by session_is_up() only
  std::atomic<std::uint32_t> area_serial{0};  // counts the reply areas there were
  std::atomic<std::uint32_t> drop{0};  // the area that a vCPU saw lie: dispatch ends it
  std::atomic<std::uint32_t> state{MEMFAIL_DETACHED};
};

}  // namespace memfail::shim

struct memfail_shim {
  explicit memfail_shim(std::uint32_t vcpus) : geometry(vcpus) {}

  memfail::shm::Mapping block;       // this very memory
  memfail::shm::Geometry geometry;
  std::uint64_t* not_forked = nullptr;  // MADV_WIPEONFORK: 0 in a forked child
  std::uint32_t pid = 0;
  std::uint64_t start_time = 0;  // of this process, clock ticks since boot; 0: not known
  memfail_config config{};
  std::array<char, 128> vm_name{};
  std::array<char, 108> socket_path{};
  std::uint64_t deadline_ns = 0;
  memfail::decision::GuestProfile profile;

  memfail::shm::OwnArea request_area;
  memfail::shm::Mapping reply_mapping;
  memfail::shm::RequestView request;
  memfail::shm::ReplyView reply;  // before the first attach: a private page of zeros

  memfail_lane* lanes = nullptr;
  memfail_lane process_lane;
  memfail::shim::CellState* cells = nullptr;  // by Geometry::cell_index()
  std::array<memfail::shim::SlotTask, memfail::shm::kSlots> slot_tasks;

  memfail::shim::Regions regions;
  memfail::shim::PoisonList poison;
  memfail::shim::PoisonRecord* records = nullptr;  // migration's: as many as `poison` has room
  std::atomic<std::uint32_t> say_pages{0};         // the list came from elsewhere: say all
  memfail::shim::Session session;
  memfail::shim::OperatorTask operator_task;
  memfail::shim::DrillSignal drill;

  // What the sidecar decides by, as its welcome said, and the fallback after it.
  memfail::shm::Mutex rules_mutex;
  memfail::decision::Rules rules MEMFAIL_GUARDED_BY(rules_mutex);
  std::atomic<memfail::wire::Verdict> outside_rule{memfail::wire::Verdict::abort};  // of rules
  std::array<std::atomic<std::uint64_t>, 8> met_outside{};  // host addresses; 0: none

  std::atomic<std::uint32_t> running{1};
  std::atomic<std::uint32_t> guest_epoch{0};
  std::atomic<std::uint32_t> tell_wanted{0};  // dispatch has remembered pages told
  std::atomic<std::uint32_t> open_siblings{0};  // incidents whose siblings are out
  std::atomic<std::uint64_t> reports{0};
  std::atomic<std::uint64_t> fallbacks{0};
  std::atomic<std::uint64_t> attaches{0};
  std::atomic<std::uint64_t> slices{0};

  [[nodiscard]] memfail::decision::Rules rules_now() {
    const memfail::shm::Locked lock(rules_mutex);
    return rules;
  }
  [[nodiscard]] bool session_is_up() {
    return std::atomic_ref<std::uint32_t>(session.up).load(std::memory_order_acquire) != 0;
  }
  [[nodiscard]] memfail::shm::LineKey key(std::uint32_t lane) const {
    return {session.id.low, session.id.high, lane};
  }
  [[nodiscard]] memfail::shim::CellState& cell(memfail::shm::CellId id) {
    return cells[geometry.cell_index(id)];
  }
};

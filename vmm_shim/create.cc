// SPDX-License-Identifier: BSD-3-Clause
//
// Making and freeing the shim of one VM: the only place that allocates.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <new>

#include "shm/control_socket.h"
#include "shm/crc32c.h"
#include "shm/start_time.h"
#include "vmm_shim/failure.h"
#include "vmm_shim/session.h"
#include "vmm_shim/signal.h"
#include "vmm_shim/state.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

namespace memfail::shim {
namespace {

constexpr std::uint32_t kKnownAllow = MEMFAIL_ALLOW_DRILLS | MEMFAIL_ALLOW_INJECTIONS;
constexpr std::uint64_t kNotForked = 0x6E6F'7466'6F72'6B21;

// Cuts one block of memory into arrays. Without a base it only measures.
class Carver {
 public:
  explicit Carver(std::byte* base) : base_(base) {}
  template <typename T>
  T* take(std::size_t count) {
    used_ = (used_ + alignof(T) - 1) & ~(alignof(T) - 1);
    std::byte* at = base_ == nullptr ? nullptr : base_ + used_;
    used_ += count * sizeof(T);
    return reinterpret_cast<T*>(at);
  }
  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

struct Parts {
  memfail_shim* shim;
  memfail_lane* lanes;
  CellState* cells;
  StoredRegion* lists[4];
  decision::Region* flat[2];
  std::uint32_t* by_hva[2];
  std::uint64_t* hva_end[2];
  std::uint32_t* by_gpa[2];
  PoisonedPage* poisoned;
  PoisonRecord* records;
  std::byte* buffer;
};

// What the tables have room for.
struct Room {
  std::uint32_t regions;
  std::uint32_t poisoned;
};

Parts carve(Carver& carver, const shm::Geometry& geometry, const Room& room) {
  const std::uint32_t regions = room.regions;
  Parts parts{};
  parts.shim = carver.take<memfail_shim>(1);
  parts.lanes = carver.take<memfail_lane>(geometry.vcpus());
  parts.cells = carver.take<CellState>(geometry.total_cells());
  for (auto& list : parts.lists) list = carver.take<StoredRegion>(regions);
  for (int i = 0; i < 2; ++i) {
    parts.flat[i] = carver.take<decision::Region>(regions);
    parts.by_hva[i] = carver.take<std::uint32_t>(regions);
    parts.hva_end[i] = carver.take<std::uint64_t>(regions);
    parts.by_gpa[i] = carver.take<std::uint32_t>(regions);
  }
  parts.poisoned = carver.take<PoisonedPage>(room.poisoned);
  parts.records = carver.take<PoisonRecord>(room.poisoned);
  carver.take<std::uint64_t>(1);
  parts.buffer = reinterpret_cast<std::byte*>(carver.take<std::uint64_t>(shm::kMaxMessage / 8));
  return parts;
}

int check_socket(int fd, memfail_error* error) {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    return fail(error, -errno, "socket_fd %d: %s", fd, std::strerror(errno));
  }
  if (type == SOCK_SEQPACKET) return 0;
  return fail(error, -EINVAL, "socket_fd %d is of type %d; it must be SOCK_SEQPACKET (%d)", fd,
              type, static_cast<int>(SOCK_SEQPACKET));
}

bool has_path(const memfail_config& config) {
  return config.socket_path != nullptr && config.socket_path[0] != '\0';
}

int check_config(const memfail_config& config, memfail_error* error) {
  if (config.struct_size < offsetof(memfail_config, opaque)) {
    return fail(error, -EINVAL, "struct_size is %u; it must be at least %zu", config.struct_size,
                offsetof(memfail_config, opaque));
  }
  if (config.vcpus == 0 || config.vcpus > shm::kMaxVcpus) {
    return fail(error, -EINVAL, "vcpus is %u; it must be 1 to %u", config.vcpus, shm::kMaxVcpus);
  }
  if (config.max_regions > decision::kMaxRegions) {
    return fail(error, -EINVAL, "max_regions is %u; the limit is %zu", config.max_regions,
                decision::kMaxRegions);
  }
  if (config.max_poisoned > kMaxPoisoned) {
    return fail(error, -EINVAL, "max_poisoned is %u; the limit is %u", config.max_poisoned,
                kMaxPoisoned);
  }
  if (config.deadline_ms > kMaxDeadlineMs) {
    return fail(error, -EINVAL, "deadline_ms is %u; the limit is %u (a guest gives its CPUs 1 s)",
                config.deadline_ms, kMaxDeadlineMs);
  }
  if (const auto unknown = config.allow & ~kKnownAllow; unknown != 0) {
    return fail(error, -EINVAL, "allow is 0x%x; the known flags are 0x%x", config.allow,
                kKnownAllow);
  }
  if (config.vendor > MEMFAIL_VENDOR_AMD) {
    return fail(error, -EINVAL, "vendor is %d; it must be 0 to 2", static_cast<int>(config.vendor));
  }
  if (config.fallback > MEMFAIL_FALLBACK_ABORT) {
    return fail(error, -EINVAL, "fallback is %d; it must be 0 to 2",
                static_cast<int>(config.fallback));
  }
  if (config.ops.post == nullptr || config.ops.abort == nullptr) {
    return fail(error, -EINVAL, "ops.%s is missing", config.ops.post == nullptr ? "post" : "abort");
  }
  const std::size_t room = sizeof memfail_shim::socket_path - 1;
  if (config.socket_path != nullptr && std::strlen(config.socket_path) > room) {
    return fail(error, -ENAMETOOLONG, "socket path %.40s… has %zu bytes; the limit is %zu",
                config.socket_path, std::strlen(config.socket_path), room);
  }
  if (!has_path(config) && config.socket_fd >= 0) return check_socket(config.socket_fd, error);
  return 0;
}

// An older caller's struct is shorter: what it lacks stays zero.
memfail_config copy_config(const memfail_config& given) {
  memfail_config copy{};
  std::memcpy(&copy, &given, std::min<std::size_t>(given.struct_size, sizeof copy));
  return copy;
}

void keep_strings(memfail_shim& shim) {
  const char* name = shim.config.vm_name != nullptr ? shim.config.vm_name : "";
  std::strncpy(shim.vm_name.data(), name, shim.vm_name.size() - 1);
  if (shim.config.socket_path != nullptr) {
    std::strncpy(shim.socket_path.data(), shim.config.socket_path, shim.socket_path.size() - 1);
  }
  shim.config.vm_name = shim.vm_name.data();
  shim.config.socket_path = nullptr;  // the caller's string; ours is socket_path
}

void take_config(memfail_shim& shim, const memfail_config& config) {
  shim.config = config;
  keep_strings(shim);
  const std::uint32_t ms = config.deadline_ms == 0 ? kDefaultDeadlineMs : config.deadline_ms;
  shim.config.deadline_ms = ms;
  shim.deadline_ns = ms * kNsPerMs;
  shim.profile.vendor = static_cast<wire::Vendor>(config.vendor);
  shim.profile.cpuid_1_eax = config.cpuid_1_eax;
  shim.profile.cpuid_80000007_ebx = config.cpuid_80000007_ebx;
  shim.profile.mcg_cap_configured = config.mcg_cap_configured;
  shim.profile.mcg_cap_kvm = config.mcg_cap_kvm;
  shim.profile.vcpus = config.vcpus;
}

void take_parts(memfail_shim& shim, const Parts& parts, const Room& room) {
  const std::uint32_t regions = room.regions;
  shim.poison.use(parts.poisoned, room.poisoned);
  shim.records = parts.records;
  shim.lanes = parts.lanes;
  for (std::uint32_t i = 0; i < shim.geometry.vcpus(); ++i) {
    new (&shim.lanes[i]) memfail_lane;
    shim.lanes[i].shim = &shim;
    shim.lanes[i].vcpu = static_cast<std::int32_t>(i);
    for (auto& task : shim.lanes[i].sibling_tasks) task.lane = &shim.lanes[i];
  }
  shim.process_lane.shim = &shim;
  shim.cells = parts.cells;
  for (std::uint32_t i = 0; i < shim.geometry.total_cells(); ++i) new (&shim.cells[i]) CellState;
  Regions& table = shim.regions;
  table.capacity = regions;
  table.current.items = parts.lists[0];
  table.staged.items = parts.lists[1];
  shim.session.sent.items = parts.lists[2];
  shim.session.sending.items = parts.lists[3];
  table.flat = parts.flat[0];
  table.spare_flat = parts.flat[1];
  table.scratch = {
      {parts.by_hva[0], regions}, {parts.hva_end[0], regions}, {parts.by_gpa[0], regions}};
  table.spare_scratch = {
      {parts.by_hva[1], regions}, {parts.hva_end[1], regions}, {parts.by_gpa[1], regions}};
  shim.session.buffer = parts.buffer;
}

int make_fork_mark(memfail_shim& shim) {
  void* page =
      ::mmap(nullptr, shm::kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return -errno;
  shim.not_forked = static_cast<std::uint64_t*>(page);
  if (::madvise(page, shm::kPage, MADV_WIPEONFORK) != 0) return -errno;
  *shim.not_forked = kNotForked;
  return 0;
}

int make_areas(memfail_shim& shim, memfail_error* error) {
  auto area = shm::make_area(shm::AreaKind::kRequest, shim.geometry, shim.session.id);
  if (!area) {
    return fail(error, -area.error().number, "%s %s: %s", area.error().field, area.error().what,
                std::strerror(area.error().number));
  }
  shim.request_area = std::move(*area);
  shim.request = shm::RequestView(shim.request_area.mapping.data(), shim.geometry);
  // Until a sidecar gives one, a reply area in which nothing ever happened.
  const std::size_t size = shim.geometry.reply_size();
  void* zeros = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (zeros == MAP_FAILED) return fail(error, -errno, "reply area cannot be mapped");
  shim.reply_mapping = shm::Mapping(zeros, size);
  shim.reply = shm::ReplyView(shim.reply_mapping.data(), shim.geometry);
  return 0;
}

int make_descriptors(memfail_shim& shim, memfail_error* error) {
  Session& session = shim.session;
  session.epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
  session.timer.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  session.wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  session.kick.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  session.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  for (const int fd : {session.epoll.get(), session.timer.get(), session.wake.get(),
                       session.kick.get(), session.pidfd.get()}) {
    if (fd < 0) return fail(error, -errno, "a descriptor cannot be made: %s", std::strerror(errno));
  }
  for (const int fd : {session.timer.get(), session.wake.get()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(session.epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return fail(error, -errno, "a descriptor cannot be watched: %s", std::strerror(errno));
    }
  }
  if (shim.config.socket_fd >= 0 && shim.socket_path[0] == '\0') {
    session.socket.reset(shim.config.socket_fd);  // ours from here on: nothing fails any more
  }
  return 0;
}

int fill(memfail_shim& shim, memfail_error* error) {
  shm::crc32c_prepare();
  shim.pid = static_cast<std::uint32_t>(::getpid());
  shim.start_time = shm::start_time_of(shim.pid);
  std::array<std::uint64_t, 2> random{};
  if (::getrandom(random.data(), sizeof random, 0) != sizeof random) {
    return fail(error, -EIO, "no random session id: %s", std::strerror(errno));
  }
  shim.session.id = {random[0], random[1]};
  if (const int bad = make_fork_mark(shim); bad != 0) {
    return fail(error, bad, "no page that fork wipes: %s", std::strerror(-bad));
  }
  if (const int bad = make_areas(shim, error); bad != 0) return bad;
  return make_descriptors(shim, error);
}

void release(memfail_shim* shim) {
  shm::Mapping block = std::move(shim->block);
  if (shim->not_forked != nullptr) ::munmap(shim->not_forked, shm::kPage);
  shim->~memfail_shim();
}

}  // namespace

bool in_forked_child(const memfail_shim& shim) { return *shim.not_forked != kNotForked; }

}  // namespace memfail::shim

using memfail::shim::carve;
using memfail::shim::Carver;
using memfail::shim::fail;

int memfail_shim_create(const memfail_config* given, memfail_shim** out, memfail_error* error) {
  memfail_config config = memfail::shim::copy_config(*given);
  if (const int bad = memfail::shim::check_config(config, error); bad != 0) return bad;
  const memfail::shm::Geometry geometry(config.vcpus);
  const memfail::shim::Room room{
      config.max_regions == 0 ? memfail::shim::kDefaultRegions : config.max_regions,
      config.max_poisoned == 0 ? memfail::shim::kDefaultPoisoned : config.max_poisoned};
  Carver measure(nullptr);
  carve(measure, geometry, room);
  void* block =
      ::mmap(nullptr, measure.used(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return fail(error, -errno, "%zu bytes cannot be mapped", measure.used());
  Carver carver(static_cast<std::byte*>(block));
  const memfail::shim::Parts parts = carve(carver, geometry, room);
  auto* shim = new (parts.shim) memfail_shim(config.vcpus);
  shim->block = memfail::shm::Mapping(block, measure.used());
  memfail::shim::take_config(*shim, config);
  memfail::shim::take_parts(*shim, parts, room);
  if (const int bad = memfail::shim::fill(*shim, error); bad != 0) {
    memfail::shim::release(shim);
    return bad;
  }
  *out = shim;
  return 0;
}

void memfail_shim_destroy(memfail_shim* shim) {
  if (shim == nullptr) return;
  // A forked child frees its copy; the session is its parent's.
  if (!memfail::shim::in_forked_child(*shim)) memfail::shim::say_goodbye(*shim);
  memfail::shim::release(shim);
}

const char* memfail_version(void) { return MEMFAIL_VERSION; }

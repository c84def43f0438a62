// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/load_vcpu.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "shm/lane.h"
#include "shm/reply_wait.h"
#include "vmm_shim/state.h"

namespace memfail::kill {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kNapNs = kNsPerMs / 5;

thread_local memfail_lane* handler_lane = nullptr;
thread_local int handler_said = MEMFAIL_SIGBUS_NOT_MINE;

void on_sigbus(int /*signal*/, siginfo_t* info, void* context) {
  handler_said = memfail_sigbus(handler_lane, info, context);
}

shm::Mapping one_page() {
  void* at = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) die("no memory for a kvm_run");
  return {at, kPage};
}

}  // namespace

void install_sigbus_handler() {
  struct sigaction action{};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO;
  if (::sigaction(SIGBUS, &action, nullptr) != 0) die("sigaction");
}

void die(const std::string& what) {
  std::fprintf(stderr, "load_vm: %s\n", what.c_str());
  ::_exit(1);
}

void say_wrong(LoadLog& log, const char* format, ...) {
  if (log.wrong.fetch_add(1) != 0) return;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(log.what_is_wrong.data(), log.what_is_wrong.size() - 1, format, arguments);
  va_end(arguments);
}

LoadVcpu::LoadVcpu(std::uint32_t index, LoadLog& log, const Pace& pace)
    : log_(log),
      index_(index),
      pace_(pace),
      run_(one_page()),
      free_again_ns_(kPagesPerLane),
      random_(static_cast<std::minstd_rand::result_type>(::getpid()) * kLanes + index) {}

void LoadVcpu::join(memfail_shim* shim, std::uint64_t load_hva) {
  shim_ = shim;
  load_hva_ = load_hva + index_ * kPagesPerLane * kPage;
  const memfail_vcpu vcpu{sizeof vcpu, index_, vcpu_.fd(), reinterpret_cast<kvm_run*>(run_.data())};
  memfail_error error{};
  if (memfail_vcpu_add(shim, &vcpu, &lane_, &error) != 0) die(error.text);
}

void LoadVcpu::run() {
  handler_lane = lane_;
  memfail_error error{};
  if (memfail_thread_enter(lane_, &error) != 0) die(error.text);
  while (true) {
    if (log_.pause.load() != 0) park();
    if (!has_free_cell()) {
      nap_until(shm::monotonic_ns() + kNapNs);  // no sidecar retires: nothing more fits
      continue;
    }
    break_next_page();
    nap_until(shm::monotonic_ns() + random_() % (pace_.most_idle_us * 1000 + 1));
  }
}

std::uint64_t LoadVcpu::next_sequence() const {
  return shm::load_word(shim_->request.lane(index_), wire::kLaneNextOffset) + 1;
}

bool LoadVcpu::has_free_cell() const {
  const std::uint64_t n = next_sequence();
  const shm::CellId id{index_, shim_->geometry.cell_of(index_, n)};
  const std::uint64_t done = shm::done_until(shim_->request, shim_->reply, id);
  return shim_->geometry.next_in_cell(id, done) == n;
}

bool LoadVcpu::is_all_retired() const {
  for (std::uint32_t cell = 0; cell < shim_->geometry.cells(index_); ++cell) {
    const shm::CellId id{index_, cell};
    const std::uint64_t next =
        shim_->geometry.next_in_cell(id, shm::done_until(shim_->request, shim_->reply, id));
    if (next < next_sequence()) return false;
  }
  return true;
}

// At rest is a lane that has nothing open, and nothing that is not retired.
void LoadVcpu::park() {
  while (log_.pause.load() != 0 && !is_all_retired()) nap_until(shm::monotonic_ns() + kNapNs);
  log_.parked.fetch_add(1);
  while (log_.pause.load() != 0) nap_until(shm::monotonic_ns() + kNapNs);
  log_.parked.fetch_sub(1);
}

void LoadVcpu::break_next_page() {
  const std::uint64_t n = next_sequence();
  if (n > kEntriesPerLane) die("the log is full");
  const std::uint64_t page = pages_++ % kPagesPerLane;
  nap_until(free_again_ns_[page]);
  entry_ = &log_.entry(index_, n);
  entry_->gpa = kLoadGpa + (index_ * kPagesPerLane + page) * kPage;
  entry_->progress.store(Progress::kBegun);
  log_.begun[index_].store(n);
  memfail_run_begin(lane_);
  raise(load_hva_ + page * kPage);
  if (memfail_run_end(lane_) != 1 || handler_said != MEMFAIL_SIGBUS_TAKEN) {
    say_wrong(log_, "lane %u sequence %lu: the handler said %d", index_, n, handler_said);
  }
  entry_->progress.store(Progress::kReported);
  if (const int flags = memfail_handle(lane_); flags != MEMFAIL_RESUME) {
    say_wrong(log_, "lane %u sequence %lu: to be done: %d", index_, n, flags);
  }
  if (entry_->progress.load() != Progress::kEnded) {
    say_wrong(log_, "lane %u sequence %lu has no outcome", index_, n);
  }
  free_again_ns_[page] = shm::monotonic_ns() + pace_.page_rest_ms * kNsPerMs;
  vcpu_.recover();
}

void LoadVcpu::raise(std::uint64_t hva) const {
  siginfo_t info{};
  info.si_signo = SIGBUS;
  info.si_code = BUS_MCEERR_AR;
  info.si_addr = reinterpret_cast<void*>(hva);
  info.si_addr_lsb = 12;
  handler_said = MEMFAIL_SIGBUS_NOT_MINE;
  if (::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::gettid(), SIGBUS, &info) != 0) {
    say_wrong(log_, "rt_tgsigqueueinfo: %d", errno);
  }
}

void LoadVcpu::nap_until(std::uint64_t when_ns) const {
  const timespec until{static_cast<time_t>(when_ns / (1000 * kNsPerMs)),
                       static_cast<long>(when_ns % (1000 * kNsPerMs))};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

int LoadVcpu::set_machine_check(const memfail_mce& given) {
  entry_->machine_checks.fetch_add(1);
  kvm_x86_mce mce{};
  mce.status = given.status;
  mce.addr = given.addr;
  mce.misc = given.misc;
  mce.mcg_status = given.mcg_status;
  mce.bank = given.bank;
  return vcpu_.control(KVM_X86_SET_MCE, &mce) == 0 ? 0 : -errno;
}

void LoadVcpu::note_outcome(const memfail_incident& incident) {
  entry_->told = {incident.verdict,  incident.decided_by, incident.delivered,      incident.reason,
                  incident.mce.bank, incident.mce.status, incident.mce.mcg_status, incident.gpa};
  entry_->progress.store(Progress::kEnded);
}

}  // namespace memfail::kill

// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/vmm.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/hex.h"
#include "vmm_shim/reference/kick.h"
#include "vmm_shim/reference/last_words.h"
#include "vmm_shim/reference/sigbus.h"

namespace memfail::reference {
namespace {

using Clock = std::chrono::steady_clock;

Memory must_make(std::expected<Memory, std::string> memory) {
  if (!memory) die(memory.error());
  return std::move(*memory);
}

std::string cpu(unsigned index) { return "vCPU " + std::to_string(index); }

}  // namespace

Vmm::Vmm(const VmmConfig& config, Memory test_region)
    : config_(config),
      low_(must_make(Memory::make(RamKind::kAnonymous, GUEST_LOW_SIZE))),
      test_(std::move(test_region)),
      machine_(low_, test_),
      view_(config.failures.vcpus) {
  create_vcpus();
  connect_shim();
  install_kick_handler();
  install_sigbus_handler(failures_->process_lane());
}

Vmm::~Vmm() { stop(); }

void Vmm::create_vcpus() {
  for (unsigned index = 0; index < config_.failures.vcpus; ++index) {
    UniqueFd fd = machine_.create_vcpu(index);
    config_.failures.mcg_cap_kvm = setup_features(machine_, fd.get(), config_.failures.cpu,
                                                  config_.failures.mcg_cap_configured);
    kvm_run* run = machine_.map_run(fd.get());
    vcpus_.push_back(
        std::make_unique<Vcpu>(index, std::move(fd), run, static_cast<VcpuHost&>(*this)));
  }
}

void Vmm::connect_shim() {
  failures_ = std::make_unique<Failures>(config_.failures, static_cast<FailureHost&>(*this));
  failures_->register_ram({{0, "low", 0, &low_}, {1, "test", GUEST_TEST_REGION, &test_}});
  for (const auto& vcpu : vcpus_) {
    vcpu->set_lane(failures_->register_vcpu(vcpu->index(), vcpu->fd(), vcpu->run()));
  }
}

std::string Vmm::start() {
  std::string no_sidecar = failures_->attach();
  load_guest();
  reset_vcpus();
  start_vcpus();
  if (!run_until([this] { return guest_is_ready(); })) die("the guest did not start");
  timeline_.note("the guest is ready");
  return no_sidecar;
}

void Vmm::stop() { stop_vcpus(); }

void Vmm::pause() {
  failures_->vm_running(false);
  stop_vcpus();
  set_state(VmState::kPaused);
  timeline_.note("the VM is paused");
}

void Vmm::resume() {
  set_state(VmState::kRunning);
  timeline_.note("the VM goes on");
  start_vcpus();
  failures_->vm_running(true);
}

VcpuSetup Vmm::setup_of(unsigned vcpu) const {
  const bool started = vcpu < config_.failures.vcpus - config_.not_started;
  return {vcpu, started, config_.mce_enabled};
}

// Before anything writes guest RAM here, a VMM would replace the broken pages.
// Ours are in the test region, which nothing writes.
void Vmm::load_guest() {
  std::fill_n(low_.data(), low_.size(), std::byte{0});
  // Labels of guest.S, one piece.
  // cppcheck-suppress comparePointers
  const auto size = static_cast<std::size_t>(guest_end - guest_begin);
  std::memcpy(low_.data() + GUEST_CODE, guest_begin, size);
  // cppcheck-suppress comparePointers
  const auto handler = static_cast<std::uint16_t>(GUEST_CODE + (guest_machine_check - guest_begin));
  std::memcpy(low_.data() + std::ptrdiff_t{VECTOR_MACHINE_CHECK} * 4, &handler,
              sizeof(handler));  // CS = 0
}

void Vmm::reset_vcpus() {
  for (const auto& vcpu : vcpus_) reset_registers(machine_, vcpu->fd(), setup_of(vcpu->index()));
}

void Vmm::start_vcpus() {
  for (const auto& vcpu : vcpus_) vcpu->start();
}

void Vmm::stop_vcpus() {
  for (const auto& vcpu : vcpus_) vcpu->request_stop();
  for (const auto& vcpu : vcpus_) vcpu->join();
}

bool Vmm::guest_is_ready() const {
  for (const auto& vcpu : vcpus_) {
    const GuestCounts counts = view_.counts(vcpu->index());
    const unsigned expected = state() == VmState::kReset ? 2 : 1;
    if (setup_of(vcpu->index()).started && counts.ready < expected) return false;
  }
  return true;
}

// On the main thread, after memfail_handle() has returned: never while it waits.
void Vmm::reset_guest() {
  stop_vcpus();
  failures_->guest_reset();
  load_guest();
  set_state(VmState::kReset);
  timeline_.note("the VM is reset");
  reset_vcpus();
  start_vcpus();
}

bool Vmm::run_until(const std::function<bool()>& condition, int limit_ms) {
  const auto limit = Clock::now() + std::chrono::milliseconds(limit_ms);
  while (!condition()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - Clock::now()).count();
    if (left <= 0) return false;
    std::array<pollfd, 2> fds{{{failures_->fd(), POLLIN, 0}, {changed_.fd(), POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), static_cast<int>(left)) < 0 && errno != EINTR) die("poll");
    changed_.clear();
    if (fds[0].revents) failures_->dispatch();
    const bool reset = [this] {
      const std::lock_guard lock(mutex_);
      return std::exchange(reset_wanted_, false);
    }();
    if (reset) reset_guest();
  }
  return true;
}

void Vmm::write_mailbox(unsigned vcpu, unsigned offset, std::uint32_t value) {
  std::byte* page = low_.data() + GUEST_VCPU_PAGES + std::size_t{GUEST_VCPU_PAGE_SIZE} * vcpu;
  auto* cell = reinterpret_cast<std::uint32_t*>(page + offset);
  std::atomic_ref(*cell).store(value, std::memory_order_release);
}

void Vmm::command(unsigned vcpu, std::uint32_t what, std::uint32_t argument, std::uint64_t value) {
  write_mailbox(vcpu, MAILBOX_ARGUMENT, argument);
  write_mailbox(vcpu, MAILBOX_VALUE_LOW, static_cast<std::uint32_t>(value));
  write_mailbox(vcpu, MAILBOX_VALUE_HIGH, static_cast<std::uint32_t>(value >> 32));
  write_mailbox(vcpu, MAILBOX_COMMAND, what);
}

void Vmm::touch_in_handler(unsigned vcpu, std::uint32_t offset) {
  write_mailbox(vcpu, MAILBOX_TOUCH_OFFSET, offset);
  write_mailbox(vcpu, MAILBOX_TOUCH_FLAG, 1);
}

VmState Vmm::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void Vmm::note_broken(std::uint64_t gpa) {
  const std::lock_guard lock(mutex_);
  broken_.push_back(gpa);
}

std::vector<std::uint64_t> Vmm::broken() const {
  const std::lock_guard lock(mutex_);
  return broken_;
}

std::vector<Incident> Vmm::incidents() const {
  const std::lock_guard lock(mutex_);
  return incidents_;
}

void Vmm::set_state(VmState state) {
  const std::lock_guard lock(mutex_);
  state_ = state;
}

bool Vmm::post(unsigned vcpu, std::function<void()> function) {
  Vcpu& target = *vcpus_[vcpu];
  return target.post([&target, function = std::move(function)] {
    function();
    if (const auto hook = std::exchange(target.hooks().after_post, nullptr)) hook();
  });
}

void Vmm::on_poisoned(std::uint64_t gpa, std::uint64_t size) {
  timeline_.note("guest page " + hex(gpa) + " is lost, " + std::to_string(size >> 10) + " KiB");
}

void Vmm::on_incident(const memfail_incident& incident) {
  {
    const std::lock_guard lock(mutex_);
    incidents_.emplace_back(incident);
  }
  timeline_.note("the incident is over: " + incidents().back().reason);
  changed_.signal();
}

void Vmm::abort(const memfail_incident* incident) { say_last_words(incident); }

void Vmm::on_out(unsigned vcpu, std::uint16_t port, std::uint32_t value) {
  view_.on_out(vcpu, port, value);
  if (port == PORT_SAVED_IP) timeline_.note("the guest's #MC handler runs on " + cpu(vcpu));
  if (port == PORT_RECOVERED) timeline_.note("the guest recovered on " + cpu(vcpu));
  changed_.signal();
}

void Vmm::on_reset_wanted(unsigned vcpu) {
  timeline_.note(cpu(vcpu) + ": a reset is wanted");
  {
    const std::lock_guard lock(mutex_);
    reset_wanted_ = true;
  }
  changed_.signal();
}

void Vmm::on_pause_wanted(unsigned vcpu) {
  timeline_.note(cpu(vcpu) + ": a pause is wanted");
  set_state(VmState::kPaused);
  changed_.signal();
}

void Vmm::on_triple_fault(unsigned vcpu) {
  timeline_.note(cpu(vcpu) + ": triple fault");
  set_state(VmState::kTripleFault);
  changed_.signal();
}

}  // namespace memfail::reference

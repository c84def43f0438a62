// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/vcpu.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <future>
#include <utility>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/kick.h"
#include "vmm_shim/reference/kvm_ioctl.h"
#include "vmm_shim/reference/sigbus.h"

namespace memfail::reference {
namespace {

void use(std::function<void()>& hook) {
  if (const auto once = std::exchange(hook, nullptr)) once();
}

}  // namespace

Vcpu::Vcpu(unsigned index, UniqueFd fd, kvm_run* run, VcpuHost& host)
    : index_(index), fd_(std::move(fd)), run_(run), host_(host) {}

Vcpu::~Vcpu() {
  request_stop();
  join();
}

void Vcpu::start() {
  stopping_ = false;
  std::promise<void> accepting;
  auto accepts = accepting.get_future();
  thread_ = std::thread([this, &accepting] {
    set_kick_target(run_);  // before the first post, whose kick would else be lost
    posts_.open();
    accepting.set_value();
    thread_main();
    posts_.close();
  });
  accepts.wait();
}

void Vcpu::request_stop() {
  post([this] { stopping_ = true; });  // refused: it has ended by itself
}

void Vcpu::join() {
  if (thread_.joinable()) thread_.join();
}

void Vcpu::thread_main() {
  set_sigbus_lane(lane_);
  memfail_error error{};
  if (memfail_thread_enter(lane_, &error) < 0) die(error.text);
  while (!stopping_) step();
  finish_exit();
}

void Vcpu::step() {
  const int error = enter_guest();
  if (error == 0) {
    // An I/O exit is complete only when KVM_RUN is entered again: until then the
    // guest still stands on that instruction, and no machine check may be queued.
    // A pending report, or a kick, makes that next KVM_RUN return at once.
    on_exit();
    return;
  }
  run_->immediate_exit = 0;  // before the posts are looked at: a later kick counts again
  if (error == EHWPOISON) {
    memory_fault();
  } else if (error != EINTR && error != EAGAIN) {  // EAGAIN: not started yet
    die(std::string("KVM_RUN: ") + std::strerror(error));
  }
  if (report_pending_) {
    use(hooks_.before_handle);
    act_on(memfail_handle(lane_));  // may wait for the verdict: we hold no lock
  }
  posts_.run_all();  // after our own report: a sibling's machine check comes second
}

// Returns 0 or errno.
int Vcpu::enter_guest() {
  memfail_run_begin(lane_);
  use(hooks_.in_run);
  const int error = run_guest();
  report_pending_ = memfail_run_end(lane_) != 0;
  return error;
}

int Vcpu::run_guest() {
  if (const auto once = std::exchange(hooks_.instead_of_run, nullptr)) return once();
  return ioctl(fd_.get(), KVM_RUN, 0) < 0 ? errno : 0;
}

// Registers must not be set while an instruction waits for its I/O: KVM would go on
// with it afterwards. An emulated string instruction may have more to come.
void Vcpu::finish_exit() {
  int error = 0;
  while (error == 0 && (run_->exit_reason == KVM_EXIT_IO || run_->exit_reason == KVM_EXIT_MMIO)) {
    run_->immediate_exit = 1;
    error = ioctl(fd_.get(), KVM_RUN, 0) < 0 ? errno : 0;
  }
  run_->immediate_exit = 0;
}

void Vcpu::act_on(int wanted) {
  if (wanted & MEMFAIL_DO_RESET) host_.on_reset_wanted(index_);
  if (wanted & MEMFAIL_DO_PAUSE) host_.on_pause_wanted(index_);
  if (wanted & (MEMFAIL_DO_RESET | MEMFAIL_DO_PAUSE)) stopping_ = true;
  // Fallback `vmm`: this VMM has no handling of its own.
  if (wanted & MEMFAIL_HAND_BACK) die("a memory failure was handed back");
}

void Vcpu::on_exit() {
  switch (run_->exit_reason) {
    case KVM_EXIT_IO:
      return on_io();
    case KVM_EXIT_MMIO:
      return on_mmio();
    case KVM_EXIT_SHUTDOWN:
      stopping_ = true;
      return host_.on_triple_fault(index_);
    case KVM_EXIT_HLT:  // only without the in-kernel interrupt controller
      return;
    default:
      die("unexpected KVM exit " + std::to_string(run_->exit_reason));
  }
}

void Vcpu::on_io() {
  std::uint32_t value = 0;
  const auto* data = reinterpret_cast<const std::byte*>(run_) + run_->io.data_offset;
  std::memcpy(&value, data, std::min<std::size_t>(run_->io.size, sizeof(value)));
  if (run_->io.port == PORT_IN_HANDLER) use(hooks_.in_handler);
  host_.on_out(index_, run_->io.port, value);
}

// Before anything looks at the address: it may be RAM whose page is broken, met
// by an instruction that KVM emulates.
void Vcpu::on_mmio() {
  const int wanted = memfail_mmio_exit(lane_, run_->mmio.phys_addr, run_->mmio.len);
  if (wanted & MEMFAIL_NOT_MINE) die("the guest accessed a device that is not there");
  act_on(wanted);
}

void Vcpu::memory_fault() {
  MemoryFault fault;
  if (run_->exit_reason != kExitMemoryFault) die("KVM_RUN: EHWPOISON without an address");
  std::memcpy(&fault, &run_->io, sizeof(fault));  // the exits' details are a union
  act_on(memfail_memory_fault_exit(lane_, fault.gpa, fault.size));
}

}  // namespace memfail::reference

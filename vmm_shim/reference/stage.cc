// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/stage.h"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <barrier>
#include <cstring>
#include <future>
#include <memory>
#include <thread>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guard.h"
#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/hex.h"
#include "vmm_shim/reference/sigbus.h"

namespace memfail::reference {
namespace {

// What KVM says of a page that is known to be broken: the 4 KiB page itself,
// whatever its backing.
constexpr unsigned kPageShift = 12;

void load(const std::byte* at) { (void)*reinterpret_cast<const volatile std::byte*>(at); }

struct Access {
  Stage* stage;
  std::byte* page;
  static void make(void* of) {
    const auto* self = static_cast<Access*>(of);
    self->stage->this_thread_touches_broken(self->page);
  }
};

}  // namespace

void Stage::break_page(std::uint32_t offset) {
  vmm_->note_broken(GUEST_TEST_REGION + offset);
  vmm_->timeline().note("guest page " + hex(GUEST_TEST_REGION + offset) + " breaks");
  if (!real()) return;
  const std::size_t size = vmm_->test_region().page_size();
  reference::break_page(page(offset) - (hva(offset) % size), size);
}

// On a vCPU's thread: what the next KVM_RUN does in a real machine, raised here.
void Stage::arm(unsigned vcpu, std::uint32_t offset) {
  vmm_->vcpu(vcpu).hooks().in_run = [address = hva(offset)] {
    raise_sigbus(BUS_MCEERR_AR, address, kPageShift);
  };
}

void Stage::guest_touches_broken(unsigned vcpu, std::uint32_t offset) {
  if (real()) return vmm_->command(vcpu, COMMAND_LOAD, offset);
  vmm_->vcpu(vcpu).post([this, vcpu, offset] { arm(vcpu, offset); });
}

void Stage::guests_touch_broken_at_once(const std::vector<std::uint32_t>& offsets) {
  const auto all = std::make_shared<std::barrier<>>(std::ssize(offsets));
  for (unsigned vcpu = 0; vcpu < offsets.size(); ++vcpu) {
    const std::uint32_t offset = offsets[vcpu];
    vmm_->vcpu(vcpu).post([this, vcpu, offset, all] {
      VcpuHooks& hooks = vmm_->vcpu(vcpu).hooks();
      // Gathered out of the guest, and halted when they are done, they do not take the
      // processors from each other.
      hooks.in_run = [this, vcpu, offset, all] {
        if (real()) vmm_->command(vcpu, COMMAND_LOAD, offset);
        all->arrive_and_wait();
        if (!real()) raise_sigbus(BUS_MCEERR_AR, hva(offset), kPageShift);
      };
      hooks.before_handle = [this, vcpu, all] {
        all->arrive_and_wait();
        vmm_->command(vcpu, COMMAND_STOP);  // once it is told
      };
    });
  }
}

void Stage::vcpu_told_of_broken(unsigned vcpu, std::uint32_t offset) {
  if (real()) {
    on_thread(vcpu, [] { set_early_kill(true); });
    return break_page(offset);
  }
  break_page(offset);
  vmm_->vcpu(vcpu).post([this, vcpu, offset] {
    vmm_->vcpu(vcpu).hooks().in_run = [address = hva(offset), shift = backing_shift()] {
      raise_sigbus(BUS_MCEERR_AO, address, shift);
    };
  });
}

void Stage::note_if_guests(const std::byte* at) const {
  const Memory& region = vmm_->test_region();
  if (at < region.data() || at >= region.data() + region.size()) return;
  vmm_->note_broken(GUEST_TEST_REGION + static_cast<std::uint64_t>(at - region.data()));
}

void Stage::this_thread_told_of_broken(std::byte* at) {
  note_if_guests(at);
  const auto address = reinterpret_cast<std::uint64_t>(at);
  vmm_->timeline().note("host page " + hex(address) + " breaks, a thread of the VMM is told");
  if (!real()) return raise_sigbus(BUS_MCEERR_AO, address, kPageShift);
  set_early_kill(true);
  reference::break_page(at, std::size_t{1} << kPageShift);
}

void Stage::this_thread_touches_broken(std::byte* at) {
  note_if_guests(at);
  const auto address = reinterpret_cast<std::uint64_t>(at);
  if (!real()) return raise_sigbus(BUS_MCEERR_AR, address, kPageShift);
  reference::break_page(at, std::size_t{1} << kPageShift);
  load(at);
}

void Stage::on_thread(unsigned vcpu, const std::function<void()>& function) {
  std::promise<void> promise;
  auto done = promise.get_future();
  if (!vmm_->vcpu(vcpu).post([&] {
        function();
        promise.set_value();
      })) {
    die("vCPU " + std::to_string(vcpu) + " has no thread");
  }
  done.wait();
}

bool Stage::device_touches_broken(std::uint32_t offset) {
  bool whole = false;
  std::thread device([this, offset, &whole] {
    memfail_error error{};
    if (memfail_thread_enter(vmm_->failures().process_lane(), &error) < 0) die(error.text);
    vmm_->timeline().note("a device of the VMM reads guest page " +
                          hex(GUEST_TEST_REGION + offset));
    Access access{this, page(offset)};
    whole = guarded(Access::make, &access);
  });
  device.join();
  return whole;
}

int Stage::migrate(std::string& why, const std::function<void(const Memory&)>& receive) {
  vmm_->stop();
  vmm_->timeline().note("the VM leaves for another host");
  const std::vector<std::byte> blob = vmm_->failures().export_broken_pages();
  auto memory = Memory::make(vmm_->setup().ram, vmm_->test_region().size());
  if (!memory) die(memory.error());
  destination_ = std::make_unique<Vmm>(vmm_->setup(), std::move(*memory));
  destination_->timeline().continue_from(vmm_->timeline());
  destination_->failures().vm_running(false);  // incoming
  if (receive) receive(destination_->test_region());
  return destination_->failures().import_broken_pages(blob, why);
}

void Stage::arrive() {
  vmm_ = destination_.get();
  if (const std::string no_sidecar = vmm_->start(); !no_sidecar.empty()) die(no_sidecar);
  vmm_->failures().vm_running(true);
}

void Stage::stay() {
  destination_.reset();
  install_sigbus_handler(vmm_->failures().process_lane());
  vmm_->resume();
}

void Stage::fill_page(std::uint32_t offset, std::uint32_t value) const {
  std::fill_n(reinterpret_cast<std::uint32_t*>(page(offset)), 4096 / sizeof(value), value);
}

std::byte* Stage::own_page() {
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) die(std::string("a page: ") + std::strerror(errno));
  return static_cast<std::byte*>(std::memset(page, 1, 4096));
}

void Stage::expect(const char* what, const std::function<bool()>& condition) {
  if (!vmm_->run_until(condition)) missed_.emplace_back(what);
}

void Stage::expect_incidents(std::size_t count) {
  expect("the incident's end", [&] { return vmm_->incidents().size() >= count; });
}

void Stage::expect_banks(unsigned vcpu, unsigned count) {
  expect("a machine check in the guest", [&] { return vmm_->view().counts(vcpu).banks >= count; });
}

void Stage::expect_recovered(unsigned vcpu, unsigned count) {
  expect("the guest's recovery", [&] { return vmm_->view().counts(vcpu).recovered >= count; });
}

void Stage::expect_done(unsigned vcpu, unsigned count) {
  expect("the end of a guest command", [&] { return vmm_->view().counts(vcpu).done >= count; });
}

// The guest takes a command only outside it.
void Stage::expect_out_of_handler(unsigned vcpu) {
  const unsigned before = vmm_->view().counts(vcpu).done;
  vmm_->command(vcpu, COMMAND_SCAN_BANKS);
  expect_done(vcpu, before + 1);
}

void Stage::expect_load(unsigned vcpu, std::uint32_t offset, std::uint32_t value) {
  const unsigned before = vmm_->view().counts(vcpu).done;
  vmm_->command(vcpu, COMMAND_LOAD, offset);
  expect_done(vcpu, before + 1);
  const std::uint32_t loaded = vmm_->view().last_value(vcpu);
  vmm_->timeline().note("the guest loads " + hex(loaded) + " from guest page " +
                        hex(GUEST_TEST_REGION + offset));
  if (loaded != value) missed_.push_back(hex(value) + " to be loaded, not " + hex(loaded));
}

// What is said last before the VMM ends may find its end first.
bool Stage::repairs_are_told() const {
  return !vmm_->failures().attached() || vmm_->failures().broken_pages() == 0;
}

void Stage::expect_reset() {
  expect("the VM's reset",
         [&] { return vmm_->state() == VmState::kReset && vmm_->view().counts(0).ready > 1; });
  expect("the repair of its pages", [&] { return repairs_are_told(); });
}

}  // namespace memfail::reference

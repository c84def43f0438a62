// SPDX-License-Identifier: BSD-3-Clause
//
// What a scenario is told with: pages break, the guest and the VMM meet them, and
// one waits for what shall come of it. Hides whether pages break for real.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vmm_shim/reference/poison.h"
#include "vmm_shim/reference/vmm.h"

namespace memfail::reference {

// Offsets of two pages in the test region; with huge pages, in different ones.
inline constexpr std::uint32_t kFirstPage = 0x3000;
inline constexpr std::uint32_t kSecondPage = 0x205000;

class Stage {
 public:
  Stage(Vmm& vmm, PoisonKind poison, bool parity) : vmm_(&vmm), poison_(poison), parity_(parity) {}

  Vmm& vmm() { return *vmm_; }
  bool real() const { return poison_ == PoisonKind::kHwpoison; }
  bool parity() const { return parity_; }  // the sidecar decides as QEMU does

  // -- what breaks -----------------------------------------------------------
  // The page is broken from here on; nobody is told.
  void break_page(std::uint32_t offset);
  // The guest touches the page, which is broken: action required, in KVM_RUN.
  void guest_touches_broken(unsigned vcpu, std::uint32_t offset);
  // Nobody has touched the page; the vCPU's thread is told: action optional.
  void vcpu_told_of_broken(unsigned vcpu, std::uint32_t offset);
  // The calling thread is told / touches a broken page itself.
  void this_thread_told_of_broken(std::byte* page);
  void this_thread_touches_broken(std::byte* page);
  // A thread that is no vCPU's does, for a device. True: the page was whole; false: it was
  // not, and the policy wants a pause. Where the policy ends the VMM it does not return.
  bool device_touches_broken(std::uint32_t offset);
  // On the vCPU's own thread: the next KVM_RUN meets the broken page.
  void arm(unsigned vcpu, std::uint32_t offset);
  // vCPU i touches the broken page offsets[i], all of them at once: none is handled
  // before each has met its own. They take no more commands.
  void guests_touch_broken_at_once(const std::vector<std::uint32_t>& offsets);

  // Runs `function` on the vCPU's thread, outside KVM_RUN, and waits for it.
  void on_thread(unsigned vcpu, const std::function<void()>& function);
  std::byte* page(std::uint32_t offset) const { return vmm_->test_region().data() + offset; }
  // Writes the value all over the page.
  void fill_page(std::uint32_t offset, std::uint32_t value) const;
  // A page of the VMM's own memory.
  static std::byte* own_page();

  // -- where it runs -----------------------------------------------------------
  // Stops the VM and makes another one of it, which has its list of broken pages. How
  // many pages, or negative errno, and why. What the new VM's memory is, `receive` may see.
  int migrate(std::string& why, const std::function<void(const Memory&)>& receive = {});
  const Memory& destination() const { return destination_->test_region(); }
  void arrive();  // it goes on there
  void stay();    // it goes on here

  // -- what shall come of it ---------------------------------------------------
  void expect_incidents(std::size_t count);
  void expect_banks(unsigned vcpu, unsigned count);
  void expect_recovered(unsigned vcpu, unsigned count = 1);
  void expect_done(unsigned vcpu, unsigned count);
  // The guest's #MC handler, if it runs, has returned.
  void expect_out_of_handler(unsigned vcpu);
  // The guest loads the page's first word, which is this.
  void expect_load(unsigned vcpu, std::uint32_t offset, std::uint32_t value);
  // The VM was reset, its pages were replaced, and the sidecar has heard of it.
  void expect_reset();
  void expect(const char* what, const std::function<bool()>& condition);
  // What was waited for in vain.
  const std::vector<std::string>& missed() const { return missed_; }

 private:
  std::uint64_t hva(std::uint32_t offset) const { return vmm_->test_region().hva() + offset; }
  unsigned backing_shift() const { return vmm_->test_region().page_size() > 4096 ? 21 : 12; }
  bool repairs_are_told() const;
  void note_if_guests(const std::byte* at) const;

  Vmm* vmm_;  // after a migration, the destination
  std::unique_ptr<Vmm> destination_;
  PoisonKind poison_;
  bool parity_;
  std::vector<std::string> missed_;
};

}  // namespace memfail::reference

// SPDX-License-Identifier: BSD-3-Clause
//
// What a scenario is told with: pages break, the guest and the VMM meet them, and
// one waits for what shall come of it. Hides whether pages break for real.
#pragma once

#include <cstdint>
#include <functional>
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
  Stage(Vmm& vmm, PoisonKind poison) : vmm_(vmm), poison_(poison) {}

  Vmm& vmm() { return vmm_; }
  bool real() const { return poison_ == PoisonKind::kHwpoison; }

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
  // On the vCPU's own thread: the next KVM_RUN meets the broken page.
  void arm(unsigned vcpu, std::uint32_t offset);

  // Runs `function` on the vCPU's thread, outside KVM_RUN, and waits for it.
  void on_thread(unsigned vcpu, const std::function<void()>& function);
  std::byte* page(std::uint32_t offset) const { return vmm_.test_region().data() + offset; }
  // A page of the VMM's own memory.
  static std::byte* own_page();

  // -- what shall come of it ---------------------------------------------------
  void expect_incidents(std::size_t count);
  void expect_banks(unsigned vcpu, unsigned count);
  void expect_recovered(unsigned vcpu);
  void expect_done(unsigned vcpu, unsigned count);
  void expect_reset();
  // What was waited for in vain.
  const std::vector<std::string>& missed() const { return missed_; }

 private:
  std::uint64_t hva(std::uint32_t offset) const { return vmm_.test_region().hva() + offset; }
  unsigned backing_shift() const { return vmm_.test_region().page_size() > 4096 ? 21 : 12; }
  void expect(const char* what, const std::function<bool()>& condition);

  Vmm& vmm_;
  PoisonKind poison_;
  std::vector<std::string> missed_;
};

}  // namespace memfail::reference

// SPDX-License-Identifier: BSD-3-Clause
#include <vector>

#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/plays.h"

namespace memfail::reference {
namespace {

// As the policy `recommended` comes: so often one page, so many pages.
constexpr unsigned kRepeatLimit = 16;
constexpr unsigned kStormPages = 64;

constexpr std::uint32_t storm_page(unsigned index) { return index * 0x1000; }

// A page breaks; the guest is told and has left its handler when this returns.
void told_in_peace(Stage& stage, unsigned index) {
  stage.vcpu_told_of_broken(0, storm_page(index));
  stage.expect_banks(0, index + 1);
  stage.expect_out_of_handler(0);
}

// The next page's machine check finds more of them broken before its handler is done.
void broken_during_handler(Stage& stage, unsigned first, unsigned count) {
  stage.vmm().touch_in_handler(0, kSecondPage);  // which is whole
  stage.on_thread(0, [&stage, first, count] {
    stage.vmm().vcpu(0).hooks().in_handler = [&stage, first, count] {
      for (unsigned index = first; index < first + count; ++index) {
        stage.this_thread_told_of_broken(stage.page(storm_page(index)));
      }
    };
  });
}

}  // namespace

// The guest recovers each time, and goes back to the page: it would do so for ever.
void play_no_progress(Stage& stage) {
  stage.break_page(kFirstPage);
  for (unsigned meeting = 1; meeting < kRepeatLimit; ++meeting) {
    stage.guest_touches_broken(0, kFirstPage);
    stage.expect_recovered(0, meeting);
  }
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_reset();
}

// Page after page breaks. One machine check at a time: those that come during the
// guest's handler are remembered, and told one by one.
void play_storm(Stage& stage) {
  constexpr unsigned kLate = 2;
  for (unsigned index = 0; index + 1 < kStormPages; ++index) told_in_peace(stage, index);
  broken_during_handler(stage, kStormPages, kLate);
  told_in_peace(stage, kStormPages - 1);
  stage.expect_incidents(kStormPages + kLate);
  for (unsigned told = 1; told <= kLate; ++told) {
    stage.vmm().failures().vm_running(true);
    stage.expect_banks(0, kStormPages + told);
    stage.expect_out_of_handler(0);
  }
  stage.expect_incidents(kStormPages + 2 * kLate);
}

// Neither vCPU waits for the other.
void play_two_errors(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.break_page(kSecondPage);
  stage.guests_touch_broken_at_once({kFirstPage, kSecondPage});
  stage.expect_recovered(0);
  stage.expect_recovered(1);
  stage.expect_incidents(2);
}

// As many vCPUs as a page may be met times: each is told, and each broadcasts to all
// the others.
void play_one_page_many_vcpus(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.guests_touch_broken_at_once(std::vector<std::uint32_t>(kRepeatLimit, kFirstPage));
  for (unsigned vcpu = 0; vcpu < kRepeatLimit; ++vcpu) stage.expect_recovered(vcpu);
  stage.expect_incidents(kRepeatLimit);
}

}  // namespace memfail::reference

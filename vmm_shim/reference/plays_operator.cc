// SPDX-License-Identifier: BSD-3-Clause
//
// Nothing breaks here: who plays these asks memfaild for a drill or an injection, and
// the VM has what it asks for done to it.
#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/plays.h"

namespace memfail::reference {
namespace {

constexpr std::uint32_t kWritten = 0x600D600D;

// The page that is drilled is whole, and stays so.
void expect_untouched(Stage& stage) {
  const auto* word = reinterpret_cast<const volatile std::uint32_t*>(stage.page(kFirstPage));
  stage.expect("the drilled page as it was", [word] { return *word == kWritten; });
}

}  // namespace

void play_drill_ar(Stage& stage) {
  stage.fill_page(kFirstPage, kWritten);
  stage.expect_recovered(0);
  stage.expect_incidents(1);
  expect_untouched(stage);
}

void play_drill_ao(Stage& stage) {
  stage.fill_page(kFirstPage, kWritten);
  stage.expect_incidents(1);
  stage.expect_banks(0, 1);
  expect_untouched(stage);
}

void play_drill_reset(Stage& stage) {
  stage.fill_page(kFirstPage, kWritten);
  stage.expect_reset();
  expect_untouched(stage);
}

void play_injected(Stage& stage) {
  stage.expect_recovered(0);
  stage.expect_incidents(1);
}

void play_injected_broadcast(Stage& stage) {
  play_injected(stage);
  stage.expect_banks(1, 1);
}

}  // namespace memfail::reference

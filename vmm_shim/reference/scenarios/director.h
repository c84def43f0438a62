// SPDX-License-Identifier: BSD-3-Clause
//
// Plays one scenario: runs memfail-vmm, does to the sidecar what the scenario
// wants done to it, and collects what came.
#pragma once

#include <string>

#include "vmm_shim/reference/scenarios/outcome.h"
#include "vmm_shim/reference/scenarios/sidecar.h"

namespace memfail::scenarios {

struct Stagehand {
  std::string vmm;     // program
  std::string poison;  // signal, hwpoison
  std::string policy;  // what memfaild decides by
  std::string log;     // of the VMMs
  std::string folder;  // for sockets
};

// `turn` makes the VM's name one of its own in the event stream.
Outcome play(const Expectation& expected, unsigned turn, const Stagehand& hand, Sidecar& sidecar);

}  // namespace memfail::scenarios

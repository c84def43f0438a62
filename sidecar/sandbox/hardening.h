// SPDX-License-Identifier: BSD-3-Clause
//
// The layers of the sandbox that need no arrangement: what the process can give
// up for itself at any time. Namespaces, Landlock and seccomp are not here yet.
#pragma once

#include <string>
#include <vector>

namespace memfail::sandbox {

struct Hardening {
  std::vector<std::string> in_force;
  std::vector<std::string> missing;  // refused by the kernel, or not there yet
};

// no_new_privs: nothing that this process runs ever gains privileges. Not
// dumpable: no ptrace by its own user, no /proc/self/mem, no core. No core files:
// they would hold what the VMs' areas hold.
Hardening harden_process();

}  // namespace memfail::sandbox

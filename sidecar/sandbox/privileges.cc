// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/sandbox/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace memfail::sandbox {
namespace {

// Up to the last that this kernel knows: EINVAL.
bool empty_bounding_set() {
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) return true;
    // Without CAP_SETPCAP it cannot be emptied, and no_new_privs makes it mean nothing.
    if (::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) != 0) return false;
  }
  return true;
}

}  // namespace

Done drop_capabilities() {
  // What can be dropped is, whatever else cannot.
  Done done;
  if (!empty_bounding_set()) done = refused("prctl(PR_CAPBSET_DROP)", "needs CAP_SETPCAP");
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    done = refused("prctl(PR_CAP_AMBIENT)");
  }
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return refused("capset");
  return done;
}

Done refuse_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("prctl(PR_SET_NO_NEW_PRIVS)");
  return {};
}

Done refuse_dumps() {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return refused("prctl(PR_SET_DUMPABLE)");
  return {};
}

}  // namespace memfail::sandbox

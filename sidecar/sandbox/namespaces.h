// SPDX-License-Identifier: BSD-3-Clause
//
// Namespaces of this process's own, one by one, so that what is missing has a name.
// All of them need a process with one thread.
#pragma once

#include "sidecar/sandbox/failure.h"

namespace memfail::sandbox {

// The first: it gives the capabilities that the others need. Every user and group keeps
// its number where we may say so (CAP_SETUID, CAP_SETGID), for SO_PEERCRED is read through
// this map. Otherwise there is only our own: peers of other users are then all seen as the
// overflow user (65534), and are told apart by their resume keys alone.
Done enter_user_namespace();
Done enter_mount_namespace();
Done enter_network_namespace();  // not even a loopback that is up
Done enter_ipc_namespace();
Done enter_uts_namespace();
Done enter_cgroup_namespace();

}  // namespace memfail::sandbox

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace memfail::server {

// Tells the service manager (NOTIFY_SOCKET, if set) `state`, e.g. "READY=1".
void notify_manager(const char* state);

}  // namespace memfail::server

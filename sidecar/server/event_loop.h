// SPDX-License-Identifier: BSD-3-Clause
//
// The loop. Signals and the one timer are libuv's; libuv's descriptor lives in the
// server's poll set (uv_backend_fd() is made for that), not the other way round:
// a kick then wakes its handler by one epoll_wait, not two nested ones, and
// uv_poll_init(), whose ioctl a sandbox denies, is never needed.
#pragma once

#include <functional>

namespace memfail::server {

class Server;

// Until SIGTERM, SIGINT, or the server has finished. 0, or a libuv error. `made` is called
// when all that the loop needs has been made, before anything is served; false ends it.
int run_loop(Server& server, const std::function<bool()>& made);

}  // namespace memfail::server

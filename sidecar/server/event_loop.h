// SPDX-License-Identifier: BSD-3-Clause
//
// libuv around a Server: one uv_poll on its poll set, the signals that end the
// process, and no timer but the one for connections that owe a hello.
#pragma once

namespace memfail::server {

class Server;

// Until SIGTERM, SIGINT, or the server has finished. 0, or a libuv error.
int run_loop(Server& server);

}  // namespace memfail::server

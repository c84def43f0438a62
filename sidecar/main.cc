// SPDX-License-Identifier: BSD-3-Clause
//
// memfaild, top to bottom: what it listens on, what it gives up, what it serves.
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <optional>
#include <vector>

#include "shm/crc32c.h"
#include "sidecar/options.h"
#include "sidecar/sandbox/hardening.h"
#include "sidecar/server/event_loop.h"
#include "sidecar/server/log.h"
#include "sidecar/server/notify.h"
#include "sidecar/server/server.h"
#include "sidecar/server/unix_listener.h"

namespace memfail {
namespace {

using server::log_line;
using server::UnixListener;

// The sockets of this process; their files go when it ends.
struct Sockets {
  std::optional<UnixListener> vms;
  std::optional<UnixListener> readers;
  std::optional<UnixListener> operators;
};

bool open_one(std::optional<UnixListener>& into, const server::ListenOptions& options) {
  if (options.path.empty()) return true;
  auto listener = UnixListener::open(options);
  if (!listener) {
    log_line(listener.error());
    return false;
  }
  into.emplace(std::move(*listener));
  return true;
}

bool open_sockets(Sockets& sockets, const Options& options) {
  return open_one(sockets.vms, {options.socket_path, SOCK_SEQPACKET, "--socket-path"}) &&
         open_one(sockets.readers, {options.events, SOCK_STREAM, "--events"}) &&
         open_one(sockets.operators, {options.ctl, SOCK_STREAM, "--ctl"});
}

bool is_control_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET) {
    return true;
  }
  log_line("--fd " + std::to_string(fd) + ": not a connected SOCK_SEQPACKET Unix socket");
  return false;
}

std::vector<std::string> enter_sandbox(const Options& options) {
  if (!options.sandbox) {
    log_line("sandbox: none, as asked for");
    return {};
  }
  const sandbox::Hardening done = sandbox::harden_process();
  std::string line = "sandbox: in force:";
  for (const std::string& layer : done.in_force) line += " " + layer;
  line += "; not there yet:";
  for (const std::string& layer : done.missing) line += " " + layer;
  log_line(line);
  return done.in_force;
}

bool serve(server::Server& server, const Sockets& sockets, int fd) {
  const bool good = server.poll_set().valid() &&
                    (!sockets.vms || server.serve_vms(sockets.vms->fd())) &&
                    (!sockets.readers || server.serve_readers(sockets.readers->fd())) &&
                    (!sockets.operators || server.serve_operators(sockets.operators->fd())) &&
                    (fd < 0 || server.serve_vm(shm::UniqueFd(fd)));
  if (!good) log_line(std::string("cannot watch the sockets: ") + std::strerror(errno));
  return good;
}

int run(const Options& options) {
  std::signal(SIGPIPE, SIG_IGN);  // a log or a reader that is gone is not our end
  shm::crc32c_prepare();
  if (options.fd >= 0 && !is_control_socket(options.fd)) return 1;
  Sockets sockets;
  if (!open_sockets(sockets, options)) return 1;
  std::vector<std::string> layers = enter_sandbox(options);
  server::Server server({options.one_off, MEMFAIL_VERSION, options.policy, std::move(layers)});
  if (!serve(server, sockets, options.fd)) return 1;
  log_line(options.fd >= 0 ? "serving descriptor " + std::to_string(options.fd)
                           : "listening on " + options.socket_path);
  server::notify_manager("READY=1");
  const int error = server::run_loop(server);
  server::notify_manager("STOPPING=1");
  if (error != 0) log_line("the event loop failed: " + std::string(std::strerror(-error)));
  return error == 0 ? 0 : 1;
}

}  // namespace
}  // namespace memfail

int main(int argc, char** argv) {
  const auto options = memfail::parse_options(argc, argv);
  if (!options) return options.error();
  try {
    return memfail::run(*options);
  } catch (const std::exception& error) {  // out of memory, at start
    memfail::server::log_line(std::string("cannot go on: ") + error.what());
    return 1;
  }
}

// SPDX-License-Identifier: BSD-3-Clause
//
// memfaild, top to bottom: what it listens on, what it gives up, what it serves.
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "shm/crc32c.h"
#include "shm/mutex.h"
#include "sidecar/capabilities.h"
#include "sidecar/guard/broken_page.h"
#include "sidecar/options.h"
#include "sidecar/policy/digest.h"
#include "sidecar/policy/load.h"
#include "sidecar/sandbox/sandbox.h"
#include "sidecar/server/event_loop.h"
#include "sidecar/server/log.h"
#include "sidecar/server/notify.h"
#include "sidecar/server/scheduling.h"
#include "sidecar/server/server.h"
#include "sidecar/server/unix_listener.h"

namespace memfail {
namespace {

using server::log_line;
using server::UnixListener;

// At the end: SIGTERM is to end this process whatever the disk does.
constexpr std::chrono::milliseconds kDiskMayTake{500};
constexpr std::chrono::milliseconds kClosingMayTake{200};

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

std::optional<policy::PolicySet> load_policy(const std::string& name) {
  auto set = policy::load(name);
  if (!set) {
    log_line("--policy: " + set.error());
    return std::nullopt;
  }
  return std::move(*set);
}

server::Wall wall_of(const sandbox::Sandbox& sandbox) {
  constexpr std::array kNames{"none", "auto", "strict"};
  server::Wall wall;
  wall.grade = kNames.at(static_cast<std::size_t>(sandbox.grade()));
  for (const sandbox::Layer& layer : sandbox.layers()) {
    if (layer.in_force) {
      wall.in_force.push_back(layer.name);
    } else {
      wall.missing.push_back(layer.name + ": " + layer.why);
    }
  }
  if (sandbox.grade() == sandbox::Grade::kNone) wall.warning = sandbox.line();
  return wall;
}

bool said(const sandbox::Sandbox::Done& done) {
  if (!done) log_line(done.error());
  return done.has_value();
}

// The threads, each behind its own filter before it does anything. False: one has none.
bool start_threads(sandbox::Sandbox& sandbox, server::Server& server, journal::Journal& journal) {
  const bool keeps_files = !journal.directory().empty();
  // Not std::latch: its wake-up is a system call that the threads need for nothing else.
  shm::Mutex mutex;
  shm::Condition told;
  int missing = keeps_files ? 2 : 1;
  bool all = true;
  const auto confine = [&](sandbox::Thread thread) {
    return [&, thread] {
      const bool done = sandbox.confine(thread);
      const shm::Locked lock(mutex);
      all = all && done;
      --missing;
      told.notify_one();
    };
  };
  server.start_closer(confine(sandbox::Thread::kCloser));
  if (keeps_files) journal.start_thread(confine(sandbox::Thread::kJournal));
  const shm::Locked lock(mutex);
  while (missing != 0) told.wait(mutex);
  return all;
}

// Beside the socket, if that is on a tmpfs: there it is found again, and nobody waits for
// a disk.
std::string default_front(const std::string& socket_path) {
  const std::size_t slash = socket_path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : socket_path.substr(0, std::max<std::size_t>(slash, 1));
  struct statfs system{};
  const bool on_tmpfs = !socket_path.empty() && ::statfs(folder.c_str(), &system) == 0 &&
                        system.f_type == TMPFS_MAGIC;
  return on_tmpfs ? socket_path + ".front" : "";
}

std::unique_ptr<journal::Journal> open_journal(const Options& options) {
  journal::JournalOptions wanted = options.journal;
  if (wanted.front.empty()) wanted.front = default_front(options.socket_path);
  auto opened = journal::Journal::open(wanted);
  if (!opened) {
    log_line(opened.error());
    return nullptr;
  }
  for (const std::string& note : (*opened)->notes()) log_line(note);
  if (wanted.front.empty()) {
    log_line(
        "records are in memory alone: what is not yet told is lost when memfaild dies; "
        "--front FILE on a tmpfs, or --journal DIR, keeps it");
  } else if (wanted.directory.empty()) {
    log_line("records are in " + wanted.front +
             " alone: they survive memfaild, not the host; --journal DIR keeps them");
  } else {
    log_line("records are in " + wanted.front + ", and from there in " + wanted.directory);
  }
  return std::move(*opened);
}

// What is in the front goes to the disk, if that answers. If not, or if a file that a VMM
// sent cannot be closed, a thread is stuck in the kernel and holds what is left of this
// process until somebody lets go: everything that others could wait for goes first.
void end(server::Server& server, journal::Journal& journal, Sockets& sockets) {
  const bool written = journal.stop(kDiskMayTake);
  server.hang_up_on_all();
  const std::size_t unclosed = server.unclosed_after(kClosingMayTake);
  if (written && unclosed == 0) return;
  sockets.vms.reset();
  sockets.readers.reset();
  sockets.operators.reset();
  journal.abandon();
  if (!written) {
    log_line("the journal thread waits for the disk of " + journal.directory() +
             " and cannot be ended: what is in the front is taken up by the next start");
  }
  if (unclosed != 0) {
    log_line("the closer thread waits for " + std::to_string(unclosed) +
             " descriptor(s) that a VMM sent: where their file system does not answer, this "
             "process stays until it does");
  }
  // Not _exit(): ThreadSanitizer waits a second there, and a disk that comes back meanwhile
  // would let the thread go on in a front that is somebody else's.
  ::syscall(SYS_exit_group, 0);
}

bool serve(server::Server& server, const Sockets& sockets, int fd) {
  const bool good = server.poll_set().valid() && server.watch_journal() &&
                    (!sockets.vms || server.serve_vms(sockets.vms->fd())) &&
                    (!sockets.readers || server.serve_readers(sockets.readers->fd())) &&
                    (!sockets.operators || server.serve_operators(sockets.operators->fd())) &&
                    (fd < 0 || server.serve_vm(shm::UniqueFd(fd)));
  if (!good) log_line(std::string("cannot watch the sockets: ") + std::strerror(errno));
  return good;
}

// Nothing of the host has a name here any more: no file to unlink at the end.
void leave_files(Sockets& sockets) {
  for (auto* socket : {&sockets.vms, &sockets.readers, &sockets.operators}) {
    if (*socket) (*socket)->leave_file();
  }
}

int run(const Options& options) {
  std::signal(SIGPIPE, SIG_IGN);  // a log or a reader that is gone is not our end
  server::prepare_log();
  sandbox::Sandbox sandbox(options.sandbox, options.forbidden);
  const server::Manager manager;
  if (!said(sandbox.shed(std::array{options.fd, manager.fd()}))) return 1;
  guard::handle_sigbus();
  shm::crc32c_prepare();
  server::ask_for_short_slice();
  if (options.fd >= 0 && !is_control_socket(options.fd)) return 1;
  auto policy_set = load_policy(options.policy);  // while files can be read
  if (!policy_set) return 1;
  Sockets sockets;
  if (!open_sockets(sockets, options)) return 1;
  const auto journal = open_journal(options);
  if (journal == nullptr) return 1;
  const std::string digest = policy::digest_text(policy_set->digest());
  server::Server server({options.one_off,
                         options.sessions_per_uid,
                         MEMFAIL_VERSION,
                         options.policy,
                         {},
                         std::move(*policy_set)},
                        *journal);
  server.take_up_records();  // while /proc can be read
  if (!said(sandbox.enter())) return 1;
  if (options.sandbox != sandbox::Grade::kNone) leave_files(sockets);
  const bool confined = start_threads(sandbox, server, *journal);
  if (!serve(server, sockets, options.fd)) return 1;
  const int error = server::run_loop(server, [&] {
    if (!said(sandbox.seal(confined))) return false;
    server.set_wall(wall_of(sandbox));
    log_line(sandbox.line());
    log_line("policy '" + options.policy + "' (digest " + digest + ")");
    log_line(options.fd >= 0 ? "serving descriptor " + std::to_string(options.fd)
                             : "listening on " + options.socket_path);
    manager.tell("READY=1");
    return true;
  });
  manager.tell("STOPPING=1");
  if (error != 0 && error != -ECANCELED) {
    log_line("the event loop failed: " + std::string(std::strerror(-error)));
  }
  end(server, *journal, sockets);
  return error == 0 ? 0 : 1;
}

// Not by stdio, which asks first what kind of file it writes to: behind the filter nobody
// may ask.
bool print(const std::string& text) {
  return ::write(STDOUT_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace
}  // namespace memfail

int main(int argc, char** argv) {
  const auto options = memfail::parse_options(argc, argv);
  if (!options) return options.error();
  try {
    if (options->print_capabilities) {
      return memfail::print(memfail::capabilities(*options)) ? 0 : 1;
    }
    return memfail::run(*options);
  } catch (const std::exception& error) {  // out of memory, at start
    memfail::server::log_line(std::string("cannot go on: ") + error.what());
    return 1;
  }
}

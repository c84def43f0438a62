// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "shm/reply_wait.h"
#include "sidecar/server/log.h"
#include "sidecar/server/status.h"

namespace memfail::server {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kHelloWithinMs = 1000;

std::uint64_t now_ms() { return shm::monotonic_ns() / kNsPerMs; }

// Whoever called connect(), or whoever was given the other end of a pair.
session::Identity identity_of(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return {.uid = static_cast<uid_t>(-1), .gid = static_cast<gid_t>(-1)};
  }
  return {.uid = peer.uid, .gid = peer.gid};
}

template <typename List>
void erase_over(List& list) {
  list.remove_if([](const auto& one) { return one.over(); });
}

}  // namespace

Server::Server(ServerOptions options)
    : options_(std::move(options)),
      records_(journal::make_memory_journal_id()),
      table_(*this, decision::Policy::kQemu) {
  hot_.reserve(session::SessionTable::kMaxDetached);
}

// Clients and connections leave the poll set before it goes; sessions stay what
// they are: their VMMs see a hang-up and fall back.
Server::~Server() = default;

// ---- listening -----------------------------------------------------------------

bool Server::listen(int listen_fd, std::function<void(shm::UniqueFd)> accepted) {
  listeners_.emplace_back(
      poll_set_, listen_fd,
      Listener::Calls{std::move(accepted), [](std::string_view line) { log_line(line); }});
  return listeners_.back().watch();
}

bool Server::serve_vms(int listen_fd) {
  return listen(listen_fd, [this](shm::UniqueFd fd) { accept_vm(std::move(fd)); });
}

bool Server::serve_readers(int listen_fd) {
  return listen(listen_fd, [this](shm::UniqueFd fd) { accept_reader(std::move(fd)); });
}

bool Server::serve_operators(int listen_fd) {
  return listen(listen_fd, [this](shm::UniqueFd fd) { accept_operator(std::move(fd)); });
}

bool Server::serve_vm(shm::UniqueFd connected) {
  options_.one_off = true;  // there is no way back for this VM
  accept_vm(std::move(connected));
  return !connections_.empty();
}

bool Server::has_room(uid_t uid) const {
  std::size_t all = 0;
  std::size_t same_uid = 0;
  for (const auto& connection : connections_) {
    if (!connection->half_open()) continue;
    ++all;
    same_uid += connection->identity().uid == uid ? 1 : 0;
  }
  return all < kMaxHalfOpen && same_uid < kMaxHalfOpenPerUid;
}

void Server::accept_vm(shm::UniqueFd fd) {
  const session::Identity identity = identity_of(fd.get());
  if (!has_room(identity.uid)) {
    log_line("connection of uid " + std::to_string(identity.uid) +
             " refused: too many connections wait for their hello (limits: 64 in all, 4 a uid)");
    return;
  }
  auto connection = std::make_unique<Connection>(Connection::Parts{*this, poll_set_, table_, *this},
                                                 std::move(fd), identity, now_ms());
  if (!connection->watch()) return;
  connections_.push_back(std::move(connection));
  accepted_ = true;
}

void Server::accept_reader(shm::UniqueFd fd) {
  if (readers_.size() >= kMaxReaders) {
    log_line("reader of events refused: " + std::to_string(kMaxReaders) + " are connected");
    return;
  }
  readers_.emplace_back(*this, poll_set_, std::move(fd), records_);
  if (readers_.back().watch()) {
    readers_.back().send();  // the header
  } else {
    readers_.pop_back();
  }
}

void Server::accept_operator(shm::UniqueFd fd) {
  if (operators_.size() >= kMaxOperators) return;
  operators_.emplace_back(*this, poll_set_, std::move(fd));
  if (!operators_.back().watch()) operators_.pop_back();
}

// ---- turns -----------------------------------------------------------------------

bool Server::turn(int timeout_ms) {
  poll_set_.dispatch(timeout_ms);
  serve_hot();
  if (std::exchange(events_waiting_, false)) tell_readers();
  bury();
  return !hot_.empty();
}

// Whoever became hot during this round is served in it too: its kick is the one
// that somebody waits for.
void Server::serve_hot() {
  for (std::size_t i = 0; i < hot_.size(); ++i) {
    if (hot_[i] != nullptr) serve_one(*hot_[i]);
  }
  std::erase_if(hot_, [](const VmPort* port) { return port == nullptr || !port->hot; });
}

void Server::serve_one(VmPort& port) {
  if (!port.session().is_ready()) {
    port.hot = false;
    return;
  }
  const auto served = port.session().serve();
  if (served) {
    port.hot = *served == session::Session::Served::kMore;
    return;
  }
  port.hot = false;
  if (port.connection != nullptr) port.connection->fail(served.error());
}

void Server::tell_readers() {
  for (EventClient& reader : readers_) {
    if (!reader.over()) reader.send();
  }
}

void Server::bury() {
  if (std::exchange(connections_over_, false)) {
    connections_.remove_if([](const auto& one) { return one->over(); });
  }
  if (std::exchange(clients_over_, false)) {
    erase_over(readers_);
    erase_over(operators_);
  }
  if (!dead_ports_.empty()) dead_ports_.clear();
  const bool nobody = connections_.empty() && table_.size() == 0;
  finished_ = options_.one_off && nobody && (had_vm_ || listeners_.empty());
}

std::optional<std::uint64_t> Server::expire(std::uint64_t now) {
  std::optional<std::uint64_t> next;
  for (const auto& connection : connections_) {
    if (!connection->half_open()) continue;
    const std::uint64_t age = now - connection->since_ms();
    if (age >= kHelloWithinMs) {
      connection->fail(session::refuse_limit(wire::ErrorCode::limit, "time until hello (ms)", age,
                                             kHelloWithinMs));
    } else {
      next = std::min(next.value_or(kHelloWithinMs), kHelloWithinMs - age);
    }
  }
  bury();
  return next;
}

// ---- what sessions ask ---------------------------------------------------------------

VmPort* Server::port_of(const session::Session& session) {
  const auto found = ports_.find(&session);
  return found == ports_.end() ? nullptr : found->second.get();
}

std::uint64_t Server::realtime_us() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

void Server::log(std::string_view line) { log_line(line); }

bool Server::notice_hang_up(session::Session& session) {
  VmPort* const port = port_of(session);
  if (port == nullptr || port->connection == nullptr) return true;
  if (!port->connection->peer_is_gone()) return false;
  port->connection->hang_up();
  return true;
}

void Server::attached(session::Session& session) {
  auto& port = ports_[&session];
  if (port == nullptr) port = std::make_unique<VmPort>(*this, poll_set_, session);
  port->connection = current_;
  had_vm_ = true;
  if (!port->watch_vmm()) log_line("cannot watch the process of VM '" + session.label().name + "'");
}

void Server::ready(session::Session& session) {
  VmPort& port = *port_of(session);
  if (!port.watch_kicks()) log_line("cannot watch the kicks of VM '" + session.label().name + "'");
  vm_rang(port);
}

void Server::replacing(session::Session& session) { port_of(session)->stop(); }

void Server::detached(session::Session& session) {
  VmPort& port = *port_of(session);
  port.connection = nullptr;
  port.stop_kicks();
}

void Server::gone(session::Session& session) {
  const auto found = ports_.find(&session);
  if (found == ports_.end()) return;
  VmPort& port = *found->second;
  std::replace(hot_.begin(), hot_.end(), &port, static_cast<VmPort*>(nullptr));
  port.stop();
  if (port.connection != nullptr) port.connection->session_gone();
  dead_ports_.push_back(std::move(found->second));
  ports_.erase(found);
}

// ---- what descriptors say --------------------------------------------------------------

void Server::vm_rang(VmPort& port) {
  if (port.hot) return;
  port.session().wake();
  port.hot = true;
  // One that was just served may still stand there: hot_ is compacted afterwards.
  if (std::find(hot_.begin(), hot_.end(), &port) == hot_.end()) hot_.push_back(&port);
}

void Server::vm_exited(VmPort& port) {
  Connection* const connection = port.connection;
  table_.exited(port.session());
  if (connection != nullptr) connection->hang_up();
}

void Server::connection_over(Connection&) { connections_over_ = true; }

std::string Server::answer_operator(std::string_view request) {
  return answer_request(request, {options_.version, options_.policy, options_.sandbox_layers,
                                  table_, records_, shm::monotonic_ns()});
}

}  // namespace memfail::server

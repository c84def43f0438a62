// SPDX-License-Identifier: BSD-3-Clause
//
// Who is let in: VMs, readers and operators, each within limits.
//
// syscall(loop): getsockopt=peer
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "shm/reply_wait.h"
#include "sidecar/events/event_json.h"
#include "sidecar/server/log.h"
#include "sidecar/server/server.h"
#include "sidecar/server/stream_socket.h"

namespace memfail::server {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

std::uint64_t now_ms() { return shm::monotonic_ns() / kNsPerMs; }

// Nothing: the kernel has one and does not give it.
std::optional<std::string> label_of(int fd) {
  std::array<char, 256> text{};
  socklen_t size = text.size();
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERSEC, text.data(), &size) != 0) {
    return errno == ENOPROTOOPT ? std::optional<std::string>("") : std::nullopt;
  }
  return std::string(text.data(), ::strnlen(text.data(), size));
}

// Whoever called connect(), or whoever was given the other end of a pair.
session::Identity identity_of(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  const auto label = label_of(fd);
  if (!label || ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return {.uid = static_cast<uid_t>(-1), .gid = static_cast<gid_t>(-1), .label = {}, .pid = 0};
  }
  return {.uid = peer.uid,
          .gid = peer.gid,
          .label = *label,
          .pid = static_cast<std::uint32_t>(std::max(peer.pid, 0))};
}

}  // namespace

std::size_t sessions_for_a_user() {
  constexpr rlim_t kMost = 65'536;  // as the sandbox leaves it
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_max = kMost;
  const auto descriptors = static_cast<std::size_t>(std::min(limit.rlim_max, kMost));
  return std::max<std::size_t>(descriptors / Server::kDescriptorsPerSession / 2, 1);
}

bool Server::listen(int listen_fd, std::function<void(shm::UniqueFd)> accepted) {
  Listener::Calls calls{.accepted = std::move(accepted),
                        .refused = [this](shm::UniqueFd fd) { part_with(std::move(fd)); },
                        .has_room = [this] { return !closer_.full(); },
                        .paused = [this] { listener_paused(); },
                        .log = [](std::string_view line) { log_line(line); }};
  listeners_.emplace_back(poll_set_, listen_fd, std::move(calls));
  return listeners_.back().watch();
}

void Server::listener_paused() {
  waits_ = true;
  if (!closer_.full()) return;
  log_line("nobody is accepted for a while: " + std::to_string(closer_.waiting()) +
           " descriptors are still to be closed (limit: " + std::to_string(Closer::kMaxHeld) + ")");
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

void Server::hang_up_on_all() {
  connections_.clear();
  readers_.clear();
  operators_.clear();
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
    part_with(std::move(fd));
    return;
  }
  if (!hello_rates_.admit(identity, now_ms())) {
    log_line("connection of uid " + std::to_string(identity.uid) +
             " refused: too many of them lately (limit: " +
             std::to_string(HelloRates::kRate.per_second) + " a second)");
    part_with(std::move(fd));
    return;
  }
  auto connection = std::make_unique<Connection>(Connection::Parts{*this, poll_set_, table_, *this},
                                                 std::move(fd), identity, now_ms());
  if (!connection->watch()) return;
  connections_.push_back(std::move(connection));
  waits_ = true;
}

// Whoever was cut off and does not read on keeps no other reader out.
bool Server::has_room_for_reader() {
  if (readers_.size() < kMaxReaders) return true;
  const auto idle = std::ranges::find_if(readers_, &EventClient::idle_to_the_end);
  if (idle == readers_.end()) return false;
  readers_.erase(idle);
  return true;
}

void Server::accept_reader(shm::UniqueFd fd) {
  if (!has_room_for_reader()) {
    const std::string why = std::to_string(kMaxReaders) + " readers are connected, the limit";
    const std::string line = events::refusal_line(why);
    (void)send_now(fd.get(), line);
    part_with(std::move(fd));
    log_line("reader of events refused: " + why);
    return;
  }
  readers_.emplace_back(*this, poll_set_, std::move(fd), journal_.history(), now_ms());
  if (readers_.back().watch()) {
    waits_ = true;
    readers_.back().send();  // the header
  } else {
    readers_.pop_back();
  }
}

void Server::accept_operator(shm::UniqueFd fd) {
  if (operators_.size() >= kMaxOperators) return part_with(std::move(fd));
  operators_.emplace_back(*this, poll_set_, std::move(fd));
  if (!operators_.back().watch()) operators_.pop_back();
}

}  // namespace memfail::server

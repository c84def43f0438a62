// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/server.h"

#include <algorithm>
#include <ctime>
#include <limits>
#include <optional>
#include <utility>

#include "shm/reply_wait.h"
#include "sidecar/policy/digest.h"
#include "sidecar/server/log.h"
#include "sidecar/server/status.h"
#include "sidecar/session/absent_vm.h"

namespace memfail::server {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kHelloWithinMs = 1000;
constexpr std::uint64_t kAskWithinMs = 1000;  // a reader
constexpr std::uint64_t kAcceptAgainMs = 100;

template <typename List>
void erase_over(List& list) {
  list.remove_if([](const auto& one) { return one.over(); });
}

}  // namespace

Server::Server(ServerOptions options, journal::Journal& journal)
    : options_(std::move(options)),
      journal_(journal),
      front_guard_(journal.front_memory(), true),
      table_(*this,
             options_.sessions_per_user != 0 ? options_.sessions_per_user : sessions_for_a_user()) {
  hot_.reserve(session::SessionTable::kMaxDetached);
}

// Clients and connections leave the poll set before it goes; sessions stay what
// they are: their VMMs see a hang-up and fall back.
Server::~Server() = default;

// ---- turns -----------------------------------------------------------------------

bool Server::turn(int timeout_ms) {
  poll_set_.dispatch(timeout_ms);
  serve_hot();
  tend_records();
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
  const bool nobody = options_.one_off && connections_.empty() && table_.size() == 0;
  finished_ = nobody && (had_vm_ || listeners_.empty());
}

std::optional<std::uint64_t> Server::expire(std::uint64_t now) {
  std::uint64_t next = kNever;
  for (Listener& listener : listeners_) {
    if (!listener.resume()) next = std::min(next, kAcceptAgainMs);
  }
  for (EventClient& reader : readers_) {
    if (!reader.asking()) continue;
    const std::uint64_t age = now - reader.since_ms();
    if (age >= kAskWithinMs) {
      reader.asks_nothing();
    } else {
      next = std::min(next, kAskWithinMs - age);
    }
  }
  for (const auto& connection : connections_) {
    if (connection->paused()) {
      const std::uint64_t wait = connection->resume(now);
      if (wait != 0) next = std::min(next, wait);
    }
    if (!connection->half_open()) continue;
    const std::uint64_t age = now - connection->since_ms();
    if (age >= kHelloWithinMs) {
      connection->fail(session::refuse_limit(wire::ErrorCode::limit, "time until hello (ms)", age,
                                             kHelloWithinMs));
    } else {
      next = std::min(next, kHelloWithinMs - age);
    }
  }
  bury();
  return next == kNever ? std::nullopt : std::optional(next);
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
  const wire::Id128& id = session.label().session;
  absent_.remove_if([&](const AbsentWatch& one) { return journal::same_id(one.session(), id); });
  if (!port->watch_vmm()) log_line("cannot watch the process of VM '" + session.label().name + "'");
}

void Server::ready(session::Session& session) {
  VmPort& port = *port_of(session);
  if (!port.watch_kicks()) log_line("cannot watch the kicks of VM '" + session.label().name + "'");
  vm_rang(port);
}

void Server::replacing(session::Session& session) { port_of(session)->stop(); }

void Server::detached(session::Session& session) {
  operations_.detached(session);
  VmPort& port = *port_of(session);
  port.connection = nullptr;
  port.stop_kicks();
}

void Server::gone(session::Session& session) {
  operations_.gone(session);
  const auto found = ports_.find(&session);
  if (found == ports_.end()) return;
  VmPort& port = *found->second;
  std::replace(hot_.begin(), hot_.end(), &port, static_cast<VmPort*>(nullptr));
  port.stop();
  if (port.connection != nullptr) port.connection->session_gone();
  dead_ports_.push_back(std::move(found->second));
  ports_.erase(found);
}

void Server::watch_absent(const wire::Id128& session, shm::UniqueFd vmm) {
  absent_.emplace_back(*this, poll_set_, session, std::move(vmm));
  if (!absent_.back().watch()) absent_.pop_back();
}

// ---- what descriptors say --------------------------------------------------------------

void Server::vm_rang(VmPort& port) {
  if (port.hot) return;
  port.hot = true;
  // One that was just served may still stand there: hot_ is compacted afterwards.
  if (std::find(hot_.begin(), hot_.end(), &port) == hot_.end()) hot_.push_back(&port);
}

// What a VM had said before it died lies in a socket, and its end is often noticed first:
// an answer to an operator, or a hello, with areas in which its incidents are. They come
// before the end: a session that is over would begin anew, and its events be told twice.
void Server::hear_last_words() {
  for (Listener& listener : listeners_) listener.accept_all();
  for (const auto& connection : connections_) connection->read_messages();
}

void Server::vm_exited(VmPort& port) {
  const session::Session* const session = &port.session();
  hear_last_words();
  if (ports_.find(session) == ports_.end()) return;  // they were a goodbye
  Connection* const connection = port.connection;
  table_.exited(port.session());
  if (connection != nullptr) connection->hang_up();
}

void Server::absent_exited(AbsentWatch& watch) {
  const wire::Id128 id = watch.session();
  const auto is_its = [&](const AbsentWatch& one) { return journal::same_id(one.session(), id); };
  hear_last_words();
  if (std::ranges::none_of(absent_, is_its)) return;  // it came back, and its port sees the end
  session::absent_vm_exited(*this, id);
  absent_.remove_if(is_its);
}

void Server::connection_over(Connection&) { connections_over_ = true; }

std::string Server::answer_operator(CtlClient& client, std::string_view request) {
  asking_ = &client;
  return answer_request(request,
                        {options_.version, options_.policy, options_.policy_set, options_.wall,
                         table_, journal_, shm::monotonic_ns()},
                        *this);
}

std::expected<std::uint64_t, std::string> Server::load_policy(std::string_view name,
                                                              std::span<const std::byte> binary) {
  auto set = policy::PolicySet::from_binary(binary);
  if (!set) return std::unexpected(policy::problem_line(set.error().front(), ""));
  options_.policy = name;
  options_.policy_set = std::move(*set);
  table_.renew_rules();
  for (const auto& connection : connections_) connection->renew_rules();
  journal::EventFields event;
  event.realtime_us = realtime_us();
  event.reason = wire::Reason::policy_changed;
  event.policy_digest = options_.policy_set.digest();
  records().append_event(event);
  event_appended();
  log_line("policy '" + options_.policy + "', digest " +
           policy::digest_text(options_.policy_set.digest()));
  return options_.policy_set.digest();
}

// Its answer is read in a later turn at the earliest.
std::expected<void, std::string> Server::give_order(const OrderRequest& request) {
  const auto session = find_vm(table_, request.vm);
  if (!session) return std::unexpected(session.error());
  const VmPort* const port = port_of(**session);
  if (port == nullptr || port->connection == nullptr) {
    return std::unexpected("VM '" + request.vm.substr(0, 127) + "' is not attached now");
  }
  const auto given = port->connection->give(request.order);
  if (!given) return given;
  operations_.add(**session, request.order, *asking_);
  log_line("VM '" + (*session)->label().name + "': an operator asks for " +
           (request.order.index() == 0 ? "a drill" : "an injection"));
  return {};
}

decision::Rules Server::rules_for(std::string_view vm_name) {
  return options_.policy_set.rules_for(vm_name);
}

}  // namespace memfail::server

// SPDX-License-Identifier: BSD-3-Clause
//
// What this process serves: VMs on the control socket, readers on the events
// socket, operators on the ctl socket, and the turns of the loop between them.
//
// A turn: the descriptors that are ready are handled; then every session that
// has work gets its bounded share; then, with all verdicts out, readers get the
// events. While any session has more to do the loop does not sleep.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sidecar/guard/guarded_range.h"
#include "sidecar/journal/journal.h"
#include "sidecar/policy/policy_set.h"
#include "sidecar/server/absent_watch.h"
#include "sidecar/server/closer.h"
#include "sidecar/server/connection.h"
#include "sidecar/server/ctl_client.h"
#include "sidecar/server/event_client.h"
#include "sidecar/server/hello_rates.h"
#include "sidecar/server/listener.h"
#include "sidecar/server/operations.h"
#include "sidecar/server/operator_request.h"
#include "sidecar/server/poll_set.h"
#include "sidecar/server/trouble.h"
#include "sidecar/server/vm_port.h"
#include "sidecar/server/wall.h"
#include "sidecar/session/session_table.h"

namespace memfail::server {

struct ServerOptions {
  bool one_off = false;  // end when the first VM has left
  std::size_t sessions_per_user = 0;  // 0: sessions_for_a_user()
  std::string version;
  std::string policy;  // its name, or its file's
  Wall wall;
  policy::PolicySet policy_set;
};

// Half of those that this process's descriptors are enough for.
std::size_t sessions_for_a_user();

class Server final : public session::Host,
                     public OperatorTarget,
                     public ConnectionOwner,
                     public ClientOwner,
                     public VmPortOwner,
                     public AbsentWatchOwner,
                     private PollTarget {
 public:
  static constexpr std::size_t kMaxHalfOpen = 64;
  static constexpr std::size_t kMaxHalfOpenPerUid = 4;
  static constexpr std::size_t kMaxReaders = 64;
  static constexpr std::size_t kDescriptorsPerSession = 3;  // connection, kick, VMM
  static constexpr std::size_t kMaxOperators = 16;

  // `journal` outlives it.
  Server(ServerOptions options, journal::Journal& journal);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  PollSet& poll_set() { return poll_set_; }
  void set_wall(Wall wall) { options_.wall = std::move(wall); }
  // The thread that closes what may hang; `first` runs in it before all else.
  void start_closer(std::function<void()> first) { closer_.start(std::move(first)); }

  // What the records say of VMs that were there before; while /proc can be read.
  void take_up_records();
  // The journal's news come to the loop from here on. False: errno says why.
  bool watch_journal();

  // Each takes over; false: errno says why.
  bool serve_vms(int listen_fd);
  bool serve_vm(shm::UniqueFd connected);  // --fd
  bool serve_readers(int listen_fd);
  bool serve_operators(int listen_fd);

  // One turn: waits (see PollSet::dispatch) and does what is due. True: more is to
  // be done, so the next turn must not wait.
  bool turn(int timeout_ms);

  // Half-open connections that have waited too long are closed, readers that have asked
  // for nothing get what comes, and connections that said too much are read again.
  // Milliseconds until it is to be called again; none: nothing waits.
  std::optional<std::uint64_t> expire(std::uint64_t now_ms);

  // Events wait for the disk. Then check_disk() is due a second later: a disk that hangs
  // gives no sign of its own.
  bool awaits_disk();
  void check_disk();

  // Whether since the last call expire() has got something to wait for.
  bool has_begun_to_wait() { return std::exchange(waits_, false); }
  bool finished() const { return finished_; }

  // The end, where a thread may keep this process: everybody is to see that it is gone.
  void hang_up_on_all();
  // What is to be closed and is not, after so long.
  std::size_t unclosed_after(std::chrono::milliseconds limit) { return closer_.finish(limit); }

 private:
  using Connections = std::list<std::unique_ptr<Connection>>;

  void accept_vm(shm::UniqueFd fd);
  void accept_reader(shm::UniqueFd fd);
  void accept_operator(shm::UniqueFd fd);
  bool has_room(uid_t uid) const;
  bool has_room_for_reader();
  void serve_hot();
  void serve_one(VmPort& port);
  void tell_readers();
  void bury();
  bool listen(int listen_fd, std::function<void(shm::UniqueFd)> accepted);
  void listener_paused();
  VmPort* port_of(const session::Session& session);

  // OperatorTarget
  std::expected<std::uint64_t, std::string> load_policy(std::string_view name,
                                                        std::span<const std::byte> binary) override;
  std::expected<void, std::string> give_order(const OrderRequest& request) override;

  // session::Host
  decision::Rules rules_for(std::string_view vm_name) override;
  journal::RecordStore& records() override { return journal_.store(); }
  std::uint64_t realtime_us() override;
  void log(std::string_view line) override;
  void event_appended() override { events_waiting_ = true; }
  void ordered_incident_ended(const session::EndedIncident& incident) override {
    operations_.ended(incident);
  }
  void order_answered(session::Session& session, const wire::OperatorAnswer& answer) override {
    operations_.answered(session, answer);
  }
  void discard(shm::UniqueFd fd) override { closer_.close(std::move(fd)); }
  bool discards_clogged() override { return closer_.clogged(); }
  void part_with(shm::UniqueFd socket) override { closer_.close_socket(std::move(socket)); }
  bool notice_hang_up(session::Session& session) override;
  void attached(session::Session& session) override;
  void ready(session::Session& session) override;
  void replacing(session::Session& session) override;
  void detached(session::Session& session) override;
  void gone(session::Session& session) override;
  void watch_absent(const wire::Id128& session, shm::UniqueFd vmm) override;

  // ConnectionOwner, ClientOwner, VmPortOwner
  void handling(Connection& connection) override { current_ = &connection; }
  void connection_over(Connection& connection) override;
  void connection_paused() override { waits_ = true; }
  void client_over() override { clients_over_ = true; }
  std::string answer_operator(CtlClient& client, std::string_view request) override;
  void operator_left(CtlClient& client) override { operations_.left(client); }
  void vm_rang(VmPort& port) override;
  void vm_exited(VmPort& port) override;
  void hear_last_words();
  void absent_exited(AbsentWatch& watch) override;

  // The journal thread has news.
  void on_ready(std::uint32_t events) override;
  void tend_records();
  std::uint64_t hung_for();  // ns
  void log_journal();
  std::string keeper() const;

  ServerOptions options_;
  PollSet poll_set_;
  journal::Journal& journal_;
  guard::GuardedRange front_guard_;
  Operations operations_{journal_.store()};
  Closer closer_;
  session::SessionTable table_;
  std::list<Listener> listeners_;
  Connections connections_;
  HelloRates hello_rates_;
  Connection* current_ = nullptr;  // whose message is being handled
  std::list<EventClient> readers_;
  std::list<CtlClient> operators_;
  CtlClient* asking_ = nullptr;  // whose request is being answered
  std::unordered_map<const session::Session*, std::unique_ptr<VmPort>> ports_;
  std::vector<VmPort*> hot_;
  std::vector<std::unique_ptr<VmPort>> dead_ports_;  // until the turn's end
  std::list<AbsentWatch> absent_;
  bool had_vm_ = false;
  bool waits_ = false;
  bool connections_over_ = false;
  bool clients_over_ = false;
  bool events_waiting_ = false;
  Trouble trouble_ = Trouble::kNone;  // as the log was told last
  std::uint64_t told_before_ = 1;  // readers were told of what comes before this seq
  bool finished_ = false;
};

}  // namespace memfail::server

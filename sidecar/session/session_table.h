// SPDX-License-Identifier: BSD-3-Clause
//
// All sessions of this process, by the id their VMM chose. Bounded: each user may have so
// many; detached ones stay for their VMM to come back, the oldest gives way.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <utility>

#include "sidecar/session/session.h"

namespace memfail::session {

class SessionTable {
 public:
  static constexpr std::size_t kMaxDetached = 4096;

  // `most_of_a_user`: sessions of one uid, detached ones among them.
  explicit SessionTable(Host& host,
                        std::size_t most_of_a_user = std::numeric_limits<std::size_t>::max())
      : host_(host), most_of_a_user_(most_of_a_user) {}

  struct Attached {
    Session* session = nullptr;
    shm::UniqueFd reply;
    bool resumed = false;
  };

  // Everything that a hello may be refused for is refused here. `descriptors` that
  // fail their check are discarded through the host.
  std::expected<Attached, Refusal> hello(const wire::Hello& hello, const Identity& identity,
                                         AttachedDescriptors descriptors);

  void hang_up(Session& session);  // its connection ended; it may come back
  void exited(Session& session);   // its VMM ended; destroys it
  // The VM goes away by itself; destroys the session.
  void goodbye(Session& session, std::string_view why);
  // A breach. Its VMM may come back, to a fresh session; if it ends before, what it had
  // committed is told.
  void end(Session& session, std::string_view why);

  // In order of id. Not those that ended by a breach: they are kept for their areas alone.
  template <typename Visitor>
  void visit(Visitor&& visitor) const {
    for (const auto& [id, session] : sessions_) {
      if (!session->given_up()) visitor(*session);
    }
  }
  std::size_t size() const;

  // The policy was replaced: each VM's next decision is by the new one.
  void renew_rules();

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;

  static Key key_of(const wire::Id128& id) { return {id.high(), id.low()}; }
  std::expected<Session*, Refusal> find_or_make(const wire::Hello& hello, const Identity& identity);
  std::optional<Refusal> may_resume(Session& session, const wire::Hello& hello,
                                    const Identity& identity);
  std::expected<SessionConfig, Refusal> config_of(const wire::Hello& hello,
                                                  const Identity& identity);
  void keep_detached(Session& session);
  std::optional<Refusal> make_room(uid_t uid);
  Session* oldest_detached(uid_t uid);
  void erase(const Session& session);
  void destroy(Session& session);
  void leave(Session& session);
  void forget_oldest();

  Host& host_;
  std::size_t most_of_a_user_;
  std::map<uid_t, std::size_t> held_;  // sessions of each user
  std::map<Key, std::unique_ptr<Session>> sessions_;
  std::list<Key> detached_;  // oldest first
};

}  // namespace memfail::session

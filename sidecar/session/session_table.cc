// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/session_table.h"

#include <algorithm>

#include "shm/reply_wait.h"
#include "sidecar/journal/random_id.h"
#include "sidecar/session/hello_check.h"

namespace memfail::session {
namespace {

using wire::ErrorCode;

// Every bit is compared whatever the first ones say: time tells nothing.
bool same_id(const wire::Id128& a, const wire::Id128& b) {
  return ((a.low() ^ b.low()) | (a.high() ^ b.high())) == 0;
}

void discard_all(Host& host, AttachedDescriptors& descriptors) {
  host.discard(std::move(descriptors.request));
  host.discard(std::move(descriptors.kick));
  host.discard(std::move(descriptors.vmm));
}

bool same_guest(const decision::GuestProfile& a, const decision::GuestProfile& b) {
  return a.vcpus == b.vcpus && a.vendor == b.vendor;
}

Identity owner_of(const journal::OwnedSession& record) {
  return {.uid = record.uid, .gid = record.gid, .label = record.label, .pid = 0};
}

// Nobody but its owner, with the key that its welcome brought, comes back to a session.
std::optional<Refusal> refuse_stranger(const wire::Hello& hello, const Identity& identity,
                                       const Identity& owner, const wire::Id128& resume_key) {
  if (hello.resume_key() == nullptr || !same_id(*hello.resume_key(), resume_key)) {
    return refuse(ErrorCode::resume_key, "hello.resume_key",
                  hello.resume_key() == nullptr
                      ? "a session with this id exists, and the hello has no resume key"
                      : "a session with this id exists, and the resume key is another");
  }
  if (identity.uid != owner.uid) {
    return refuse_limit(ErrorCode::identity, "uid", identity.uid, owner.uid);
  }
  if (identity != owner) {
    return refuse(ErrorCode::identity, "peer",
                  "the session is another group's or security label's: gid " +
                      std::to_string(owner.gid) + ", label '" + owner.label + "'");
  }
  return std::nullopt;
}

}  // namespace

std::expected<SessionTable::Attached, Refusal> SessionTable::hello(
    const wire::Hello& hello, const Identity& identity, AttachedDescriptors descriptors) {
  auto refusal = check_hello(hello);
  if (!refusal) refusal = check_descriptors(descriptors, hello.vcpus());
  if (refusal) {
    discard_all(host_, descriptors);
    return std::unexpected(*refusal);
  }
  auto session = find_or_make(hello, identity);
  if (!session) return std::unexpected(session.error());
  const bool resumed = (*session)->vmm_fd() >= 0;
  auto reply = (*session)->attach(std::move(descriptors));
  if (!reply) {
    leave(**session);
    return std::unexpected(reply.error());
  }
  detached_.remove(key_of(*hello.session()));
  host_.attached(**session);
  return Attached{*session, std::move(*reply), resumed};
}

std::expected<Session*, Refusal> SessionTable::find_or_make(const wire::Hello& hello,
                                                            const Identity& identity) {
  const auto found = sessions_.find(key_of(*hello.session()));
  if (found != sessions_.end()) {
    if (auto refusal = may_resume(*found->second, hello, identity)) {
      return std::unexpected(*refusal);
    }
    if (!found->second->given_up()) return found->second.get();
    destroy(*found->second);
  }
  auto config = config_of(hello, identity);
  if (!config) return std::unexpected(config.error());
  if (auto refusal = make_room(identity.uid)) return std::unexpected(*refusal);
  auto made = std::make_unique<Session>(host_, std::move(*config));
  Session* const session = made.get();
  sessions_.emplace(key_of(*hello.session()), std::move(made));
  ++held_[identity.uid];
  return session;
}

// One user does not get all descriptors there are. Whoever has hung up gives way first, of
// the same user.
std::optional<Refusal> SessionTable::make_room(uid_t uid) {
  const auto held = held_.find(uid);
  if (held == held_.end() || held->second < most_of_a_user_) return std::nullopt;
  Session* const oldest = oldest_detached(uid);
  if (oldest == nullptr) {
    return refuse_limit(ErrorCode::limit, "sessions of uid " + std::to_string(uid),
                        held->second + 1, most_of_a_user_);
  }
  host_.log("VM '" + oldest->label().name + "' forgotten: uid " + std::to_string(uid) + " has " +
            std::to_string(held->second) + " sessions, the limit");
  leave(*oldest);
  return std::nullopt;
}

Session* SessionTable::oldest_detached(uid_t uid) {
  for (const Key& key : detached_) {
    Session& session = *sessions_.find(key)->second;
    if (session.config().identity.uid == uid) return &session;
  }
  return nullptr;
}

// Of a VM that attaches for the first time, or comes back to a sidecar that knows it from
// its records alone. A resume key that nobody has on record is not an error: the request
// area says what the sidecar that gave it had retired. It stays that VM's key: those
// records may be put back one day, and then whoever has another would be a stranger.
std::expected<SessionConfig, Refusal> SessionTable::config_of(const wire::Hello& hello,
                                                              const Identity& identity) {
  SessionConfig config;
  config.label = {*hello.session(), hello.vm_uuid()->str(), hello.vm_name()->str()};
  config.identity = identity;
  // Its own word counts only where the kernel has none: it may live in a namespace.
  const std::uint32_t pid = identity.pid != 0 ? identity.pid : hello.vmm_pid();
  config.process = {pid, hello.vmm_start_time()};
  config.guest = profile_of(hello);
  config.rules = host_.rules_for(config.label.name);
  config.resume_key = hello.resume_key() != nullptr ? *hello.resume_key() : journal::random_id();
  config.started_ns = shm::monotonic_ns();
  const auto& recorded = host_.records().state().sessions();
  const auto known = recorded.find(*hello.session());
  if (known == recorded.end() || !known->second.record) return config;
  const journal::OwnedSession& record = *known->second.record;
  if (auto refusal = refuse_stranger(hello, identity, owner_of(record), record.resume_key)) {
    return std::unexpected(*refusal);
  }
  config.resume_key = record.resume_key;
  return config;
}

std::optional<Refusal> SessionTable::may_resume(Session& session, const wire::Hello& hello,
                                                const Identity& identity) {
  const bool attached =
      session.state() == SessionState::kAttached && !host_.notice_hang_up(session);
  if (attached) {
    return refuse(ErrorCode::session_taken, "hello.session",
                  "a session with this id is attached already (VM '" + session.label().name + "')");
  }
  if (auto refusal = refuse_stranger(hello, identity, session.config().identity,
                                     session.config().resume_key)) {
    return refusal;
  }
  if (session.given_up()) return std::nullopt;
  if (!same_guest(session.config().guest, profile_of(hello))) {
    return refuse_limit(ErrorCode::vcpus, "hello.vcpus of a resumed session", hello.vcpus(),
                        session.config().guest.vcpus);
  }
  return std::nullopt;
}

void SessionTable::renew_rules() {
  for (const auto& [key, session] : sessions_) {
    session->set_rules(host_.rules_for(session->label().name));
  }
}

void SessionTable::hang_up(Session& session) {
  host_.detached(session);
  session.detach();
  host_.log("VM '" + session.label().name + "' detached; " +
            std::to_string(session.intake().open()) + " incident(s) open");
  keep_detached(session);
}

void SessionTable::keep_detached(Session& session) {
  detached_.push_back(key_of(session.label().session));
  if (detached_.size() > kMaxDetached) forget_oldest();
}

void SessionTable::forget_oldest() {
  const auto found = sessions_.find(detached_.front());
  host_.log("VM '" + found->second->label().name + "' forgotten: more than " +
            std::to_string(kMaxDetached) + " sessions are detached");
  leave(*found->second);
}

void SessionTable::exited(Session& session) {
  const std::uint32_t open = session.intake().open();
  session.exit();
  host_.log("VM '" + session.label().name + "' exited" +
            (open == 0 ? "" : "; " + std::to_string(open) + " incident(s) were open"));
  host_.records().end_session(session.label().session);
  destroy(session);
}

void SessionTable::goodbye(Session& session, std::string_view why) {
  session.exit();
  host_.log("VM '" + session.label().name + "' left: " + std::string(why));
  host_.records().end_session(session.label().session);
  destroy(session);
}

void SessionTable::end(Session& session, std::string_view why) {
  host_.log("VM '" + session.label().name + "' ended: " + std::string(why));
  session.give_up();
  host_.detached(session);
  session.detach();
  keep_detached(session);
}

std::size_t SessionTable::size() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      sessions_, [](const auto& entry) { return !entry.second->given_up(); }));
}

// Its VMM lives on, with incidents on record: somebody must know when it ends.
void SessionTable::leave(Session& session) {
  const wire::Id128 id = session.label().session;
  const bool recorded = host_.records().state().sessions().contains(id);
  host_.gone(session);
  shm::UniqueFd vmm = session.release_vmm();
  erase(session);
  if (recorded && vmm.valid()) host_.watch_absent(id, std::move(vmm));
}

void SessionTable::destroy(Session& session) {
  host_.gone(session);
  erase(session);
}

void SessionTable::erase(const Session& session) {
  const Key key = key_of(session.label().session);
  const auto held = held_.find(session.config().identity.uid);
  if (--held->second == 0) held_.erase(held);
  detached_.remove(key);
  sessions_.erase(key);
}

}  // namespace memfail::session

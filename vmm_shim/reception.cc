// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reception.h"

#include "shm/reply_wait.h"
#include "shm/step.h"
#include "sidecar/decision/fallback_rules.h"
#include "vmm_shim/message.h"
#include "vmm_shim/operator_request.h"
#include "vmm_shim/sending.h"
#include "vmm_shim/session.h"

namespace memfail::shim {
namespace {

using Step = Session::Step;

bool take_rules(memfail_shim& shim, const wire::FallbackRules& given) {
  const auto rules = decision::from_wire(given);
  if (!rules) {
    remember(shim.session, "the sidecar's rules are out of range");
    return false;
  }
  const shm::Locked lock(shim.rules_mutex);
  shim.rules = *rules;
  const bool qemu = rules->policy == decision::Policy::kQemu;
  shim.outside_rule.store(qemu ? wire::Verdict::abort : rules->outside);
  return true;
}

// By the new ones the guest may be told what it was not told by the old.
bool on_rules(memfail_shim& shim, const wire::Rules& message) {
  constexpr auto kLive = static_cast<std::uint64_t>(wire::Feature::live_rules);
  if (shim.session.step == Step::kHelloSent || (shim.session.features & kLive) == 0) {
    remember(shim.session, "rules out of state: not agreed on");
    return false;
  }
  shim.tell_wanted.store(1, std::memory_order_release);
  return take_rules(shim, *message.rules());
}

bool on_welcome(memfail_shim& shim, const wire::Welcome& welcome, const shm::Received& received) {
  Session& session = shim.session;
  if (session.step != Step::kHelloSent || received.fd_count != 1) {
    remember(session, "welcome out of state, or with %zu descriptors (1 expected)",
             received.fd_count);
    return false;
  }
  if (welcome.version() != kProtocolVersion || (welcome.features() & ~features(shim)) != 0) {
    remember(session,
             "the sidecar's protocol version is %u and its features 0x%llx; ours are %u and 0x%llx",
             welcome.version(), static_cast<unsigned long long>(welcome.features()),
             kProtocolVersion, static_cast<unsigned long long>(features(shim)));
    return false;
  }
  const auto placed = shm::replace_peer_area(received.fds[0].get(), shm::AreaKind::kReply,
                                             shim.geometry, session.id, shim.reply_mapping);
  if (!placed) {
    const shm::Error& error = placed.error();
    remember(session, "%s %s (value %llu, expected %llu)", error.field, error.what,
             static_cast<unsigned long long>(error.value),
             static_cast<unsigned long long>(error.limit));
    return false;
  }
  MEMFAIL_STEP(reply_area_mapped);
  if (!take_rules(shim, *welcome.rules())) return false;
  session.area_serial.fetch_add(1, std::memory_order_acq_rel);
  session.resume_low = welcome.resume_key()->low();
  session.resume_high = welcome.resume_key()->high();
  session.have_resume_key = true;
  session.features = welcome.features();
  session.sent.count = 0;
  session.epoch_sent = 0;
  session.pages_cursor = 0;
  shim.poison.repairs_unheard(0);
  for (std::uint32_t i = 0; i < shim.geometry.vcpus(); ++i) shim.lanes[i].said_offline = 0;
  begin_transaction(shim);
  return true;
}

bool on_ack(memfail_shim& shim, const wire::Ack& ack) {
  Session& session = shim.session;
  if (session.step == Step::kHelloSent) {
    remember(session, "acknowledgement of %llu out of state: no welcome yet",
             static_cast<unsigned long long>(ack.of()));
    return false;
  }
  shim.poison.repairs_heard(ack.of());
  if (session.step != Step::kCommitSent || ack.of() != session.commit_message) return true;
  session.step = Step::kReady;
  session.answer_due_ns = 0;
  if (session.state.exchange(MEMFAIL_ATTACHED, std::memory_order_acq_rel) != MEMFAIL_ATTACHED) {
    shim.attaches.fetch_add(1, std::memory_order_relaxed);
    session.ready_since_ns = shm::monotonic_ns();
    session.last_error[0] = '\0';
  }
  return true;
}

}  // namespace

bool take_message(memfail_shim& shim, const shm::Received& received) {
  Session& session = shim.session;
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(session.buffer),
                                 received.size);
  if (received.truncated || !wire::VerifyMessageBuffer(verifier)) {
    remember(session, "the sidecar sent a malformed message of %zu bytes", received.size);
    return false;
  }
  const wire::Message* message = wire::GetMessage(session.buffer);
  switch (message->body_type()) {
    case wire::Body::Welcome:
      return on_welcome(shim, *message->body_as_Welcome(), received);
    case wire::Body::Ack:
      return on_ack(shim, *message->body_as_Ack());
    case wire::Body::Rules:
      return on_rules(shim, *message->body_as_Rules());
    case wire::Body::Drill:
      return ask_for_drill(shim, message->id(), *message->body_as_Drill());
    case wire::Body::Inject:
      return ask_for_injection(shim, message->id(), *message->body_as_Inject());
    case wire::Body::Error: {
      const auto* text = message->body_as_Error()->text();
      remember(session, "refused: %s", text != nullptr ? text->c_str() : "(no reason given)");
      return false;
    }
    default:
      remember(session, "the sidecar sent message type %u, which is ours to send",
               static_cast<unsigned>(message->body_type()));
      return false;
  }
}

}  // namespace memfail::shim

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/replay.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace memfail::journal {
namespace {

std::unexpected<std::string> refused(std::string text) { return std::unexpected(std::move(text)); }

std::uint32_t capped(std::uint64_t count) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(count, std::numeric_limits<std::uint32_t>::max()));
}

// What a front that is alone begins with.
std::expected<LiveState, std::string> first_state(const Front& front) {
  const FrontItem first = front.read(front.tail());
  if (first.state != FrontRead::kRecord) {
    if (front.head() == 0) return LiveState();
    return refused("is what was in use with a journal: start with --journal, or remove it");
  }
  if (first.record.type == RecordType::kCheckpoint) {
    if (auto state = LiveState::from_checkpoint(first.record.payload)) return std::move(*state);
    return refused("its checkpoint is not readable: remove it, and lose what it holds");
  }
  if (first.record.number == 1) return LiveState();
  return refused("begins with record " + std::to_string(first.record.number) +
                 " of a journal: start with --journal, or remove it and lose what it holds");
}

bool is_over(const LiveState::Session& session, const wire::Id128& boot,
             const VmmIsAlive& vmm_is_alive) {
  if (!session.record || session.record->state == wire::SessionState::ended) return true;
  return !same_id(session.record->boot, boot) ||
         !vmm_is_alive(session.record->vmm_pid, session.record->vmm_start_time);
}

EventFields labelled(const OverSession& over, std::uint64_t now_us) {
  EventFields fields;
  fields.session = over.session;
  fields.vm_uuid = over.record.vm_uuid;
  fields.vm_name = over.record.vm_name;
  fields.realtime_us = now_us;
  return fields;
}

}  // namespace

std::expected<Replayed, std::string> replay_front(const Front& front,
                                                  std::optional<LiveState> files) {
  Replayed out;
  if (files) {
    out.state = std::move(*files);
  } else {
    auto first = first_state(front);
    if (!first) return std::unexpected(first.error());
    out.state = std::move(*first);
    out.state.limit_checkpoint(CheckpointRoom::of_front(front.capacity()));
  }
  for (FrontItem item = front.read(front.tail()); item.state == FrontRead::kRecord;
       item = front.read(item.next)) {
    Applied applied = out.state.apply(item.record);
    if (applied == Applied::kGap) {
      out.missing += item.record.number - out.state.next_number();
      out.state.skip_to(item.record.number);
      applied = out.state.apply(item.record);
    }
    if (applied == Applied::kInvalid) {
      return refused("its record " + std::to_string(item.record.number) +
                     " is whole, yet not one that this version writes: run the version that "
                     "wrote it, or remove it and lose what it holds");
    }
    out.replayed += applied == Applied::kNew ? 1 : 0;
  }
  return out;
}

std::optional<OverSession> over_session(const LiveState& state, const wire::Id128& session,
                                        wire::Reason reason) {
  const auto found = state.sessions().find(session);
  if (found == state.sessions().end()) return std::nullopt;
  OverSession over;
  over.session = session;
  if (found->second.record) over.record = *found->second.record;
  over.record.session = session;
  over.reason = reason;
  over.open = state.open_of(session);
  over.folded = found->second.folded;
  return over;
}

std::vector<OverSession> over_sessions(const LiveState& state, const wire::Id128& boot,
                                       const VmmIsAlive& vmm_is_alive) {
  std::vector<OverSession> out;
  for (const auto& [id, session] : state.sessions()) {
    if (!is_over(session, boot, vmm_is_alive)) continue;
    const bool other_boot = session.record && !same_id(session.record->boot, boot);
    const auto reason = other_boot ? wire::Reason::host_restarted : wire::Reason::vmm_exited;
    out.push_back(*over_session(state, id, reason));
  }
  return out;
}

EventFields recorded_event(const OverSession& over, const wire::VerdictRecord& verdict,
                           std::uint64_t now_us) {
  EventFields fields = labelled(over, now_us);
  const wire::ReportLine& report = verdict.report();
  fields.lane = verdict.lane();
  fields.sequence = verdict.sequence();
  fields.kind = report.kind();
  fields.thread = report.thread();
  fields.si_code = report.code();
  fields.lsb = report.lsb();
  fields.drill = report.drill() != 0;
  fields.vcpu = verdict.vcpu();
  fields.reason_vcpu = verdict.vcpu();
  fields.hva = verdict.hva();
  fields.gpa = verdict.gpa();
  fields.size = verdict.size();
  fields.verdict = verdict.reply().verdict();
  fields.decided_by = wire::DecidedBy::sidecar;
  fields.delivered = wire::Delivered::unknown;
  fields.reason = over.reason;
  fields.since_us = verdict.realtime_us();
  return fields;
}

EventFields folded_event(const OverSession& over, std::uint64_t now_us) {
  EventFields fields = labelled(over, now_us);
  fields.reason = wire::Reason::repeats;
  fields.count = capped(over.folded);
  fields.folded = fields.count;
  return fields;
}

EventFields missing_event(std::uint64_t missing, std::uint64_t now_us) {
  EventFields fields;
  fields.realtime_us = now_us;
  fields.reason = wire::Reason::records_lost;
  fields.count = capped(missing);
  return fields;
}

}  // namespace memfail::journal

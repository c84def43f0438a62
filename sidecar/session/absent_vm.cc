// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/absent_vm.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "shm/start_time.h"
#include "sidecar/decision/event_shape.h"
#include "sidecar/decision/severity.h"
#include "sidecar/journal/replay.h"
#include "sidecar/session/incident_log.h"

namespace memfail::session {
namespace {

using journal::EventFields;
using journal::OverSession;

void publish(Host& host, const EventFields& fields) {
  host.records().append_event(fields);
  host.event_appended();
  host.log(incident_line(fields));
}

// QEMU's four members, as the verdict and the report have them.
void add_shape(EventFields& fields, decision::Severity severity, bool mcip) {
  const decision::EventShape shape =
      decision::event_shape(fields.verdict, fields.reason, fields.delivered, severity, mcip);
  fields.recipient = shape.recipient;
  fields.action = shape.action;
  fields.action_required = shape.action_required;
  fields.recursive = shape.recursive;
}

void publish_over(Host& host, const OverSession& over) {
  const std::uint64_t now_us = host.realtime_us();
  for (const wire::VerdictRecord& verdict : over.open) {
    EventFields fields = journal::recorded_event(over, verdict, now_us);
    add_shape(fields, decision::severity_of(verdict.report().kind(), verdict.report().code()),
              verdict.mcip() != 0);
    publish(host, fields);
  }
  if (over.folded != 0) {
    EventFields fields = journal::folded_event(over, now_us);
    add_shape(fields, decision::Severity::kNone, false);
    publish(host, fields);
  }
  host.records().end_session(over.session);
}

// A descriptor of exactly that process, or none: pids are used again.
shm::UniqueFd open_vmm(std::int32_t pid, std::uint64_t start_time) {
  if (pid <= 0) return {};
  shm::UniqueFd vmm(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  // Looked at after the descriptor was made: from then on the pid is not another's.
  const bool same =
      start_time == 0 || shm::start_time_of(static_cast<std::uint32_t>(pid)) == start_time;
  return vmm.valid() && same ? std::move(vmm) : shm::UniqueFd();
}

}  // namespace

void take_up_records(Host& host) {
  const journal::RecordStore& records = host.records();
  const auto is_alive = [](std::int32_t pid, std::uint64_t start_time) {
    return open_vmm(pid, start_time).valid();
  };
  for (const OverSession& over :
       journal::over_sessions(records.state(), records.boot(), is_alive)) {
    publish_over(host, over);
  }
  for (const auto& [id, session] : records.state().sessions()) {
    if (!session.record) continue;
    shm::UniqueFd vmm = open_vmm(session.record->vmm_pid, session.record->vmm_start_time);
    host.log("VM '" + session.record->vm_name + "' is on record and runs: waiting for it");
    // Gone in this very moment: the watch says so at once, or the next start does.
    if (vmm.valid()) host.watch_absent(id, std::move(vmm));
  }
}

void absent_vm_exited(Host& host, const wire::Id128& session) {
  const auto over =
      journal::over_session(host.records().state(), session, wire::Reason::vmm_exited);
  if (!over) return;
  host.log("VM '" + over->record.vm_name + "' exited while it was away; " +
           std::to_string(over->open.size()) + " incident(s) were open");
  publish_over(host, *over);
}

}  // namespace memfail::session

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/event_fields.h"

namespace memfail::journal {
namespace {

struct Strings {
  flatbuffers::Offset<flatbuffers::String> uuid, name, region;
};

void add_what_happened(wire::EventRecordBuilder& record, const EventFields& fields) {
  record.add_recipient(fields.recipient);
  record.add_action(fields.action);
  record.add_action_required(fields.action_required);
  record.add_recursive(fields.recursive);
  record.add_kind(fields.kind);
  record.add_thread(fields.thread);
  record.add_si_code(fields.si_code);
  record.add_lsb(fields.lsb);
  record.add_drill(fields.drill);
  record.add_vcpu(fields.vcpu);
  record.add_reason_vcpu(fields.reason_vcpu);
  record.add_hva(fields.hva);
  record.add_gpa(fields.gpa);
  record.add_size(fields.size);
}

void add_what_was_done(wire::EventRecordBuilder& record, const EventFields& fields) {
  record.add_verdict(fields.verdict);
  record.add_decided_by(fields.decided_by);
  record.add_delivered(fields.delivered);
  record.add_reason(fields.reason);
  record.add_late(fields.late);
  record.add_bank(fields.bank);
  record.add_status(fields.status);
  record.add_mcg_status(fields.mcg_status);
  record.add_siblings_told(fields.siblings_told);
  record.add_siblings_skipped(fields.siblings_skipped);
  record.add_latency_ns(fields.latency_ns);
  record.add_count(fields.count);
  record.add_folded(fields.folded);
  record.add_since_us(fields.since_us);
  record.add_repair(fields.repair);
  record.add_policy_digest(fields.policy_digest);
}

}  // namespace

void encode(flatbuffers::FlatBufferBuilder& builder, const EventFields& fields, std::uint64_t seq) {
  const auto text = [&](std::string_view value) {
    return builder.CreateString(value.data(), value.size());
  };
  const Strings strings{text(fields.vm_uuid), text(fields.vm_name), text(fields.region)};
  wire::EventRecordBuilder record(builder);
  record.add_seq(seq);
  record.add_session(&fields.session);
  record.add_lane(fields.lane);
  record.add_sequence(fields.sequence);
  record.add_realtime_us(fields.realtime_us);
  record.add_vm_uuid(strings.uuid);
  record.add_vm_name(strings.name);
  record.add_region(strings.region);
  add_what_happened(record, fields);
  add_what_was_done(record, fields);
  wire::FinishEventRecordBuffer(builder, record.Finish());
}

}  // namespace memfail::journal

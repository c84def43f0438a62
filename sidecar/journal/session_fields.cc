// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/session_fields.h"

namespace memfail::journal {
namespace {

std::string text(const flatbuffers::String* string) {
  return string == nullptr ? std::string() : string->str();
}

wire::Id128 id(const wire::Id128* value) { return value == nullptr ? wire::Id128() : *value; }

}  // namespace

flatbuffers::Offset<wire::SessionRecord> build(flatbuffers::FlatBufferBuilder& builder,
                                               const SessionFields& fields) {
  const auto string = [&](std::string_view value) {
    return builder.CreateString(value.data(), value.size());
  };
  const auto label = string(fields.label);
  const auto vm_uuid = string(fields.vm_uuid);
  const auto vm_name = string(fields.vm_name);
  wire::SessionRecordBuilder record(builder);
  record.add_session(&fields.session);
  record.add_state(fields.state);
  record.add_uid(fields.uid);
  record.add_gid(fields.gid);
  record.add_label(label);
  record.add_resume_key(&fields.resume_key);
  record.add_vm_uuid(vm_uuid);
  record.add_vm_name(vm_name);
  record.add_vcpus(fields.vcpus);
  record.add_boot(&fields.boot);
  record.add_vmm_pid(fields.vmm_pid);
  record.add_vmm_start_time(fields.vmm_start_time);
  return record.Finish();
}

void encode(flatbuffers::FlatBufferBuilder& builder, const SessionFields& fields) {
  builder.Finish(build(builder, fields));
}

SessionFields view_of(const OwnedSession& session) {
  return {session.session, session.state,      session.uid,     session.gid,
          session.label,   session.resume_key, session.vm_uuid, session.vm_name,
          session.vcpus,   session.boot,       session.vmm_pid, session.vmm_start_time};
}

OwnedSession owned(const SessionFields& fields) {
  return {fields.session,
          fields.state,
          fields.uid,
          fields.gid,
          std::string(fields.label),
          fields.resume_key,
          std::string(fields.vm_uuid),
          std::string(fields.vm_name),
          fields.vcpus,
          fields.boot,
          fields.vmm_pid,
          fields.vmm_start_time};
}

OwnedSession own(const wire::SessionRecord& record) {
  return {id(record.session()),   record.state(),         record.uid(),
          record.gid(),           text(record.label()),   id(record.resume_key()),
          text(record.vm_uuid()), text(record.vm_name()), record.vcpus(),
          id(record.boot()),      record.vmm_pid(),       record.vmm_start_time()};
}

}  // namespace memfail::journal

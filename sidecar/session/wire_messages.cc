// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/wire_messages.h"

#include "sidecar/decision/fallback_rules.h"

#include "shm/geometry.h"
#include "sidecar/decision/region_map.h"

namespace memfail::session {
namespace {

void finish(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id, wire::Body type,
            flatbuffers::Offset<void> body) {
  wire::FinishMessageBuffer(builder, wire::CreateMessage(builder, id, type, body));
}

}  // namespace

void encode_welcome(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id,
                    const WelcomeFields& fields) {
  builder.Clear();
  wire::WelcomeBuilder welcome(builder);
  welcome.add_version(kProtocolVersion);
  welcome.add_features(fields.features);
  welcome.add_resume_key(&fields.resume_key);
  welcome.add_max_regions(static_cast<std::uint32_t>(decision::kMaxRegions));
  welcome.add_max_vcpus(shm::kMaxVcpus);
  const wire::FallbackRules rules = decision::to_wire(fields.rules);
  welcome.add_rules(&rules);
  welcome.add_resumed(fields.resumed);
  finish(builder, id, wire::Body::Welcome, welcome.Finish().Union());
}

void encode_rules(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id,
                  const decision::Rules& given) {
  builder.Clear();
  const wire::FallbackRules rules = decision::to_wire(given);
  finish(builder, id, wire::Body::Rules, wire::CreateRules(builder, &rules).Union());
}

void encode_ack(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id, std::uint64_t of) {
  builder.Clear();
  finish(builder, id, wire::Body::Ack, wire::CreateAck(builder, of).Union());
}

void encode_order(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id, const Order& order) {
  builder.Clear();
  if (const auto* drill = std::get_if<DrillOrder>(&order)) {
    const auto body = wire::CreateDrill(builder, drill->gpa, drill->kind, drill->vcpu);
    return finish(builder, id, wire::Body::Drill, body.Union());
  }
  const auto& injection = std::get<InjectionOrder>(order);
  const decision::MachineCheck& record = injection.record;
  const auto body =
      wire::CreateInject(builder, injection.vcpu, record.bank, record.status, record.mcg_status,
                         record.address, record.misc, injection.broadcast);
  finish(builder, id, wire::Body::Inject, body.Union());
}

void encode_error(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id,
                  const Refusal& refusal) {
  builder.Clear();
  const auto field = builder.CreateString(refusal.field);
  const auto text = builder.CreateString(refusal.text);
  const auto error =
      wire::CreateError(builder, refusal.code, field, refusal.value, refusal.limit, text);
  finish(builder, id, wire::Body::Error, error.Union());
}

}  // namespace memfail::session

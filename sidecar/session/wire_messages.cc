// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/wire_messages.h"

#include "shm/geometry.h"
#include "sidecar/decision/region_map.h"

namespace memfail::session {
namespace {

void finish(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id, wire::Body type,
            flatbuffers::Offset<void> body) {
  wire::FinishMessageBuffer(builder, wire::CreateMessage(builder, id, type, body));
}

// FNV-1a: tells two policies apart, protects nothing.
std::uint64_t digest(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

}  // namespace

void encode_welcome(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id,
                    const WelcomeFields& fields) {
  builder.Clear();
  const auto policy = builder.CreateString(fields.policy.data(), fields.policy.size());
  wire::WelcomeBuilder welcome(builder);
  welcome.add_version(kProtocolVersion);
  welcome.add_features(fields.features);
  welcome.add_resume_key(&fields.resume_key);
  welcome.add_max_regions(static_cast<std::uint32_t>(decision::kMaxRegions));
  welcome.add_max_vcpus(shm::kMaxVcpus);
  welcome.add_policy(policy);
  welcome.add_policy_digest(digest(fields.policy));
  welcome.add_resumed(fields.resumed);
  finish(builder, id, wire::Body::Welcome, welcome.Finish().Union());
}

void encode_ack(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id, std::uint64_t of) {
  builder.Clear();
  finish(builder, id, wire::Body::Ack, wire::CreateAck(builder, of).Union());
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

// SPDX-License-Identifier: BSD-3-Clause
//
// The messages that the sidecar sends. `builder` is cleared first and holds the
// finished message afterwards. `id` counts up from 1 on each side.
#pragma once

#include "flatbuffers/flatbuffers.h"
#include "schema/control_generated.h"
#include "sidecar/decision/rules.h"
#include "sidecar/session/order.h"
#include "sidecar/session/refusal.h"

namespace memfail::session {

inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr auto kFeatures = static_cast<std::uint64_t>(wire::Feature::ANY);

struct WelcomeFields {
  std::uint64_t features = 0;
  wire::Id128 resume_key;
  decision::Rules rules;
  bool resumed = false;
};

void encode_welcome(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id,
                    const WelcomeFields& fields);
void encode_rules(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id,
                  const decision::Rules& given);
void encode_ack(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id, std::uint64_t of);
void encode_order(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id, const Order& order);
void encode_error(flatbuffers::FlatBufferBuilder& builder, std::uint64_t id,
                  const Refusal& refusal);

}  // namespace memfail::session

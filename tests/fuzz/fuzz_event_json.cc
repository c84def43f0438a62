// SPDX-License-Identifier: BSD-3-Clause
//
// Whatever an event says, and whatever a VMM called its VM: one line, which is JSON and has
// what readers of QEMU's events look for.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "sidecar/events/event_json.h"
#include "sidecar/journal/event_fields.h"

namespace {

using namespace memfail;

template <typename Enum>
Enum any(FuzzedDataProvider& data) {
  return static_cast<Enum>(data.ConsumeIntegral<std::uint8_t>());
}

void must_be_event(const std::string& line) {
  if (line.empty() || line.find('\n') != line.size() - 1) std::abort();
  const auto json = nlohmann::json::parse(line);
  const auto& details = json.at("data");
  if (json.at("event") != "MEMORY_FAILURE") std::abort();
  (void)json.at("timestamp").at("seconds").get<std::int64_t>();
  (void)details.at("recipient").get<std::string>();
  (void)details.at("action").get<std::string>();
  (void)details.at("flags").at("action-required").get<bool>();
  (void)details.at("flags").at("recursive").get<bool>();
  (void)details.at("memfail").at("seq").get<std::uint64_t>();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  const std::string uuid = data.ConsumeRandomLengthString(64);
  const std::string name = data.ConsumeRandomLengthString(128);
  const std::string region = data.ConsumeRandomLengthString(64);
  journal::EventFields fields;
  fields.vm_uuid = uuid;
  fields.vm_name = name;
  fields.region = region;
  fields.recipient = any<wire::Recipient>(data);
  fields.action = any<wire::Action>(data);
  fields.action_required = data.ConsumeBool();
  fields.recursive = data.ConsumeBool();
  fields.kind = any<wire::ReportKind>(data);
  fields.thread = any<wire::ThreadKind>(data);
  fields.verdict = any<wire::Verdict>(data);
  fields.decided_by = any<wire::DecidedBy>(data);
  fields.delivered = any<wire::Delivered>(data);
  fields.reason = any<wire::Reason>(data);
  fields.repair = any<wire::Repair>(data);
  fields.realtime_us = data.ConsumeIntegral<std::uint64_t>();
  fields.vcpu = data.ConsumeIntegral<std::int32_t>();
  fields.reason_vcpu = data.ConsumeIntegral<std::int32_t>();
  fields.hva = data.ConsumeIntegral<std::uint64_t>();
  fields.gpa = data.ConsumeIntegral<std::uint64_t>();
  fields.size = data.ConsumeIntegral<std::uint64_t>();
  fields.bank = data.ConsumeIntegral<std::int32_t>();
  fields.lane = data.ConsumeIntegral<std::uint32_t>();
  fields.sequence = data.ConsumeIntegral<std::uint64_t>();
  fields.count = data.ConsumeIntegral<std::uint32_t>();
  fields.since_us = data.ConsumeIntegral<std::uint64_t>();
  fields.latency_ns = data.ConsumeIntegral<std::uint64_t>();
  fields.policy_digest = data.ConsumeIntegral<std::uint64_t>();
  flatbuffers::FlatBufferBuilder builder;
  journal::encode(builder, fields, data.ConsumeIntegral<std::uint64_t>());
  flatbuffers::Verifier verifier(builder.GetBufferPointer(), builder.GetSize());
  if (!verifier.VerifyBuffer<wire::EventRecord>(nullptr)) return 0;  // no recovery shows it either
  must_be_event(events::event_line(
      *flatbuffers::GetRoot<wire::EventRecord>(builder.GetBufferPointer()), data.ConsumeBool()));
  return 0;
}

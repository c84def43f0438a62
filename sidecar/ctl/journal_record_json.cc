// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/journal_record_json.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "schema/event_generated.h"
#include "schema/journal_generated.h"
#include "sidecar/decision/reason.h"
#include "sidecar/events/event_json.h"

namespace memfail::ctl {
namespace {

using Json = nlohmann::ordered_json;
using journal::RecordType;
using Payload = std::span<const std::byte>;

template <typename Table>
const Table* table_in(Payload payload) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(payload.data());
  flatbuffers::Verifier verifier(bytes, payload.size());
  return verifier.VerifyBuffer<Table>(nullptr) ? flatbuffers::GetRoot<Table>(bytes) : nullptr;
}

template <typename Struct>
std::optional<Struct> struct_in(Payload payload) {
  Struct out;
  if (payload.size() != sizeof out) return std::nullopt;
  std::memcpy(static_cast<void*>(&out), payload.data(), sizeof out);
  return out;
}

Json hex(std::uint64_t value) {
  if (value == wire::kNoAddress) return {};
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

Json id(const wire::Id128* value) {
  return value == nullptr ? Json() : Json(events::hex_id(*value));
}
Json text(const flatbuffers::String* value) {
  return value == nullptr ? Json() : Json(value->str());
}

template <typename Enum>
std::string name(Enum value) {
  return std::string(decision::name_of(value));
}

Json verdict_json(const wire::VerdictRecord& verdict) {
  const wire::ReplyLine& reply = verdict.reply();
  return {{"session", id(&verdict.session())},
          {"lane", verdict.lane()},
          {"sequence", verdict.sequence()},
          {"verdict", name(reply.verdict())},
          {"reason", name(reply.reason())},
          {"vcpu", verdict.vcpu()},
          {"hva", hex(verdict.hva())},
          {"gpa", hex(verdict.gpa())},
          {"size", verdict.size()},
          {"realtime-us", verdict.realtime_us()}};
}

// Without the resume key: whoever has it can take the session over.
Json session_json(const wire::SessionRecord& session) {
  return {{"session", id(session.session())},
          {"state", wire::EnumNameSessionState(session.state())},
          {"uid", session.uid()},
          {"gid", session.gid()},
          {"label", text(session.label())},
          {"vm", {{"uuid", text(session.vm_uuid())}, {"name", text(session.vm_name())}}},
          {"vcpus", session.vcpus()},
          {"vmm-pid", session.vmm_pid()}};
}

Json checkpoint_json(const wire::Checkpoint& checkpoint) {
  std::size_t open = 0;
  const auto* sessions = checkpoint.sessions();
  for (std::uint32_t i = 0; sessions != nullptr && i < sessions->size(); ++i) {
    const auto* verdicts = sessions->Get(i)->open();
    open += verdicts == nullptr ? 0 : verdicts->size();
  }
  return {{"journal", id(checkpoint.journal())},
          {"boot", id(checkpoint.boot())},
          {"generation", checkpoint.generation()},
          {"first-seq", checkpoint.first_seq()},
          {"next-seq", checkpoint.next_seq()},
          {"next-number", checkpoint.next_number()},
          {"sessions", sessions == nullptr ? 0 : sessions->size()},
          {"open-verdicts", open}};
}

template <typename Value, typename Show>
Json shown(const Value& value, Show show) {
  return value ? show(*value) : Json("its payload makes no sense");
}

Json event_json(const wire::EventRecord& event) {
  return Json::parse(events::event_line(event, true), nullptr, false);
}

Json folded_json(const wire::FoldedRecord& folded) {
  return {
      {"session", id(&folded.session())}, {"lane", folded.lane()}, {"sequence", folded.sequence()}};
}

Json loss_json(const wire::LossRecord& loss) {
  return {{"from-seq", loss.from_seq()},
          {"to-seq", loss.to_seq()},
          {"realtime-us", loss.realtime_us()}};
}

void add_payload(Json& out, const journal::Record& record) {
  const Payload payload = record.payload;
  switch (record.type) {
    case RecordType::kCheckpoint:
      out["checkpoint"] = shown(table_in<wire::Checkpoint>(payload), checkpoint_json);
      break;
    case RecordType::kSession:
      out["session"] = shown(table_in<wire::SessionRecord>(payload), session_json);
      break;
    case RecordType::kVerdict:
      out["verdict"] = shown(struct_in<wire::VerdictRecord>(payload), verdict_json);
      break;
    case RecordType::kEvent:
      out["event"] = shown(table_in<wire::EventRecord>(payload), event_json);
      break;
    case RecordType::kFolded:
      out["folded"] = shown(struct_in<wire::FoldedRecord>(payload), folded_json);
      break;
    case RecordType::kLoss:
      out["loss"] = shown(struct_in<wire::LossRecord>(payload), loss_json);
      break;
    default:
      break;
  }
}

}  // namespace

std::string record_json(const journal::Record& record) {
  Json out;
  if (record.number != 0) out["number"] = record.number;
  if (record.seq != 0) out["seq"] = record.seq;
  add_payload(out, record);
  return out.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace memfail::ctl

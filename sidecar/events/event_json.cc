// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/events/event_json.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "sidecar/decision/reason.h"

namespace memfail::events {
namespace {

using Json = nlohmann::ordered_json;

// Names come from a VMM: bytes that are not UTF-8 are replaced, never thrown at.
std::string dump_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string hex(std::uint64_t value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

Json hex_or_null(std::uint64_t value, bool present) { return present ? Json(hex(value)) : Json(); }
Json address(std::uint64_t value) { return hex_or_null(value, value != wire::kNoAddress); }
Json index_or_null(std::int32_t value) { return value < 0 ? Json() : Json(value); }

Json text_or_null(const flatbuffers::String* text) {
  return text == nullptr || text->size() == 0 ? Json() : Json(text->str());
}

template <typename Enum>
std::string name(Enum value) {
  return std::string(decision::name_of(value));
}

std::string reason_sentence(wire::Reason reason, std::int32_t vcpu) {
  std::array<char, 256> text{};
  decision::reason_text(text.data(), text.size(), reason, vcpu);
  return text.data();
}

Json timestamp(std::uint64_t realtime_us) {
  return {{"seconds", realtime_us / 1'000'000}, {"microseconds", realtime_us % 1'000'000}};
}

void add_where(Json& out, const wire::EventRecord& event) {
  out["vcpu"] = index_or_null(event.vcpu());
  out["hva"] = address(event.hva());
  out["gpa"] = address(event.gpa());
  out["region"] = text_or_null(event.region());
  out["size"] = event.size();
}

void add_why(Json& out, const wire::EventRecord& event) {
  out["reason"] = name(event.reason());
  out["reason-text"] = reason_sentence(event.reason(), event.reason_vcpu());
  out["kind"] = name(event.kind());
  out["thread"] = name(event.thread());
  out["si-code"] = event.si_code();
  out["lsb"] = event.lsb();
  out["drill"] = event.drill();
}

void add_record(Json& out, const wire::EventRecord& event) {
  const bool record = event.bank() >= 0;
  out["bank"] = index_or_null(event.bank());
  out["status"] = hex_or_null(event.status(), record);
  out["mcg-status"] = hex_or_null(event.mcg_status(), record);
  out["delivered"] = name(event.delivered());
  out["verdict"] = name(event.verdict());
  out["decided-by"] = name(event.decided_by());
  out["siblings"] = {{"told", event.siblings_told()}, {"skipped", event.siblings_skipped()}};
  out["late"] = event.late();
  out["count"] = event.count();
  if (event.policy_digest() != 0) out["policy-digest"] = hex(event.policy_digest());
  if (event.repair() != wire::Repair::none) out["repair"] = name(event.repair());
  out["latency-ns"] = event.latency_ns();
}

Json details(const wire::EventRecord& event, bool durable) {
  Json out;
  out["seq"] = event.seq();
  out["session"] = event.session() == nullptr ? Json() : Json(hex_id(*event.session()));
  out["lane"] = event.lane();
  out["sequence"] = event.sequence();
  out["vm"] = {{"uuid", text_or_null(event.vm_uuid())}, {"name", text_or_null(event.vm_name())}};
  add_where(out, event);
  add_why(out, event);
  add_record(out, event);
  out["durable"] = durable;
  return out;
}

std::string notice(std::string_view journal, const char* what, Json value) {
  return dump_line(Json{{"memfaild", {{"journal", journal}, {what, std::move(value)}}}});
}

std::string last_notice(std::string_view journal, const char* what, const char* words,
                        std::uint64_t resume_from) {
  return dump_line(
      Json{{"memfaild", {{"journal", journal}, {what, words}, {"resume-from", resume_from}}}});
}

}  // namespace

std::string hex_id(const wire::Id128& id) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx",
                static_cast<unsigned long long>(id.high()),
                static_cast<unsigned long long>(id.low()));
  return text.data();
}

std::string event_line(const wire::EventRecord& event, bool durable) {
  Json out;
  out["event"] = "MEMORY_FAILURE";
  out["timestamp"] = timestamp(event.realtime_us());
  Json& data = out["data"];
  data["recipient"] = wire::EnumNameRecipient(event.recipient());
  data["action"] = wire::EnumNameAction(event.action());
  data["flags"] = {{"action-required", event.action_required()}, {"recursive", event.recursive()}};
  data["memfail"] = details(event, durable);
  return dump_line(out);
}

std::string header_line(std::string_view journal, std::uint64_t first_seq, std::uint64_t next_seq) {
  return dump_line(
      Json{{"memfaild", {{"journal", journal}, {"first-seq", first_seq}, {"next-seq", next_seq}}}});
}

std::string gap_line(std::string_view journal, std::uint64_t from, std::uint64_t to) {
  return notice(journal, "gap", {{"from", from}, {"to", to}});
}

std::string other_journal_line(std::string_view journal, std::string_view other,
                               std::uint64_t from) {
  return notice(journal, "gap", {{"journal", other}, {"from", from}, {"to", nullptr}});
}

std::string end_line(std::string_view journal, std::uint64_t resume_from) {
  return last_notice(journal, "end", "these are all there are", resume_from);
}

std::string cut_off_line(std::string_view journal, std::uint64_t resume_from) {
  return last_notice(journal, "cut-off", "this reader was too slow", resume_from);
}

std::string refusal_line(std::string_view why, std::span<const std::string_view> accepted) {
  Json body{{"error", why}};
  if (!accepted.empty()) body["accepted"] = accepted;
  return dump_line(Json{{"memfaild", std::move(body)}});
}

std::string future_line(std::string_view journal, std::uint64_t since, std::uint64_t next_seq) {
  const std::string next = std::to_string(next_seq);
  return dump_line(Json{
      {"memfaild",
       {{"journal", journal},
        {"error", "\"since\": " + std::to_string(since) + " has not happened: the next event is " +
                      next + "; taken are 0 (all there are) to " + next},
        {"next-seq", next_seq}}}});
}

}  // namespace memfail::events

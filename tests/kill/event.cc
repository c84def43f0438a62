// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/event.h"

#include <nlohmann/json.hpp>

namespace memfail::kill {
namespace {

using Json = nlohmann::json;

std::string text_or_empty(const Json& value) {
  return value.is_null() ? std::string() : value.get<std::string>();
}
std::int64_t number_or_none(const Json& value) {
  return value.is_null() ? -1 : value.get<std::int64_t>();
}

Event event_of(const Json& data) {
  Event event;
  event.seq = data.at("seq");
  event.session = text_or_empty(data.at("session"));
  event.lane = data.at("lane");
  event.sequence = data.at("sequence");
  event.vcpu = number_or_none(data.at("vcpu"));
  event.reason = data.at("reason");
  event.verdict = data.at("verdict");
  event.decided_by = data.at("decided-by");
  event.delivered = data.at("delivered");
  event.bank = number_or_none(data.at("bank"));
  event.gpa = text_or_empty(data.at("gpa"));
  event.status = text_or_empty(data.at("status"));
  event.mcg_status = text_or_empty(data.at("mcg-status"));
  event.count = data.at("count");
  event.latency_ns = data.at("latency-ns");
  event.durable = data.at("durable");
  return event;
}

}  // namespace

std::optional<Event> parse_event(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("data")) return std::nullopt;
  return event_of(json.at("data").at("memfail"));
}

std::optional<StreamNote> parse_note(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("memfaild")) return std::nullopt;
  const Json& said = json.at("memfaild");
  StreamNote note;
  if (said.contains("journal")) note.journal = said.at("journal");
  if (said.contains("first-seq")) {
    note.first_seq = said.at("first-seq").get<std::uint64_t>();
    note.next_seq = said.at("next-seq").get<std::uint64_t>();
  } else if (said.contains("gap")) {
    const Json& gap = said.at("gap");
    note.gap = true;
    if (gap.contains("journal")) note.gap_journal = gap.at("journal");
    note.gap_from = gap.at("from");
    if (!gap.at("to").is_null()) note.gap_to = gap.at("to");
  } else if (said.contains("cut-off")) {
    note.cut_off = true;
  } else {
    note.other = line;
  }
  return note;
}

}  // namespace memfail::kill

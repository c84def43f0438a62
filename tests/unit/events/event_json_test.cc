// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/events/event_json.h"

#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sidecar/journal/event_fields.h"

namespace memfail::events {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::ElementsAre;

journal::EventFields injection() {
  journal::EventFields fields;
  fields.session = {0x22, 0x11};
  fields.lane = 1;
  fields.sequence = 5;
  fields.realtime_us = 1'700'000'000'000'042;
  fields.vm_uuid = "u";
  fields.vm_name = "vm1";
  fields.recipient = wire::Recipient::guest;
  fields.action = wire::Action::inject;
  fields.action_required = true;
  fields.kind = wire::ReportKind::sigbus;
  fields.thread = wire::ThreadKind::vcpu_in_run;
  fields.si_code = 4;
  fields.lsb = 12;
  fields.vcpu = 1;
  fields.hva = 0x7f0000005000;
  fields.gpa = 0x5000;
  fields.region = "ram";
  fields.size = 4096;
  fields.verdict = wire::Verdict::inject;
  fields.decided_by = wire::DecidedBy::sidecar;
  fields.delivered = wire::Delivered::delivered;
  fields.reason = wire::Reason::guest_memory;
  fields.bank = 9;
  fields.status = 0xBD80000000000134;
  fields.mcg_status = 7;
  fields.latency_ns = 81000;
  return fields;
}

std::string line_of(const journal::EventFields& fields) {
  flatbuffers::FlatBufferBuilder builder;
  journal::encode(builder, fields, 3);
  return event_line(*wire::GetEventRecord(builder.GetBufferPointer()), true);
}

std::vector<std::string> keys(const Json& object) {
  std::vector<std::string> out;
  for (const auto& [key, value] : object.items()) out.push_back(key);
  return out;
}

TEST(EventJson, HasQemusMembersInQemusWords) {
  const std::string line = line_of(injection());
  EXPECT_THAT(line, ::testing::StartsWith(
                        R"({"event":"MEMORY_FAILURE","timestamp":{"seconds":1700000000,)"
                        R"("microseconds":42},"data":{"recipient":"guest","action":"inject",)"
                        R"("flags":{"action-required":true,"recursive":false},"memfail":{)"));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(line.back(), '\n');
}

TEST(EventJson, HasOurMembersInOrder) {
  const Json details = Json::parse(line_of(injection()))["data"]["memfail"];
  EXPECT_THAT(keys(details),
              ElementsAre("seq", "session", "lane", "sequence", "vm", "vcpu", "hva", "gpa",
                          "region", "size", "reason", "reason-text", "kind", "thread", "si-code",
                          "lsb", "drill", "bank", "status", "mcg-status", "delivered", "verdict",
                          "decided-by", "siblings", "late", "count", "latency-ns", "durable"));
  EXPECT_THAT(keys(details["vm"]), ElementsAre("uuid", "name"));
  EXPECT_THAT(keys(details["siblings"]), ElementsAre("told", "skipped"));
}

TEST(EventJson, SpellsNumbersAsPeopleReadThem) {
  const Json details = Json::parse(line_of(injection()))["data"]["memfail"];
  EXPECT_EQ(details["hva"], "0x7f0000005000");
  EXPECT_EQ(details["gpa"], "0x5000");
  EXPECT_EQ(details["status"], "0xbd80000000000134");
  EXPECT_EQ(details["mcg-status"], "0x7");
  EXPECT_EQ(details["session"], "00000000000000110000000000000022");
  EXPECT_EQ(details["reason"], "guest-memory");
  EXPECT_EQ(details["thread"], "vcpu-in-run");
  EXPECT_EQ(details["seq"], 3);
}

TEST(EventJson, SaysNullWhereThereIsNothing) {
  const Json details = Json::parse(line_of({}))["data"]["memfail"];
  for (const char* key : {"vcpu", "hva", "gpa", "region", "bank", "status", "mcg-status"}) {
    EXPECT_TRUE(details[key].is_null()) << key;
  }
}

TEST(EventJson, SurvivesNamesThatAreNotText) {
  journal::EventFields fields = injection();
  fields.vm_name = "\xff\xfe\n\"";
  EXPECT_TRUE(Json::parse(line_of(fields)).is_object());
}

TEST(EventJson, BeginsAStreamWithItsJournal) {
  EXPECT_EQ(header_line("memory-1", 1, 4),
            "{\"memfaild\":{\"journal\":\"memory-1\",\"first-seq\":1,\"next-seq\":4}}\n");
}

}  // namespace
}  // namespace memfail::events

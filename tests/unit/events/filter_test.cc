// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/events/filter.h"

#include "gtest/gtest.h"
#include "sidecar/journal/event_fields.h"

namespace memfail::events {
namespace {

constexpr const char* kUuid = "3c5a1d4e-0000-4000-8000-00000000002a";
constexpr const char* kSession = "00000000000000110000000000000022";

journal::EventFields event_of_db1() {
  journal::EventFields fields;
  fields.session = {0x22, 0x11};
  fields.vm_name = "db1";
  fields.vm_uuid = kUuid;
  fields.action = wire::Action::reset;
  fields.reason = wire::Reason::storm;
  return fields;
}

bool passes(const Filter& filter, const journal::EventFields& fields) {
  flatbuffers::FlatBufferBuilder builder;
  journal::encode(builder, fields, 1);
  return filter.passes(*wire::GetEventRecord(builder.GetBufferPointer()));
}

bool vm_passes(const char* pattern, const journal::EventFields& fields) {
  Filter filter;
  EXPECT_TRUE(filter.add_vm(pattern)) << pattern;
  return passes(filter, fields);
}

TEST(Filter, WithoutPartsTakesEverything) {
  EXPECT_TRUE(passes({}, event_of_db1()));
  EXPECT_TRUE(passes({}, {}));
}

TEST(Filter, TakesAVmByNamePatternUuidOrSession) {
  for (const char* pattern : {"db1", "db*", "*", "d?1", kUuid, kSession}) {
    EXPECT_TRUE(vm_passes(pattern, event_of_db1())) << pattern;
  }
  for (const char* pattern : {"db", "web*", "3c5a1d4e*", "DB1"}) {
    EXPECT_FALSE(vm_passes(pattern, event_of_db1())) << pattern;
  }
}

TEST(Filter, TakesAnyOfSeveralVms) {
  Filter filter;
  EXPECT_TRUE(filter.add_vm("web*"));
  EXPECT_TRUE(filter.add_vm("db*"));
  EXPECT_TRUE(passes(filter, event_of_db1()));
}

TEST(Filter, EventsOfMemfaildItselfAreOfNoVm) { EXPECT_FALSE(vm_passes("*", {})); }

TEST(Filter, AVmWithoutANameIsAVm) {
  journal::EventFields fields;
  fields.session = {1, 2};
  EXPECT_TRUE(vm_passes("*", fields));
}

TEST(Filter, RefusesAPatternThatIsNone) {
  Filter filter;
  EXPECT_FALSE(filter.add_vm(""));
  EXPECT_FALSE(filter.add_vm("db[0-9]"));
}

TEST(Filter, TakesTheActionsAndReasonsThatWereNamed) {
  Filter filter;
  filter.add_action(wire::Action::fatal);
  EXPECT_FALSE(passes(filter, event_of_db1()));
  filter.add_action(wire::Action::reset);
  EXPECT_TRUE(passes(filter, event_of_db1()));
  filter.add_reason(wire::Reason::policy);
  EXPECT_FALSE(passes(filter, event_of_db1()));  // both must agree
  filter.add_reason(wire::Reason::storm);
  EXPECT_TRUE(passes(filter, event_of_db1()));
}

}  // namespace
}  // namespace memfail::events

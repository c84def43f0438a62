// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/absent_vm.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "host.h"
#include "shm/start_time.h"

namespace memfail::session {
namespace {

const wire::Id128 kSession(1, 2);

journal::SessionFields on_record() {
  const auto pid = static_cast<std::uint32_t>(::getpid());
  journal::SessionFields fields;
  fields.session = kSession;
  fields.vm_uuid = "uuid";
  fields.vm_name = "vm1";
  fields.vcpus = 1;
  fields.vmm_pid = static_cast<std::int32_t>(pid);
  fields.vmm_start_time = shm::start_time_of(pid);
  return fields;
}

TEST(AVmOnRecord, WhoseProcessRunsIsWaitedFor) {
  test::FakeHost host;
  journal::SessionFields fields = on_record();
  fields.boot = host.records().boot();
  host.records().append_session(fields);
  take_up_records(host);
  EXPECT_EQ(host.absent, 1);
}

// A verdict may be there without its session's own record, which was damaged: it becomes its
// event, and nobody is waited for.
TEST(AVmOnRecord, WithVerdictsAloneIsTakenForGone) {
  test::FakeHost host;
  journal::VerdictRecord verdict;
  verdict.id = {kSession, 0, 1};
  ASSERT_TRUE(host.records().append_verdict(verdict));
  const auto& sessions = host.records().state().sessions();
  ASSERT_TRUE(sessions.contains(kSession));
  ASSERT_FALSE(sessions.at(kSession).record.has_value());
  take_up_records(host);
  EXPECT_EQ(host.events, 1);
  EXPECT_EQ(host.absent, 0);
  EXPECT_TRUE(host.records().state().sessions().empty());
}

}  // namespace
}  // namespace memfail::session

// SPDX-License-Identifier: BSD-3-Clause
//
// The control conversation, with a sidecar that goes wrong at every step.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "sidecar/decision/fallback_rules.h"
#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

using ::testing::HasSubstr;

constexpr auto kLiveRules = static_cast<std::uint64_t>(wire::Feature::live_rules);

class SessionTest : public ::testing::Test {
 protected:
  void SetUp() override { install_handler(); }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }

  void dispatch() { memfail_shim_dispatch(vm_.shim()); }
  memfail_session_state state() { return vm_.status().state; }
  // Up to the welcome: what follows it is the test's.
  void greet() {
    dispatch();
    ASSERT_TRUE(sidecar_.take_hello());
    sidecar_.make_reply_area();
  }
  void expect_dropped(const char* why) {
    dispatch();
    EXPECT_EQ(state(), MEMFAIL_DETACHED);
    EXPECT_THAT(vm_.status().last_error, HasSubstr(why));
    EXPECT_TRUE(sidecar_.was_hung_up());
  }
  // Lets time pass until the shim says it has something to do, and does it.
  bool dispatch_until(memfail_session_state wanted, std::uint64_t attaches = 0) {
    for (int turn = 0; turn < 1000; ++turn) {
      dispatch();
      if (state() == wanted && vm_.status().attaches >= attaches) return true;
      pollfd wait{memfail_shim_fd(vm_.shim()), POLLIN, 0};
      if (::poll(&wait, 1, 5000) != 1) return false;
    }
    return false;
  }
  // The next sidecar: attaches as if nothing had been.
  void expect_reattach() {
    sidecar_.hang_up();
    std::thread peer([&] {
      ASSERT_TRUE(sidecar_.take_hello());
      sidecar_.make_reply_area();
      sidecar_.send_welcome();
      ASSERT_TRUE(sidecar_.take_until_commit());
      sidecar_.send_ack(sidecar_.commit_id());
    });
    EXPECT_TRUE(dispatch_until(MEMFAIL_ATTACHED, vm_.status().attaches + 1));
    peer.join();
  }
  bool is_ready() {
    pollfd wait{memfail_shim_fd(vm_.shim()), POLLIN, 0};
    return ::poll(&wait, 1, 0) == 1;
  }

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  TestVm vm_{[this](memfail_config& config) { config.socket_path = path_.c_str(); }};
};

TEST_F(SessionTest, AttachesAndTellsItsRegions) {
  EXPECT_EQ(state(), MEMFAIL_DETACHED);
  ASSERT_TRUE(sidecar_.attach(vm_));
  EXPECT_EQ(sidecar_.commit_regions(), 1U);
  EXPECT_FALSE(sidecar_.hello_had_key());
  EXPECT_EQ(vm_.status().attaches, 1U);
  EXPECT_STREQ(vm_.status().last_error, "");
  EXPECT_FALSE(is_ready()) << "nothing is left to do";
}

// A sidecar that talks as fast as it is read would keep the VMM's loop.
TEST_F(SessionTest, ADispatchReadsNoMoreThanATurnsWorth) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  for (int i = 0; i < 100; ++i) sidecar_.send_ack(sidecar_.commit_id());
  dispatch();
  EXPECT_TRUE(is_ready()) << "the rest waits for another turn";
  dispatch();
  EXPECT_FALSE(is_ready());
  EXPECT_EQ(state(), MEMFAIL_ATTACHED);
}

TEST_F(SessionTest, AttachWaitsForASidecarThatAnswers) {
  std::thread peer([&] {
    ASSERT_TRUE(sidecar_.take_hello());
    sidecar_.make_reply_area();
    sidecar_.send_welcome();
    ASSERT_TRUE(sidecar_.take_until_commit());
    sidecar_.send_ack(sidecar_.commit_id());
  });
  memfail_error error{};
  EXPECT_EQ(memfail_shim_attach(vm_.shim(), 5000, &error), 0) << error.text;
  peer.join();
}

TEST_F(SessionTest, AttachSaysWhoDidNotAnswerAndForHowLong) {
  memfail_error error{};
  EXPECT_EQ(memfail_shim_attach(vm_.shim(), 50, &error), -ETIMEDOUT);
  EXPECT_THAT(error.text, HasSubstr("50 ms"));
}

TEST_F(SessionTest, AttachNamesASocketThatIsNotThere) {
  std::filesystem::remove(path_);
  memfail_error error{};
  EXPECT_EQ(memfail_shim_attach(vm_.shim(), 50, &error), -ENOTCONN);
  EXPECT_THAT(error.text, HasSubstr(path_));
  EXPECT_THAT(error.text, HasSubstr("No such file"));
}

TEST(SessionWithoutWay, AttachSaysThatThereIsNoSocketToUse) {
  TestVm vm;
  memfail_error error{};
  EXPECT_EQ(memfail_shim_attach(vm.shim(), 50, &error), -ENOTCONN);
  EXPECT_THAT(error.text, HasSubstr("socket"));
}

TEST_F(SessionTest, AnotherProtocolVersionIsRefused) {
  for (const std::uint32_t version : {0U, 2U}) {
    sidecar_.hang_up();
    ASSERT_TRUE(dispatch_until(MEMFAIL_ATTACHING));
    ASSERT_TRUE(sidecar_.take_hello());
    sidecar_.make_reply_area();
    sidecar_.send_welcome({.version = version});
    expect_dropped("version");
    EXPECT_THAT(vm_.status().last_error, HasSubstr(std::to_string(version)));
  }
}

TEST_F(SessionTest, FeaturesThatWereNotOfferedAreRefused) {
  greet();
  sidecar_.send_welcome({.features = 8});
  expect_dropped("features");
}

TEST_F(SessionTest, AMalformedMessageEndsTheSession) {
  greet();
  const std::array<std::byte, 40> junk{};
  sidecar_.send_bytes(junk);
  expect_dropped("malformed");
  expect_reattach();
}

TEST_F(SessionTest, AMessageThatIsTheVmmsToSendEndsTheSession) {
  greet();
  flatbuffers::FlatBufferBuilder builder;
  const auto body = wire::CreateGuestReset(builder, 1);
  builder.Finish(wire::CreateMessage(builder, 1, wire::Body::GuestReset, body.Union()),
                 wire::MessageIdentifier());
  sidecar_.send_bytes(std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())));
  expect_dropped("ours to send");
}

TEST_F(SessionTest, NewRulesCountAtOnceAndOutlastTheSidecar) {
  sidecar_.agree_on(kLiveRules);
  ASSERT_TRUE(sidecar_.attach(vm_));
  decision::Rules rules;
  rules.untold = rules.outside = wire::Verdict::pause;
  sidecar_.send_rules(decision::to_wire(rules));
  memfail_shim_dispatch(vm_.shim());
  EXPECT_EQ(vm_.shim()->rules_now().untold, wire::Verdict::pause);
  EXPECT_EQ(vm_.shim()->outside_rule.load(), wire::Verdict::pause);
  sidecar_.hang_up();
  ASSERT_TRUE(dispatch_until(MEMFAIL_ATTACHING));
  EXPECT_EQ(vm_.shim()->rules_now().untold, wire::Verdict::pause);
}

TEST_F(SessionTest, RulesThatCannotBeEndTheSession) {
  sidecar_.agree_on(kLiveRules);
  ASSERT_TRUE(sidecar_.attach(vm_));
  decision::Rules rules;
  rules.repeat_limit = 0;
  sidecar_.send_rules(decision::to_wire(rules));
  expect_dropped("rules are out of range");
  EXPECT_EQ(vm_.shim()->rules_now().untold, wire::Verdict::reset);
}

TEST_F(SessionTest, RulesThatWereNotAgreedOnEndTheSession) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  sidecar_.send_rules(decision::to_wire({}));
  expect_dropped("rules out of state");
}

TEST_F(SessionTest, AnAcknowledgementBeforeTheWelcomeEndsTheSession) {
  greet();
  sidecar_.send_ack(1);
  expect_dropped("out of state");
}

TEST_F(SessionTest, ASecondWelcomeEndsTheSession) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  sidecar_.send_welcome({.no_area = true});
  expect_dropped("welcome out of state");
  expect_reattach();
}

TEST_F(SessionTest, ASecondWelcomeWithAnAreaEndsTheSession) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  sidecar_.send_welcome();
  dispatch();
  EXPECT_EQ(state(), MEMFAIL_DETACHED);
}

TEST_F(SessionTest, AWelcomeWithoutAnAreaEndsTheSession) {
  greet();
  sidecar_.send_welcome({.no_area = true});
  expect_dropped("0 descriptors");
}

TEST_F(SessionTest, AWelcomeWithTooManyDescriptorsEndsTheSession) {
  greet();
  sidecar_.send_welcome({.two_areas = true});
  expect_dropped("malformed");
}

TEST_F(SessionTest, TheSidecarsRefusalIsShownInItsWords) {
  greet();
  sidecar_.send_error("vcpus is 1; the limit is 0");
  expect_dropped("vcpus is 1; the limit is 0");
  expect_reattach();
}

// ---- reply areas that are not what was agreed ------------------------------------

class ReplyArea : public SessionTest {
 protected:
  void expect_refused(int area, const char* why) {
    greet();
    sidecar_.send_welcome({.area = area});
    expect_dropped(why);
    expect_reattach();
  }
};

TEST_F(ReplyArea, WithoutSealsIsRefused) {
  const shm::UniqueFd area(::memfd_create("area", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(area.get(), static_cast<off_t>(shm::Geometry(1).reply_size())), 0);
  expect_refused(area.get(), "seals");
}

TEST_F(ReplyArea, OfTheWrongSizeIsRefused) {
  const auto area = shm::make_area(shm::AreaKind::kReply, shm::Geometry(200), {1, 2});
  ASSERT_TRUE(area);
  expect_refused(area->fd.get(), "size");
}

TEST_F(ReplyArea, OfAnotherSessionIsRefused) {
  const auto area = shm::make_area(shm::AreaKind::kReply, shm::Geometry(1), {1, 2});
  ASSERT_TRUE(area);
  expect_refused(area->fd.get(), "session");
}

TEST_F(ReplyArea, OfAnotherGeometryIsRefused) {
  greet();
  const auto area = shm::make_area(shm::AreaKind::kReply, shm::Geometry(2), sidecar_.session());
  ASSERT_TRUE(area);
  sidecar_.send_welcome({.area = area->fd.get()});
  expect_dropped("vCPU");
}

TEST_F(ReplyArea, ThatIsNoMemoryIsRefused) {
  const shm::UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  expect_refused(null.get(), "memfd");
}

// ---- hang-ups ----------------------------------------------------------------------

TEST_F(SessionTest, AHangUpAtAnyStepIsFollowedByAReattach) {
  for (int step = 0; step < 5; ++step) {
    SCOPED_TRACE(step);
    ASSERT_TRUE(dispatch_until(MEMFAIL_ATTACHING));
    ASSERT_TRUE(sidecar_.accept());
    if (step > 0) {
      ASSERT_TRUE(sidecar_.take_hello());
    }
    if (step > 1) {
      sidecar_.make_reply_area();
      sidecar_.send_welcome();
      dispatch();
    }
    if (step > 2) {
      ASSERT_TRUE(sidecar_.take_until_commit());
    }
    if (step > 3) {
      sidecar_.send_ack(sidecar_.commit_id());
      dispatch();
      EXPECT_EQ(state(), MEMFAIL_ATTACHED);
    }
    sidecar_.hang_up();
    dispatch();
    EXPECT_EQ(state(), MEMFAIL_DETACHED);
    EXPECT_THAT(vm_.status().last_error, HasSubstr("hung up"));
  }
  expect_reattach();
}

TEST_F(SessionTest, AfterAHangUpNothingIsDueBeforeTheBackOffHasPassed) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  std::filesystem::remove(path_);
  sidecar_.hang_up();
  int turns = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  while (std::chrono::steady_clock::now() < until) {
    pollfd wait{memfail_shim_fd(vm_.shim()), POLLIN, 0};
    if (::poll(&wait, 1, 20) == 1) ++turns;
    dispatch();
  }
  EXPECT_LE(turns, 8) << "10, 20, 40, 80, 160 ms and the hang-up itself";
}

TEST_F(SessionTest, AForkedChildThatHoldsTheDeadSocketKeepsNobodyBusy) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  std::array<int, 2> gate{};
  ASSERT_EQ(::pipe(gate.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    sidecar_.hang_up();  // the child's copy: it is the VMM's end that it keeps
    ::close(gate[1]);
    char byte = 0;
    (void)!::read(gate[0], &byte, 1);
    ::_exit(0);
  }
  std::filesystem::remove(path_);
  sidecar_.hang_up();
  EXPECT_TRUE(dispatch_until(MEMFAIL_DETACHED));
  EXPECT_FALSE(is_ready()) << "the dead connection is still watched";
  ::close(gate[1]);
  ::close(gate[0]);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST_F(SessionTest, ASidecarThatNeverWelcomesIsGivenUp) {
  greet();
  EXPECT_TRUE(dispatch_until(MEMFAIL_DETACHED));
  EXPECT_THAT(vm_.status().last_error, HasSubstr("did not answer"));
  expect_reattach();
}

TEST_F(SessionTest, ASidecarThatNeverAcknowledgesARegionChangeIsGivenUp) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  vm_.change_regions();
  EXPECT_TRUE(dispatch_until(MEMFAIL_DETACHED));
  EXPECT_THAT(vm_.status().last_error, HasSubstr("did not answer"));
  expect_reattach();
}

TEST_F(SessionTest, AGuestResetIsTold) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  memfail_guest_reset(vm_.shim());
  dispatch();
  vm_.change_regions();
  ASSERT_TRUE(sidecar_.take_until_commit());
  EXPECT_EQ(sidecar_.epoch(), 1U);
}

TEST(SessionByDescriptor, ASocketThatTheVmmGaveIsUsedOnceAndNeverAgain) {
  const TempDir dir;
  FakeSidecar sidecar(dir.file("s"));
  const shm::UniqueFd client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, dir.file("s").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  TestVm vm([&](memfail_config& config) { config.socket_fd = ::dup(client.get()); });
  ASSERT_TRUE(sidecar.attach(vm));
  sidecar.hang_up();
  memfail_shim_dispatch(vm.shim());
  EXPECT_EQ(vm.status().state, MEMFAIL_DETACHED);
  memfail_error error{};
  EXPECT_EQ(memfail_shim_attach(vm.shim(), 20, &error), -ENOTCONN);
  EXPECT_THAT(error.text, HasSubstr("hung up"));
}

// ---- re-attach ---------------------------------------------------------------------

// The eventfd-id of a descriptor, and all numbers under which it is open here.
std::string eventfd_id(int fd) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(fd));
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("eventfd-id:")) return line;
  }
  return {};
}

std::set<int> numbers_of(const std::string& id) {
  std::set<int> numbers;
  for (int fd = 0; fd < 256; ++fd) {
    if (eventfd_id(fd) == id) numbers.insert(fd);
  }
  return numbers;
}

int kick_number(const FakeSidecar& sidecar) {
  auto numbers = numbers_of(eventfd_id(sidecar.kick_fd()));
  numbers.erase(sidecar.kick_fd());
  return numbers.size() == 1 ? *numbers.begin() : -1;
}

TEST_F(SessionTest, AReattachKeepsTheKicksNumberButNotItsFile) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  const std::string id = eventfd_id(sidecar_.kick_fd());
  if (id.empty()) GTEST_SKIP() << "this kernel's fdinfo has no eventfd-id";
  const int number = kick_number(sidecar_);
  ASSERT_GE(number, 0);
  expect_reattach();
  EXPECT_NE(eventfd_id(sidecar_.kick_fd()), id);
  EXPECT_EQ(kick_number(sidecar_), number);
}

TEST_F(SessionTest, AReattachSendsTheResumeKeyAndTheSameSession) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  const shm::SessionId session = sidecar_.session();
  expect_reattach();
  EXPECT_TRUE(sidecar_.hello_had_key());
  EXPECT_EQ(sidecar_.hello_key_low(), kKeyLow);
  EXPECT_EQ(sidecar_.session(), session);
}

TEST_F(SessionTest, WhatWasRetiredIsKeptForTheNextSidecar) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  const shm::Claim first = claim(0, 1, sidecar_.geometry());
  vm_.raise_in_run(kOptional, vm_.hva());
  sidecar_.answer(first, verdict_only(wire::Verdict::ignore, wire::Reason::mce_in_progress));
  memfail_handle(vm_.lane());
  ASSERT_TRUE(sidecar_.outcome(first));
  sidecar_.retire(first);
  expect_reattach();
  EXPECT_EQ(sidecar_.request().freed(first.id), 1U);
  for (int i = 0; i < 4; ++i) vm_.raise_in_run(kOptional, vm_.hva());
  EXPECT_EQ(vm_.status().lost_reports, 0U) << "the freed cell is used again";
}

TEST_F(SessionTest, ADeadSidecarCannotRetireAnythingMore) {
  ASSERT_TRUE(sidecar_.attach(vm_));
  const shm::Claim first = claim(0, 1, sidecar_.geometry());
  vm_.raise_in_run(kOptional, vm_.hva());
  sidecar_.answer(first, verdict_only(wire::Verdict::ignore, wire::Reason::mce_in_progress));
  memfail_handle(vm_.lane());
  sidecar_.hang_up();
  dispatch();
  sidecar_.retire(first);  // it lives on and writes into its area
  for (int i = 0; i < 4; ++i) vm_.raise_in_run(kOptional, vm_.hva());
  EXPECT_EQ(vm_.status().lost_reports, 1U)
      << "a cell was used again of which the next sidecar will not know that it was free";
}

TEST_F(SessionTest, ReportsMadeWithoutASidecarAreThereForTheNext) {
  vm_.raise_in_run(kOptional, vm_.hva(5));
  memfail_handle(vm_.lane());
  ASSERT_TRUE(sidecar_.attach(vm_));
  const shm::Claim first = claim(0, 1, sidecar_.geometry());
  const auto report = sidecar_.line<wire::ReportLine>(first, shm::LineKind::kReport);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->hva(), vm_.hva(5));
  const auto outcome = sidecar_.outcome(first);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->decided_by(), wire::DecidedBy::builtin);
}

TEST_F(SessionTest, GoodbyeIsSaid) {
  const std::string path = dir_.file("other");
  FakeSidecar other(path);
  {
    TestVm vm([&](memfail_config& config) { config.socket_path = path.c_str(); });
    ASSERT_TRUE(other.attach(vm));
  }
  const auto last = other.receive();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->message().body_type(), wire::Body::Goodbye);
}

}  // namespace
}  // namespace memfail::test

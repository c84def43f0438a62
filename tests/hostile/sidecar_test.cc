// SPDX-License-Identifier: BSD-3-Clause
//
// A sidecar that was taken over, a process of its own, against a real shim: whatever it
// writes and sends, each incident of the VMM ends, in time, with what the guest may have.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "shm/reply_wait.h"
#include "tests/integration/shm/child.h"
#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"

namespace memfail::hostile {
namespace {

using shm::testing::Child;
using test::FakeSidecar;
using test::TestVm;

constexpr std::uint32_t kVcpus = 2;
constexpr std::uint32_t kDeadlineMs = 50;
constexpr int kIncidents = 40;
constexpr std::uint64_t kPages = 32;

using Random = std::mt19937_64;

struct Lie {
  const char* name;
  // Once attached; returns to be hung up and attached again.
  void (*tell)(FakeSidecar& sidecar, Random& random);
};

// All of its own area but the header.
void scribbles(FakeSidecar& sidecar, Random& random) {
  std::byte* const area = sidecar.reply().line({0, 0}) - sidecar.geometry().reply_offset({0, 0});
  const std::size_t words = sidecar.geometry().reply_size() / 8;
  for (int i = 0; i < 200'000; ++i) {
    const std::size_t word = 8 + random() % (words - 8);
    shm::store_word(area, word * 8, random() % 4 == 0 ? random() : random() % 8);
  }
}

// Which page the test breaks in that incident.
std::uint64_t page_of(const shm::Claim& claim) {
  return ((claim.n - 1) * kVcpus + claim.id.lane) % kPages;
}

wire::ReplyLine any_reply(Random& random) {
  wire::ReplyLine reply;
  std::array<std::uint64_t, sizeof reply / 8> words{};
  for (std::uint64_t& word : words) word = random() % 2 == 0 ? random() : random() % 16;
  std::memcpy(static_cast<void*>(&reply), words.data(), sizeof reply);
  return reply;
}

// Verdicts with a right checksum for whatever may be asked next, whatever they say: records
// of the page that breaks, of another page, and anything.
void answers_anything(FakeSidecar& sidecar, Random& random) {
  for (int i = 0; i < 20'000; ++i) {
    const auto lane = static_cast<std::uint32_t>(random() % kVcpus);
    const shm::Claim claim = test::claim(lane, 1 + random() % 24, sidecar.geometry());
    const std::uint64_t page = random() % 2 == 0 ? page_of(claim) : random() % 64;
    const bool plausible = random() % 4 != 0;
    sidecar.answer(claim, plausible ? test::inject_required(TestVm::gpa(page)) : any_reply(random));
    if (sidecar.outcome(claim)) sidecar.retire(claim);
  }
}

void retires_what_is_not_over(FakeSidecar& sidecar, Random& random) {
  for (int i = 0; i < 20'000; ++i) {
    const auto lane = static_cast<std::uint32_t>(random() % kVcpus);
    sidecar.retire(
        test::claim(lane, random() % 2 == 0 ? random() : random() % 64, sidecar.geometry()));
  }
}

void never_answers(FakeSidecar&, Random&) { ::pause(); }

void orders_without_end(FakeSidecar& sidecar, Random& random) {
  for (int i = 0; i < 300; ++i) {
    const auto vcpu = static_cast<std::uint32_t>(random());
    sidecar.send_drill(random() % 2 == 0 ? random() : TestVm::gpa(random() % 80),
                       wire::DrillKind::action_required, vcpu % 4);
    memfail_mce record{};
    record.status = random();
    record.addr = random();
    record.bank = static_cast<std::uint8_t>(random());
    sidecar.send_inject(record, vcpu, random() % 2 == 0);
  }
}

void sends_anything(FakeSidecar& sidecar, Random& random) {
  std::vector<std::byte> bytes(1 + random() % 240);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  sidecar.send_bytes(bytes, random() % 2 == 0 ? sidecar.kick_fd() : -1);
  sidecar.send_ack(random());
  sidecar.send_welcome();
}

void hangs_up(FakeSidecar&, Random&) {}

constexpr auto kLies = std::to_array<Lie>({
    {"scribbles", scribbles},
    {"answers anything", answers_anything},
    {"retires what is not over", retires_what_is_not_over},
    {"never answers", never_answers},
    {"orders without end", orders_without_end},
    {"sends anything", sends_anything},
    {"hangs up", hangs_up},
});

// The liar's life: it is there again for each attach.
int lie_for_ever(FakeSidecar& sidecar, const Lie& lie) {
  Random random(1);  // NOLINT: the same each time
  sidecar.agree_on(3);  // drills and injections, if they are offered
  for (;;) {
    if (!sidecar.take_hello()) continue;
    sidecar.make_reply_area();
    sidecar.send_welcome();
    if (sidecar.take_until_commit()) {
      sidecar.send_ack(sidecar.commit_id());
      lie.tell(sidecar, random);
    }
    sidecar.hang_up();
  }
}

class LyingSidecar : public ::testing::TestWithParam<Lie> {
 protected:
  void SetUp() override { test::install_handler(); }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }

  // A lane that nobody retires fills: what finds no cell is decided without one, and counted.
  std::uint64_t incidents_over() const {
    return vm_.incidents().size() + vm_.status().lost_reports;
  }

  // One incident: it ends, and what came of it is something that may be.
  void meet_page(std::uint64_t page, std::uint32_t vcpu, int code) {
    const std::uint64_t ended = incidents_over();
    const std::size_t told = vm_.machine_checks().size();
    vm_.raise_in_run(code, vm_.hva(page), vcpu);
    const int flags = memfail_handle(vm_.lane(vcpu));
    constexpr int kKnown = MEMFAIL_DO_RESET | MEMFAIL_DO_PAUSE | MEMFAIL_HAND_BACK;
    EXPECT_EQ(flags & ~kKnown, 0);
    EXPECT_GT(incidents_over(), ended);
    const auto records = vm_.machine_checks();
    for (std::size_t i = told; i < records.size(); ++i) {
      EXPECT_EQ(records[i].addr, TestVm::gpa(page));
      EXPECT_LT(records[i].bank, 10);
      EXPECT_NE(records[i].status & (std::uint64_t{1} << 63), 0U);
      EXPECT_EQ(records[i].status & (std::uint64_t{1} << 62), 0U) << "no OVER";
    }
  }

  test::TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};  // listens; its life is another process's
  TestVm vm_{[this](memfail_config& config) {
               config.socket_path = path_.c_str();
               config.deadline_ms = kDeadlineMs;
             },
             kVcpus};
};

TEST_P(LyingSidecar, ChangesNothingThatItMayNot) {
  const Child liar([&] { return lie_for_ever(sidecar_, GetParam()); });
  for (int i = 0; i < kIncidents; ++i) {
    if (vm_.status().state != MEMFAIL_ATTACHED) (void)memfail_shim_attach(vm_.shim(), 200, nullptr);
    const auto at = static_cast<std::uint64_t>(i);
    // Each page twice at the most: a guest that meets one over and over is reset for it.
    meet_page(at % kPages, static_cast<std::uint32_t>(i) % kVcpus,
              i % 3 == 0 ? test::kOptional : test::kRequired);
    memfail_shim_dispatch(vm_.shim());
    for (std::uint32_t vcpu = 0; vcpu < kVcpus; ++vcpu) vm_.run_posted(vcpu);
  }
  // Not the state after an attach: who hangs up at once may be gone before it is looked at.
  EXPECT_GT(vm_.status().attaches, 0U);
  std::printf("%d incidents: %llu attaches, %llu decided without it, %zu machine checks\n",
              kIncidents, static_cast<unsigned long long>(vm_.status().attaches),
              static_cast<unsigned long long>(vm_.status().fallbacks), vm_.machine_checks().size());
}

INSTANTIATE_TEST_SUITE_P(Lies, LyingSidecar, ::testing::ValuesIn(kLies), [](const auto& given) {
  std::string name = given.param.name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

}  // namespace
}  // namespace memfail::hostile

// SPDX-License-Identifier: BSD-3-Clause
//
// A writer may be killed between any two instructions, and a hostile one may change
// what it has committed: a reader gets the true payload or none.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <random>

#include "tests/integration/shm/child.h"
#include "tests/unit/shm/areas.h"
#include "tests/unit/shm/dead_thread.h"
#include "tests/unit/shm/single_step.h"

namespace memfail::shm {
namespace {

using testing::Areas;
using testing::Child;
using testing::kSession;
using testing::kStride;
using testing::must;
using testing::SingleStep;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kScale = 10;
#else
constexpr int kScale = 1;
#endif

const Geometry kGeometry(1);
constexpr LineKey kKey{kSession.low, kSession.high, 0};

// A VMM in another process: makes the request area, sends it, then runs `body`.
template <typename Body>
auto vmm(const testing::SocketPair& sockets, const Body& body) {
  return [&sockets, body] {
    const OwnArea area = must(make_area(AreaKind::kRequest, kGeometry, kSession));
    if (!testing::send_fd(sockets.theirs.get(), area.fd.get())) return 1;
    body(RequestView(area.mapping.data(), kGeometry));
    return 0;
  };
}

Mapping receive_area(const testing::SocketPair& sockets) {
  const UniqueFd fd = testing::receive_fd(sockets.ours.get());
  return must(open_peer_area(fd.get(), AreaKind::kRequest, kGeometry, kSession));
}

void write_report(const RequestView& request, std::uint64_t n) {
  const CellId id{0, kGeometry.cell_of(0, n)};
  write_line(request.line(id, LineKind::kReport), Areas::report(n), kKey, n);
}

// One instruction more than the write: a step behind its last store. Not inlined: the
// steps that are counted are those that are taken.
[[gnu::noinline]] void write_and_go_on(const RequestView& request, std::uint64_t n) {
  write_report(request, n);
  __asm__ volatile("nop" ::: "memory");
}

void kill_self() { ::syscall(SYS_kill, ::syscall(SYS_getpid), SIGKILL); }

LineState read_report(const RequestView& request, std::uint64_t n) {
  wire::ReportLine line;
  const CellId id{0, kGeometry.cell_of(0, n)};
  const LineState state = read_line(request.line(id, LineKind::kReport), kKey, n, line);
  EXPECT_TRUE(state != LineState::kCommitted || testing::same_report(line, n)) << "n " << n;
  return state;
}

long steps_of_a_write() {
  const Areas areas(1);
  write_report(areas.shim_request(), 1);
  const RequestView request = areas.shim_request();
  return SingleStep::run([&] { write_and_go_on(request, 5); }, 0, nullptr);
}

TEST(AWriter, KilledAfterEachInstructionLeavesTheOldLineTheNewLineOrNone) {
  if (!testing::kCanStep) GTEST_SKIP() << "SKIPPED under ThreadSanitizer: no single steps";
  const SingleStep stepping;
  crc32c_prepare();
  const long steps = steps_of_a_write();
  int old_line = 0;
  int none = 0;
  int new_line = 0;
  for (long at = 1; at <= steps; at += kStride) {
    const testing::SocketPair sockets;
    Child writer(vmm(sockets, [at](const RequestView& request) {
      write_report(request, 1);
      SingleStep::run([&] { write_and_go_on(request, 5); }, at, kill_self);
      kill_self();
    }));
    const Mapping seen = receive_area(sockets);
    ASSERT_TRUE(writer.died_of(SIGKILL));
    const RequestView request(seen.data(), kGeometry);
    const LineState first = read_report(request, 1);
    const LineState second = read_report(request, 5);
    ASSERT_NE(first, LineState::kCorrupt) << "step " << at;
    ASSERT_NE(second, LineState::kCorrupt) << "step " << at;
    ASSERT_FALSE(first == LineState::kCommitted && second == LineState::kCommitted);
    old_line += first == LineState::kCommitted ? 1 : 0;
    new_line += second == LineState::kCommitted ? 1 : 0;
    none += first == LineState::kOther && second == LineState::kOther ? 1 : 0;
  }
  std::printf("SIGKILL after each of %ld instructions (every %ld): old %d, none %d, new %d\n",
              steps, kStride, old_line, none, new_line);
  EXPECT_GT(old_line, 0);
  EXPECT_GT(none, 0);
  EXPECT_GT(new_line, 0);
}

// Looks at one cell as an intake does: the word says which incident it may be.
// What a living writer overwrites meanwhile is corrupt, and never wrong.
LineState look(const RequestView& request, std::uint32_t cell) {
  const std::byte* at = request.line({0, cell}, LineKind::kReport);
  const std::uint64_t word = load_word(at, wire::kWordOffset);
  if (word == 0 || word % 2 != 0) return LineState::kOther;
  wire::ReportLine line;
  const LineState state = read_line(at, kKey, word / 2, line);
  EXPECT_TRUE(state != LineState::kCommitted || testing::same_report(line, word / 2));
  return state;
}

TEST(AWriter, KilledAtRandomMomentsNeverLeavesAWrongPayload) {
  constexpr int kRounds = 400 / kScale;
  std::mt19937 random(20260202);
  std::uint64_t reads = 0;
  int half_written = 0;
  for (int round = 0; round < kRounds; ++round) {
    const testing::SocketPair sockets;
    Child writer(vmm(sockets, [](const RequestView& request) {
      crc32c_prepare();
      for (std::uint64_t n = 1;; ++n) write_report(request, n);
    }));
    const Mapping seen = receive_area(sockets);
    const RequestView request(seen.data(), kGeometry);
    const std::uint64_t until = reads + random() % 4000;
    while (reads < until) look(request, static_cast<std::uint32_t>(reads++ % 4));
    writer.kill();
    ASSERT_TRUE(writer.died_of(SIGKILL));
    for (std::uint32_t cell = 0; cell < 4; ++cell) {
      const std::byte* at = request.line({0, cell}, LineKind::kReport);
      const bool odd = load_word(at, wire::kWordOffset) % 2 != 0;
      half_written += odd ? 1 : 0;
      ASSERT_NE(look(request, cell), LineState::kCorrupt) << "the writer is dead";
    }
  }
  std::printf("random SIGKILL: %d writers, %llu reads, %d lines left half-written\n", kRounds,
              static_cast<unsigned long long>(reads), half_written);
}

// Two payloads, each with its own right CRC, written over each other for ever
// without ever touching the word.
void overwrite_for_ever(const RequestView& request) {
  std::byte* at = request.line({0, 0}, LineKind::kReport);
  std::array<LineImage, 2> images{};
  for (std::size_t i = 0; i < 2; ++i) {
    write_line(at, Areas::report(1000 + i), kKey, 1);
    for (std::size_t word = 0; word < 8; ++word) images.at(i).at(word) = load_word(at, word * 8);
  }
  for (std::size_t i = 0;; ++i) {
    for (std::size_t word = 1; word < 8; ++word) {
      store_word(at, word * 8, images.at(i % 2).at(word), std::memory_order_relaxed);
    }
  }
}

bool is_payload_of(const wire::ReportLine& line, std::uint64_t n) {
  const wire::ReportLine expected = Areas::report(n);
  constexpr std::size_t kFrom = wire::kPayloadOffset;
  return std::memcmp(reinterpret_cast<const std::byte*>(&line) + kFrom,
                     reinterpret_cast<const std::byte*>(&expected) + kFrom, 64 - kFrom) == 0;
}

TEST(ACommittedLine, ThatChangesWhileItIsReadIsCorruptOrWholeAndNeverTorn) {
  const testing::SocketPair sockets;
  const Child writer(vmm(sockets, overwrite_for_ever));
  const Mapping seen = receive_area(sockets);
  const RequestView request(seen.data(), kGeometry);
  int whole = 0;
  int corrupt = 0;
  const double until = testing::seconds_now() + 20;
  for (int i = 0; i < 2'000'000 / kScale || (corrupt == 0 && testing::seconds_now() < until); ++i) {
    wire::ReportLine line;
    const auto state = read_line(request.line({0, 0}, LineKind::kReport), kKey, 1, line);
    corrupt += state == LineState::kCorrupt ? 1 : 0;
    if (state != LineState::kCommitted) continue;
    ++whole;
    ASSERT_TRUE(is_payload_of(line, 1000) || is_payload_of(line, 1001)) << "torn";
  }
  std::printf("a changing line: %d whole, %d corrupt, none torn\n", whole, corrupt);
  EXPECT_GT(corrupt, 0);
}

// The same at each instruction of the reader.
struct Overwrite {
  const Areas* areas = nullptr;
  bool odd = false;
} overwrite;

TEST(ACommittedLine, ThatChangesAfterEachInstructionOfItsReaderIsNeverTorn) {
  if (!testing::kCanStep) GTEST_SKIP() << "SKIPPED under ThreadSanitizer: no single steps";
  const SingleStep stepping;
  crc32c_prepare();
  const Areas areas(1);
  const std::byte* at = areas.sidecar_request().line({0, 0}, LineKind::kReport);
  wire::ReportLine line;
  LineState state{};
  const auto read = [&] { state = read_line(at, kKey, 1, line); };
  const auto change = [] {
    std::byte* to = overwrite.areas->shim_request().line({0, 0}, LineKind::kReport);
    if (overwrite.odd) return store_word(to, wire::kWordOffset, writing_word(5));
    write_line(to, Areas::report(2000), kKey, 1);
  };
  read();
  areas.commit_report({{0, 0}, 1});
  const long steps = SingleStep::run(read, 0, nullptr);
  for (const bool odd : {false, true}) {
    overwrite = {&areas, odd};
    for (long k = 1; k <= steps; k += kStride) {
      areas.commit_report({{0, 0}, 1});
      line = {};
      SingleStep::run(read, k, change);
      if (state != LineState::kCommitted) continue;
      ASSERT_TRUE(is_payload_of(line, 1) || is_payload_of(line, 2000)) << "step " << k;
    }
    EXPECT_EQ(state, LineState::kCommitted) << "changed after the last step";
  }
}

TEST(AFullLane, IsCountedWhereTheOtherProcessSeesIt) {
  const testing::SocketPair sockets;
  Child writer(vmm(sockets, [](const RequestView& request) {
    const OwnArea reply = must(make_area(AreaKind::kReply, kGeometry, kSession));
    for (int i = 0; i < 7; ++i) {
      const auto claim = claim_in_lane(request, {reply.mapping.data(), kGeometry}, 0);
      if (claim) {
        write_report(request, claim->n);
      } else {
        count_lost_report(request);
      }
    }
  }));
  const Mapping seen = receive_area(sockets);
  ASSERT_TRUE(writer.exited_with(0));
  const RequestView request(seen.data(), kGeometry);
  EXPECT_EQ(request.lost_reports(), 3U);
  EXPECT_EQ(load_word(request.lane(0), wire::kLaneNextOffset), 4U);
  for (std::uint64_t n = 1; n <= 4; ++n) EXPECT_EQ(read_report(request, n), LineState::kCommitted);
}

}  // namespace
}  // namespace memfail::shm

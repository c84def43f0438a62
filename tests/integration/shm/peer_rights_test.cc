// SPDX-License-Identifier: BSD-3-Clause
//
// What a peer that holds an area's descriptor can do to it: read it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "shm/area.h"
#include "tests/integration/shm/child.h"
#include "tests/unit/shm/areas.h"

namespace memfail::shm {
namespace {

using testing::Areas;
using testing::Child;
using testing::kSession;

// One try of a hostile peer: true if the kernel let it.
struct Try {
  const char* name;
  std::function<bool(int fd, std::size_t size)> act;
};

bool maps(int fd, std::size_t size, int protection) {
  return ::mmap(nullptr, size, protection, MAP_SHARED, fd, 0) != MAP_FAILED;
}

bool can_be_made_writable(int fd, std::size_t size, int flags) {
  void* at = ::mmap(nullptr, size, PROT_READ, flags, fd, 0);
  return at != MAP_FAILED && ::mprotect(at, size, PROT_READ | PROT_WRITE) == 0;
}

int reopen(int fd, int flags) {
  return ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), flags);
}

bool splices(int fd) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0 || ::write(ends[1], "hostile", 7) != 7) return true;
  return ::splice(ends[0], nullptr, fd, nullptr, 7, 0) >= 0;
}

bool removes(int fd, std::size_t size) {
  void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  return at == MAP_FAILED || ::madvise(at, 4096, MADV_REMOVE) == 0;
}

std::vector<Try> tries() {
  const int punch = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
  return {
      {"shrink", [](int fd, auto) { return ::ftruncate(fd, 4096) == 0; }},
      {"shrink to nothing", [](int fd, auto) { return ::ftruncate(fd, 0) == 0; }},
      {"grow",
       [](int fd, auto size) { return ::ftruncate(fd, static_cast<off_t>(size * 2)) == 0; }},
      {"grow by fallocate",
       [](int fd, auto size) { return ::fallocate(fd, 0, 0, static_cast<off_t>(size * 2)) == 0; }},
      {"punch a hole", [=](int fd, auto) { return ::fallocate(fd, punch, 0, 4096) == 0; }},
      {"zero a range",
       [](int fd, auto) { return ::fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096) == 0; }},
      {"write", [](int fd, auto) { return ::write(fd, "hostile", 7) >= 0; }},
      {"pwrite", [](int fd, auto) { return ::pwrite(fd, "hostile", 7, 100) >= 0; }},
      {"splice", [](int fd, auto) { return splices(fd); }},
      {"map writable", [](int fd, auto size) { return maps(fd, size, PROT_READ | PROT_WRITE); }},
      {"map write-only", [](int fd, auto size) { return maps(fd, size, PROT_WRITE); }},
      {"mprotect", [](int fd, auto size) { return can_be_made_writable(fd, size, MAP_SHARED); }},
      {"remove pages", removes},
      {"reopen and map writable",
       [](int fd, auto size) { return maps(reopen(fd, O_RDWR), size, PROT_READ | PROT_WRITE); }},
      {"reopen and write",
       [](int fd, auto) { return ::write(reopen(fd, O_RDWR), "hostile", 7) >= 0; }},
      {"reopen and truncate", [](int fd, auto) { return reopen(fd, O_RDWR | O_TRUNC) >= 0; }},
      {"reopen and shrink", [](int fd, auto) { return ::ftruncate(reopen(fd, O_RDWR), 0) == 0; }},
      {"add a seal", [](int fd, auto) { return ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0; }},
  };
}

TEST(APeer, CanNeitherResizeNorWriteAnAreaByAnyOfTheseWays) {
  for (const AreaKind kind : {AreaKind::kRequest, AreaKind::kReply}) {
    const Areas areas;
    const OwnArea& area = kind == AreaKind::kRequest ? areas.request : areas.reply;
    const std::vector<std::byte> before(area.mapping.data(),
                                        area.mapping.data() + area.mapping.size());
    for (const Try& attempt : tries()) {
      const UniqueFd fd(::dup(area.fd.get()));
      Child peer([&] { return attempt.act(fd.get(), area.mapping.size()) ? 1 : 0; });
      EXPECT_TRUE(peer.exited_with(0)) << attempt.name;
    }
    EXPECT_EQ(std::memcmp(before.data(), area.mapping.data(), before.size()), 0);
    area.mapping.data()[5000] = std::byte{1};
    EXPECT_EQ((kind == AreaKind::kRequest ? areas.request_seen : areas.reply_seen).data()[5000],
              std::byte{1})
        << "its maker still writes it";
  }
}

TEST(APeer, ThatMakesAPrivateCopyChangesOnlyThat) {
  const Areas areas;
  Child peer([&] {
    void* at =
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, areas.request.fd.get(), 0);
    if (at == MAP_FAILED) return 1;
    std::memset(at, 0xFF, 4096);
    return 0;
  });
  EXPECT_TRUE(peer.exited_with(0));
  EXPECT_EQ(load_word(areas.request.mapping.data(), 0), kAreaMagic);
}

// Touches one byte in a forked child, which must die of it.
bool child_dies_of_touching(const std::byte* at, bool write) {
  Child child([&] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::signal(SIGSEGV, SIG_DFL);
    auto* byte = const_cast<volatile std::byte*>(at);
    if (write) *byte = std::byte{1};
    return static_cast<int>(*byte) & 0;
  });
  return child.died_of(SIGSEGV);
}

TEST(AForkedChild, HasNoneOfItsParentsMappings) {
  const Areas areas;
  EXPECT_TRUE(child_dies_of_touching(areas.request.mapping.data(), true));
  EXPECT_TRUE(child_dies_of_touching(areas.reply_seen.data(), false));
  EXPECT_EQ(load_word(areas.request.mapping.data(), 0), kAreaMagic);
}

TEST(AForkedChild, HasNoneOfTheMappingsThatWereReplacedEither) {
  const Areas areas;
  const OwnArea fresh = testing::must(make_area(AreaKind::kReply, areas.geometry, kSession));
  ASSERT_TRUE(replace_peer_area(fresh.fd.get(), AreaKind::kReply, areas.geometry, kSession,
                                areas.reply_seen));
  EXPECT_TRUE(child_dies_of_touching(areas.reply_seen.data(), false));
}

TEST(AReadOnlyMapping, CannotBeWrittenByItsOwnProcess) {
  const Areas areas;
  Child child([&] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::signal(SIGSEGV, SIG_DFL);
    const auto seen = testing::must(
        open_peer_area(areas.reply.fd.get(), AreaKind::kReply, areas.geometry, kSession));
    *const_cast<volatile std::byte*>(seen.data()) = std::byte{1};
    return 0;
  });
  EXPECT_TRUE(child.died_of(SIGSEGV));
}

// A sidecar returns while vCPU threads look at the reply area: they see the old one
// or the new one, at the same address, and never a hole.
TEST(AReplyArea, IsReplacedUnderConcurrentReaders) {
  const Areas areas(64);
  std::vector<OwnArea> fresh;
  for (std::uint64_t i = 0; i < 2; ++i) {
    fresh.push_back(testing::must(make_area(AreaKind::kReply, areas.geometry, kSession)));
    store_word(fresh.back().mapping.data(), 8000, i + 1);
  }
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> reads{0};
  std::vector<std::thread> readers;
  readers.reserve(3);
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        if (load_word(areas.reply_seen.data(), 0) != kAreaMagic) wrong.fetch_add(1);
        if (load_word(areas.reply_seen.data(), 8000) > 2) wrong.fetch_add(1);
        reads.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (std::size_t round = 0; round < 3'000; ++round) {
    const OwnArea& area = fresh[round % 2];
    ASSERT_TRUE(replace_peer_area(area.fd.get(), AreaKind::kReply, areas.geometry, kSession,
                                  areas.reply_seen));
    ASSERT_EQ(load_word(areas.reply_seen.data(), 8000), round % 2 + 1);
  }
  stop.store(true);
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0U);
  EXPECT_GT(reads.load(), 0U);
}

TEST(AReplyArea, ThatIsNotReplacedStaysAsItWas) {
  const Areas areas;
  const OwnArea foreign = testing::must(make_area(AreaKind::kReply, areas.geometry, {1, 2}));
  store_word(areas.reply.mapping.data(), 8000, 42);
  EXPECT_FALSE(replace_peer_area(foreign.fd.get(), AreaKind::kReply, areas.geometry, kSession,
                                 areas.reply_seen));
  EXPECT_FALSE(replace_peer_area(-1, AreaKind::kReply, areas.geometry, kSession, areas.reply_seen));
  EXPECT_EQ(load_word(areas.reply_seen.data(), 8000), 42U);
}

}  // namespace
}  // namespace memfail::shm

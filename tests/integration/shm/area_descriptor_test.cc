// SPDX-License-Identifier: BSD-3-Clause
//
// A memory that another process sends: whatever is wrong with it is refused, with
// the thing named, before it is mapped or looked into.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/memfd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>

#include "shm/area.h"
#include "shm/descriptor.h"
#include "tests/integration/shm/child.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace memfail::shm {
namespace {

using testing::fd_from_peer;

constexpr SessionId kSession{7, 9};
const Geometry kGeometry(2);
const std::size_t kSize = kGeometry.request_size();

struct Recipe {
  std::size_t size = kSize;
  bool preallocate = true;
  int seals = kAreaSeals;
  std::size_t corrupt_at = 64;  // a byte of the header to be changed; 64: none
  AreaKind kind = AreaKind::kRequest;
};

// A memfd by hand, as a hostile peer would make it. The header is copied from a
// genuine area.
int make(const Recipe& recipe) {
  const auto genuine = make_area(recipe.kind, kGeometry, kSession);
  const int fd = ::memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (!genuine || ::ftruncate(fd, static_cast<off_t>(recipe.size)) != 0) return -1;
  if (recipe.preallocate) {
    void* at = ::mmap(nullptr, recipe.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return -1;
    std::memset(at, 0, recipe.size);
    std::memcpy(at, genuine->mapping.data(), 64);
    if (recipe.corrupt_at < 64) static_cast<std::byte*>(at)[recipe.corrupt_at] ^= std::byte{0x40};
    ::munmap(at, recipe.size);
  }
  return ::fcntl(fd, F_ADD_SEALS, recipe.seals) == 0 ? fd : -1;
}

std::expected<Mapping, Error> open_from_peer(const Recipe& recipe) {
  const UniqueFd fd = fd_from_peer([&] { return make(recipe); });
  return open_peer_area(fd.get(), AreaKind::kRequest, kGeometry, kSession);
}

TEST(AMemoryFromAPeer, IsTakenIfItIsWhatWasAgreed) { EXPECT_TRUE(open_from_peer({})); }

TEST(AMemoryFromAPeer, WithMoreSealsThanNeededIsTaken) {
  const UniqueFd fd = fd_from_peer([] {
    const int made = make({.seals = F_SEAL_FUTURE_WRITE});
    return ::fcntl(made, F_ADD_SEALS, kAreaSeals | F_SEAL_WRITE) == 0 ? made : -1;
  });
  EXPECT_TRUE(open_peer_area(fd.get(), AreaKind::kRequest, kGeometry, kSession));
}

TEST(AMemoryFromAPeer, WithoutAnyOneOfTheSealsIsRefused) {
  for (const int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL}) {
    const auto result = open_from_peer({.seals = kAreaSeals & ~missing});
    ASSERT_FALSE(result) << missing;
    EXPECT_STREQ(result.error().field, "request area");
    EXPECT_STREQ(result.error().what, "lacks seals");
    EXPECT_EQ(result.error().value, static_cast<std::uint64_t>(kAreaSeals & ~missing));
  }
}

TEST(AMemoryFromAPeer, SealedAgainstAllWritingInsteadOfFutureWritingIsRefused) {
  // F_SEAL_WRITE needs that no writable mapping exists: its maker could never write.
  const UniqueFd fd = fd_from_peer([] {
    const int made = ::memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (::ftruncate(made, static_cast<off_t>(kSize)) != 0) return -1;
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    return ::fcntl(made, F_ADD_SEALS, seals) == 0 ? made : -1;
  });
  const auto result = check_area_descriptor(fd.get(), kSize, "area");
  ASSERT_FALSE(result);
  EXPECT_STREQ(result.error().what, "lacks seals");
}

TEST(AMemoryFromAPeer, OfAnyOtherSizeIsRefusedWithBothNamed) {
  for (const std::size_t size : {kSize - 4096, kSize + 4096, kSize - 1, kSize + 1, 4096UL}) {
    const auto result = open_from_peer({.size = size});
    ASSERT_FALSE(result) << size;
    EXPECT_STREQ(result.error().what, "has the wrong size");
    EXPECT_EQ(result.error().value, size);
    EXPECT_EQ(result.error().limit, kSize);
  }
}

TEST(AMemoryFromAPeer, ThatIsSparseIsRefused) {
  const auto result = open_from_peer({.preallocate = false});
  ASSERT_FALSE(result);
  EXPECT_STREQ(result.error().what, "is not preallocated");
}

TEST(AMemoryFromAPeer, WithOneHoleIsRefusedEvenIfBlocksBeyondTheEndMakeUpForIt) {
  for (const off_t hole : {off_t{0}, off_t{4096}, static_cast<off_t>(kSize) - 4096}) {
    const UniqueFd fd = fd_from_peer([&] {
      const int made = make({.seals = 0});
      const int keep = FALLOC_FL_KEEP_SIZE;
      if (::fallocate(made, keep, static_cast<off_t>(kSize), static_cast<off_t>(kSize)) != 0 ||
          ::fallocate(made, keep | FALLOC_FL_PUNCH_HOLE, hole, 4096) != 0) {
        return -1;
      }
      return ::fcntl(made, F_ADD_SEALS, kAreaSeals) == 0 ? made : -1;
    });
    const auto result = check_area_descriptor(fd.get(), kSize, "area");
    ASSERT_FALSE(result) << hole;
    EXPECT_STREQ(result.error().what, "is not preallocated");
    EXPECT_EQ(result.error().limit, kSize);
  }
}

TEST(AMemoryFromAPeer, OfHugePagesIsRefusedThoughItCanBeSealed) {
  const UniqueFd made(::memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB));
  if (!made.valid()) {
    GTEST_SKIP() << "SKIPPED: this kernel makes no hugetlb memfd: " << std::strerror(errno);
  }
  const UniqueFd fd = fd_from_peer([] {
    const int huge = ::memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
    if (::ftruncate(huge, 2 << 20) != 0) return -1;
    return ::fcntl(huge, F_ADD_SEALS, kAreaSeals) == 0 ? huge : -1;
  });
  const auto result = check_area_descriptor(fd.get(), 2 << 20, "area");
  ASSERT_FALSE(result);
  EXPECT_STREQ(result.error().what, "is not on tmpfs");
}

int temporary_file(const char* folder) {
  std::string path = std::string(folder) + "/memfail-test-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ::unlink(path.c_str());
  return ::ftruncate(fd, static_cast<off_t>(kSize)) == 0 ? fd : -1;
}

TEST(AMemoryFromAPeer, ThatIsNoMemfdIsRefused) {
  struct Kind {
    const char* name;
    std::function<int()> make;
  };
  const Kind kinds[] = {
      {"pipe",
       [] {
         std::array<int, 2> ends{};
         return ::pipe(ends.data()) == 0 ? ends[0] : -1;
       }},
      {"file", [] { return temporary_file("/tmp"); }},
      {"file on a tmpfs", [] { return temporary_file("/dev/shm"); }},
      {"folder", [] { return ::open("/", O_RDONLY | O_DIRECTORY); }},
      {"/dev/zero", [] { return ::open("/dev/zero", O_RDWR); }},
      {"/dev/null", [] { return ::open("/dev/null", O_RDWR); }},
      {"O_PATH", [] { return ::open("/", O_PATH); }},
      {"file of /proc", [] { return ::open("/proc/self/mem", O_RDWR); }},
      {"socket", [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }},
      {"eventfd", [] { return ::eventfd(0, 0); }},
  };
  for (const Kind& kind : kinds) {
    const UniqueFd fd = fd_from_peer(kind.make);
    const auto result = open_peer_area(fd.get(), AreaKind::kRequest, kGeometry, kSession);
    ASSERT_FALSE(result) << kind.name;
    EXPECT_STREQ(result.error().field, "request area") << kind.name;
  }
}

TEST(AMemoryFromAPeer, WhoseHeaderDiffersInAnyMemberIsRefusedByItsName) {
  struct Member {
    std::size_t offset;
    const char* name;
  };
  const Member members[] = {
      {0, "area magic"},       {7, "area magic"},        {8, "area ABI version"},
      {12, "area kind"},       {16, "area vCPU count"},  {20, "area cells per lane"},
      {24, "area slots"},      {28, "area lane stride"}, {32, "area size"},
      {39, "area size"},       {40, "area session id"},  {47, "area session id"},
      {48, "area session id"}, {55, "area session id"},
  };
  for (const Member& member : members) {
    const auto result = open_from_peer({.corrupt_at = member.offset});
    ASSERT_FALSE(result) << member.offset;
    EXPECT_STREQ(result.error().field, member.name) << member.offset;
    EXPECT_STREQ(result.error().what, "differs from what was agreed");
    EXPECT_NE(result.error().value, result.error().limit);
  }
}

TEST(AMemoryFromAPeer, OfTheOtherKindOrCountOrSessionIsRefused) {
  const UniqueFd fd = fd_from_peer([] { return make({}); });
  EXPECT_FALSE(open_peer_area(fd.get(), AreaKind::kReply, kGeometry, kSession));
  EXPECT_FALSE(open_peer_area(fd.get(), AreaKind::kRequest, Geometry(3), kSession));
  EXPECT_FALSE(open_peer_area(fd.get(), AreaKind::kRequest, kGeometry, {7, 8}));
  EXPECT_FALSE(open_peer_area(fd.get(), AreaKind::kRequest, kGeometry, {9, 7}));
  EXPECT_TRUE(open_peer_area(fd.get(), AreaKind::kRequest, kGeometry, kSession));
}

TEST(AMemoryFromAPeer, ThatIsTooLargeForItsCountsIsStillComparedInItsHeader) {
  const UniqueFd fd = fd_from_peer([] {
    const auto reply = make_area(AreaKind::kReply, kGeometry, kSession);
    return reply ? ::dup(reply->fd.get()) : -1;
  });
  const auto result = open_peer_area(fd.get(), AreaKind::kReply, Geometry(1), kSession);
  ASSERT_FALSE(result) << "the sizes are equal (one page of lines): the count is not";
  EXPECT_STREQ(result.error().field, "area vCPU count");
}

}  // namespace
}  // namespace memfail::shm

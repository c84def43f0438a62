// SPDX-License-Identifier: BSD-3-Clause
//
// An area of which a page is lost ends its session, and nothing else. Areas are
// sealed, so the test tells the guard what its handler would.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "served_vm.h"
#include "sidecar/guard/guarded_range.h"

namespace memfail::test {
namespace {

// Where this process maps memory of these rights and of a name with `part` in it, the
// last one made.
std::uintptr_t mapped_at(const std::string& rights, const std::string& part) {
  std::ifstream maps("/proc/self/maps");
  std::uintptr_t found = 0;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string range;
    std::string seen;
    words >> range >> seen;
    if (seen != rights || line.find(part) == std::string::npos) continue;
    found = std::stoul(range, nullptr, 16);
  }
  return found;
}

class BrokenAreaTest : public ::testing::Test {
 protected:
  void expect_end(const char* area) {
    const auto served = vm_.session().serve();
    ASSERT_FALSE(served);
    EXPECT_EQ(served.error().code, wire::ErrorCode::area);
    EXPECT_EQ(served.error().text, std::string("a page of the ") + area +
                                       " area is lost: this host's memory is broken there");
  }
  ServedVm vm_{2};
};

TEST_F(BrokenAreaTest, ALostPageOfTheRequestAreaEndsTheSession) {
  const std::uintptr_t at = mapped_at("r--s", "memfail-request");
  ASSERT_NE(at, 0U);
  ASSERT_NE(guard::mark_broken(at, 12).size, 0U);
  expect_end("request");
}

TEST_F(BrokenAreaTest, ALostPageOfTheReplyAreaEndsTheSession) {
  const std::uintptr_t at = mapped_at("rw-s", "memfail-reply");
  ASSERT_NE(at, 0U);
  const guard::LostPart part = guard::mark_broken(at, 12);
  ASSERT_NE(part.size, 0U);
  EXPECT_TRUE(part.writable);
  expect_end("reply");
}

TEST_F(BrokenAreaTest, TheNextAttachHasFreshAreas) {
  ASSERT_NE(guard::mark_broken(mapped_at("rw-s", "memfail-reply"), 12).size, 0U);
  expect_end("reply");
  vm_.session().detach();
  vm_.attach();
  EXPECT_TRUE(vm_.session().serve());
}

}  // namespace
}  // namespace memfail::test

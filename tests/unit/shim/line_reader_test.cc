// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/line_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "shm/unique_fd.h"

namespace memfail::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> lines_of(int fd, std::size_t buffer_size, int* error = nullptr) {
  std::vector<char> buffer(buffer_size);
  shim::LineReader reader(fd, buffer);
  std::vector<std::string> lines;
  while (const auto line = reader.next()) lines.emplace_back(*line);
  if (error != nullptr) *error = reader.error();
  return lines;
}

// Through a pipe, which also gives less than was asked for.
std::vector<std::string> lines_of(const std::string& text, std::size_t buffer_size) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {"no pipe"};
  const shm::UniqueFd reader(ends[0]);
  shm::UniqueFd writer(ends[1]);
  EXPECT_EQ(::write(writer.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  writer.reset();
  return lines_of(reader.get(), buffer_size);
}

TEST(LineReader, GivesEachLineWithoutItsNewline) {
  EXPECT_THAT(lines_of("one\ntwo\n\nfour\n", 100), ElementsAre("one", "two", "", "four"));
}

TEST(LineReader, ALastLineNeedsNoNewline) {
  EXPECT_THAT(lines_of("one\ntwo", 100), ElementsAre("one", "two"));
}

TEST(LineReader, AnEmptyTextHasNoLines) { EXPECT_THAT(lines_of("", 100), IsEmpty()); }

TEST(LineReader, TheResultDoesNotDependOnTheBuffersSize) {
  const std::string text = "a\nbc\ndef\n\nghij\n";
  for (std::size_t size = 5; size < 20; ++size) {
    EXPECT_THAT(lines_of(text, size), ElementsAre("a", "bc", "def", "", "ghij")) << size;
  }
}

TEST(LineReader, ALineThatDoesNotFitIsCutAndTheNextOneIsWhole) {
  EXPECT_THAT(lines_of("abcdefghijklmnop\nnext\n", 6), ElementsAre("abcdef", "next"));
  EXPECT_THAT(lines_of("abcdef\nnext\n", 6), ElementsAre("abcdef", "next"));
  EXPECT_THAT(lines_of("abcdefghijkl\nnext\n", 6), ElementsAre("abcdef", "next"));
  EXPECT_THAT(lines_of("abcdefghijklmnop", 6), ElementsAre("abcdef"));
}

TEST(LineReader, AFailedReadEndsTheLinesAndIsKept) {
  int error = 0;
  EXPECT_THAT(lines_of(-1, 100, &error), IsEmpty());
  EXPECT_EQ(error, EBADF);
}

}  // namespace
}  // namespace memfail::test

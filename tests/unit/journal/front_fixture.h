// SPDX-License-Identifier: BSD-3-Clause
//
// A front on a tmpfs of the test's own, and records whose content says their number.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "sidecar/journal/front_file.h"

namespace memfail::journal::testing {

inline const wire::Id128 kJournal(0x1111, 0x2222);
inline const wire::Id128 kBoot(0x3333, 0x4444);

class TmpfsDirectory {
 public:
  TmpfsDirectory() {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr) << "these tests need a tmpfs at /dev/shm";
  }
  TmpfsDirectory(const TmpfsDirectory&) = delete;
  TmpfsDirectory& operator=(const TmpfsDirectory&) = delete;
  ~TmpfsDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_ = "/dev/shm/memfail-front-XXXXXX";
};

inline FrontRequest request_for(const TmpfsDirectory& directory) {
  FrontRequest request;
  request.path = directory.file("front");
  request.capacity = FrontRequest::kMinCapacity;
  request.boot = kBoot;
  request.journal = kJournal;
  return request;
}

inline OpenFront must_open(const FrontRequest& request) {
  auto opened = open_front(request);
  if (opened) return std::move(*opened);
  ADD_FAILURE() << opened.error().text;
  return {};
}

inline std::vector<std::byte> payload_for(std::uint64_t number, std::size_t size) {
  std::vector<std::byte> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(number * 131 + i);
  return out;
}

// Lengths that meet every distance to the ring's end.
inline std::size_t length_for(std::uint64_t number) { return (number * 7) % 700 + 1; }

inline bool append_numbered(Front& front, std::uint64_t number) {
  const std::vector<std::byte> payload = payload_for(number, length_for(number));
  return front.append({RecordType::kEvent, number, number * 2, payload});
}

inline bool is_numbered(const Record& record, std::uint64_t number) {
  return record.type == RecordType::kEvent && record.number == number && record.seq == number * 2 &&
         std::ranges::equal(record.payload, payload_for(number, length_for(number)));
}

// How many records stand in the front, each the one after the other from `first` on.
inline std::uint64_t count_from(const Front& front, std::uint64_t first) {
  std::uint64_t number = first;
  FrontItem item = front.read(front.tail());
  for (; item.state == FrontRead::kRecord; item = front.read(item.next)) {
    EXPECT_TRUE(is_numbered(item.record, number)) << "number " << item.record.number;
    ++number;
  }
  EXPECT_EQ(item.state, FrontRead::kEmpty);
  return number - first;
}

}  // namespace memfail::journal::testing

// SPDX-License-Identifier: BSD-3-Clause
//
// Any bytes as a poison list from another host: what is taken is sound, and is the only
// spelling of it; what is refused leaves nothing behind.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "shm/crc32c.h"
#include "vmm_shim/poison_blob.h"

namespace {

namespace shim = memfail::shim;
namespace shm = memfail::shm;
using shim::PoisonRecord;

constexpr std::size_t kRoom = 32;
constexpr PoisonRecord kUntouched{1, 1, 1};

template <typename T>
void append(std::vector<std::byte>& blob, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  blob.insert(blob.end(), bytes, bytes + sizeof value);
}

// What a writer would have written, or nearly. Data at its end gives zeros: the usual.
template <typename T>
T nearly(FuzzedDataProvider& data, T usual) {
  return data.ConsumeIntegralInRange(0, 31) == 31 ? data.ConsumeIntegral<T>() : usual;
}

void append_page(std::vector<std::byte>& blob, FuzzedDataProvider& data, std::uint64_t& floor) {
  const auto pages = [&](std::uint64_t least) {
    return data.ConsumeIntegralInRange<std::uint64_t>(least, 600) * 4096;
  };
  const auto gpa = nearly(data, floor + pages(0));
  const auto size = nearly(data, pages(1));
  append(blob, gpa);
  append(blob, size);
  append(blob, nearly<std::uint32_t>(data, data.ConsumeIntegralInRange<std::uint32_t>(0, 3)));
  append(blob, nearly<std::uint32_t>(data, 0));
  floor = gpa + size;
}

std::vector<std::byte> likely_blob(FuzzedDataProvider& data) {
  const auto count = data.ConsumeIntegralInRange<std::uint32_t>(0, kRoom + 2);
  std::vector<std::byte> blob;
  append(blob, nearly<std::uint32_t>(data, 0x4C50464D));
  append(blob, nearly<std::uint16_t>(data, 1));
  append(blob, nearly<std::uint16_t>(data, shim::kPoisonBlobEntry));
  append(blob, nearly(data, count));
  append(blob, std::uint32_t{0});
  std::uint64_t floor = 0;
  for (std::uint32_t i = 0; i < count; ++i) append_page(blob, data, floor);
  const std::span<const std::byte> bytes(blob);
  const std::uint32_t crc = nearly(
      data, shm::crc32c(shm::crc32c(0, bytes.first(12)), bytes.subspan(shim::kPoisonBlobHeader)));
  std::memcpy(blob.data() + 12, &crc, sizeof crc);
  blob.resize(nearly(data, blob.size()) % 1024);
  return blob;
}

void check_taken(const std::vector<std::byte>& blob, std::span<PoisonRecord> pages) {
  std::uint64_t floor = 0;
  for (const PoisonRecord& page : pages) {
    const bool sound = page.gpa >= floor && page.size != 0 && (page.gpa | page.size) % 4096 == 0 &&
                       page.gpa + page.size > page.gpa;
    if (!sound) std::abort();
    floor = page.gpa + page.size;
  }
  std::vector<std::byte> again(blob.size());
  const auto size = shim::write_poison_blob(pages, again);
  if (!size || *size != blob.size() || again != blob) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  const std::vector<std::byte> blob =
      data.ConsumeBool() ? likely_blob(data) : data.ConsumeRemainingBytes<std::byte>();
  std::array<PoisonRecord, kRoom> pages;
  pages.fill(kUntouched);
  const auto count = shim::read_poison_blob(blob, pages);
  if (count) {
    check_taken(blob, std::span(pages).first(*count));
  } else if (!std::ranges::all_of(pages, [](auto& page) { return page == kUntouched; })) {
    std::abort();
  }
  return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/region_error.h"

#include <array>
#include <cinttypes>
#include <cstdio>

namespace memfail::decision {
namespace {

// What the limit of each code is, in words; by RegionErrorCode.
constexpr std::array<const char*, 8> kLimitTexts{
    "?",
    "not a multiple of the limit",
    "the range wraps around; the limit is the largest size there",
    "overlaps another in guest addresses; the limit is where that one ends",
    "too many",
    "the slot number is in use; the limit is the number of regions it may name",
    "not a power of two from 4096 up to the limit",
    "empty; the limit is the least size",
};

const char* limit_text(RegionErrorCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kLimitTexts.size() ? kLimitTexts[index] : kLimitTexts[0];
}

}  // namespace

int format_region_error(char* buffer, std::size_t size, const RegionError& error) {
  const int field_size = static_cast<int>(error.field.size());
  if (error.code == RegionErrorCode::kTooMany) {
    return std::snprintf(buffer, size, "%.*s = %" PRIu64 ", limit %" PRIu64 ": %s", field_size,
                         error.field.data(), error.value, error.limit, limit_text(error.code));
  }
  if (error.code == RegionErrorCode::kOverlap) {
    return std::snprintf(buffer, size,
                         "region slot %" PRIu32 ": %.*s = 0x%" PRIx64 ", limit 0x%" PRIx64
                         " (slot %" PRIu32 "): %s",
                         error.slot, field_size, error.field.data(), error.value, error.limit,
                         error.other_slot, limit_text(error.code));
  }
  return std::snprintf(
      buffer, size, "region slot %" PRIu32 ": %.*s = 0x%" PRIx64 ", limit 0x%" PRIx64 ": %s",
      error.slot, field_size, error.field.data(), error.value, error.limit, limit_text(error.code));
}

}  // namespace memfail::decision

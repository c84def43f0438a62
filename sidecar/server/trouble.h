// SPDX-License-Identifier: BSD-3-Clause
//
// Why the records are not as safe as was asked for: one reason, the worst, for the log and
// for `memfailctl status`.
#pragma once

#include <cstdint>
#include <string>

#include "sidecar/journal/record_store.h"

namespace memfail::server {

enum class Trouble : std::uint8_t {
  kNone,
  kFrontLost,
  kDiskHangs,
  kFrontChanged,
  kDiskFails,
  kCrowded,
  kFrontFull,
};

Trouble trouble_of(const journal::StoreStatus& status);

// In words, with what to do where there is something. Empty: there is none.
std::string trouble_text(const journal::StoreStatus& status);

}  // namespace memfail::server

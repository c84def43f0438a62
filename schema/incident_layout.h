// SPDX-License-Identifier: BSD-3-Clause
//
// What both sides may assume of schema/incident.fbs in memory, asserted.
#pragma once

#include <cstddef>
#include <cstdint>

#include "schema/incident_generated.h"

namespace memfail::wire {

inline constexpr std::size_t kLineSize = 64;

static_assert(sizeof(ReportLine) == kLineSize && alignof(ReportLine) == 8);
static_assert(sizeof(SnapshotLine) == kLineSize && alignof(SnapshotLine) == 8);
static_assert(sizeof(OutcomeLine) == kLineSize && alignof(OutcomeLine) == 8);
static_assert(sizeof(ReplyLine) == kLineSize && alignof(ReplyLine) == 8);
static_assert(sizeof(LaneControl) == kLineSize && alignof(LaneControl) == 8);
static_assert(sizeof(AreaHeader) == kLineSize && alignof(AreaHeader) == 8);
static_assert(sizeof(RequestCounters) == kLineSize);
static_assert(sizeof(ReplyDoorbell) == kLineSize);

// Offsets that atomics reach into; flatc keeps members private, so they are
// written down here and checked by tests/unit/schema/incident_layout_test.cc.
inline constexpr std::size_t kWordOffset = 0;      // every line
inline constexpr std::size_t kCrcOffset = 8;       // every line
inline constexpr std::size_t kPayloadOffset = 12;  // every line
inline constexpr std::size_t kOutcomeClaimOffset = 56;
inline constexpr std::size_t kReplyRetiredOffset = 56;
inline constexpr std::size_t kLaneNextOffset = 0;
inline constexpr std::size_t kLaneFreedOffset = 8;
inline constexpr std::size_t kLaneWaiterOffset = 40;
inline constexpr std::size_t kLaneOwnerOffset = 56;

inline constexpr std::uint64_t kNoAddress = ~std::uint64_t{0};
inline constexpr std::uint8_t kNoBank = 255;
inline constexpr std::uint8_t kNoException = 255;
inline constexpr std::uint16_t kNoVcpu = 65535;

}  // namespace memfail::wire

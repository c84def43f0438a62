// SPDX-License-Identifier: BSD-3-Clause
//
// The two shared memories of a session. Each is made, mapped writable and then
// sealed by the side that writes it; the other side can only ever map it
// read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>

#include "shm/error.h"
#include "shm/geometry.h"
#include "shm/line.h"
#include "shm/mapping.h"
#include "shm/unique_fd.h"

namespace memfail::shm {

inline constexpr std::uint64_t kAreaMagic = 0x6C69'6166'6D65'6DULL;  // "memfail"
inline constexpr std::uint32_t kAreaAbi = 1;
enum class AreaKind : std::uint32_t { kRequest = 1, kReply = 2 };

struct SessionId {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const SessionId&, const SessionId&) = default;
};

// What one side makes: the descriptor to pass on, and its own writable mapping.
struct OwnArea {
  UniqueFd fd;
  Mapping mapping;
};

// Makes an area: header written, blocks allocated, sealed. Allocates descriptors
// and memory only.
std::expected<OwnArea, Error> make_area(AreaKind kind, const Geometry& geometry, SessionId session);

// Checks a received descriptor, maps it read-only and compares its header.
std::expected<Mapping, Error> open_peer_area(int fd, AreaKind kind, const Geometry& geometry,
                                             SessionId session);

// The same, put in the place of `over` (of the same geometry), whose address
// threads may be reading meanwhile. On failure `over` stays as it was.
std::expected<void, Error> replace_peer_area(int fd, AreaKind kind, const Geometry& geometry,
                                             SessionId session, const Mapping& over);

// ---- the request area, on either side ---------------------------------------

// Addresses inside a request area. On the sidecar's side the memory is read-only.
class RequestView {
 public:
  RequestView() : geometry_(0) {}
  RequestView(std::byte* base, Geometry geometry) : base_(base), geometry_(geometry) {}

  [[nodiscard]] const Geometry& geometry() const { return geometry_; }
  [[nodiscard]] std::byte* lane(std::uint32_t lane) const {
    return base_ + geometry_.lane_offset(lane);
  }
  [[nodiscard]] std::byte* line(CellId id, LineKind kind) const {
    return base_ + geometry_.line_offset(id, kind);
  }
  [[nodiscard]] std::uint64_t freed(CellId id) const {
    return load_word(lane(id.lane), wire::kLaneFreedOffset + std::size_t{id.cell} * 8);
  }
  [[nodiscard]] std::uint32_t* waiter(CellId id) const {
    return reinterpret_cast<std::uint32_t*>(lane(id.lane) + wire::kLaneWaiterOffset) + id.cell;
  }
  // Line 1 of the header page: wire::RequestCounters.
  [[nodiscard]] std::byte* counters() const { return base_ + wire::kLineSize; }
  [[nodiscard]] std::uint64_t lost_reports() const { return load_word(counters(), 0); }
  [[nodiscard]] std::uint64_t reclaimed_slots() const { return load_word(counters(), 8); }
  [[nodiscard]] std::uint64_t backing_store() const { return load_word(counters(), 16); }

 private:
  std::byte* base_ = nullptr;
  Geometry geometry_;
};

// Addresses inside a reply area. On the VMM's side the memory is read-only.
class ReplyView {
 public:
  ReplyView() : geometry_(0) {}
  ReplyView(std::byte* base, Geometry geometry) : base_(base), geometry_(geometry) {}

  [[nodiscard]] const Geometry& geometry() const { return geometry_; }
  [[nodiscard]] std::byte* line(CellId id) const { return base_ + geometry_.reply_offset(id); }
  [[nodiscard]] std::uint64_t retired(CellId id) const {
    return load_word(line(id), wire::kReplyRetiredOffset);
  }
  // Line 1 of the header page: wire::ReplyDoorbell.
  [[nodiscard]] std::uint32_t* sleeping() const {
    return reinterpret_cast<std::uint32_t*>(base_ + wire::kLineSize);
  }

 private:
  std::byte* base_ = nullptr;
  Geometry geometry_;
};

}  // namespace memfail::shm

// SPDX-License-Identifier: BSD-3-Clause
//
// Where everything stands in the two areas. Both sides compute it from the agreed
// counts; what the peer's header says is only compared, never used.
//
//   request area: header page | lane of vCPU 0 … | slots of the process lane
//     lane: control line, then 4 cells of three lines (report, snapshot, outcome)
//     slot: control line, then 1 cell
//   reply area:   header page | one line a cell, in the same order
#pragma once

#include <cstddef>
#include <cstdint>

#include "schema/incident_layout.h"

namespace memfail::shm {

inline constexpr std::uint32_t kCellsPerLane = 4;
inline constexpr std::uint32_t kSlots = 16;
inline constexpr std::uint32_t kMaxVcpus = 1024;
inline constexpr std::size_t kPage = 4096;
inline constexpr std::size_t kCellSize = 3 * wire::kLineSize;
inline constexpr std::size_t kLaneStride = wire::kLineSize + kCellsPerLane * kCellSize;
inline constexpr std::size_t kSlotStride = wire::kLineSize + kCellSize;

enum class LineKind : std::uint8_t { kReport = 0, kSnapshot = 1, kOutcome = 2 };

// One cell of one lane. Lanes below `vcpus` are the vCPUs' own; the 16 behind
// them are the process lane's slots, of one cell each.
struct CellId {
  std::uint32_t lane = 0;
  std::uint32_t cell = 0;
  friend bool operator==(const CellId&, const CellId&) = default;
};

class Geometry {
 public:
  explicit constexpr Geometry(std::uint32_t vcpus) : vcpus_(vcpus) {}

  [[nodiscard]] constexpr std::uint32_t vcpus() const { return vcpus_; }
  [[nodiscard]] constexpr std::uint32_t lanes() const { return vcpus_ + kSlots; }
  [[nodiscard]] constexpr bool is_slot(std::uint32_t lane) const { return lane >= vcpus_; }
  [[nodiscard]] constexpr std::uint32_t cells(std::uint32_t lane) const {
    return is_slot(lane) ? 1 : kCellsPerLane;
  }
  [[nodiscard]] constexpr std::uint32_t total_cells() const {
    return vcpus_ * kCellsPerLane + kSlots;
  }
  // Numbers all cells of the areas, for tables beside them.
  [[nodiscard]] constexpr std::uint32_t cell_index(CellId id) const {
    return is_slot(id.lane) ? vcpus_ * kCellsPerLane + (id.lane - vcpus_)
                            : id.lane * kCellsPerLane + id.cell;
  }

  [[nodiscard]] constexpr std::size_t lane_offset(std::uint32_t lane) const {
    return is_slot(lane) ? kPage + vcpus_ * kLaneStride + (lane - vcpus_) * kSlotStride
                         : kPage + lane * kLaneStride;
  }
  [[nodiscard]] constexpr std::size_t line_offset(CellId id, LineKind kind) const {
    return lane_offset(id.lane) + wire::kLineSize + id.cell * kCellSize +
           static_cast<std::size_t>(kind) * wire::kLineSize;
  }
  [[nodiscard]] constexpr std::size_t reply_offset(CellId id) const {
    return kPage + cell_index(id) * wire::kLineSize;
  }
  [[nodiscard]] constexpr std::size_t request_size() const { return round(lane_offset(lanes())); }
  [[nodiscard]] constexpr std::size_t reply_size() const {
    return round(kPage + total_cells() * wire::kLineSize);
  }

  // Incident n of a lane stands in this cell of it.
  [[nodiscard]] constexpr std::uint32_t cell_of(std::uint32_t lane, std::uint64_t n) const {
    return static_cast<std::uint32_t>((n - 1) % cells(lane));
  }
  // The only n that a cell may hold next, after it retired `retired` (0: nothing yet).
  [[nodiscard]] constexpr std::uint64_t next_in_cell(CellId id, std::uint64_t retired) const {
    return retired == 0 ? id.cell + 1 : retired + cells(id.lane);
  }

 private:
  static constexpr std::size_t round(std::size_t size) { return (size + kPage - 1) & ~(kPage - 1); }
  std::uint32_t vcpus_;
};

}  // namespace memfail::shm

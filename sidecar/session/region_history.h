// SPDX-License-Identifier: BSD-3-Clause
//
// The guest's regions, by generation. Changes are staged and become visible all
// at once at their commit; a verdict is computed against the generation that its
// report was taken under, so the last few are kept.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schema/control_generated.h"
#include "sidecar/decision/region_map.h"
#include "sidecar/session/refusal.h"

namespace memfail::session {

// One generation: owns what its map is a view of.
class RegionSet {
 public:
  struct Named {
    decision::Region region;
    std::string name;
  };

  static std::expected<std::shared_ptr<const RegionSet>, Refusal> build(
      std::uint32_t generation, const std::map<std::uint32_t, Named>& regions);

  std::uint32_t generation() const { return generation_; }
  const decision::RegionMap& map() const { return map_; }
  const std::string& name(std::uint32_t index) const { return names_[index]; }

 private:
  std::uint32_t generation_ = 0;
  std::vector<decision::Region> regions_;
  std::vector<std::string> names_;
  std::vector<std::uint32_t> by_hva_;
  std::vector<std::uint64_t> hva_end_;
  std::vector<std::uint32_t> by_gpa_;
  decision::RegionMap map_;
};

class RegionHistory {
 public:
  static constexpr std::size_t kKept = 8;
  static constexpr std::size_t kMaxName = 63;
  // What one transaction may stage before its commit.
  static constexpr std::size_t kMaxStaged = 2 * decision::kMaxRegions;

  // A (new) connection: the VMM sends everything again, under a generation that
  // may be the one we have. Earlier generations stay for open reports.
  void restart();

  std::optional<Refusal> stage(const wire::Regions& chunk);
  std::optional<Refusal> commit(const wire::Commit& commit);

  // Null: that generation is not committed yet. One that is too old answers with
  // the oldest kept.
  std::shared_ptr<const RegionSet> find(std::uint32_t generation) const;

  std::size_t size() const { return kept_.empty() ? 0 : kept_.back()->map().size(); }

 private:
  using Table = std::map<std::uint32_t, RegionSet::Named>;

  std::optional<Refusal> check_generation(std::uint32_t generation) const;
  std::optional<Refusal> add(const wire::RegionAdd& entry);
  void keep(std::shared_ptr<const RegionSet> set);

  Table staged_;  // what is committed, with the open transaction's changes
  bool open_ = false;
  bool fresh_ = true;  // no commit on this connection yet
  std::uint32_t open_generation_ = 0;
  std::size_t operations_ = 0;
  std::vector<std::shared_ptr<const RegionSet>> kept_;  // oldest first
};

}  // namespace memfail::session

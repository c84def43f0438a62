// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/region_history.h"

#include <algorithm>
#include <array>
#include <utility>

namespace memfail::session {
namespace {

using wire::ErrorCode;

ErrorCode code_of(decision::RegionErrorCode code) {
  switch (code) {
    case decision::RegionErrorCode::kWraps:
      return ErrorCode::region_wraps;
    case decision::RegionErrorCode::kOverlap:
      return ErrorCode::region_overlap;
    case decision::RegionErrorCode::kTooMany:
      return ErrorCode::region_count;
    case decision::RegionErrorCode::kDuplicateSlot:
      return ErrorCode::region_slot;
    case decision::RegionErrorCode::kUnaligned:
    case decision::RegionErrorCode::kBadPageSize:
    case decision::RegionErrorCode::kEmpty:
      break;
  }
  return ErrorCode::region_unaligned;
}

Refusal refuse_region(const decision::RegionError& error) {
  std::array<char, 256> text{};
  decision::format_region_error(text.data(), text.size(), error);
  return {code_of(error.code), "regions." + std::string(error.field), error.value, error.limit,
          text.data()};
}

Refusal refuse_slot(std::uint32_t slot, const char* what) {
  return {ErrorCode::region_slot, "regions.slot", slot, 0,
          "regions.slot " + std::to_string(slot) + what};
}

RegionSet::Named named(const wire::RegionAdd& entry) {
  const wire::RegionRange& range = *entry.range();  // required: the verifier saw it
  RegionSet::Named out;
  out.region = {range.gpa(),  range.size(),          range.hva(),  range.page_size(),
                range.slot(), range.address_space(), range.flags()};
  if (entry.name() != nullptr) out.name = entry.name()->str().substr(0, RegionHistory::kMaxName);
  return out;
}

}  // namespace

std::expected<std::shared_ptr<const RegionSet>, Refusal> RegionSet::build(
    std::uint32_t generation, const std::map<std::uint32_t, Named>& regions) {
  auto set = std::make_shared<RegionSet>();
  set->generation_ = generation;
  for (const auto& [slot, entry] : regions) {
    set->regions_.push_back(entry.region);
    set->names_.push_back(entry.name);
  }
  set->by_hva_.resize(regions.size());
  set->hva_end_.resize(regions.size());
  set->by_gpa_.resize(regions.size());
  const auto map =
      decision::RegionMap::build(set->regions_, {set->by_hva_, set->hva_end_, set->by_gpa_});
  if (!map) return std::unexpected(refuse_region(map.error()));
  set->map_ = *map;
  return set;
}

void RegionHistory::restart() {
  staged_.clear();
  operations_ = 0;
  open_ = false;
  fresh_ = true;
}

std::optional<Refusal> RegionHistory::check_generation(std::uint32_t generation) const {
  if (open_ && generation != open_generation_) {
    return refuse_limit(ErrorCode::generation, "regions.generation", generation, open_generation_);
  }
  if (kept_.empty()) return std::nullopt;
  const std::uint32_t last = kept_.back()->generation();
  const bool increasing = fresh_ ? generation >= last : generation > last;
  if (increasing) return std::nullopt;
  return Refusal{
      ErrorCode::generation, "generation", generation, last,
      "generation " + std::to_string(generation) + " does not follow " + std::to_string(last)};
}

std::optional<Refusal> RegionHistory::stage(const wire::Regions& chunk) {
  if (auto refusal = check_generation(chunk.generation())) return refusal;
  open_ = true;
  open_generation_ = chunk.generation();
  operations_ += chunk.remove() == nullptr ? 0 : chunk.remove()->size();
  operations_ += chunk.add() == nullptr ? 0 : chunk.add()->size();
  if (operations_ > kMaxStaged) {
    return refuse_limit(ErrorCode::limit, "operations in one transaction", operations_, kMaxStaged);
  }
  if (chunk.remove() != nullptr) {
    for (const std::uint32_t slot : *chunk.remove()) {
      if (staged_.erase(slot) == 0) return refuse_slot(slot, " is removed but is not there");
    }
  }
  if (chunk.add() != nullptr) {
    for (const wire::RegionAdd* entry : *chunk.add()) {
      if (auto refusal = add(*entry)) return refusal;
    }
  }
  return std::nullopt;
}

std::optional<Refusal> RegionHistory::add(const wire::RegionAdd& entry) {
  if (staged_.size() >= decision::kMaxRegions) {
    return refuse_limit(ErrorCode::region_count, "regions", staged_.size() + 1,
                        decision::kMaxRegions);
  }
  const std::uint32_t slot = entry.range()->slot();
  if (!staged_.try_emplace(slot, named(entry)).second) {
    return refuse_slot(slot, " is added but is there already");
  }
  return std::nullopt;
}

std::optional<Refusal> RegionHistory::commit(const wire::Commit& commit) {
  if (auto refusal = check_generation(commit.generation())) return refusal;
  if (commit.regions() != staged_.size()) {
    return Refusal{ErrorCode::region_count, "commit.regions", commit.regions(), staged_.size(),
                   "commit.regions is " + std::to_string(commit.regions()) + ", but " +
                       std::to_string(staged_.size()) + " are registered"};
  }
  auto set = RegionSet::build(commit.generation(), staged_);
  if (!set) return set.error();
  keep(std::move(*set));
  operations_ = 0;
  open_ = false;
  fresh_ = false;
  return std::nullopt;
}

void RegionHistory::keep(std::shared_ptr<const RegionSet> set) {
  if (!kept_.empty() && kept_.back()->generation() == set->generation()) kept_.pop_back();
  kept_.push_back(std::move(set));
  if (kept_.size() > kKept) kept_.erase(kept_.begin());
}

std::shared_ptr<const RegionSet> RegionHistory::find(std::uint32_t generation) const {
  if (kept_.empty() || generation > kept_.back()->generation()) return nullptr;
  // The newest that is not newer than asked: a generation changes nothing before
  // its own commit.
  const auto found = std::find_if(kept_.rbegin(), kept_.rend(),
                                  [&](const auto& set) { return set->generation() <= generation; });
  return found == kept_.rend() ? kept_.front() : *found;
}

}  // namespace memfail::session

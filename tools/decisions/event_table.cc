// SPDX-License-Identifier: BSD-3-Clause
//
// event_shape() is asked about every verdict, delivery and reason; deliveries that
// make no difference share their rows, and so do reasons.
#include "tools/decisions/event_table.h"

#include <algorithm>

#include "sidecar/ctl/explain_words.h"
#include "sidecar/decision/event_shape.h"
#include "sidecar/decision/reason.h"
#include "tools/decisions/markdown.h"

namespace memfail::docs {
namespace {

using wire::Delivered;
using wire::Reason;
using wire::Verdict;

// The reasons that have one shape.
struct Group {
  std::string shape;
  std::vector<Reason> reasons;
  bool operator==(const Group&) const = default;
};

std::string shape(Verdict verdict, Reason reason, Delivered delivered) {
  return ctl::event_words(decision::event_shape(verdict, reason, delivered,
                                                decision::Severity::kActionOptional, false));
}

// The group that holds most reasons comes last: "any other".
std::vector<Group> groups_of(Verdict verdict, Delivered delivered) {
  std::vector<Group> groups;
  for (const Reason reason : wire::EnumValuesReason()) {
    const std::string found = shape(verdict, reason, delivered);
    const auto at = std::ranges::find(groups, found, &Group::shape);
    if (at == groups.end()) {
      groups.push_back({found, {reason}});
    } else {
      at->reasons.push_back(reason);
    }
  }
  std::ranges::stable_sort(groups, {}, [](const Group& group) { return group.reasons.size(); });
  return groups;
}

// The deliveries of a verdict that have the same groups.
struct Block {
  std::vector<Group> groups;
  std::vector<Delivered> deliveries;
  bool operator==(const Block&) const = default;
};
using Blocks = std::vector<Block>;

Blocks blocks_of(Verdict verdict) {
  Blocks blocks;
  for (const Delivered delivered : wire::EnumValuesDelivered()) {
    std::vector<Group> groups = groups_of(verdict, delivered);
    const auto at = std::ranges::find(blocks, groups, &Block::groups);
    if (at == blocks.end()) {
      blocks.push_back({std::move(groups), {delivered}});
    } else {
      at->deliveries.push_back(delivered);
    }
  }
  return blocks;
}

template <typename Enum>
std::string names(const std::vector<Enum>& values) {
  std::string text;
  for (const Enum value : values) {
    text += (text.empty() ? "" : ", ") + code(decision::name_of(value));
  }
  return text;
}

std::string reason_cell(const std::vector<Group>& groups, const Group& group) {
  if (groups.size() == 1) return "any";
  return &group == &groups.back() ? "any other" : names(group.reasons);
}

void add_rows(std::vector<Cells>& rows, const std::string& verdicts, const Blocks& blocks) {
  for (const Block& block : blocks) {
    const std::string deliveries = blocks.size() == 1 ? "any" : names(block.deliveries);
    for (const Group& group : block.groups) {
      rows.push_back({verdicts, deliveries, reason_cell(block.groups, group), group.shape});
    }
  }
}

// Verdicts of which nothing differs.
struct Alike {
  Blocks blocks;
  std::vector<Verdict> verdicts;
};

std::vector<Alike> all_verdicts() {
  std::vector<Alike> list;
  for (const Verdict verdict : wire::EnumValuesVerdict()) {
    Blocks blocks = blocks_of(verdict);
    const auto at = std::ranges::find(list, blocks, &Alike::blocks);
    if (at == list.end()) {
      list.push_back({std::move(blocks), {verdict}});
    } else {
      at->verdicts.push_back(verdict);
    }
  }
  return list;
}

}  // namespace

std::string event_table() {
  std::vector<Cells> rows{{"verdict", "delivered", "reason", "recipient/action"}};
  for (const Alike& one : all_verdicts()) add_rows(rows, names(one.verdicts), one.blocks);
  return table(rows);
}

}  // namespace memfail::docs

// SPDX-License-Identifier: BSD-3-Clause
//
// How a decision came about: the rules that were looked at, in order, and the one
// that decided. Asks the decision library alone, by the tables that it decides by.
#pragma once

#include <string_view>
#include <vector>

#include "sidecar/decision/decide.h"
#include "sidecar/decision/event_shape.h"

namespace memfail::ctl {

enum class Looked : std::uint8_t {
  kNo,       // does not hold
  kSilent,   // says nothing of a failure of this severity
  kDecides,  // holds, and is the last one looked at
};

enum class Table : std::uint8_t { kCommon, kRecommended, kQemu };

struct LookedAt {
  Table table = Table::kCommon;
  std::size_t row = 0;
  std::string_view when;
  Looked result = Looked::kNo;
};

struct Explanation {
  decision::Policy policy = decision::Policy::kRecommended;
  std::vector<LookedAt> looked_at;  // never empty
  decision::Decision decision;
  bool has_event = false;      // else it is no incident
  decision::EventShape event;  // where the verdict is carried out as it stands

  const LookedAt& decided_by() const { return looked_at.back(); }
};

Explanation explain(const decision::Rules& rules, const decision::Input& input);

// Where a decision is worse than its verdict sounds.
struct Concerns {
  bool lost_error = false;  // the bank holds a record: KVM adds OVER to it
  bool endless = false;     // the access fails again as soon as the vCPU goes on
};

Concerns concerns_of(const decision::Decision& decision, const decision::Input& input);

// The same failure under another policy, to compare with: QEMU's; where that is the
// one asked about, `recommended` as it is built in.
struct Comparison {
  decision::Rules rules;
  decision::Input input;
  Explanation asked;
  Explanation beside;
};

Comparison compare(const decision::Rules& rules, const decision::Input& input);

}  // namespace memfail::ctl

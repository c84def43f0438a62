// SPDX-License-Identifier: BSD-3-Clause
//
// Where a reported address lies, and how much memory is lost there.
#pragma once

#include "sidecar/decision/region_map.h"
#include "sidecar/decision/rules.h"
#include "sidecar/decision/types.h"

namespace memfail::decision {

// The fields of a report that say where.
struct ReportedAddress {
  wire::ReportKind kind = wire::ReportKind::sigbus;
  bool has_address = false;  // of a signal; the exits always have `gpa`
  std::uint64_t hva = 0;
  std::uint64_t gpa = 0;
  std::uint8_t lsb = 0;  // si_addr_lsb; 0: unknown
};

// SI_KERNEL and a null si_addr have no address.
ReportedAddress reported_address(const wire::ReportLine& report);

// How a policy finds the region of an address that has several.
constexpr LookupRule lookup_rule(Policy policy) {
  return policy == Policy::kQemu ? LookupRule::kSlotOrder : LookupRule::kPreferWritable;
}

// Signals are looked up by host address; the exits by guest address, in address
// space 0 and then 1 (SMM): the exit does not say which.
Classification classify(const RegionMap& map, const ReportedAddress& report, LookupRule rule);

}  // namespace memfail::decision

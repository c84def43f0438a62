// SPDX-License-Identifier: BSD-3-Clause
//
// Reports and outcomes as the tests of the tables write them.
#pragma once

#include "sidecar/session/page_report.h"

namespace memfail::session::test {

inline constexpr std::uint64_t kSmall = 4096;
inline constexpr std::uint64_t kHuge = std::uint64_t{2} << 20;
inline constexpr std::uint64_t kGiant = std::uint64_t{1} << 30;

inline constexpr std::uint64_t kRamHva = 0x7f00'0000'0000;

// A page of guest RAM, by guest address. RAM lies at kRamHva and is aligned to
// every size of page.
inline PageReport report_of(std::uint64_t gpa, std::uint64_t size = kSmall,
                            decision::Severity severity = decision::Severity::kActionRequired) {
  PageReport report;
  report.where.address = decision::AddressClass::kGuestRam;
  report.where.gpa = gpa & ~(kSmall - 1);
  report.where.hva = kRamHva + gpa;
  report.where.lost_size = size;
  report.severity = severity;
  return report;
}

inline PageReport optional_report(std::uint64_t gpa, std::uint64_t size = kSmall) {
  return report_of(gpa, size, decision::Severity::kActionOptional);
}

inline PageReport in_life(PageReport report, std::uint32_t guest_epoch) {
  report.guest_epoch = guest_epoch;
  return report;
}

inline PageReport by_vcpu(PageReport report, std::int32_t vcpu) {
  report.vcpu = vcpu;
  return report;
}

inline PageReport as_drill(PageReport report) {
  report.drill = true;
  return report;
}

inline PageOutcome outcome_of(const PageReport& report,
                              wire::Verdict verdict = wire::Verdict::inject,
                              wire::Delivered delivered = wire::Delivered::delivered,
                              std::int32_t vcpu = 0) {
  return {report, vcpu, verdict, wire::Reason::guest_memory, delivered};
}

inline Instant second(std::uint64_t seconds) {
  return {1'000'000'000'000'000 + seconds * 1'000'000, seconds * kSecondNs};
}

}  // namespace memfail::session::test

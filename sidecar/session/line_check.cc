// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/line_check.h"

#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/severity.h"

namespace memfail::session {
namespace {

constexpr std::uint8_t kMaxAddressBits = 63;

template <typename Enum>
bool within(Enum value, Enum last) {
  return static_cast<std::uint8_t>(value) <= static_cast<std::uint8_t>(last);
}

bool known_code(const wire::ReportLine& line) {
  return decision::severity_of(line.kind(), line.code()) != decision::Severity::kNone;
}

}  // namespace

const char* check_report(const wire::ReportLine& line, bool vcpu_lane) {
  if (line.kind() == wire::ReportKind::none || !within(line.kind(), wire::ReportKind::MAX)) {
    return "report.kind";
  }
  if (line.thread() == wire::ThreadKind::none || !within(line.thread(), wire::ThreadKind::other)) {
    return "report.thread";
  }
  // A slot has no vCPU: a report from there cannot be a guest's own access.
  if (!vcpu_lane && line.thread() == wire::ThreadKind::vcpu_in_run) return "report.thread";
  if (!known_code(line)) return "report.code";
  if (line.lsb() > kMaxAddressBits) return "report.lsb";
  if (line.drill() > 1) return "report.drill";
  return nullptr;
}

const char* check_snapshot(const wire::SnapshotLine& line, std::uint32_t vcpus) {
  return line.vcpu() < vcpus ? nullptr : "snapshot.vcpu";
}

const char* check_outcome(const wire::OutcomeLine& line, std::uint32_t vcpus) {
  if (!within(line.verdict(), wire::Verdict::abort)) return "outcome.verdict";
  if (!within(line.decided_by(), wire::DecidedBy::MAX)) return "outcome.decided_by";
  if (!within(line.delivered(), wire::Delivered::unknown)) return "outcome.delivered";
  if (!within(line.reason(), wire::Reason::MAX)) return "outcome.reason";
  if (line.bank() >= decision::kMaxBanks && line.bank() != wire::kNoBank) return "outcome.bank";
  if (line.late() > 1) return "outcome.late";
  if (line.vcpu() >= vcpus && line.vcpu() != wire::kNoVcpu) return "outcome.vcpu";
  return nullptr;
}

}  // namespace memfail::session

// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/incident_log.h"

#include <array>
#include <cstdio>

#include "sidecar/decision/reason.h"

namespace memfail::session {
namespace {

std::string hex(std::uint64_t value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

std::string what_broke(const journal::EventFields& fields) {
  std::string out = fields.action_required ? "action-required" : "action-optional";
  if (fields.gpa != wire::kNoAddress) {
    out += " at guest " + hex(fields.gpa);
  } else if (fields.hva != wire::kNoAddress) {
    out += " at host " + hex(fields.hva);
  }
  if (!fields.region.empty()) out += " (" + std::string(fields.region) + ")";
  if (fields.vcpu >= 0) out += " on vCPU " + std::to_string(fields.vcpu);
  return out;
}

std::string what_was_done(const journal::EventFields& fields) {
  std::string out(decision::name_of(fields.verdict));
  out += " by " + std::string(decision::name_of(fields.decided_by));
  if (fields.bank >= 0) out += ", bank " + std::to_string(fields.bank);
  if (fields.delivered != wire::Delivered::none) {
    out += ", " + std::string(decision::name_of(fields.delivered));
  }
  if (fields.late) out += ", verdict late";
  return out + ", after " + std::to_string(fields.latency_ns / 1000) + " us";
}

}  // namespace

std::string incident_line(const journal::EventFields& fields) {
  const std::string vm = "VM '" + std::string(fields.vm_name) + "': ";
  std::array<char, 256> why{};
  decision::reason_text(why.data(), why.size(), fields.reason, fields.reason_vcpu);
  if (fields.sequence == 0) {
    return vm + std::to_string(fields.count) + " incident(s): " + why.data();
  }
  return vm + what_broke(fields) + ": " + what_was_done(fields) + ": " + why.data();
}

}  // namespace memfail::session

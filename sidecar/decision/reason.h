// SPDX-License-Identifier: BSD-3-Clause
//
// The words for the enumerations of schema/incident.fbs: names in kebab-case,
// for event members, logs and policy files, and a sentence for each reason.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <optional>
#include <string_view>
#include <type_traits>

#include "schema/incident_layout.h"
#include "sidecar/decision/rules.h"

namespace memfail::decision {

// What a number outside the enumeration is called (peers send numbers).
inline constexpr std::string_view kInvalidName = "invalid";

// The names of E, by value; of a flags enumeration, by bit.
template <typename E>
struct EnumNames;

template <>
struct EnumNames<wire::ReportKind> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"none", "sigbus", "memory-fault-exit", "mmio-exit", "remembered", "injection"});
};

template <>
struct EnumNames<wire::ThreadKind> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames =
      std::to_array<std::string_view>({"none", "vcpu-in-run", "vcpu-outside", "other"});
};

template <>
struct EnumNames<wire::Vendor> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames = std::to_array<std::string_view>({"unknown", "intel", "amd"});
};

template <>
struct EnumNames<wire::Verdict> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"none", "inject", "inject-deferred", "retry", "ignore", "reset", "pause", "abort"});
};

template <>
struct EnumNames<wire::SiblingRule> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames =
      std::to_array<std::string_view>({"none", "broadcast-qemu", "broadcast-ready"});
};

template <>
struct EnumNames<wire::DecidedBy> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"none", "sidecar", "builtin", "vmm", "abort", "operator-request"});
};

template <>
struct EnumNames<wire::Delivered> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"none", "delivered", "dropped", "triple-fault", "unverified", "stale", "failed", "unknown"});
};

template <>
struct EnumNames<wire::Reason> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames = std::to_array<std::string_view>({
      "none",
      "guest-memory",
      "mce-in-progress",
      "previous-mce-in-progress",
      "mce-not-enabled",
      "mcg-ctl-off",
      "bank-ctl-off",
      "no-software-recovery",
      "guest-memory-unmapped",
      "vmm-memory",
      "no-address",
      "outside-guest",
      "emulated-access",
      "vm-not-running",
      "implausible-verdict",
      "vmm-exited",
      "lane-full",
      "no-snapshot",
      "half-written",
      "policy",
      "mce-pending",
      "no-recovery",
      "untouched",
      "in-smm",
      "no-free-bank",
      "no-progress",
      "storm",
      "guest-memory-by-vmm",
      "triple-fault-pending",
      "dropped-by-kvm",
      "already-told",
      "repeats",
      "repaired",
      "not-repaired",
      "policy-changed",
      "backing-store",
      "host-restarted",
      "records-lost",
      "records-at-risk",
      "operator-request",
      "drill-over",
      "triple-fault",
      "double-fault-queued",
  });
};

template <>
struct EnumNames<wire::Repair> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"none", "repaired", "still-poisoned", "pinned", "persistent", "read-only", "private-file",
       "no-hva", "no-page", "failed", "pool-empty"});
};

template <>
struct EnumNames<Policy> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames = std::to_array<std::string_view>({"qemu", "recommended"});
};

template <>
struct EnumNames<OptionalDelivery> {
  static constexpr bool kFlags = false;
  static constexpr auto kNames =
      std::to_array<std::string_view>({"inject", "deferred", "remember"});
};

template <>
struct EnumNames<wire::SnapshotField> {
  static constexpr bool kFlags = true;
  static constexpr auto kNames =
      std::to_array<std::string_view>({"mp-state", "mcg-status", "mcg-ctl", "lmce", "banks", "cr4",
                                       "events", "smm", "guest-mode", "triple-fault"});
};

template <>
struct EnumNames<wire::SnapshotFlag> {
  static constexpr bool kFlags = true;
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"cr4-mce", "mcg-ctl-ok", "lmce-on", "in-smm", "in-guest-mode", "triple-fault"});
};

template <>
struct EnumNames<wire::ReplyFlag> {
  static constexpr bool kFlags = true;
  static constexpr auto kNames = std::to_array<std::string_view>({"journaled"});
};

template <typename E>
constexpr std::string_view name_of(E value) {
  const auto number = static_cast<std::underlying_type_t<E>>(value);
  std::size_t index = number;
  if constexpr (EnumNames<E>::kFlags) {
    if (!std::has_single_bit(number)) {
      return kInvalidName;
    }
    index = static_cast<std::size_t>(std::countr_zero(number));
  }
  return index < EnumNames<E>::kNames.size() ? EnumNames<E>::kNames[index] : kInvalidName;
}

template <typename E>
constexpr std::optional<E> from_name(std::string_view name) {
  for (std::size_t i = 0; i < EnumNames<E>::kNames.size(); ++i) {
    if (EnumNames<E>::kNames[i] == name) {
      return static_cast<E>(EnumNames<E>::kFlags ? std::size_t{1} << i : i);
    }
  }
  return std::nullopt;
}

// One sentence for a person, NUL-terminated, cut to `size` bytes; `vcpu` below 0:
// none. Returns the length that the whole has, as snprintf does. Not
// async-signal-safe.
int reason_text(char* buffer, std::size_t size, wire::Reason reason, int vcpu);

}  // namespace memfail::decision

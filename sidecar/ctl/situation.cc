// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/situation.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sidecar/ctl/bank_list.h"
#include "sidecar/ctl/explain_words.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/reason.h"
#include "sidecar/decision/severity.h"

namespace memfail::ctl {
namespace {

using decision::AddressClass;
using decision::Severity;

template <typename T>
using Result = std::expected<T, std::string>;

// A server's processors: Intel family 6 model 63, AMD family 25 model 1.
constexpr std::uint32_t kIntelEax = 0x000306F2;
constexpr std::uint32_t kAmdEax = 0x00A00F11;
// AMD's overflow recovery and SUCCOR, which its guests need.
constexpr std::uint32_t kAmdRecovery = 3;
constexpr std::uint64_t kMcgCap = 10 | decision::kMcgCapCtlP | decision::kMcgCapSerP;
// All that kvm_amd leaves of it.
constexpr std::uint64_t kMcgCapAmd = 0x1FF;

constexpr std::uint8_t kMachineCheck = 18;
constexpr std::uint8_t kDoubleFault = 8;
constexpr std::uint8_t kNeverStarted = 1;  // KVM_MP_STATE_UNINITIALIZED
constexpr std::uint16_t kAllFields = 0x3FF;

std::string wrong(const char* option, const std::string& value, const char* expected) {
  return std::string(option) + ": \"" + value + "\": must be " + expected;
}

// Never the enumeration's own "none": that is no report's. Nor is an injection.
template <typename Enum>
Result<Enum> word(const char* option, const std::string& value, const char* expected) {
  const auto found = decision::from_name<Enum>(value);
  if (!found || value == "none" || value == "injection")
    return std::unexpected(wrong(option, value, expected));
  return *found;
}

Result<bool> yes_or_no(const char* option, const std::string& value, bool otherwise) {
  if (value.empty()) return otherwise;
  if (value != "yes" && value != "no") return std::unexpected(wrong(option, value, "yes or no"));
  return value == "yes";
}

// ---- the report --------------------------------------------------------------------

Result<Severity> severity(const Situation& s, wire::ReportKind kind) {
  if (int{s.required} + int{s.optional} + int{s.code.has_value()} > 1) {
    return std::unexpected("--ar, --ao, --code: give one of them");
  }
  const int said = s.optional ? decision::kCodeActionOptional : decision::kCodeActionRequired;
  const Severity result = decision::severity_of(kind, s.code.value_or(said));
  if (kind == wire::ReportKind::sigbus) return result;
  const bool is_required = result == Severity::kActionRequired;
  if (s.code || (s.required && !is_required) || (s.optional && is_required)) {
    return std::unexpected("--kind " + s.kind + ": is action " +
                           (is_required ? "required" : "optional") + " by itself");
  }
  return result;
}

Result<AddressClass> address_class(const Situation& s) {
  constexpr std::array<std::pair<std::string_view, AddressClass>, 4> kClasses{
      {{"none", AddressClass::kNoAddress},
       {"guest-ram", AddressClass::kGuestRam},
       {"unmapped", AddressClass::kGuestRamUnmapped},
       {"vmm", AddressClass::kVmmMemory}}};
  if (s.address.empty()) {
    return s.code == decision::kCodeKernel ? AddressClass::kNoAddress : AddressClass::kGuestRam;
  }
  for (const auto& [name, address] : kClasses) {
    if (s.address == name) return address;
  }
  return std::unexpected(wrong("--address", s.address, "guest-ram, unmapped, vmm or none"));
}

Result<decision::Classification> classification(const Situation& s) {
  const auto address = address_class(s);
  if (!address) return std::unexpected(address.error());
  decision::Classification where;
  where.address = *address;
  if (*address == AddressClass::kGuestRam) where.gpa = s.gpa & ~std::uint64_t{0xFFF};
  return where;
}

// ---- the guest ---------------------------------------------------------------------

// What is said of the vCPU has to be there.
Result<std::uint64_t> mcg_cap(const Situation& s, wire::Vendor vendor) {
  std::uint64_t said = kMcgCap;
  if (s.lmce) said |= decision::kMcgCapLmceP;
  if (!s.cmci.empty()) said |= decision::kMcgCapCmciP;
  const std::uint64_t cap = s.mcg_cap.value_or(said);
  const auto lacks = [&](bool option, std::uint64_t bit) { return option && (cap & bit) == 0; };
  if (lacks(s.lmce, decision::kMcgCapLmceP) || (s.lmce && vendor == wire::Vendor::amd)) {
    return std::unexpected("--lmce: MCG_CAP " + hex(cap) + " of this guest has no LMCE_P");
  }
  if (lacks(!s.cmci.empty(), decision::kMcgCapCmciP)) {
    return std::unexpected("--cmci: MCG_CAP " + hex(cap) + " of this guest has no CMCI_P");
  }
  if (lacks(s.mcg_ctl_off, decision::kMcgCapCtlP)) {
    return std::unexpected("--mcg-ctl-off: MCG_CAP " + hex(cap) + " of this guest has no CTL_P");
  }
  const auto ser_p = yes_or_no("--ser-p", s.ser_p, (cap & decision::kMcgCapSerP) != 0);
  if (!ser_p) return std::unexpected(ser_p.error());
  return *ser_p ? cap | decision::kMcgCapSerP : cap & ~decision::kMcgCapSerP;
}

Result<decision::GuestProfile> profile(const Situation& s) {
  decision::GuestProfile guest;
  const auto vendor = decision::from_name<wire::Vendor>(s.vendor);
  if (!vendor) return std::unexpected(wrong("--vendor", s.vendor, "intel, amd or unknown"));
  const auto cap = mcg_cap(s, *vendor);
  if (!cap) return std::unexpected(cap.error());
  const bool amd = *vendor == wire::Vendor::amd;
  guest.vendor = *vendor;
  guest.cpuid_1_eax = s.cpuid_1_eax.value_or(amd ? kAmdEax : kIntelEax);
  guest.cpuid_80000007_ebx = s.cpuid_80000007_ebx.value_or(amd ? kAmdRecovery : 0);
  guest.mcg_cap_configured = *cap;
  guest.mcg_cap_kvm = amd ? *cap & kMcgCapAmd : *cap;
  guest.vcpus = s.vcpus;
  return guest;
}

// ---- the vCPU ----------------------------------------------------------------------

std::uint16_t flags(const Situation& s, bool cr4_mce) {
  using Flag = wire::SnapshotFlag;
  unsigned bits = 0;
  const auto set = [&bits](bool on, Flag flag) { bits |= on ? static_cast<unsigned>(flag) : 0; };
  set(cr4_mce, Flag::cr4_mce);
  set(!s.mcg_ctl_off, Flag::mcg_ctl_ok);
  set(s.lmce, Flag::lmce_on);
  set(s.smm, Flag::in_smm);
  set(s.nested, Flag::in_guest_mode);
  set(s.triple_fault, Flag::triple_fault);
  return static_cast<std::uint16_t>(bits);
}

struct Banks {
  std::uint32_t valid = 0, off = 0, cmci = 0;
};

Result<Banks> banks(const Situation& s, const decision::GuestProfile& guest) {
  const auto count = static_cast<unsigned>(
      std::min<std::uint64_t>(guest.mcg_cap_kvm & decision::kMcgCapBanks, decision::kMaxBanks));
  Banks result;
  const auto take = [count](const char* option, const std::string& text, std::uint32_t& into) {
    const auto map = parse_banks(text, count);
    into = map.value_or(0);
    return map ? "" : std::string(option) + ": " + map.error();
  };
  for (const std::string& error :
       {take("--banks-valid", s.banks_valid, result.valid),
        take("--banks-off", s.banks_off, result.off), take("--cmci", s.cmci, result.cmci)}) {
    if (!error.empty()) return std::unexpected(error);
  }
  return result;
}

Result<wire::SnapshotLine> snapshot(const Situation& s, const decision::GuestProfile& guest) {
  // In SMM, and before it has started, a vCPU has CR4.MCE clear.
  const auto cr4_mce = yes_or_no("--cr4-mce", s.cr4_mce, !s.smm && !s.not_started);
  if (!cr4_mce) return std::unexpected(cr4_mce.error());
  const auto maps = banks(s, guest);
  if (!maps) return std::unexpected(maps.error());
  if (s.no_snapshot) return wire::SnapshotLine();
  const std::uint8_t queued = s.mc_queued      ? kMachineCheck
                              : s.double_fault ? kDoubleFault
                                               : wire::kNoException;
  const std::uint8_t mp_state = s.not_started ? kNeverStarted : 0;
  const std::uint64_t mcg_status = s.mcip || s.mc_queued ? decision::kMcgStatusMcip : 0;
  return wire::SnapshotLine(0, 0, kAllFields, flags(s, *cr4_mce), maps->valid, maps->valid,
                            maps->off, queued, mp_state, 0, mcg_status, 0, 0, maps->cmci, 0, 0);
}

decision::History history(const Situation& s, Severity severity) {
  decision::History result;
  result.repeats = s.repeats.value_or(severity == Severity::kActionRequired ? 1 : 0);
  result.guest_told = s.told;
  result.known = s.told || result.repeats > 1;
  return result;
}

}  // namespace

Result<decision::Input> input_of(const Situation& s) {
  const auto kind = word<wire::ReportKind>("--kind", s.kind,
                                           "sigbus, memory-fault-exit, mmio-exit or remembered");
  if (!kind) return std::unexpected(kind.error());
  const auto thread =
      word<wire::ThreadKind>("--thread", s.thread, "vcpu-in-run, vcpu-outside or other");
  if (!thread) return std::unexpected(thread.error());
  const auto how_severe = severity(s, *kind);
  if (!how_severe) return std::unexpected(how_severe.error());
  const auto where = classification(s);
  if (!where) return std::unexpected(where.error());
  const auto guest = profile(s);
  if (!guest) return std::unexpected(guest.error());
  const auto state = snapshot(s, *guest);
  if (!state) return std::unexpected(state.error());
  return decision::Input{*guest,  *where, *how_severe, *kind,
                         *thread, *state, !s.paused,   history(s, *how_severe)};
}

}  // namespace memfail::ctl

// SPDX-License-Identifier: BSD-3-Clause
//
// What KVM_X86_SET_MCE makes of a record, and of the vCPU that it comes to: written
// from the kernel's code, apart from ours.
#pragma once

#include <cstdint>

#include "sidecar/decision/types.h"
#include "tests/unit/decision/snapshot.h"

namespace memfail::decision::testing {

enum class Effect : std::uint8_t {
  kException,       // in the bank, and #MC queued: what an injection is to be
  kNoException,     // in the bank, which is all that a record without UC asks for
  kDeferred,        // in the bank, a CMCI where it is enabled, MCG_STATUS cleared
  kOver,            // the bank was VAL: the guest concludes that it lost an error
  kOverwritten,     // so it was, and the older record is gone without a trace
  kRefused,         // EINVAL
  kDropped,         // nothing is done, and 0 returned
  kTripleFault,     // at the next entry
  kForgetsMcip,     // the guest's handler loses what it is handling
  kLosesException,  // the #MC that is queued, or a shutdown that is, comes anyway
  kNeverRuns,       // KVM_RUN returns EAGAIN without end
  kInSmm,           // which has no handler of the guest's
};

// The state that a snapshot was taken of. Of what the snapshot does not know, the worst.
inline Snapshot worst_behind(Snapshot seen) {
  if (!seen.knows_mp_state) seen.mp_state = 1;
  if (!seen.knows_mcg_status) seen.mcg_status = 4;
  if (!seen.knows_mcg_ctl) seen.mcg_ctl_ok = false;
  if (!seen.knows_banks) seen.bank_val = seen.bank_ctl_off = ~std::uint32_t{0};
  if (!seen.knows_cr4) seen.cr4_mce = false;
  if (!seen.knows_events) seen.queued_exception = 18;
  if (!seen.knows_smm) seen.in_smm = true;
  return seen;
}

namespace model {

inline constexpr std::uint64_t kVal = std::uint64_t{1} << 63;
inline constexpr std::uint64_t kUc = std::uint64_t{1} << 61;
inline constexpr std::uint64_t kPccSAr = std::uint64_t{7} << 55;

inline bool is_ucna(const MachineCheck& record) {
  return record.mcg_status == 0 && (record.status & kUc) != 0 && (record.status & kPccSAr) == 0;
}

// SET_MCE itself, in its order.
inline Effect set_mce(const GuestProfile& guest, const Snapshot& vcpu, const MachineCheck& record) {
  if (record.bank >= (guest.mcg_cap_kvm & 0xFF) || (record.status & kVal) == 0) {
    return Effect::kRefused;
  }
  const bool uc = (record.status & kUc) != 0;
  const bool mcip = (vcpu.mcg_status & 4) != 0;
  const bool has_mcg_ctl = (guest.mcg_cap_kvm >> 8 & 1) != 0;
  const bool valid = (vcpu.bank_val >> record.bank & 1) != 0;
  if (is_ucna(record)) {
    if (mcip) return Effect::kForgetsMcip;
    return valid ? Effect::kOverwritten : Effect::kDeferred;
  }
  if (uc && has_mcg_ctl && !vcpu.mcg_ctl_ok) return Effect::kDropped;
  if (uc && (vcpu.bank_ctl_off >> record.bank & 1) != 0) return Effect::kDropped;
  // A nested guest has a CR4 of its own: what its host's is, nobody can see.
  if (uc && (mcip || (!vcpu.cr4_mce && !vcpu.nested))) return Effect::kTripleFault;
  if (valid) return Effect::kOver;
  return uc ? Effect::kException : Effect::kNoException;
}

}  // namespace model

// The same, and what the vCPU then makes of it.
inline Effect effect_of(const GuestProfile& guest, const Snapshot& vcpu,
                        const MachineCheck& record) {
  const Effect effect = model::set_mce(guest, vcpu, record);
  const bool is_init = vcpu.mp_state == 1 || vcpu.mp_state == 2;
  if (effect != Effect::kException && effect != Effect::kDeferred) return effect;
  if (is_init) return Effect::kNeverRuns;
  if (vcpu.queued_exception == 18 || vcpu.triple_fault) return Effect::kLosesException;
  return vcpu.in_smm && !vcpu.nested ? Effect::kInSmm : effect;
}

}  // namespace memfail::decision::testing

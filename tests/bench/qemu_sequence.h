// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <vector>

#include "tests/bench/kvm_vcpu.h"
#include "tests/bench/subject.h"

namespace memfail::bench {

// What QEMU does with a vCPU to inject a machine check, and nothing else of QEMU:
// all of the vCPU's state is read (kvm_arch_get_registers), MCG_STATUS, the bank and
// the exception are changed in it, and all of it is written back
// (kvm_arch_put_registers with KVM_PUT_RUNTIME_STATE). Only its ioctls are here, in
// its order; its locks, its threads and its own work on the state are not.
//
// The registers are those of QEMU's list which this KVM has. What QEMU adds for
// features that are rare (nested state, Hyper-V, PT, SGX) is left out, in QEMU's
// favour.
class QemuSequence : public Subject {
 public:
  explicit QemuSequence(const KvmVcpu& vcpu);
  std::uint64_t round() override;

  [[nodiscard]] std::size_t registers_read() const { return read_.count; }
  [[nodiscard]] std::size_t registers_written() const { return written_.count; }

 private:
  void list_registers();
  [[nodiscard]] bool can_read(std::uint32_t index) const;
  [[nodiscard]] bool can_write(std::uint32_t index) const;
  void get_all();
  void change();
  void put_all();
  void call(unsigned long request, void* argument) const;

  const KvmVcpu& vcpu_;
  MsrBlock read_;
  MsrBlock written_;
  std::vector<std::size_t> source_;  // where in read_ each of written_ stands
  bool has_deadline_ = false;
  bool has_sregs2_ = false;
  bool has_xsave2_ = false;
  std::vector<std::byte> xsave_;
  kvm_vcpu_events events_{};
  kvm_mp_state mp_state_{};
  kvm_regs regs_{};
  kvm_xcrs xcrs_{};
  kvm_sregs sregs_{};
  kvm_sregs2 sregs2_{};
  kvm_lapic_state lapic_{};
  kvm_debugregs debug_{};
};

}  // namespace memfail::bench

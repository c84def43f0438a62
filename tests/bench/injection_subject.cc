// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/injection_subject.h"

#include "tests/bench/failure.h"

namespace memfail::bench {

InjectionSubject::InjectionSubject(const SidecarProcess& sidecar, const KvmVcpu& vcpu)
    : vcpu_(vcpu),
      vm_(sidecar, vcpu.ram(),
          {vcpu.fd(), vcpu.run(), vcpu.mcg_cap_configured(), vcpu.mcg_cap_kvm()},
          "bench-injection") {}

std::uint64_t InjectionSubject::round() {
  settle();
  vcpu_.run_guest();
  // The handler runs where KVM_RUN would have been interrupted; what comes after
  // is what a VMM does then.
  const shm::Claim claim = vm_.raise_sigbus();
  const int flags = memfail_handle(&vm_.lane());
  const wire::OutcomeLine outcome = vm_.shim().cell(claim.id).outcome;
  if (flags != MEMFAIL_RESUME || outcome.delivered() != wire::Delivered::delivered) {
    fail(std::string("the machine check was not delivered but ") +
         wire::EnumNameDelivered(outcome.delivered()));
  }
  vm_.await_retired(claim);
  if (!vcpu_.machine_check_queued()) fail("the shim says delivered, and no #MC is queued");
  vcpu_.clear_machine_check();
  return outcome.latency_ns();
}

std::uint64_t InjectionSubject::fallbacks() { return vm_.shim().fallbacks.load(); }

std::uint64_t InjectionSubject::slices() { return vm_.shim().slices.load(); }

}  // namespace memfail::bench

// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/machine.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guest.h"

namespace memfail::reference {
namespace {

// Intel hosts without "unrestricted guest" need three pages for real mode.
constexpr unsigned long kTssAddress = 0xfffbd000;

int open_kvm() {
  const int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd < 0) die(std::string("/dev/kvm: ") + std::strerror(errno), kExitNoKvm);
  return fd;
}

}  // namespace

Machine::Machine(const Memory& low, const Memory& test)
    : kvm_(open_kvm()), vm_(must(ioctl(kvm_.get(), KVM_CREATE_VM, 0), "KVM_CREATE_VM")) {
  must(ioctl(vm_.get(), KVM_SET_TSS_ADDR, kTssAddress), "KVM_SET_TSS_ADDR");
  has_irqchip_ = ioctl(vm_.get(), KVM_CREATE_IRQCHIP, 0) == 0;
  must(ioctl(kvm_.get(), KVM_X86_GET_MCE_CAP_SUPPORTED, &mce_capabilities_),
       "KVM_X86_GET_MCE_CAP_SUPPORTED");
  map_slot(0, 0, low);
  map_slot(1, GUEST_TEST_REGION, test);
}

void Machine::map_slot(unsigned slot, std::uint64_t gpa, const Memory& memory) const {
  kvm_userspace_memory_region region{};
  region.slot = slot;
  region.guest_phys_addr = gpa;
  region.memory_size = memory.size();
  region.userspace_addr = memory.hva();
  must(ioctl(vm_.get(), KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
}

UniqueFd Machine::create_vcpu(unsigned index) const {
  return UniqueFd(must(ioctl(vm_.get(), KVM_CREATE_VCPU, index), "KVM_CREATE_VCPU"));
}

kvm_run* Machine::map_run(int vcpu_fd) const {
  const int size = must(ioctl(kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
  void* run =
      mmap(nullptr, static_cast<std::size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
  if (run == MAP_FAILED) die(std::string("mapping kvm_run: ") + std::strerror(errno));
  return static_cast<kvm_run*>(run);
}

CpuidList Machine::supported_cpuid() const {
  CpuidList list;
  must(ioctl(kvm_.get(), kGetSupportedCpuid, &list), "KVM_GET_SUPPORTED_CPUID");
  return list;
}

}  // namespace memfail::reference

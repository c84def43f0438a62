// SPDX-License-Identifier: BSD-3-Clause
//
// Keeps KVM's static keys on for as long as the machine runs, so that no virtual
// machine that comes or goes makes the kernel patch its own code. The emulator can
// keep the translation of a half-patched instruction for ever, and then each
// processor that comes by runs in circles (docs/lab.md, "Why one processor boots
// first"). Started by tests/lab/init before the second processor; prints "ready"
// and stays. Without /dev/kvm there is nothing to keep.
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int ask(int fd, unsigned long request, unsigned long argument, const char *what) {
  int result = ioctl(fd, request, argument);
  if (result >= 0) return result;
  fprintf(stderr, "kvm_keys: %s: %s\n", what, strerror(errno));
  exit(1);
}

int main(void) {
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) {
    puts("ready, without KVM");
    return 0;
  }

  // preempt_notifier_key: there is a VM. kvm_has_noapic_vcpu: one without a local APIC.
  int plain = ask(kvm, KVM_CREATE_VM, 0, "KVM_CREATE_VM");
  ask(plain, KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");

  // apic_sw_disabled: a local APIC that its guest has not enabled yet.
  int chip = ask(kvm, KVM_CREATE_VM, 0, "KVM_CREATE_VM");
  ask(chip, KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP");
  ask(chip, KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");

  // apic_hw_disabled: one that is switched off in its base register.
  int vcpu = ask(chip, KVM_CREATE_VCPU, 1, "KVM_CREATE_VCPU");
  struct kvm_sregs registers;
  ask(vcpu, KVM_GET_SREGS, (unsigned long)&registers, "KVM_GET_SREGS");
  registers.apic_base &= ~(1UL << 11);
  ask(vcpu, KVM_SET_SREGS, (unsigned long)&registers, "KVM_SET_SREGS");

  puts("ready");
  fflush(stdout);
  for (;;) pause();
}

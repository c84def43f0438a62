// SPDX-License-Identifier: BSD-3-Clause
//
// Does this machine have real memory failures? One line a check, and exit 0
// only if every check holds. Runs inside the lab (jobs/smoke), as root.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { kPage = 4096, kHugePage = 2 << 20 };

static volatile siginfo_t last;
static volatile sig_atomic_t signals;
static sigjmp_buf resume;
static volatile sig_atomic_t jump_out;
static int failures;

static void on_sigbus(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  last = *info;
  ++signals;
  // An AR returned from would only fault again.
  if (jump_out) siglongjmp(resume, 1);
}

static void check(bool ok, const char *what, const char *seen) {
  printf("%-4s %s: %s\n", ok ? "ok" : "FAIL", what, seen);
  fflush(stdout);
  if (!ok) ++failures;
}

// The last SIGBUS against what it must have been.
static void check_signal(const char *what, int code, const void *address, int lsb) {
  char seen[200];
  snprintf(seen, sizeof seen,
           "%d signal(s), si_code %d, si_addr %p, lsb %d (expected si_code %d, %p, %d)",
           (int)signals, last.si_code, last.si_addr, last.si_addr_lsb, code, address, lsb);
  check(signals == 1 && last.si_code == code && last.si_addr == address && last.si_addr_lsb == lsb,
        what, seen);
  signals = 0;
}

static void set_policy(unsigned long policy) {
  if (prctl(PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0) != 0)
    check(false, "PR_MCE_KILL", strerror(errno));
}

static char *map(size_t size, int flags) {
  char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (at == MAP_FAILED) {
    check(false, "mmap", strerror(errno));
    return NULL;
  }
  memset(at, 0x5a, size);
  return at;
}

static uint64_t frame_of(const char *at) {
  uint64_t entry = 0;
  int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pread(map, &entry, sizeof entry, (off_t)((uintptr_t)at / kPage * sizeof entry)) < 0)
    entry = 0;
  close(map);
  return entry & ((UINT64_C(1) << 55) - 1);
}

// By debugfs: MADV_HWPOISON counts as an access of its caller from Linux 6.11 on.
static bool poison(const char *what, char *at) {
  char frame[32];
  int length = snprintf(frame, sizeof frame, "%#llx", (unsigned long long)frame_of(at));
  int fd = open("/sys/kernel/debug/hwpoison/corrupt-pfn", O_WRONLY | O_CLOEXEC);
  bool ok = write(fd, frame, (size_t)length) == length;
  check(ok, what, ok ? "the kernel took it" : strerror(errno));
  close(fd);
  return ok;
}

static bool load_faults(const char *at) {
  jump_out = 1;
  bool faulted = sigsetjmp(resume, 1) != 0;
  if (!faulted) (void)*(const volatile char *)at;
  jump_out = 0;
  return faulted;
}

// Early kill: told at once (AO), and told again on touching (AR).
static void check_early(void) {
  char *at = map(kPage, 0);
  if (!at) return;
  set_policy(PR_MCE_KILL_EARLY);
  if (!poison("broken: anonymous page, early kill", at)) return;
  check_signal("  action optional, at once", BUS_MCEERR_AO, at, 12);
  check(load_faults(at), "  a load of the page", "faults");
  check_signal("  action required, on touching", BUS_MCEERR_AR, at, 12);
  check(madvise(at, kPage, MADV_DONTNEED) == 0 && !load_faults(at), "  MADV_DONTNEED",
        "a clean page again");
  munmap(at, kPage);
}

// Late kill: nothing until the page is touched.
static void check_late(void) {
  char *at = map(kPage, 0);
  if (!at) return;
  set_policy(PR_MCE_KILL_LATE);
  if (!poison("broken: anonymous page, late kill", at)) return;
  check(signals == 0, "  before touching", "no signal");
  check(load_faults(at), "  a load of the page", "faults");
  check_signal("  action required, on touching", BUS_MCEERR_AR, at, 12);
  munmap(at, kPage);
}

static void check_huge(void) {
  char *at = map(kHugePage, MAP_HUGETLB);
  if (!at) return;
  set_policy(PR_MCE_KILL_EARLY);
  if (!poison("broken: 2 MiB hugetlb page, early kill", at)) return;
  check_signal("  action optional, the whole page", BUS_MCEERR_AO, at, 21);
  munmap(at, kHugePage);
}

// What a KVM may leave out: worth knowing, and no reason to fail.
static void note_guest_view(int vcpu, uint64_t supported) {
  static const struct {
    const char *name;
    uint64_t bit;
  } extras[] = {{"CMCI_P", UINT64_C(1) << 10}, {"LMCE_P", UINT64_C(1) << 27}};
  struct {
    struct kvm_msrs header;
    struct kvm_msr_entry entry;
  } read = {.header = {.nmsrs = 1}, .entry = {.index = 0x179}};
  if (ioctl(vcpu, KVM_GET_MSRS, &read) == 1)
    printf("note the guest reads MCG_CAP %#llx\n", (unsigned long long)read.entry.data);
  for (size_t i = 0; i < sizeof extras / sizeof *extras; ++i) {
    uint64_t capability = (supported & ~UINT64_C(0xff)) | extras[i].bit | 10;
    int result = ioctl(vcpu, KVM_X86_SETUP_MCE, &capability);
    printf("note MCG_CAP with %s: %s\n", extras[i].name, result == 0 ? "taken" : strerror(errno));
  }
}

static void check_kvm(void) {
  char seen[120];
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) {
    check(false, "/dev/kvm", strerror(errno));
    return;
  }
  int banks = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MCE);
  uint64_t supported = 0;
  int got = ioctl(kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported);
  snprintf(seen, sizeof seen, "%d banks, MCG_CAP supported %#llx", banks,
           (unsigned long long)supported);
  check(banks > 9 && got == 0, "KVM_CAP_MCE", seen);

  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  int vcpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);
  uint64_t capability = (supported & ~UINT64_C(0xff)) | 10;
  int set_up = vcpu < 0 ? -1 : ioctl(vcpu, KVM_X86_SETUP_MCE, &capability);
  snprintf(seen, sizeof seen, "a vCPU with MCG_CAP %#llx%s%s", (unsigned long long)capability,
           set_up == 0 ? "" : ": ", set_up == 0 ? "" : strerror(errno));
  check(set_up == 0, "KVM_X86_SETUP_MCE", seen);
  note_guest_view(vcpu, supported);
  close(vcpu);
  close(vm);
  close(kvm);
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
  sigaction(SIGBUS, &action, NULL);
  check_early();
  check_late();
  check_huge();
  check_kvm();
  printf("%s\n",
         failures ? "this machine cannot stand in for one with failing memory" : "all as expected");
  return failures ? 1 : 0;
}

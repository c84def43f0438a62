/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libmemfail-shim: forwards a VMM's memory failures to memfaild and carries its
 * verdicts out.
 *
 * Rules that hold for every function here:
 *  - The library starts no thread, never forks, never calls sigaction, and
 *    allocates nothing after memfail_shim_create().
 *  - "Any thread" does not include signal handlers. Only memfail_sigbus() may be
 *    called from one.
 *  - Functions that can fail return 0 or a negative errno and, where they take a
 *    `struct memfail_error *`, fill in one line that names the thing, its value
 *    and the limit. The pointer may be NULL.
 *  - Structs begin with their size, set by the caller to sizeof: a newer library
 *    reads an older caller's struct, never past its end.
 *
 * docs/integrating.md walks through a whole VMM.
 */
#ifndef MEMFAIL_SHIM_H
#define MEMFAIL_SHIM_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MEMFAIL_API __attribute__((visibility("default")))

struct kvm_run;
typedef struct memfail_shim memfail_shim; /* one VM */
typedef struct memfail_lane memfail_lane; /* what one thread reports through */

struct memfail_error {
  char text[256]; /* one line, no newline */
};

/* ---- what the VMM gives ------------------------------------------------- */

enum memfail_vendor {
  MEMFAIL_VENDOR_UNKNOWN = 0,
  MEMFAIL_VENDOR_INTEL = 1,
  MEMFAIL_VENDOR_AMD = 2
};

enum memfail_fallback {
  MEMFAIL_FALLBACK_BUILTIN = 0, /* the library decides with the sidecar's own code */
  MEMFAIL_FALLBACK_VMM = 1,     /* memfail_handle() hands the failure back */
  MEMFAIL_FALLBACK_ABORT = 2
};

/* Flags of a region; see "Regions" in docs/integrating.md. */
enum {
  MEMFAIL_REGION_READ_ONLY = 1,
  MEMFAIL_REGION_PRIVATE_FILE = 2,
  MEMFAIL_REGION_PERSISTENT = 4,
  MEMFAIL_REGION_PINNED = 8,
  MEMFAIL_REGION_NO_HVA = 16 /* guest_memfd: failures come as exits */
};

#define MEMFAIL_GPA_NONE UINT64_MAX /* guest RAM that the guest cannot see now */

struct memfail_region {
  uint32_t struct_size;
  uint32_t slot;          /* the VMM's own number, unique among its regions */
  uint64_t gpa;           /* bytes, multiple of 4096, or MEMFAIL_GPA_NONE */
  uint64_t size;          /* bytes, multiple of 4096, not 0 */
  uint64_t hva;           /* address in this process, multiple of 4096 */
  uint64_t page_size;     /* of the backing: 4096, 2 MiB or 1 GiB */
  uint16_t address_space; /* KVM address space (1: SMM) */
  uint16_t flags;         /* MEMFAIL_REGION_* */
  const char *name;       /* for people, at most 63 bytes are kept; may be NULL */
};

struct memfail_mce { /* as struct kvm_x86_mce */
  uint64_t status, addr, misc, mcg_status;
  uint8_t bank;
};

/* One incident as its outcome says: for the VMM's own event and its own lists. */
struct memfail_incident {
  uint32_t struct_size;
  int32_t vcpu;         /* -1: none */
  uint64_t hva, gpa;    /* UINT64_MAX: none */
  uint64_t size;        /* bytes lost */
  int32_t si_code;
  uint8_t verdict, decided_by, delivered, reason; /* numbers of schema/incident.fbs */
  const char *reason_text; /* the reason's name, as events spell it; static storage */
  struct memfail_mce mce;  /* bank 255: nothing was set */
  uint8_t drill; /* 1: an operator's drill, the memory is whole; 2: an injection of theirs */
};

/*
 * What the library asks of the VMM. `post` runs fn(arg) soon, on the thread of
 * that vCPU, outside KVM_RUN, and never waits; it may be called from any vCPU
 * thread and from memfail_shim_dispatch(); returns 0, or a negative errno where
 * that vCPU has no thread. `abort` does not return and may be called from a
 * signal handler; without a free cell to report through its incident is NULL. The
 * others may be NULL; they are called on a vCPU's thread by memfail_handle() or a
 * posted function, `poisoned` and `incident` also by memfail_shim_dispatch().
 */
struct memfail_ops {
  uint32_t struct_size;
  int (*post)(void *opaque, uint32_t vcpu, void (*fn)(void *arg), void *arg);
  void (*abort)(void *opaque, const struct memfail_incident *incident);
  /* a page of guest RAM is known to be broken (QEMU keeps its own list); never for a
   * drill */
  void (*poisoned)(void *opaque, uint64_t hva, uint64_t gpa, uint64_t size);
  /* the incident is over; the VMM may tell its own user */
  void (*incident)(void *opaque, const struct memfail_incident *incident);
  /* instead of KVM_X86_SET_MCE on the vCPU descriptor; 0 or negative errno */
  int (*set_mce)(void *opaque, uint32_t vcpu, const struct memfail_mce *mce);
  /* instead of the library's own way to put a clean page under [hva, hva + size), at
   * a guest reset; 0 or negative errno. Called by memfail_guest_reset() only */
  int (*repair)(void *opaque, uint64_t hva, uint64_t gpa, uint64_t size);
  /* whether the calling thread is inside an access to guest memory that it can leave
   * (by siglongjmp from the SIGBUS handler): 1 or 0. Called from the handler only */
  int (*guarded)(void *opaque);
};

/* What operators may do to this VM, by way of the sidecar: nothing unless the VMM's own
 * owner opts in. See "Drills" in docs/integrating.md. */
enum {
  MEMFAIL_ALLOW_DRILLS = 1,    /* SIGBUS for pages that are whole, raised on a vCPU's thread */
  MEMFAIL_ALLOW_INJECTIONS = 2 /* machine checks of an operator's making */
};

struct memfail_config {
  uint32_t struct_size;
  const char *socket_path; /* NULL: use socket_fd */
  int socket_fd;           /* connected SOCK_SEQPACKET, or -1; owned by the library */
  uint8_t vm_uuid[16];     /* labels, for people */
  const char *vm_name;     /* at most 127 bytes are kept */
  enum memfail_vendor vendor;
  uint32_t cpuid_1_eax, cpuid_80000007_ebx; /* as the guest sees them */
  uint64_t mcg_cap_configured; /* as asked of KVM_X86_SETUP_MCE */
  uint64_t mcg_cap_kvm;        /* as MSR 0x179 reads back */
  uint32_t vcpus;              /* 1 to 1024; indices are below it */
  uint32_t max_regions;        /* 1 to 32768; 0: 512 */
  uint32_t deadline_ms;        /* 1 to 500, from signal entry; 0: 100 */
  enum memfail_fallback fallback;
  uint32_t max_poisoned; /* pages known to be broken, 1 to 65536; 0: 1024 */
  uint32_t allow;        /* MEMFAIL_ALLOW_*; 0: nothing */
  void *opaque;
  struct memfail_ops ops; /* last: it may grow */
};

/* ---- life ---------------------------------------------------------------- */

/* Makes the shim of one VM: areas, tables, descriptors. Connects nothing. Any
 * thread, once a VM. -EINVAL, -ENOMEM, -EMFILE, … */
MEMFAIL_API int memfail_shim_create(const struct memfail_config *config, memfail_shim **shim,
                                    struct memfail_error *error);

/* Connects, and waits until the session is ready or `timeout_ms` has passed
 * (0: 2000). Register regions and vCPUs first. A failure leaves the shim in use:
 * the fallback decides, and dispatch keeps trying. One thread at a time, with
 * memfail_shim_dispatch(). */
MEMFAIL_API int memfail_shim_attach(memfail_shim *shim, uint32_t timeout_ms,
                                    struct memfail_error *error);

/* One descriptor for the VMM's event loop: readable when dispatch has work. */
MEMFAIL_API int memfail_shim_fd(const memfail_shim *shim);

/* Does what is due: control messages, re-attach with back-off, reports of
 * non-vCPU threads. Never blocks. One thread at a time. */
MEMFAIL_API void memfail_shim_dispatch(memfail_shim *shim);

enum memfail_session_state {
  MEMFAIL_DETACHED = 0,  /* no sidecar: the fallback decides */
  MEMFAIL_ATTACHING = 1,
  MEMFAIL_ATTACHED = 2
};

struct memfail_status {
  uint32_t struct_size;
  enum memfail_session_state state;
  uint64_t session_low, session_high;
  uint64_t reports, lost_reports, fallbacks, attaches;
  uint64_t poisoned;          /* pages of the guest known to be broken */
  uint64_t poisoned_left_out; /* for which there was no room in the list */
  uint64_t slices; /* verdicts that only a wait slice found, outside re-attach: a bug */
  char last_error[256];
};

/* Any thread. */
MEMFAIL_API void memfail_shim_state(const memfail_shim *shim, struct memfail_status *status);

/* Says goodbye and frees everything. No other call may be under way, and no
 * SIGBUS handler may still use the shim's lanes. */
MEMFAIL_API void memfail_shim_destroy(memfail_shim *shim);

/* ---- regions -------------------------------------------------------------- */

/* One memory transaction: begin, any number of removals and additions, commit.
 * Nothing changes before commit; a commit that is refused changes nothing and
 * names the region. Called under the VMM's own memory lock (one transaction at a
 * time); waits for nothing. -EINVAL not page-aligned, wraps, or bad flags;
 * -EEXIST overlaps another in GPA within its address space, or slot in use;
 * -ENOENT no such slot; -ENOSPC one too many. */
MEMFAIL_API void memfail_regions_begin(memfail_shim *shim);
MEMFAIL_API int memfail_regions_add(memfail_shim *shim, const struct memfail_region *region,
                                    struct memfail_error *error);
MEMFAIL_API int memfail_regions_remove(memfail_shim *shim, uint32_t slot,
                                       struct memfail_error *error);
MEMFAIL_API int memfail_regions_commit(memfail_shim *shim, struct memfail_error *error);

/* ---- vCPUs ---------------------------------------------------------------- */

struct memfail_vcpu {
  uint32_t struct_size;
  uint32_t index;      /* below config.vcpus */
  int vcpu_fd;         /* stays the VMM's */
  struct kvm_run *run; /* the vCPU's shared page */
};

/* Registers a vCPU and gives its lane. Before its thread first enters KVM_RUN.
 * -ERANGE index not below config.vcpus, -EEXIST already there. */
MEMFAIL_API int memfail_vcpu_add(memfail_shim *shim, const struct memfail_vcpu *vcpu,
                                 memfail_lane **lane, struct memfail_error *error);

/* The vCPU is there (1) or unplugged (0); it starts as there. An unplugged one is
 * told nothing. Any thread, that of the vCPU not in KVM_RUN. */
MEMFAIL_API void memfail_vcpu_online(memfail_lane *lane, int online);

/* The lane of all other threads. */
MEMFAIL_API memfail_lane *memfail_process_lane(memfail_shim *shim);

/* At the start of each thread that may touch guest memory or run a vCPU: checks
 * that SIGBUS is not blocked (a thread that blocks it is killed by the kernel,
 * with the process, on its first action-required error). -EBUSY if it is. */
MEMFAIL_API int memfail_thread_enter(memfail_lane *lane, struct memfail_error *error);

/* Around ioctl(KVM_RUN), on the vCPU's thread, nothing of the VMM's in between.
 * begin sets run->immediate_exit again while a report is pending. end returns 1
 * when memfail_handle() has work, else 0. */
MEMFAIL_API void memfail_run_begin(memfail_lane *lane);
MEMFAIL_API int memfail_run_end(memfail_lane *lane);

enum {
  MEMFAIL_RESUME = 0,    /* enter the guest again */
  MEMFAIL_DO_RESET = 1,  /* reset the VM, under the VMM's lock */
  MEMFAIL_DO_PAUSE = 2,
  MEMFAIL_HAND_BACK = 4, /* fallback `vmm`: memfail_handed_back() has the siginfo */
  MEMFAIL_NOT_MINE = 8   /* exits only: no memory failure */
};

/* Handles every pending report of this vCPU: takes the snapshot, waits for the
 * verdict up to the deadline, carries it out, records the outcome. On the vCPU's
 * thread, after KVM_RUN has returned and its exit is complete, *holding no
 * VMM-wide lock*. Until the next KVM_RUN nothing may call KVM_SET_REGS or
 * KVM_SET_VCPU_EVENTS on this vCPU (they drop a queued #MC). May clear
 * run->immediate_exit: look at your own queue of work after it, not before. Returns
 * a mask of MEMFAIL_RESUME/DO_*. */
MEMFAIL_API int memfail_handle(memfail_lane *lane);

/* KVM_EXIT_MMIO at `gpa`, *before* the VMM touches the address: asks the kernel
 * whether a registered RAM page there is poisoned. Mask as above; MEMFAIL_NOT_MINE:
 * go on as always. */
MEMFAIL_API int memfail_mmio_exit(memfail_lane *lane, uint64_t gpa, uint32_t len);

/* KVM_RUN gave -1/EHWPOISON with KVM_EXIT_MEMORY_FAULT at `gpa`. */
MEMFAIL_API int memfail_memory_fault_exit(memfail_lane *lane, uint64_t gpa, uint64_t size);

/* Takes one failure that fallback `vmm` handed back; returns 1, or 0 when there
 * is none. On the vCPU's thread. */
MEMFAIL_API int memfail_handed_back(memfail_lane *lane, siginfo_t *info);

/* The VM's vCPUs run (1) or are paused, incoming or finished (0): an
 * action-optional failure meanwhile is only remembered. Starts as 1. Any thread. */
MEMFAIL_API void memfail_vm_running(memfail_shim *shim, int running);

/* The guest is being reset: verdicts that were asked for before it are stale, and the
 * pages known to be broken are replaced by clean ones under the same addresses (by
 * ops.repair where there is one). Call it with the vCPUs stopped, before anything
 * writes guest RAM and while nobody changes the regions; it takes some microseconds a
 * page. Any thread. Returns how many pages stay broken: pinned, read-only, persistent
 * and private-file regions are left alone, as are pages that the kernel does not give
 * back; an event says so for each. */
MEMFAIL_API int memfail_guest_reset(memfail_shim *shim);

/* ---- migration ------------------------------------------------------------- */

/* Writes the pages known to be broken as a versioned blob for the VMM's own stream:
 * on the source, with the vCPUs stopped for good. Returns the bytes it takes; nothing
 * is written where `size` is less (call with 0 to ask). -EOVERFLOW: there were more
 * than `max_poisoned`, and the destination would not know of all. -EADDRNOTAVAIL: one
 * lies in RAM that has no guest address at the moment, likewise: try again when it has
 * one. One thread at a time. */
MEMFAIL_API long memfail_poison_export(memfail_shim *shim, void *buffer, size_t size);

/* On the destination, regions registered, memory received, no vCPU started: makes the
 * same pages poisoned again and takes them over. Returns how many. -EBADMSG truncated,
 * of a newer version or damaged; -ERANGE a page outside the regions; -ENOSPC too many:
 * refused whole, nothing was changed. -EOPNOTSUPP: a page that the guest may still use
 * cannot be made poisoned here (Linux before 6.6, or postcopy holds its userfaultfd):
 * do not start the guest, a clean page there would be silent corruption. */
MEMFAIL_API int memfail_poison_import(memfail_shim *shim, const void *blob, size_t size,
                                      struct memfail_error *error);

/* ---- the signal ------------------------------------------------------------ */

enum memfail_sigbus_result {
  MEMFAIL_SIGBUS_NOT_MINE = 0, /* not a hardware error, or a forked child: the
                                  VMM's previous handler has it */
  MEMFAIL_SIGBUS_TAKEN = 1,    /* return from the handler */
  MEMFAIL_SIGBUS_MUST_NOT_RETURN = 2, /* the access cannot be resumed and ops.abort
                                        came back: end the process */
  MEMFAIL_SIGBUS_PAUSE = 3 /* the same, but ops.guarded said that it can be left, and
                              the policy pauses: leave it, and pause the VM */
};

/* The VMM's SIGBUS handler calls this with its thread's lane (the process lane
 * for threads that have none). Async-signal-safe; keeps errno; takes no lock,
 * allocates nothing, touches no guest memory; may run on an alternate stack and
 * may interrupt itself. */
MEMFAIL_API int memfail_sigbus(memfail_lane *lane, const siginfo_t *info, void *ucontext);

/* "0.1.0": the library's version. */
MEMFAIL_API const char *memfail_version(void);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The bounds, what the two sides share and keep, and how a store gets there.
 */
#ifndef INCIDENTS
#define INCIDENTS 2
#endif
#ifndef CELLS
#define CELLS 1       /* as a slot has; a vCPU's lane has 4 */
#endif
#ifndef KILLS
#define KILLS 1       /* of the sidecar */
#endif
#ifndef DROPS
#define DROPS 0       /* sessions that the shim gives up though the sidecar lives */
#endif
#ifndef VMM_DEATHS
#define VMM_DEATHS 0
#endif

#define cell_of(n) (((n) - 1) % CELLS)
#define next_in_cell(c, done) ((done) == 0 -> (c) + 1 : (done) + CELLS)
#define larger(a, b) ((a) > (b) -> (a) : (b))
/* A reply or an outcome in one word: the incident and the verdict. */
#define line_of(n, verdict) ((n) * 4 + (verdict))
#define incident_in(line) ((line) / 4)
#define verdict_in(line) ((line) % 4)
#define kBuiltin 3    /* the fallback's verdict; the sidecar's are 1 and 2 */

/* ---- the request area: the VMM writes ------------------------------------------ */
byte next;                                        /* incidents claimed in the lane */
byte report[CELLS], snapshot[CELLS], outcome[CELLS];
byte claim[CELLS];                                /* the outcome's, by incident */
byte freed[CELLS];
bit waiter[CELLS];
#ifdef SCAN_BY_LAST_WORD
byte last_word;
#endif

/* ---- reply areas: the sidecar writes. 0 is the page of zeros that the shim has
 * while it is detached. Two generations are enough: an older one can be reached by
 * nobody but a thread that sleeps on it. */
typedef ReplyArea {
  byte reply[CELLS];
  byte retired[CELLS];
  bit sleeping
};
ReplyArea area[3];
byte mapped;                                      /* the shim's */
byte own = 2;                                     /* the sidecar's */

/* ---- the connection, the doorbell, the futex ------------------------------------- */
mtype = { kDown, kHelloSent, kWelcomed, kCommitSent, kReady };
mtype step = kDown;
bit listening, hung_up;                           /* hung_up: by the shim */
bit broken;                                       /* by the sidecar's death */
bit up;                                           /* Session::up */
bit kick;
bit asleep;                                       /* the vCPU thread, in FUTEX_WAIT … */
byte asleep_on;                                   /* … on a word of this area */

/* ---- the sidecar's own memory: gone with it ---------------------------------------- */
mtype = { kFree, kReported, kAnswered };
mtype phase[CELLS] = kFree;
byte retired[CELLS];
bit ready, holds_area, awake, hot, watches_vmm;

/* ---- the records: the front survives the sidecar --------------------------------- */
byte verdict_record[INCIDENTS + 1];
bit event_record[INCIDENTS + 1];                  /* what has_event() answers */

/* ---- deaths, and what only `judge` and the assertions know ------------------------- */
bit sidecar_dead, vmm_dead;
bit vcpu_done;
bit nobody_left;                                  /* both died: no one has the area */
byte committed;                                   /* reports: the highest … */
byte events[INCIDENTS + 1];
byte told[INCIDENTS + 1];                         /* the verdict that the event names */
byte carried[INCIDENTS + 1];                      /* the verdict that was carried out */
bit retire_seen[INCIDENTS + 1];                   /* by the shim */
#ifdef FORGETFUL
bit retire_done[INCIDENTS + 1];
#endif

hidden byte event_twice, double_retirement, carried_twice, verdict_not_recorded, verdict_changed,
    verdict_after_outcome, event_differs, outcome_ignored, promise_forgotten, freed_without_event,
    lost_wake_up, endless_wait, lost_incident, lost_promise, stuck_attach;

/* ---- store buffers -------------------------------------------------------------- */
mtype = { toReport, toSnapshot, toOutcome, toWaiter, toReply, toRetired, toSleeping };
chan vcpu_stores = [4] of { mtype, byte, byte };
chan sidecar_stores = [4] of { mtype, byte, byte };

inline reach_request(where, c, value) {
  if
  :: where == toReport -> report[c] = value; committed = value
#ifdef SCAN_BY_LAST_WORD
     ; last_word = value
#endif
  :: where == toSnapshot -> snapshot[c] = value
  :: where == toOutcome -> outcome[c] = value
  :: where == toWaiter -> waiter[c] = value
  fi
}

inline reach_reply(where, c, value) {
  if
  :: where == toReply -> area[own].reply[c] = value
  :: where == toRetired -> area[own].retired[c] = value;
     if :: mapped == own -> retire_seen[value] = 1 :: else fi
  :: where == toSleeping -> area[own].sleeping = value
  fi
}

active proctype vcpu_buffer() {
  mtype where; byte c, value;
end:
  do
  :: d_step { vcpu_stores ? where, c, value -> reach_request(where, c, value);
       where = 0; c = 0; value = 0 }
  od
}

active proctype sidecar_buffer() {
  mtype where; byte c, value;
end:
  do
  :: d_step { sidecar_stores ? where, c, value -> reach_reply(where, c, value);
       where = 0; c = 0; value = 0 }
  od
}

#define vcpu_fence empty(vcpu_stores)
#define sidecar_fence empty(sidecar_stores)


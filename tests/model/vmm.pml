/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The VMM: a vCPU's thread (shm/reply_wait.cc, vmm_shim/handle.cc; its locals are `n`,
 * the incident, and `c`, its cell) and the dispatching thread (vmm_shim/session.cc).
 */

/* ---- a vCPU's thread ------------------------------------------------------------- */
#ifdef NO_FENCE_COMMIT
#define commit_fence true
#else
#define commit_fence vcpu_fence
#endif
#ifdef NO_FENCE_WAIT
#define wait_fence true
#else
#define wait_fence vcpu_fence
#endif

/* shm::ring(). The write to the eventfd locks, so it drains the buffer. */
inline ring() {
  if
  :: commit_fence && area[mapped].sleeping -> d_step { vcpu_fence -> kick = 1 }
  :: commit_fence && !area[mapped].sleeping
  fi
}

#define has_reply (incident_in(area[mapped].reply[c]) == n)

/* The deadline is asked before the look: from then on the reply is not looked at. */
inline look_until_asleep() {
  do
  :: wait_fence && !patient -> break
#ifdef NO_LOOK_AFTER_WAITER
  :: incident_in(word) == n -> verdict = verdict_in(word); break
  :: incident_in(word) != n -> word = area[mapped].reply[c];
#else
  :: d_step { wait_fence && has_reply -> verdict = verdict_in(area[mapped].reply[c]) }; break
  :: d_step { wait_fence && !has_reply -> word = area[mapped].reply[c] };
#endif
     if
     :: !up -> break
     :: up
     fi;
     futex_wait()
  od
}

#ifdef NO_FUTEX_COMPARE
#define as_looked_at true
#else
#define as_looked_at (area[mapped].reply[c] == word)
#endif
/* A slice may end only in a re-attach: nobody can wake who sleeps on an area that
 * was replaced, or on the page of zeros. */
#define slice_may_end (asleep_on != mapped || asleep_on == 0)

/* Compares and sleeps in one step. The kernel's own barriers are not counted on. */
inline futex_wait() {
  if
  :: d_step { !as_looked_at -> word = 0 }
  :: d_step { as_looked_at -> asleep = 1; asleep_on = mapped };
     d_step { !asleep || slice_may_end || !patient -> asleep = 0; asleep_on = 0; word = 0 }
  fi
}

/* ask(); without an answer the fallback decides. */
inline choose() {
  if
#ifndef RIVAL
  :: d_step { up -> patient = 1 }
#endif
  :: up
  :: !up -> verdict = kBuiltin
  fi;
  if
  :: verdict == 0 ->
#ifdef NO_LOOK_AFTER_WAITER
     word = area[mapped].reply[c];
#endif
     vcpu_stores ! toWaiter, c, 1;
     look_until_asleep();
     atomic {
       vcpu_stores ! toWaiter, c, 0;
       word = 0;
       patient = 0;
       if :: verdict == 0 -> verdict = kBuiltin :: else fi
     }
  :: else
  fi
}

inline carry_out() {
  verdict_not_recorded = verdict != kBuiltin && verdict_record[n] != verdict;
  assert(!verdict_not_recorded);
  carried_twice = carried[n] != 0;
  assert(!carried_twice);
  carried[n] = verdict
}

#ifdef NO_CARRY_CLAIM
#define unclaimed true
#else
#define unclaimed (claim[c] < n)
#endif

/* close_case(): claim_outcome(), then set_mce() and the rest, then commit_outcome(). */
inline close_case() {
  if
  :: d_step { vcpu_fence && unclaimed -> claim[c] = n };
     d_step { carry_out() };
#ifdef LOOK_AFTER_DEADLINE
     d_step { if :: has_reply -> verdict = verdict_in(area[mapped].reply[c]) :: else fi };
#endif
     vcpu_stores ! toOutcome, c, line_of(n, verdict);
     ring()
  :: vcpu_fence && !unclaimed
  fi;
  verdict = 0
}

#define done_until(c) larger(freed[c], area[mapped].retired[c])

/* shm::claim_in_lane(). A report that finds the lane full is only counted: here it
 * comes when there is room. */
#define has_room (next_in_cell(cell_of(n + 1), done_until(cell_of(n + 1))) == n + 1)

inline claim_cell() {
  n++;
  c = cell_of(n);
  next = n;
  if
  :: n > CELLS -> freed_without_event = events[n - CELLS] == 0; assert(!freed_without_event)
  :: else
  fi
}

active proctype vcpu() {
  byte n, c, word, verdict;
  bit patient;
  {
    do
    :: d_step { n < INCIDENTS && has_room -> claim_cell() };
       vcpu_stores ! toReport, c, n;
       vcpu_stores ! toSnapshot, c, n;
       ring();
       choose();
       close_case()
    :: d_step { n == INCIDENTS -> n = 0; c = 0; vcpu_done = 1 }; break
    od
  } unless { vmm_dead }
}

#ifdef RIVAL
/* take_up_slots(): at the deadline dispatch handles a report without the vCPU that it
 * was posted to, which may come after all. */
active proctype expire() {
  byte n = 1, c, verdict = kBuiltin;
  {
    snapshot[0] == 1;
    close_case()
  } unless { vmm_dead }
}
#endif

/* ---- dispatch ---------------------------------------------------------------------- */
/* shm::keep_retired(). */
inline keep_retired(dead) {
  d_step {
    c = 0;
    do
    :: c < CELLS -> freed[c] = larger(freed[c], area[dead].retired[c]); c++
    :: else -> break
    od;
    c = 0
  }
}

/* close_session(): wake_all(), bury_area(), keep_retired(), close_socket(). A sidecar
 * that is only given up may retire meanwhile: what the vCPU could see must be kept. */
inline close_session() {
  up = 0;
  d_step { if :: asleep && asleep_on == mapped && waiter[cell_of(next)] -> asleep = 0 :: else fi };
#ifdef COPY_BEFORE_BURIAL
  keep_retired(mapped);
#endif
  d_step { dead = mapped; mapped = 0 };
#if !defined(COPY_BEFORE_BURIAL) && !defined(NO_FREED_COPY)
  keep_retired(dead);
#endif
  d_step { hung_up = !broken; broken = 0; dead = 0; step = kDown }
}

active proctype dispatch() {
  byte c, dead, drops;
  {
end:
    do
    :: atomic { step == kDown && listening -> kick = 0; step = kHelloSent }
    :: step == kWelcomed ->
       mapped = own;
       up = 1;
       if
       :: atomic { !broken -> step = kCommitSent }
       :: broken
       fi
    :: broken -> close_session()
    :: drops < DROPS && (step == kCommitSent || step == kReady) && !broken ->
       drops++;
       close_session()
    od
  } unless { vmm_dead }
}


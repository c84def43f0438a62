/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An incident's life between a VMM and its sidecar: attach, commit, kick, verdict,
 * outcome, event, retire; either side may die at any step and the sidecar returns.
 *
 * Theory of operation. The VMM is two threads: `vcpu` reports INCIDENTS incidents
 * one after the other through one lane of CELLS cells, waits for each verdict,
 * carries it out; `dispatch` owns the connection. `sidecar` is one process after
 * another: what it keeps for itself dies with it, what is in the records does not.
 * `fate` kills. What one instruction does to shared memory is one step here, and
 * every step may be the last of its process. Names are the code's; where each
 * stands is in docs/model.md.
 *
 * Memory is TSO: a store goes into its thread's buffer and reaches memory when
 * `*_buffer` gets to it, or at a fence. Nobody here loads what it has stored itself,
 * so no load looks into a buffer. `dispatch` makes a system call between any two of
 * its stores, so it has none. A killed process's stores still reach memory.
 *
 * A wake-up may not be lost, so nothing here ends a wait by a slice of time, except
 * where the reply area under the waiter was replaced. A waiter is patient, and then
 * must be woken, or has a deadline, and then that may pass at any step. When nothing
 * can move any more `judge` looks at what has become of each incident.
 *
 * Each protection is a macro that switches it off (tests/model/check.py has them all,
 * and the error that each must lead to).
 */
#include "memory.pml"
#include "vmm.pml"
#include "sidecar.pml"

/* ---- deaths, and the judgement ----------------------------------------------------- */
active proctype fate() {
  byte kills, c, value;
  mtype where;
end:
  do
  :: d_step { kills < KILLS && listening ->
       kills++;
       do
       :: sidecar_stores ? where, c, value -> reach_reply(where, c, value)
       :: empty(sidecar_stores) -> break
       od;
       where = 0; c = 0; value = 0;
       sidecar_dead = 1; listening = 0; hung_up = 0; holds_area = 0; ready = 0;
       watches_vmm = 0;
       broken = step != kDown;
       nobody_left = nobody_left || vmm_dead }
#if VMM_DEATHS
  :: d_step { !vmm_dead ->
       do
       :: vcpu_stores ? where, c, value -> reach_request(where, c, value)
       :: empty(vcpu_stores) -> break
       od;
       where = 0; c = 0; value = 0;
       vmm_dead = 1; asleep = 0; asleep_on = 0;
       nobody_left = !holds_area && !(step == kHelloSent && !broken) }
#endif
  od
}

/* Something lies there that a pass would take up. */
#define takeable(c) ((phase[c] == kFree && report[c] == next_in_cell(c, retired[c])) || \
  (phase[c] != kFree && incident_in(outcome[c]) == next_in_cell(c, retired[c])) || \
  (phase[c] == kReported && snapshot[c] == next_in_cell(c, retired[c])))

active proctype judge() {
  byte n, c;
  timeout;
  d_step {
    stuck_attach = !vmm_dead && step != kReady;
    assert(!stuck_attach);
    do
    :: c < CELLS ->
       lost_wake_up = !vmm_dead && (takeable(c) ||
         (asleep && incident_in(area[mapped].reply[c]) == next && c == cell_of(next)));
       assert(!lost_wake_up);
       c++
    :: else -> break
    od;
    endless_wait = !vmm_dead && asleep;
    assert(!endless_wait);
    lost_incident = !vmm_dead && !vcpu_done;
    assert(!lost_incident);
    n = 1;
    do
    :: n <= committed ->
       lost_incident = !nobody_left && events[n] == 0;
       assert(!lost_incident);
       lost_promise = verdict_record[n] != 0 && events[n] == 0;
       assert(!lost_promise);
       event_differs = !vmm_dead && told[n] != carried[n];
       assert(!event_differs);
       n++
    :: else -> break
    od
  }
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The sidecar: sidecar/session/intake.cc (a pass over the cells) and session.cc (the
 * connection). `cell` and `n` are the cell and the incident that a pass is at.
 */

/* ---- the end of an incident ---------------------------------------------------- */
inline append_event(verdict_told) {
  event_twice = events[n] != 0;
  assert(!event_twice);
  events[n]++;
  event_record[n] = 1;
  told[n] = verdict_told
}

inline record_event() {
  event_differs = verdict_in(line) != carried[n];
  assert(!event_differs);
  append_event(verdict_in(line))
}

inline retire() {
  atomic {
    double_retirement = retire_seen[n];
    assert(!double_retirement);
#ifdef FORGETFUL
    retire_done[n] = 1;
#endif
    sidecar_stores ! toRetired, cell, n;
    retired[cell] = n;
    phase[cell] = kFree;
    moved = 1
  }
}

/* The event comes from the outcome, once; only then is the cell free. */
inline end_incident() {
#ifdef RETIRE_BEFORE_EVENT
  retire();
#endif
#ifdef EVENT_AT_VERDICT
  skip;
#elif defined(NO_EVENT_CHECK)
  d_step { record_event() };
#else
  d_step { if :: !event_record[n] -> record_event() :: else fi };
#endif
#ifndef RETIRE_BEFORE_EVENT
  retire();
#endif
  line = 0
}

#define has_outcome (incident_in(outcome[cell]) == n)

inline take_outcome(when) {
  if
  :: d_step { phase[cell] == when && has_outcome -> line = outcome[cell] }; end_incident()
  :: else
  fi
}

/* ---- the verdict --------------------------------------------------------------- */
inline append_verdict() {
  verdict_changed = verdict_record[n] != 0 && verdict_record[n] != verdict;
  assert(!verdict_changed);
  verdict_after_outcome = after_outcome;
  assert(!verdict_after_outcome);
  verdict_record[n] = verdict;
#ifdef EVENT_AT_VERDICT
  append_event(verdict)
#endif
}

/* What is on record is given again; else history and policy may make it either. */
inline decide(chosen) {
  verdict = chosen;
#ifndef NO_RECORDED_VERDICT
  if :: verdict_record[n] != 0 -> verdict = verdict_record[n] :: else fi;
#endif
#ifdef REPLY_BEFORE_RECORD
  skip
#elif defined(NO_RECORDED_VERDICT)
  append_verdict()
#else
  if :: verdict_record[n] == 0 -> append_verdict() :: else fi
#endif
}

#ifdef NO_FENCE_REPLY
#define reply_fence true
#else
#define reply_fence sidecar_fence
#endif

/* answer(): the reply line, then shm::wake_waiter(). */
inline answer() {
  atomic { sidecar_stores ! toReply, cell, line_of(n, verdict); phase[cell] = kAnswered };
  if
  :: reply_fence && waiter[cell] ->
     d_step { sidecar_fence -> if :: asleep && asleep_on == own -> asleep = 0 :: else fi }
  :: reply_fence && !waiter[cell]
  fi
}

#define may_decide (phase[cell] == kReported && !draining && snapshot[cell] == n)

inline take_verdict() {
  if
  :: d_step { may_decide -> decide(1) }
  :: d_step { may_decide -> decide(2) }
  :: else
  fi;
  if
  :: verdict != 0 ->
     answer();
#ifdef REPLY_BEFORE_RECORD
     d_step { if :: verdict_record[n] == 0 -> append_verdict() :: else fi };
#endif
     d_step { verdict = 0; moved = 1 }
  :: else
  fi
}

/* ---- one pass -------------------------------------------------------------------- */
/* Intake::take_report(). */
inline take_report() {
  n = next_in_cell(cell, retired[cell]);
  if
  :: phase[cell] == kFree && report[cell] == n -> phase[cell] = kReported; moved = 1
  :: else
  fi;
  after_outcome = phase[cell] == kReported && has_outcome
}

/* Intake::advance(), the rest: as far as the cell goes. */
inline advance() {
#ifndef VERDICT_BEFORE_OUTCOME
  take_outcome(kReported);
#endif
  take_verdict();
  take_outcome(kAnswered);
  d_step { after_outcome = 0; n = 0; cell++ }
}

/* Intake::pass(): all cells, whatever the last kick was about. */
inline pass() {
#ifdef SCAN_BY_LAST_WORD
  d_step { moved = 0; cell = (last_word == 0 -> 0 : cell_of(last_word)); take_report() };
  advance();
  cell = 0
#else
  moved = 0;
  do
  :: d_step { cell < CELLS -> take_report() }; advance()
  :: d_step { cell == CELLS -> cell = 0 }; break
  od
#endif
}

/* Session::serve(). When one pass counts as busy is a matter of speed: here, as it
 * pleases. While not awake, `sleeping` says 1 already. */
inline serve() {
  pass();
  if
  :: !awake && moved -> atomic { sidecar_stores ! toSleeping, 0, 0; awake = 1; moved = 0 }
  :: !awake ->
#ifdef AWAKE_AT_ATTACH
     sidecar_stores ! toSleeping, 0, 1;
#endif
     d_step { hot = 0; moved = 0 }
  :: awake ->
     sidecar_stores ! toSleeping, 0, 1;
#ifdef NO_RESCAN
     moved = 0;
#else
#ifndef NO_FENCE_SLEEP
     sidecar_fence;
#endif
     pass();
#endif
     if
     :: moved -> atomic { sidecar_stores ! toSleeping, 0, 0; moved = 0 }
     :: else -> d_step { awake = 0; hot = 0 }
     fi
  fi
}

/* ---- the connection ---------------------------------------------------------------- */
inline fresh_area() {
#ifdef SAME_REPLY_AREA
  skip;
#else
  own = 3 - own;
  if :: asleep_on == own -> asleep_on = 0 :: else fi;
  area[own].sleeping = 1;
  area[3 - own].sleeping = 0;
#endif
#ifdef AWAKE_AT_ATTACH
  area[own].sleeping = 0;
#endif
}

/* retired := freed, where the shim knows more; else our own word is repeated. */
inline resume_cell() {
#ifndef NO_RETIRED_FROM_FREED
  if
  :: freed[cell] > retired[cell] -> retired[cell] = freed[cell]; phase[cell] = kFree
  :: else
  fi;
#endif
#ifdef NO_OWN_WORD
  if
  :: freed[cell] < retired[cell] -> retired[cell] = freed[cell]; phase[cell] = kFree
  :: else
  fi;
#endif
#ifndef SAME_REPLY_AREA
  area[own].reply[cell] = 0;
  area[3 - own].reply[cell] = 0;
  area[3 - own].retired[cell] = 0;
#endif
  area[own].retired[cell] = retired[cell]
}

/* Session::attach(): a fresh reply area, nothing scanned. */
inline attach() {
  d_step {
    sidecar_fence ->
    fresh_area();
    do
    :: cell < CELLS -> resume_cell(); cell++
    :: else -> break
    od;
    cell = 0;
    awake = 0; hot = 0; hung_up = 0; holds_area = 1; watches_vmm = 1;
#ifdef SCAN_BEFORE_COMMIT
    ready = 1; hot = 1;
#else
    ready = 0;
#endif
    step = kWelcomed
  }
}

/* The first commit on an area: repeat_answers(), then Server::ready(). */
inline take_commit() {
#ifndef NO_REPEATED_ANSWERS
  do
  :: cell < CELLS ->
     if
     :: phase[cell] == kAnswered ->
        d_step { n = next_in_cell(cell, retired[cell]); verdict = verdict_record[n] };
        answer();
        d_step { verdict = 0; n = 0 }
     :: else
     fi;
     cell++
  :: else -> break
  od;
  cell = 0;
#endif
  d_step {
    if :: step == kCommitSent && !broken -> step = kReady :: else fi;
    ready = 1;
#ifndef NO_SCAN_AT_COMMIT
    hot = 1
#endif
  }
}

/* ---- the VMM is gone --------------------------------------------------------------- */
/* Promises that no area is held for any more: at start, and at the exit of a VMM that
 * had not come back. */
inline settle_promises() {
  d_step {
    n = 1;
    do
    :: n <= INCIDENTS ->
       if
       :: verdict_record[n] != 0 && !event_record[n] -> append_event(verdict_record[n])
       :: else
       fi;
       n++
    :: else -> break
    od;
    n = 0
  }
}

inline orphan() {
  d_step {
    n = next_in_cell(cell, retired[cell]);
    if
    :: phase[cell] != kFree && !event_record[n] ->
#ifdef NO_RECORD_AT_EXIT
       verdict = (phase[cell] == kAnswered -> verdict_record[n] : 0);
#else
       verdict = verdict_record[n];
#endif
       promise_forgotten = verdict != verdict_record[n];
       assert(!promise_forgotten);
       outcome_ignored = incident_in(outcome[cell]) == n;
       assert(!outcome_ignored);
       append_event(verdict);
       verdict = 0
    :: else
    fi
  };
  if :: phase[cell] != kFree -> retire() :: else fi;
  n = 0
}

inline orphan_all() {
#ifndef NO_DRAIN_AT_EXIT
  draining = 1;
  pass();
  do
  :: moved -> pass()
  :: else -> break
  od;
  draining = 0;
#endif
  do
  :: cell < CELLS -> orphan(); cell++
  :: else -> break
  od;
  cell = 0;
  moved = 0
}

inline exit_session() {
  if
  :: holds_area -> orphan_all()
  :: else -> settle_promises()
  fi;
  d_step { holds_area = 0; watches_vmm = 0; ready = 0; hot = 0; hung_up = 0; kick = 0 }
}

/* SessionTable::hang_up(): not a death, so nothing is given up. */
inline detach() {
  d_step { hung_up = 0; ready = 0; hot = 0 };
#ifdef HANG_UP_IS_DEATH
  orphan_all()
#endif
}

/* ---- the process ------------------------------------------------------------------- */
/* What the process kept for itself. */
inline forget_all() {
  cell = 0;
  do
  :: cell < CELLS -> retired[cell] = 0; phase[cell] = kFree; cell++
  :: else -> break
  od;
  n = 1;
  do
  :: n <= INCIDENTS ->
#ifdef FORGETFUL
     if :: retire_done[n] -> event_record[n] = 0 :: else fi;
#endif
     n++
  :: else -> break
  od;
  cell = 0; n = 0; line = 0; verdict = 0;
  moved = 0; draining = 0; after_outcome = 0;
  ready = 0; holds_area = 0; awake = 0; hot = 0; watches_vmm = 0;
  sidecar_dead = 0
}

active proctype sidecar() {
  byte cell, n, line, verdict;
  bit moved, draining, after_outcome;
start:
  {
    if :: vmm_dead -> settle_promises() :: !vmm_dead fi;
    d_step {
#ifndef NO_WATCH_FROM_START
      watches_vmm = 1;
#endif
      listening = 1
    };
end:
    do
    :: vmm_dead && watches_vmm -> exit_session()
    :: step == kHelloSent && !broken -> attach()
    :: step == kCommitSent && !broken && !ready -> take_commit()
#ifdef SCAN_BEFORE_COMMIT
    :: step == kCommitSent && !broken && ready -> atomic { hot = 1; step = kReady }
#endif
    :: hung_up -> detach()
    :: d_step { ready && (hot || kick) -> hot = 1; kick = 0 }; serve()
    od
  } unless { sidecar_dead };
  d_step { forget_all() };
  goto start
}

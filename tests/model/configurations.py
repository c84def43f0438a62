# SPDX-License-Identifier: BSD-3-Clause
"""What check.py checks: the whole protocol within some bounds, and each protection
switched off with the error that must then be found.
"""

from typing import NamedTuple


class Configuration(NamedTuple):
    name: str
    options: tuple
    error: str = ""      # the property that must be violated; empty: none may be
    long: bool = False   # only with larger bounds


def whole(name, *options, long=False):
    return Configuration(name, options, long=long)


def without(switch, error, *options):
    return Configuration(switch.lower().replace("_", "-"), (switch, *options), error)


NO_KILLS = ("KILLS=0",)
ONE = ("INCIDENTS=1",)
VMM_DIES = ("VMM_DEATHS=1",)

CONFIGURATIONS = (
    whole("sidecar-dies"),
    whole("both-die", *ONE, *VMM_DIES),
    whole("session-dropped", *ONE, "DROPS=1"),
    whole("session-dropped-alive", "KILLS=0", "DROPS=1"),
    whole("two-cells", "KILLS=0", "CELLS=2"),
    whole("journal-forgotten", *ONE, "FORGETFUL", "KILLS=2"),   # deleted while the sidecar is away
    whole("rival", *ONE, "RIVAL", "KILLS=0"),
    # The doorbells.
    without("NO_FENCE_COMMIT", "lost_wake_up", *NO_KILLS),
    without("NO_FENCE_SLEEP", "lost_wake_up", *NO_KILLS),
    without("NO_FENCE_REPLY", "lost_wake_up", *NO_KILLS, *ONE),
    without("NO_FENCE_WAIT", "lost_wake_up", *NO_KILLS, *ONE),
    without("NO_RESCAN", "lost_wake_up", *NO_KILLS),
    without("NO_LOOK_AFTER_WAITER", "lost_wake_up", *NO_KILLS, *ONE),
    without("NO_FUTEX_COMPARE", "lost_wake_up", *NO_KILLS, *ONE),
    without("AWAKE_AT_ATTACH", "lost_wake_up", *NO_KILLS, *ONE),
    # Coming back.
    without("SAME_REPLY_AREA", "lost_wake_up"),
    without("NO_FREED_COPY", "lost_incident|double_retirement"),
    without("COPY_BEFORE_BURIAL", "double_retirement", *ONE, "DROPS=1"),
    without("NO_RETIRED_FROM_FREED", "lost_incident|double_retirement"),
    without("SCAN_BEFORE_COMMIT", "event_twice", *ONE, "FORGETFUL", "KILLS=2"),
    without("NO_SCAN_AT_COMMIT", "lost_wake_up|lost_incident"),
    without("SCAN_BY_LAST_WORD", "lost_incident|lost_wake_up", "CELLS=2", *NO_KILLS),
    without("NO_REPEATED_ANSWERS", "endless_wait", *ONE, "DROPS=1", *NO_KILLS),
    # The event check backs this one up, so here it is off on both sides.
    whole("own-word", "NO_EVENT_CHECK", *ONE, "DROPS=1", *NO_KILLS),
    without("NO_OWN_WORD", "event_twice", "NO_EVENT_CHECK", *ONE, "DROPS=1", *NO_KILLS),
    # The records.
    without("REPLY_BEFORE_RECORD", "verdict_not_recorded"),
    without("NO_RECORDED_VERDICT", "verdict_changed"),
    without("VERDICT_BEFORE_OUTCOME", "verdict_after_outcome"),
    without("EVENT_AT_VERDICT", "event_differs", *ONE),
    without("RETIRE_BEFORE_EVENT", "freed_without_event"),
    without("NO_EVENT_CHECK", "event_twice"),
    # Carrying out.
    without("NO_CARRY_CLAIM", "carried_twice", *ONE, "RIVAL"),
    without("LOOK_AFTER_DEADLINE", "event_differs", *ONE),
    # The VMM is gone, or only seems to be.
    without("NO_DRAIN_AT_EXIT", "outcome_ignored|lost_incident", *ONE, *VMM_DIES),
    without("NO_RECORD_AT_EXIT", "promise_forgotten", *ONE, *VMM_DIES),
    without("NO_WATCH_FROM_START", "lost_promise", *ONE, *VMM_DIES),
    without("HANG_UP_IS_DEATH", "endless_wait|event_differs|event_twice", *ONE, "DROPS=1"),
    # Larger bounds.
    whole("sidecar-dies-twice", "KILLS=2", long=True),
    whole("both-die-later", *VMM_DIES, long=True),
    whole("two-cells-sidecar-dies", "CELLS=2", long=True),
    whole("session-dropped-and-dies", "DROPS=1", long=True),
)

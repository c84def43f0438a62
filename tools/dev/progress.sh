# shellcheck shell=bash disable=SC2154 # root, cache, jobs: set in dev
# SPDX-License-Identifier: BSD-3-Clause
#
# What the user sees while something takes long. Everything here goes to
# stderr: stdout belongs to the programs that ./dev starts.

step_now=0
step_total=0
ticker=

say() { printf '%s\n' "$*" >&2; }

die() {
  say "dev: $*"
  exit 1
}

# steps N: the subcommand has N steps.
steps() {
  step_now=0
  step_total=$1
}

step_label() { printf '[%d/%d] %s…' "$step_now" "$step_total" "$1"; }

stop_ticker() {
  if [[ -n $ticker ]]; then
    kill -KILL "$ticker" 2>/dev/null || true # TERM would run our own EXIT trap in it
    ticker=
  fi
  return 0
}
trap stop_ticker EXIT

# Counts seconds on the same line; only where someone is watching.
start_ticker() {
  [[ -t 2 ]] || return 0
  local label=$1 begun=$SECONDS
  while sleep 1; do printf '\r%s %d s' "$label" $((SECONDS - begun)) >&2; done >/dev/null &
  ticker=$!
  disown # so that the shell does not report its end
}

# step TITLE COMMAND…: runs the command quietly, with its output in a log. When
# it fails, shows the end of the log and ends.
step() {
  local title=$1 begun=$SECONDS status=0 label log
  shift
  step_now=$((step_now + 1))
  label=$(step_label "$title")
  mkdir -p "$root/build/log"
  log=$root/build/log/${title//[^a-zA-Z0-9]/-}.log
  printf '%s' "$label" >&2
  start_ticker "$label"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  stop_ticker
  if [[ -t 2 ]]; then printf '\r%s' "$label" >&2; fi
  if ((status == 0)); then
    say " $((SECONDS - begun)) s"
    return 0
  fi
  say " failed after $((SECONDS - begun)) s"
  tail -n 60 "$log" >&2
  die "$title failed with status $status; the whole output is in ${log#"$root"/}"
}

# step_open TITLE: the next step writes for itself.
step_open() {
  step_now=$((step_now + 1))
  say "$(step_label "$1")"
}

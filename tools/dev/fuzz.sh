# shellcheck shell=bash disable=SC2154 # root, cache, jobs: set in dev
# SPDX-License-Identifier: BSD-3-Clause

help_fuzz() {
  cat <<'END'
usage: ./dev fuzz [--seconds N] [-R REGEX]

Builds the fuzzers with clang 19, ASan and UBSan, and runs each for N seconds, as
many at a time as there are cores. Says at the end what each has done.

  --seconds N   for each fuzzer, default 30
  -R REGEX      only fuzzers whose name matches

Starts from tests/fuzz/corpus/<name>; works on a copy in build/fuzz/corpus, so
the tree stays as it is. Logs are in build/log/fuzz_<name>.log. An input that breaks
something is kept in build/fuzz/crashes; run build/fuzz/tests/fuzz/<fuzzer> FILE to
see it again.
END
}

# run_fuzzer PROGRAM SECONDS
run_fuzzer() {
  local name work seeds
  name=$(basename "$1")
  work=build/fuzz/corpus/$name
  seeds=tests/fuzz/corpus/${name#fuzz_}
  rm -rf "$work"
  mkdir -p "$work" build/fuzz/crashes
  [[ ! -d $seeds ]] || cp -r "$seeds/." "$work/"
  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 "$1" -max_total_time="$2" \
    -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/crashes/$name-" "$work" >"build/log/$name.log" 2>&1
}

# What libFuzzer said last: executions, branches reached, inputs that reach them.
fuzzer_line() {
  awk -v name="$1" '
    /^#[0-9]+/ { for (i = 1; i < NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "corp:") corp = $(i + 1) } }
    /stat::number_of_executed_units/ { runs = $2 }
    END { printf "  %-22s %12d executions, %6d branches, corpus %s\n", name, runs, cov, corp }
  ' "build/log/$1.log"
}

fuzz_all() {
  local seconds=$1 program name running=0 status=0
  shift
  for program in "$@"; do
    if ((running == jobs)); then
      wait -n || status=1
      running=$((running - 1))
    fi
    run_fuzzer "$program" "$seconds" &
    running=$((running + 1))
  done
  while ((running)); do
    wait -n || status=1
    running=$((running - 1))
  done
  for program in "$@"; do
    name=$(basename "$program")
    grep -q "stat::number_of_executed_units" "build/log/$name.log" || tail -n 40 "build/log/$name.log"
    fuzzer_line "$name"
  done
  return $status
}

cmd_fuzz() {
  local seconds=30 filter=. program programs=()
  while (($#)); do
    case $1 in
      --seconds) seconds=$(option_value "$@"); shift 2 ;;
      -R) filter=$(option_value "$@"); shift 2 ;;
      *) unknown_option fuzz "$1" ;;
    esac
  done
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "--seconds $seconds: not a number above 0"
  steps 4
  build fuzz
  for program in build/fuzz/tests/fuzz/fuzz_*; do
    [[ -f $program && -x $program && $(basename "$program") =~ $filter ]] && programs+=("$program")
  done
  ((${#programs[@]})) || die "no fuzzer matches \"$filter\" in build/fuzz/tests/fuzz"
  step_open "fuzzing: ${#programs[@]} fuzzers, $seconds s each, $jobs at a time"
  if ! fuzz_all "$seconds" "${programs[@]}"; then
    die "a fuzzer found something: build/fuzz/crashes"
  fi
}

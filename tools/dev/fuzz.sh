# shellcheck shell=bash disable=SC2154 # root, cache, jobs: set in dev
# SPDX-License-Identifier: BSD-3-Clause

help_fuzz() {
  cat <<'END'
usage: ./dev fuzz [--seconds N] [-R REGEX]

Builds the fuzzers with clang 19, ASan and UBSan, and runs each for N seconds.

  --seconds N   for each fuzzer, default 30
  -R REGEX      only fuzzers whose name matches

Starts from tests/fuzz/corpus/<name>; works on a copy in build/fuzz/corpus, so
the tree stays as it is. An input that breaks something is kept in
build/fuzz/crashes; run build/fuzz/tests/fuzz/<fuzzer> FILE to see it again.
END
}

# run_fuzzer PROGRAM SECONDS
run_fuzzer() {
  local name work seeds
  name=$(basename "$1")
  work=build/fuzz/corpus/$name
  rm -rf "$work"
  mkdir -p "$work" build/fuzz/crashes
  for seeds in "tests/fuzz/corpus/$name" "tests/fuzz/corpus/${name#fuzz_}"; do
    if [[ -d $seeds ]]; then
      cp -r "$seeds/." "$work/"
      break
    fi
  done
  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 "$1" -max_total_time="$2" \
    -rss_limit_mb=2048 -timeout=10 -artifact_prefix="build/fuzz/crashes/$name-" "$work"
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
  steps 3
  build fuzz
  for program in build/fuzz/tests/fuzz/fuzz_*; do
    [[ -f $program && -x $program && $(basename "$program") =~ $filter ]] && programs+=("$program")
  done
  ((${#programs[@]})) || die "no fuzzer matches \"$filter\" in build/fuzz/tests/fuzz"
  steps ${#programs[@]}
  for program in "${programs[@]}"; do
    step "$(basename "$program")" run_fuzzer "$program" "$seconds"
  done
}

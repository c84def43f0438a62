# shellcheck shell=bash disable=SC2154 # root, cache, jobs: set in dev
# SPDX-License-Identifier: BSD-3-Clause

help_lint() {
  cat <<'END'
usage: ./dev lint [--fix] [CHECK…]

Checks the tracked files; every check prints a line with its result and time.

  format    clang-format 19, settings in .clang-format
  tidy      clang-tidy 19, settings in .clang-tidy; needs a build (release)
  cppcheck  what comes with memfaild and its shim
  shell     shellcheck over all shell scripts
  spdx      the licence line in every file that can have a comment
  places    no file names a place outside the project
  size      no file over 500 lines (a warning from 400), nothing generated

  --fix     let clang-format rewrite the files instead of complaining
  CHECK…    only these; default all

Some twenty minutes the first time, because of clang-tidy; files that passed are
remembered in the cache folder until they, a header of theirs or .clang-tidy
change. Writes nothing but that and build/release.
END
}

code_extensions='\.(cc|h|c)$'

tracked() { git ls-files | while read -r file; do [[ ! -f $file ]] || printf "%s\n" "$file"; done; }
tracked_code() { tracked | grep -E "$code_extensions"; }

is_text() { [[ ! -s $1 ]] || grep -qI '' "$1"; }

lint_format() {
  local how=(--dry-run -Werror)
  ((lint_fix)) && how=(-i)
  tracked_code | xargs -r -d '\n' clang-format-19 --style=file "${how[@]}"
}

lint_tidy() {
  configure release >build/log/lint-configure.log 2>&1 ||
    { tail -n 30 build/log/lint-configure.log && return 1; }
  # The whole build: it makes the generated headers and the dependency lists.
  compile release >build/log/lint-build.log 2>&1 ||
    { tail -n 60 build/log/lint-build.log && return 1; }
  python3 tools/dev/tidy.py --build build/release --cache "$cache/tidy" --jobs "$jobs"
}

# A generated header's macro is unknown to it; what is said of speed it takes for a copy
# what is moved.
lint_cppcheck() {
  tracked | grep -E '^(sidecar|shm|vmm_shim)/.*\.cc$' | xargs -d '\n' \
    cppcheck -j "$jobs" --quiet --error-exitcode=1 --inline-suppr --language=c++ --std=c++20 \
    --enable=warning,portability --suppress=missingInclude -I . -I vmm_shim/include \
    '-DFLATBUFFERS_DEFINE_BITMASK_OPERATORS(a,b)=' \
    --template='{file}:{line}: {severity}: {message} [{id}]'
}

lint_shell() {
  local file scripts=()
  while read -r file; do
    if [[ $file == *.sh ]] || head -c 64 "$file" | grep -qaE '^#! ?/.*\b(ba|da)?sh\b'; then
      scripts+=("$file")
    fi
  done < <(tracked)
  ((${#scripts[@]} == 0)) || shellcheck -x "${scripts[@]}"
}

# JSON knows no comments; the corpus is input, byte by byte.
lint_spdx() {
  local file bad=0
  while read -r file; do
    case $file in
      LICENSE | .gitignore | *.json | *.jsonl | tests/fuzz/corpus/*) continue ;;
    esac
    is_text "$file" || continue
    head -n 5 "$file" | grep -qF 'SPDX-License-Identifier: BSD-3-Clause' && continue
    echo "$file: no SPDX-License-Identifier: BSD-3-Clause in its first five lines"
    bad=1
  done < <(tracked)
  return $bad
}

# Written so that no pattern matches itself.
lint_places() {
  local patterns=(
    '/wor[k](/|$)' '/roo[t]/' '/hom[e]/[a-z]' '\.\./share[d]'
    'https?://[^ /]*(deb|ftp|security|snapshot|archive|cdn|mirror)[^ /]*debia[n]'
    'https?://[^ ]*/debia[n](-security)?/? ' 'registr[y]\.npmjs' 'np[m]\.pkg' 'pyp[i]\.org'
    'issues (show|close|not[e])\b'
  )
  local joined
  joined=$(IFS='|' && echo "${patterns[*]}")
  ! tracked | grep -v '^tests/fuzz/corpus/' | xargs -r -d '\n' grep -nHIE "$joined"
}

lint_size() {
  local file lines bad=0
  while read -r file; do
    case $file in
      *_generated.h | *.o | *.a | *.so | *.so.* | *.pyc | *.gch | compile_commands.json)
        echo "$file: looks generated; generated files are not committed"
        bad=1
        ;;
      *.md | *.json | *.jsonl | LICENSE | tests/fuzz/corpus/*) continue ;;
    esac
    is_text "$file" || continue
    lines=$(wc -l <"$file")
    if ((lines > 500)); then
      echo "$file: $lines lines; the limit is 500"
      bad=1
    elif ((lines >= 400)); then
      echo "$file: $lines lines; think about splitting it (warning)"
    fi
  done < <(tracked)
  return $bad
}

# lint_one CHECK: runs it, prints its line, and its output when there is some.
lint_one() {
  local begun=$SECONDS status=0 output=build/log/lint-$1.out
  step_now=$((step_now + 1))
  printf '%s' "$(step_label "$1")" >&2
  start_ticker "$(step_label "$1")"
  "lint_$1" >"$output" 2>&1 </dev/null || status=1
  stop_ticker
  [[ -t 2 ]] && printf '\r%s' "$(step_label "$1")" >&2
  if ((status)); then say " failed, $((SECONDS - begun)) s"; else say " ok, $((SECONDS - begun)) s"; fi
  cat "$output" >&2
  return $status
}

cmd_lint() {
  local all=(format shell spdx places size cppcheck tidy) checks=() check failed=()
  lint_fix=0
  while (($#)); do
    case $1 in
      --fix) lint_fix=1 ;;
      -*) unknown_option lint "$1" ;;
      *) [[ " ${all[*]} " == *" $1 "* ]] || die "there is no check \"$1\"; known are: ${all[*]}"
        checks+=("$1") ;;
    esac
    shift
  done
  ((${#checks[@]})) || checks=("${all[@]}")
  steps $((1 + ${#checks[@]}))
  ensure_packages
  for check in "${checks[@]}"; do
    lint_one "$check" || failed+=("$check")
  done
  ((${#failed[@]} == 0)) || die "lint failed: ${failed[*]}"
}

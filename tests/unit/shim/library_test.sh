#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# library_test.sh LIB.so LIB.a MAP: what the two libraries need and show.
set -eu
shared=$1 archive=$2 map=$3
bad=0
complain() { echo "$*" >&2; bad=1; }

needed=$(readelf -d "$shared" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p')
for library in $needed; do
  case $library in
    libc.so.6 | ld-linux-x86-64.so.2) ;;
    *) complain "$shared needs $library; libc alone is allowed" ;;
  esac
done

heap='malloc|calloc|realloc|free|posix_memalign|aligned_alloc|_Zn[wa]|_Zd[la]'
wrong=$(nm -D --undefined-only "$shared" | awk '{print $NF}' | sed 's/@.*//' |
  grep -E "^($heap)" || true)
[ -z "$wrong" ] || complain "$shared imports the heap: $wrong"
for name in pthread_create fork clone sigaction __cxa_throw; do
  if nm -D --undefined-only "$shared" | awk '{print $NF}' | sed 's/@.*//' | grep -qx "$name"; then
    complain "$shared imports $name"
  fi
done

wanted=$(sed -n '/global:/,/local:/p' "$map" | grep -o 'memfail_[a-z_]*' | sort)
shown=$(nm -D --defined-only "$shared" | awk '$2 != "A" {print $NF}' | sed 's/@.*//' | sort)
[ "$wanted" = "$shown" ] || complain "$shared exports other than its map: $shown"
plain=$(nm -D --defined-only "$shared" | awk '$2 != "A" {print $NF}' | grep -v '@@MEMFAIL_0$' || true)
[ -z "$plain" ] || complain "not versioned: $plain"

others=$(nm -g --defined-only "$archive" 2>/dev/null | awk 'NF == 3 {print $3}' |
  grep -v '^memfail_' || true)
[ -z "$others" ] || complain "$archive shows more than memfail_*: $others"
missing=$(nm -g --undefined-only "$archive" 2>/dev/null | awk 'NF == 2 {print $2}' |
  grep -E "^($heap)" || true)
[ -z "$missing" ] || complain "$archive asks for the heap: $missing"
exit $bad

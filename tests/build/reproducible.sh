#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds what is installed twice, in two places with names of different length, and
# compares the bytes. Nothing of an earlier build is used: no cache either.
#
#   reproducible.sh SOURCE BUILD_TYPE CXX CC
set -euo pipefail
(($# == 4)) || { sed -n '4,7s/^# \{0,1\}//p' "$0"; exit 2; }
source=$1 type=$2 cxx=$3 cc=$4
targets=(memfaild memfailctl memfail-shim memfail_shim_archive)
files=(sidecar/memfaild sidecar/ctl/memfailctl vmm_shim/libmemfail-shim.so.0.1.0
  vmm_shim/libmemfail-shim.a)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CCACHE_DISABLE=1

build_in() {
  local place=$1
  mkdir -p "$place"
  (cd "$source" && git ls-files -z | xargs -0 cp --parents -t "$place")
  cmake -S "$place" -B "$place/build" -G Ninja -DCMAKE_BUILD_TYPE="$type" -DMEMFAIL_TESTS=OFF \
    -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_C_COMPILER="$cc" >/dev/null
  cmake --build "$place/build" --target "${targets[@]}" >/dev/null
}

build_in "$scratch/one"
build_in "$scratch/another/place"
bad=0
for file in "${files[@]}"; do
  if cmp "$scratch/one/build/$file" "$scratch/another/place/build/$file"; then
    echo "$file: the same, $(sha256sum <"$scratch/one/build/$file" | cut -c1-16)"
  else
    bad=1
  fi
done
exit $bad

#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# install_test.sh CMAKE BUILD CONSUMER.c: installs into a prefix that the build was not
# configured for, and builds a VMM against it by pkg-config, by hand and by CMake.
set -eu
cmake=$1 build=$2 consumer=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
# Only the library's part: other parts may not be built.
"$cmake" --install "$build/vmm_shim" --prefix "$prefix" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

pc=$(find "$prefix" -name memfail-shim.pc)
[ -n "$pc" ] || { echo "no memfail-shim.pc was installed" >&2; exit 1; }
if command -v pkg-config >/dev/null; then
  export PKG_CONFIG_PATH="${pc%/*}"
  # shellcheck disable=SC2046  # flags are words
  cc -std=c11 -D_GNU_SOURCE "$consumer" $(pkg-config --cflags --libs memfail-shim) -o "$work/by-pkg-config"
  LD_LIBRARY_PATH=$(pkg-config --variable=libdir memfail-shim) "$work/by-pkg-config"
else
  echo "pkg-config is not there: not tried"
fi

archive=$(find "$prefix" -name libmemfail-shim.a)
cc -std=c11 -D_GNU_SOURCE -I"$prefix/include" "$consumer" "$archive" -o "$work/by-archive"
"$work/by-archive"

mkdir "$work/project"
cp "$consumer" "$work/project/consumer.c"
cat >"$work/project/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.16)
project(consumer C)
find_package(memfail-shim 0.1 REQUIRED)
add_executable(consumer consumer.c)
target_compile_definitions(consumer PRIVATE _GNU_SOURCE)
target_link_libraries(consumer PRIVATE memfail::memfail-shim)
EOF
if ! { "$cmake" -G Ninja -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$prefix" &&
  "$cmake" --build "$work/project/build"; } >"$work/log" 2>&1; then
  cat "$work/log"
  exit 1
fi
"$work/project/build/consumer"

# shellcheck shell=bash disable=SC2154 # root, cache, jobs: set in dev
# SPDX-License-Identifier: BSD-3-Clause

known_presets="release debug asan-ubsan tsan fuzz"

check_preset() {
  [[ " $known_presets " == *" $1 "* ]] ||
    die "there is no preset \"$1\"; known are: $known_presets"
}

configure() { cmake --preset "$1"; }
compile() { cmake --build --preset "$1" -j "$jobs"; }

# build PRESET: three steps (packages, configuring, building).
build() {
  ensure_packages
  step "configuring ($1)" configure "$1"
  step "building ($1)" compile "$1"
}

# ThreadSanitizer's shadow memory leaves room for 28 random bits of mmap; newer
# kernels use more, and then it dies with "unexpected memory mapping".
without_aslr_if_needed() {
  local preset=$1 bits
  shift
  bits=$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null) || bits=28
  if [[ $preset == tsan ]] && ((bits > 28)) && setarch "$(uname -m)" -R true 2>/dev/null; then
    setarch "$(uname -m)" -R "$@"
  else
    "$@"
  fi
}

# For what a part of the tree has to bring: says so instead of "not found".
need_program() {
  [[ -x $root/$1 ]] || die "$1 is not there: ${2:-this tree does not build it yet}"
}

# Opened, not looked at; only where it is a device, for the opening would make a file of it.
usable_kvm() { [[ -c /dev/kvm ]] && { : <>/dev/kvm; } 2>/dev/null; }

# shellcheck shell=bash disable=SC2154 # cache, refresh, kernel, busybox: set in lab
# SPDX-License-Identifier: BSD-3-Clause
#
# The kernel, and the part of the initramfs that no run changes: from a kernel package
# to a folder of the cache. For tests/lab/lab.

# What the machine loads, in the order of the modules' dependencies.
modules=(
  drivers/virtio/virtio_ring drivers/virtio/virtio
  drivers/virtio/virtio_pci_modern_dev drivers/virtio/virtio_pci_legacy_dev
  drivers/virtio/virtio_pci drivers/block/virtio_blk drivers/char/virtio_console
  virt/lib/irqbypass drivers/crypto/ccp/ccp arch/x86/kvm/kvm arch/x86/kvm/kvm-amd
  mm/hwpoison-inject
)

# What a job may load besides, with load_modules NAME...
job_modules=(
  drivers/block/brd fs/mbcache fs/jbd2/jbd2 lib/crc16 crypto/crc32c_generic fs/ext4/ext4
  drivers/md/dm-mod drivers/md/dm-log-writes drivers/md/dm-flakey
)

# Prints the newest kernel package in the cache, or nothing.
cached_package() {
  find "$cache" -maxdepth 1 -name 'linux-image-*_amd64.deb' | sort -V | tail -n 1
}

# Fills `apt` with the options for the lists that have the kernel wanted.
choose_lists() {
  apt=()
  [[ $kernel == backports ]] || return 0
  local options
  options=$(MEMFAIL_CACHE=$cache_root "$here/../../dev" sources --backports --update) ||
    die "no lists of this Debian's backports; --kernel stable does without"
  mapfile -t apt <<<"$options"
}

download_package() {
  need_program apt-get apt
  local name folder apt
  choose_lists
  name=$(apt-cache "${apt[@]}" depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-.*\)$/\1/p' | head -n 1)
  [[ $name ]] || die "the package lists do not know linux-image-amd64: run apt-get update"
  if [[ -n $(find "$cache" -maxdepth 1 -name "${name}_*_amd64.deb") && ! $refresh ]]; then return; fi
  say "downloading $name into $cache (once)"
  folder=$(mktemp -d "$cache/download.XXXXXX")
  if ! (cd "$folder" && timeout 600 apt-get -qq "${apt[@]}" download "$name") 2>"$folder/errors"; then
    cat "$folder/errors" >&2
    rm -rf "$folder"
    die "apt-get download $name did not work; apt-get update may help"
  fi
  # Only whole packages ever appear under their own name.
  mv "$folder"/*.deb "$cache/"
  rm -rf "$folder"
}

# bzImage to the ELF inside it: saves the emulated machine some 2 s of xz. The
# offsets are those of the boot protocol (setup_sects, payload_offset and
# _length); the payload ends with its own size, which is not part of the stream.
extract_kernel() {
  local image=$1 sectors offset length
  sectors=$(od -An -tu1 -j497 -N1 "$image")
  offset=$(od -An -tu4 -j584 -N4 "$image")
  length=$(od -An -tu4 -j588 -N4 "$image")
  offset=$(((sectors + 1) * 512 + offset))
  if command -v xz >/dev/null &&
    dd if="$image" bs=1M iflag=skip_bytes,count_bytes skip="$offset" count=$((length - 4)) \
      status=none | xz -dc >"$2" 2>/dev/null; then
    return
  fi
  cp "$image" "$2"
}

# pack FOLDER FILE: a folder as a cpio archive the kernel reads, owned by root.
pack() {
  local file
  file=$(realpath "$(dirname "$2")")/${2##*/}
  (cd "$1" && find . -mindepth 1 | sort | cpio -o -H newc -R 0:0 --quiet >"$file")
}

# add_module PATH: of the unpacked package `tree`, to the `root` under way. Fails if the
# kernel has it built in.
add_module() {
  local module=$tree/lib/modules/$release/kernel/$1.ko
  if [[ -f $module.xz ]]; then # newer packages have some built in, others compressed
    xz -d "$module.xz"
  elif [[ ! -f $module ]]; then
    grep -qxF "kernel/$1.ko" "$tree/lib/modules/$release/modules.builtin" && return 1
  fi
  cp "$module" "$root/lab/modules/"
}

# unpack_package PACKAGE FOLDER: leaves kernel, release and base.cpio in FOLDER.
unpack_package() {
  local tree=$2/tree root=$2/root release each
  dpkg-deb -x "$1" "$tree"
  release=$(basename "$tree"/boot/vmlinuz-*)
  release=${release#vmlinuz-}
  extract_kernel "$tree/boot/vmlinuz-$release" "$2/kernel"
  echo "$release" >"$2/release"

  mkdir -p "$root"/{bin,etc,lab/modules,dev,proc,sys,root,tmp,var}
  for each in "${modules[@]}"; do
    add_module "$each" && echo "${each##*/}" >>"$root/lab/modules.order"
  done
  for each in "${job_modules[@]}"; do
    add_module "$each" || true
  done
  cp "$busybox" "$root/bin/busybox"
  for each in $("$busybox" --list); do
    [[ $each == busybox ]] || ln -s busybox "$root/bin/$each"
  done
  printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
  pack "$root" "$2/base.cpio"
  rm -rf "$tree" "$root"
}

# Sets machine to a cache folder with kernel, release and base.cpio. Its name
# says what went into it, so that a change of any part makes a new one.
prepare_machine() {
  local cache_root=$cache
  [[ $kernel == stable ]] || cache=$cache/kernel-$kernel
  mkdir -p "$cache/lab"
  exec {lock}>"$cache/lab/lock"
  flock -w 900 "$lock" || die "another lab has held $cache/lab/lock for 15 minutes"
  if [[ $refresh || -z $(cached_package) ]]; then download_package; fi
  local package key folder
  package=$(cached_package)
  key=$({
    echo "layout 3 ${modules[*]} ${job_modules[*]} ${package##*/}"
    sha256sum <"$busybox"
  } | sha256sum | cut -c 1-12)
  machine=$cache/lab/$(basename "${package%%_*}")-$key
  if [[ ! -d $machine ]]; then
    say "unpacking ${package##*/} (once)"
    folder=$(mktemp -d "$cache/lab/unpack.XXXXXX")
    unpack_package "$package" "$folder" || die "cannot unpack $package: delete it and try again"
    chmod 755 "$folder"
    mv "$folder" "$machine"
  fi
  exec {lock}>&-
}


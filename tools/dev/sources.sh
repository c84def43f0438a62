# shellcheck shell=bash disable=SC2154 # root, cache, jobs: set in dev
# SPDX-License-Identifier: BSD-3-Clause
#
# Lists for source packages and backports, made from the machine's own package
# sources: whatever mirror it uses, we use, and none is named in this tree.

help_sources() {
  cat <<'END'
usage: ./dev sources --deb-src | --backports [--update]

Writes an apt list of its own into the cache folder, derived from this machine's
package sources, and prints the apt options that use it, one a line:

  mapfile -t apt < <(./dev sources --deb-src --update)
  apt-get "${apt[@]}" source qemu

  --deb-src     source packages of this Debian release
  --backports   binary and source packages of its backports
  --update      also fetch the lists (10 s; needs the network, not root)

The machine's own lists and settings are not touched.
END
}

cmd_sources() {
  local kind='' update=0 folder
  while (($#)); do
    case $1 in
      --deb-src | --backports) kind=${1#--}; shift ;;
      --update) update=1; shift ;;
      *) unknown_option sources "$1" ;;
    esac
  done
  [[ -n $kind ]] || die "say --deb-src or --backports; see ./dev sources --help"
  folder=$cache/apt/$kind
  mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
  python3 tools/dev/apt_sources.py "$kind" >"$folder/$kind.sources.new" ||
    die "no list for $kind could be made"
  mv "$folder/$kind.sources.new" "$folder/$kind.sources"
  local options=(
    -o "Dir::Etc::sourcelist=$folder/$kind.sources" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache"
    -o "APT::Sandbox::User=$(id -un)" # _apt cannot write into a home folder
  )
  if ((update)); then
    steps 1
    step "fetching the lists of $kind" apt-get -q "${options[@]}" -o APT::Update::Error-Mode=any update
  fi
  printf '%s\n' "${options[@]}"
}

# shellcheck shell=bash disable=SC2154 # root, cache, jobs: set in dev
# SPDX-License-Identifier: BSD-3-Clause
#
# The packages that the project needs. When all are there, nothing of apt runs
# and nothing uses the network.

package_list=packaging/dependencies/debian-12.txt

wanted_packages() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/$package_list" | tr -d '[:blank:]'; }

missing_packages() {
  local installed
  # dpkg-query fails when it does not know one of them; what it knows it prints.
  # shellcheck disable=SC2046 # one word a package
  installed=$(dpkg-query -W -f='${db:Status-Abbrev}${Package}\n' $(wanted_packages) 2>/dev/null |
    sed -n 's/^ii *//p') || true
  comm -23 <(wanted_packages | sort -u) <(sort -u <<<"$installed")
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 "$@"
}

# A package list that is not there yet, or is too old, shows as a failure of the
# first install: only then is it fetched.
install_packages() {
  apt_get install --no-install-recommends "$@" && return 0
  apt_get update && apt_get install --no-install-recommends "$@"
}

# ensure_packages: counts as one step.
ensure_packages() {
  local missing
  if ! command -v dpkg-query >/dev/null; then
    step_open "not a Debian system: taking the packages of $package_list as given"
    return 0
  fi
  missing=$(missing_packages)
  if [[ -z $missing ]]; then
    step "packages (all there)" true
    return 0
  fi
  mapfile -t missing <<<"$missing"
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "these packages are missing, and neither root nor sudo is at hand to install them: ${missing[*]}"
    sudo -v || die "sudo was refused; these packages are missing: ${missing[*]}"
  fi
  step "installing ${#missing[@]} packages" install_packages "${missing[@]}"
}

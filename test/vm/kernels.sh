#!/usr/bin/env bash
# kernels.sh [-a ARCH] [5.10|6.1|6.12|6.18|newest]...
#
# Fetches Debian's kernels with their modules into test/vm/cache/ARCH/KERNEL and
# prints a line on each that is there: name, release, folder. With no name it
# only prints. The mirror is the one from which this machine has Debian, or
# DEBIAN_MIRROR where it has none; other suites of it are read with an apt
# configuration of our own, so nothing of the machine's changes and no root is needed.
set -euo pipefail
cache=${VNET_VM_CACHE:-$(cd "$(dirname "$0")" && pwd)/cache}
arch=amd64
if [ "${1-}" = -a ]; then arch=$2; shift 2; fi
flavour=cloud-$arch
case $arch in amd64 | arm64) ;; *) flavour=$arch ;; esac

# suites KERNEL: where Debian keeps it.
suites() {
  case $1 in
    5.10) echo bullseye ;;
    6.1) echo bookworm ;;
    6.12) echo bookworm-security trixie ;;
    6.*) echo trixie-backports ;;
    newest) echo trixie-backports sid ;;
    *) echo "kernels.sh: $1: not 5.10, 6.1, 6.12, 6.18 or newest" >&2; return 1 ;;
  esac
}

# mirror ARCHIVE: where this machine has debian or debian-security from.
mirror() {
  local label=Debian
  if [ "${DEBIAN_MIRROR-}" ]; then echo "${DEBIAN_MIRROR%/}/$1"; return; fi
  if [ "$1" = debian-security ]; then label=Debian-Security; fi
  apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Label: $label" | sed 1q
}

# configure FOLDER SUITE...: an apt of our own that knows these suites.
configure() {
  local apt=$1 suite archive from; shift
  mkdir -p "$apt/lists/partial" "$apt/archives/partial"
  : >"$apt/status"
  for suite; do
    archive=debian
    case $suite in *-security) archive=debian-security ;; esac
    from=$(mirror "$archive")
    if [ "$from" ]; then echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $suite main"; fi
  done >"$apt/sources.list"
  if [ ! -s "$apt/sources.list" ]; then
    echo "kernels.sh: no mirror of Debian among this machine's apt sources: run apt-get update, or set DEBIAN_MIRROR to a URL with debian/ below it" >&2
    return 1
  fi
  cat >"$apt/apt.conf" <<CONF
Dir::State "$apt"; Dir::State::status "$apt/status"; Dir::Cache "$apt";
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "-";
APT::Architecture "$arch"; APT::Architectures "$arch"; APT::Sandbox::User "";
Acquire::Languages "none"; Acquire::Check-Valid-Until "false";
CONF
}

# newest KERNEL: the package of its last release, signed if there is such a one.
newest() {
  local version=${1//./\\.}
  if [ "$1" = newest ]; then version='[0-9]+\.[0-9]+'; fi
  apt-cache pkgnames linux-image- | grep -E "^linux-image-${version}[.][0-9].*[0-9]-$flavour\$" | sort -V | tail -1
}

# twice COMMAND...: networks fail now and then; what fails again has failed.
twice() {
  "$@" || { echo "kernels.sh: once more: $*" >&2; "$@"; }
}

fetch() {
  local kernel=$1 dir=$cache/$arch/$1 work package
  local -a all parts
  if [ -e "$dir/release" ]; then return; fi
  read -ra all <<<"$(suites "$kernel")"
  work=$(mktemp -d)
  configure "$work" "${all[@]}"
  export APT_CONFIG=$work/apt.conf
  twice apt-get update -qq --error-on=any
  package=$(newest "$kernel")
  if [ -z "$package" ]; then echo "kernels.sh: Debian has no $kernel for $arch" >&2; rm -rf "$work"; return 1; fi
  # From 7 on the image is a meta package: the kernel and its modules are in two others.
  mapfile -t parts < <(apt-cache depends "$package" | sed -nE 's/.*Depends: (linux-(base|binary|modules)-[0-9].*)/\1/p')
  (cd "$work" && twice apt-get download -qq "$package" "${parts[@]}")
  mkdir -p "$work/root"
  for package in "$work"/*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/root" --exclude ./usr/share; done
  if [ ! -e "$work/root/lib" ]; then ln -s usr/lib "$work/root/lib"; fi
  package=$(ls "$work/root/lib/modules")
  PATH=$PATH:/sbin:/usr/sbin depmod -b "$work/root" "$package"
  mkdir -p "$cache/$arch"
  rm -rf "$dir"
  mv "$work/root" "$dir"
  echo "$package" >"$dir/release"
  unset APT_CONFIG
  rm -rf "$work"
}

for kernel; do fetch "$kernel"; done
if [ $# = 0 ]; then
  for dir in "$cache/$arch"/*/release; do if [ -e "$dir" ]; then set -- "$@" "$(basename "$(dirname "$dir")")"; fi; done
fi
for kernel; do printf '%-8s %-32s %s\n' "$kernel" "$(cat "$cache/$arch/$kernel/release")" "$cache/$arch/$kernel"; done

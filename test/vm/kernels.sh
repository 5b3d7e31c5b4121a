#!/usr/bin/env bash
# kernels.sh [-a ARCH] [5.10|6.1|6.12|6.18|newest]...
#
# Downloads Debian's kernels with their modules into test/vm/cache/ARCH/KERNEL, and
# prints a line for each: name, release, folder. Without a name it prints a line for
# each kernel in the cache. The mirror is DEBIAN_MIRROR, or the one in this machine's apt
# sources. The script uses its own apt configuration for the other suites, so it changes
# nothing on the machine and needs no root.
set -euo pipefail
cache=${VNET_VM_CACHE:-$(cd "$(dirname "$0")" && pwd)/cache}
arch=amd64
if [ "${1-}" = -a ]; then arch=$2; shift 2; fi
flavour=cloud-$arch
case $arch in amd64 | arm64) ;; *) flavour=$arch ;; esac

# suites KERNEL: the suites of Debian that have it.
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

# mirror ARCHIVE: the URL of debian or debian-security.
mirror() {
  local label=Debian
  if [ "${DEBIAN_MIRROR-}" ]; then echo "${DEBIAN_MIRROR%/}/$1"; return; fi
  if [ "$1" = debian-security ]; then label=Debian-Security; fi
  apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Label: $label" | sed 1q
}

# configure FOLDER SUITE...: writes an apt configuration with these suites.
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
    echo "kernels.sh: this machine's apt sources have no mirror of Debian:" \
      "run apt-get update, or set DEBIAN_MIRROR to a URL with debian/ below it" >&2
    return 1
  fi
  cat >"$apt/apt.conf" <<CONF
Dir::State "$apt"; Dir::State::status "$apt/status"; Dir::Cache "$apt";
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "-";
APT::Architecture "$arch"; APT::Architectures "$arch"; APT::Sandbox::User "";
Acquire::Languages "none"; Acquire::Check-Valid-Until "false";
CONF
}

# newest KERNEL: the package of its newest release, signed if there is one.
newest() {
  local version=${1//./\\.}
  if [ "$1" = newest ]; then version='[0-9]+\.[0-9]+'; fi
  apt-cache pkgnames linux-image- | grep -E "^linux-image-${version}[.][0-9].*[0-9]-$flavour\$" | sort -V | tail -1
}

# twice COMMAND...: runs it again if it fails, because networks sometimes fail.
twice() {
  "$@" || { echo "kernels.sh: retrying: $*" >&2; "$@"; }
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
  if [ -z "$package" ]; then
    echo "kernels.sh: Debian has no $kernel for $arch" >&2
    rm -rf "$work"
    return 1
  fi
  # From 7 on the image is a meta package; the kernel and its modules are in two others.
  mapfile -t parts < <(apt-cache depends "$package" | sed -nE 's/.*Depends: (linux-(base|binary|modules)-[0-9].*)/\1/p')
  (cd "$work" && twice apt-get download -qq "$package" "${parts[@]}")
  mkdir -p "$work/root"
  for package in "$work"/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/root" --exclude ./usr/share
  done
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

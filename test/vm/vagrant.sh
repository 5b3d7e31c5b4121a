#!/usr/bin/env bash
# vagrant.sh [LAB] proves the Vagrantfile: it makes a box from Debian packages, starts
# libvirtd in namespaces of its own, and goes through validate, up (whose provisioner
# runs the tests), ssh, halt and destroy. It fails if one of them does, or if a fact
# of the lab, else of examples/cheatsheet.yaml, does not hold in there. This machine
# keeps no process, bridge, rule or file of it but the box in test/vm/cache. Without
# VNET_VM_ACCEL=kvm the processor is emulated; then the long tests are left out, which
# run.sh has. It needs root and the packages that .ci/vagrant installs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${VNET_VM_CACHE:-$here/cache}

if [ "${1-}" != --inside ]; then
  lab=${1:-examples/cheatsheet.yaml}
  mkdir -p "$cache"
  if [ ! -e "$cache/vnet.box" ]; then "$here/box.sh" "$cache/vnet.box"; fi
  work=$(mktemp -d)
  trap 'rm -rf "$work" "$here/suite"' EXIT
  # unshare heeds no polite signal; with it, everything in its namespaces dies.
  trap 'kill -KILL $inside; exit 130' INT TERM
  unshare --mount --net --pid --fork --kill-child --mount-proc "$here/vagrant.sh" --inside "$work" "$cache/vnet.box" "$lab" &
  inside=$!
  wait $inside
  exit
fi

work=$2 box=$3 lab=$4
step() { printf '\n=== %s (%ds)\n' "$*" "$SECONDS"; }

# furnish: the places where libvirt keeps things are ours, and so are the users.
furnish() {
  local dir
  mount -t sysfs sysfs /sys
  mount -t tmpfs tmpfs /run
  for dir in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
    mkdir -p "$work$dir" "$dir"
    cp -a "$dir/." "$work$dir/"
    mount --bind "$work$dir" "$dir"
  done
  cp /etc/passwd /etc/group "$work/"
  grep -q ^libvirt-qemu: /etc/passwd || echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>"$work/passwd"
  grep -q ^libvirt-qemu: /etc/group || echo 'libvirt-qemu:x:64055:' >>"$work/group"
  mount --bind "$work/passwd" /etc/passwd
  mount --bind "$work/group" /etc/group
  printf 'user = "root"\ngroup = "root"\ncgroup_controllers = []\n' >/etc/libvirt/qemu.conf
  ip link set lo up
  mkdir -p /run/libvirt /run/lock
  virtlogd -d
  libvirtd -d
}

furnish
cd "$here/../.."
mkdir "$work/tmp"
export TMPDIR=$work/tmp VAGRANT_HOME=$work/home VAGRANT_DOTFILE_PATH=$work/dot VAGRANT_CHECKPOINT_DISABLE=1 VAGRANT_DEFAULT_PROVIDER=libvirt
export VNET_BOX=vnet VNET_BOX_DRIVER=${VNET_VM_ACCEL:-qemu}
if [ "$VNET_BOX_DRIVER" = qemu ]; then
  export VNET_BOX_SKIP=${VNET_BOX_SKIP-'^(TestLaw[2348]_.*|TestBadInput|TestExamples|TestTrafficGoesOn|TestExportIsTheWayBack)$'}
fi
trap 'vagrant destroy -f >/dev/null 2>&1 || true' EXIT

step validate
vagrant box add --name vnet "$box"
vagrant validate
step up, with the tests
vagrant up
step vnet demo
vagrant ssh -c 'vnet demo'
step "$lab"
vagrant ssh -c "cd /vagrant && sudo vnet up $lab && sudo vnet verify $lab && sudo vnet down $lab"
step a broken lab has to fail
if vagrant ssh -c 'cd /vagrant && sudo vnet up test/vm/testdata/broken.yaml && sudo vnet verify test/vm/testdata/broken.yaml'; then
  echo "vagrant.sh: the broken lab passed" >&2
  exit 1
fi
step what the machine lacks
vagrant ssh -c 'for t in ip iptables; do if command -v $t; then exit 1; fi; done; uname -r'
step halt
vagrant halt
step destroy
vagrant destroy -f
trap - EXIT
step done

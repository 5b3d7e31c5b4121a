#!/usr/bin/env bash
# vagrant.sh [--brief] [LAB] proves the Vagrantfile: it makes a box from Debian packages,
# starts libvirtd in namespaces of its own, and goes through validate, up (whose
# provisioner runs the tests), ssh, halt and destroy. It fails if one of them does, if a
# fact of the lab, else of examples/cheatsheet.yaml, does not hold in there, or if those
# of a broken lab do. Then it proves examples/vagrant, in a machine of its own; --brief
# leaves that out, and of the tests all but some packages'. This machine keeps no
# process, bridge, rule or file of it but the box in test/vm/cache. Without
# VNET_VM_ACCEL=kvm the processor is emulated; then the longest tests are left out,
# which run.sh has. It needs root and the packages that .ci/vagrant installs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${VNET_VM_CACHE:-$here/cache}

brief=
if [ "${1-}" = --brief ]; then brief=$1; shift; fi
if [ "${1-}" != --inside ]; then
  lab=${1:-examples/cheatsheet.yaml} box=$cache/vnet.box
  mkdir -p "$cache"
  work=$(mktemp -d)
  trap 'rm -rf "$work" "$here/suite" "$box.new"' EXIT
  trap 'stop; exit 130' INT TERM HUP

  # apart OPTION... COMMAND...: runs it where it leaves no process and no mount.
  apart() {
    TMPDIR=$work unshare --mount --pid --fork --kill-child --mount-proc "$@" &
    inside=$!
    wait "$inside"
  }
  # shellcheck disable=SC2317 # the trap calls it
  # stop ends the first process in there, and with it all others: unshare itself
  # heeds no polite signal, and would not wait for them.
  stop() {
    local first
    [ "${inside-}" ] || return 0
    first=$(cat "/proc/$inside/task/$inside/children")
    kill -KILL "${first:-$inside}" || true
    wait "$inside" || true
  }

  if [ ! "$box" -nt "$here/box.sh" ]; then apart "$here/box.sh" "$box"; fi
  apart --net "$here/vagrant.sh" ${brief:+--brief} --inside "$work" "$box" "$lab"
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
  printf 'user = "root"\ngroup = "root"\ncgroup_controllers = []\nnamespaces = []\n' >/etc/libvirt/qemu.conf
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
  # What takes an emulated processor longest: labs built again and again (laws, examples,
  # mistakes), ten at a time, or with a process for each word that a shell completes.
  again='Law[2-8]_.*|BadInput|Examples|ExportIsTheWayBack|FormatIsReadBack|Script'
  many='CostPerHost|Survey|SettingsOfLabsAtTheSameTime|OffloadOff|TrafficGoesOn|Completion'
  export VNET_BOX_SKIP=${VNET_BOX_SKIP-"^Test($again|$many)\$"}
fi
if [ "$brief" ]; then export VNET_BOX_PACKAGES=${VNET_BOX_PACKAGES-./nsfs ./rtnl ./examples/... ./cmd/vnet/internal/...}; fi
vagrant() { command vagrant --no-tty "$@"; }

step validate
vagrant box add --name vnet "$box"
vagrant validate
step up, with the tests
vagrant up
step vnet demo
vagrant ssh -c 'vnet demo'
step "$lab"
vagrant ssh -c "cd /vagrant && sudo vnet up $lab && sudo vnet verify $lab && sudo vnet down $lab"
step a broken lab
broken=test/vm/testdata/broken.yaml status=0
vagrant ssh -c "cd /vagrant && sudo vnet up $broken && { sudo vnet verify $broken || { status=\$?; sudo vnet down $broken; exit \$status; }; }" || status=$?
test $status = 1
step what the machine lacks
# shellcheck disable=SC2016 # its shell's variable
vagrant ssh -c 'for t in ip iptables; do if command -v $t; then exit 1; fi; done; uname -r'
step halt
vagrant halt
step destroy
vagrant destroy -f

if [ "$brief" ]; then step 'all of it holds'; exit; fi

# The example has a machine of its own: once as it is, once with a lab that is
# broken: then it ends with 1, and the report says why.
example() {
  BOX=vnet DRIVER=$VNET_BOX_DRIVER VNET=$here/suite/vnet VAGRANT_DOTFILE_PATH=$work/dot.example "$work/vagrant/test.sh" "$work/report.xml"
}
cp -r examples/vagrant "$work/"
step examples/vagrant
example
grep -q 'failures="0"' "$work/report.xml"
step examples/vagrant with a broken lab
cp test/vm/testdata/broken.yaml "$work/vagrant/lab.yaml"
status=0
example || status=$?
cat "$work/report.xml"
test $status = 1
grep -q '<failure' "$work/report.xml"
step 'all of it holds'

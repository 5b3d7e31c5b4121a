#!/usr/bin/env bash
# vagrant.sh [--brief] [LAB] tests the Vagrantfile. It makes a box from Debian packages,
# starts libvirtd in its own namespaces, and runs vagrant validate, up (whose provisioner
# runs the tests), ssh, halt and destroy. It fails if one of these fails, if a fact of LAB
# (by default examples/cheatsheet.yaml) does not hold in the machine, or if
# testdata/broken.yaml does not fail. Then it tests examples/vagrant in another machine;
# --brief omits this, and tests only some packages. No process, bridge, rule or file of
# the test stays on this machine, except the box in test/vm/cache. Without VNET_VM_ACCEL=kvm
# the processor is emulated, and the longest tests are skipped; run.sh runs these. The script
# needs root and the packages that .ci/vagrant installs.
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

  # isolated OPTION... COMMAND...: runs COMMAND so that no process and no mount stays.
  isolated() {
    TMPDIR=$work unshare --mount --pid --fork --kill-child --mount-proc "$@" &
    inside=$!
    wait "$inside"
  }
  # shellcheck disable=SC2317 # the trap calls it
  # stop kills the first process in the pid namespace, and so all others. unshare itself
  # ignores SIGTERM, and would not wait for them.
  stop() {
    local first
    [ "${inside-}" ] || return 0
    first=$(cat "/proc/$inside/task/$inside/children")
    kill -KILL "${first:-$inside}" || true
    wait "$inside" || true
  }

  if [ ! "$box" -nt "$here/box.sh" ]; then isolated "$here/box.sh" "$box"; fi
  isolated --net "$here/vagrant.sh" ${brief:+--brief} --inside "$work" "$box" "$lab"
  exit
fi

work=$2 box=$3 lab=$4
step() { printf '\n=== %s (%ds)\n' "$*" "$SECONDS"; }

# setup: mounts private copies of libvirt's folders and of the user database.
setup() {
  local dir
  mount -t sysfs sysfs /sys
  mount -t tmpfs tmpfs /run
  for dir in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
    mkdir -p "$work$dir" "$dir"
    cp -a "$dir/." "$work$dir/"
    mount --bind "$work$dir" "$dir"
  done
  cp /etc/passwd /etc/group "$work/"
  grep -q ^libvirt-qemu: /etc/passwd ||
    echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>"$work/passwd"
  grep -q ^libvirt-qemu: /etc/group || echo 'libvirt-qemu:x:64055:' >>"$work/group"
  mount --bind "$work/passwd" /etc/passwd
  mount --bind "$work/group" /etc/group
  printf 'user = "root"\ngroup = "root"\ncgroup_controllers = []\nnamespaces = []\n' >/etc/libvirt/qemu.conf
  ip link set lo up
  mkdir -p /run/libvirt /run/lock
  virtlogd -d
  libvirtd -d
}

setup
cd "$here/../.."
mkdir "$work/tmp"
export TMPDIR=$work/tmp VAGRANT_HOME=$work/home VAGRANT_DOTFILE_PATH=$work/dot
export VAGRANT_CHECKPOINT_DISABLE=1 VAGRANT_DEFAULT_PROVIDER=libvirt
export VNET_BOX=vnet VNET_BOX_DRIVER=${VNET_VM_ACCEL:-qemu}
if [ "$VNET_BOX_DRIVER" = qemu ]; then
  # The slowest tests on an emulated processor: they make many labs (laws, examples,
  # mistakes), ten at a time, or run a process for each completed word.
  repeated='Law[2-8]_.*|BadInput|Examples|ExportRoundTrip|FormatIsReadBack|Script'
  many='CostPerHost|Survey|SysctlsOfLabsAtTheSameTime|OffloadOff|TrafficContinues|Completion'
  export VNET_BOX_SKIP=${VNET_BOX_SKIP-"^Test($repeated|$many)\$"}
fi
if [ "$brief" ]; then
  export VNET_BOX_PACKAGES=${VNET_BOX_PACKAGES-./nsfs ./rtnl ./examples/... ./cmd/vnet/internal/...}
fi
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
step a lab that must fail
broken=test/vm/testdata/broken.yaml status=0
vagrant ssh -c "cd /vagrant && sudo vnet up $broken &&
  { sudo vnet verify $broken || { status=\$?; sudo vnet down $broken; exit \$status; }; }" || status=$?
test $status = 1
step no ip and no iptables
# shellcheck disable=SC2016 # a variable of the shell in the machine
vagrant ssh -c 'for t in ip iptables; do if command -v $t; then exit 1; fi; done; uname -r'
step halt
vagrant halt
step destroy
vagrant destroy -f

if [ "$brief" ]; then step 'all steps passed'; exit; fi

# The example runs in its own machine: once with its lab, once with a lab that must fail. The
# second run exits with 1, and its report has the failure.
example() {
  BOX=vnet DRIVER=$VNET_BOX_DRIVER VNET=$here/suite/vnet VAGRANT_DOTFILE_PATH=$work/dot.example \
    "$work/vagrant/test.sh" "$work/report.xml"
}
cp -r examples/vagrant "$work/"
step examples/vagrant
example
grep -q 'failures="0"' "$work/report.xml"
step examples/vagrant with a lab that must fail
cp test/vm/testdata/broken.yaml "$work/vagrant/lab.yaml"
status=0
example || status=$?
cat "$work/report.xml"
test $status = 1
grep -q '<failure' "$work/report.xml"
step 'all steps passed'

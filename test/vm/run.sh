#!/usr/bin/env bash
# run.sh [--table] KERNEL... [-- GO TEST ARGUMENT...]
#
# Runs the tests in virtual machines, one after the other, and judges them: what
# failed, and what was skipped without being in skips.txt, fails. The tools that
# the tests compare vnet with (ip, nft, ping, a shell) come from this machine; then
# vnet itself builds and proves labs on a kernel with nothing beside it.
# --table writes what the kernels showed into the README.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
cache=${VNET_VM_CACHE:-$here/cache}
arch=${VNET_VM_ARCH:-amd64}
table=
kernels=()
while [ $# -gt 0 ]; do
  case $1 in
    --table) table=1 ;;
    --) shift; break ;;
    *) kernels+=("$1") ;;
  esac
  shift
done
if [ $# = 0 ]; then set -- ./...; fi
tools=sh,ls,cat,echo,readlink,sleep,true,false,env,id,grep,sed,seq,timeout,mkdir,rm,touch,chmod,mount,umount,unshare,setpriv,ip,bridge,tc,ss,nft,iptables,ping,conntrack,sysctl
export CGO_ENABLED=0 VNET_VM_CACHE=$cache
mkdir -p "$cache/bin" "$cache/runs"
go build -o "$cache/bin/vm" ./test/vm
go build -o "$cache/bin/report" ./test/vm/report
make -s build OUT="$cache/bin/vnet"

# tests KERNEL ARGUMENT...: the whole suite, with the tools to compare with.
tests() {
  local kernel=$1; shift
  go test -json -count=1 -p 1 -timeout 20m "$@" -exec "$cache/bin/vm -timeout 20m -kernel $cache/$arch/$kernel \
    -with $tools -load br_netfilter -file /etc/iproute2 -file /etc/protocols -file /etc/services" >"$cache/runs/$kernel.json" || true
  "$cache/bin/report" -skips "$here/skips.txt" "$cache/runs/$kernel.json"
}

# alone KERNEL: vnet, a kernel, and nothing else.
alone() {
  local vm=("$cache/bin/vm" -kernel "$cache/$arch/$1") vnet=$cache/bin/vnet
  "${vm[@]}" "$vnet" demo
  "${vm[@]}" "$vnet" up examples/cheatsheet.yaml --and "$vnet" verify examples/cheatsheet.yaml --and "$vnet" down examples/cheatsheet.yaml
}

failed=()
runs=()
for kernel in "${kernels[@]}"; do
  "$here/kernels.sh" -a "$arch" "$kernel"
  tests "$kernel" "$@" || failed+=("$kernel")
  alone "$kernel" || failed+=("$kernel alone")
  runs+=("$cache/runs/$kernel.json")
done
if [ "$table" ]; then
  "$cache/bin/report" -features "$here/features.txt" -into README.md "${runs[@]}" || failed+=(table)
fi
if [ ${#failed[@]} -gt 0 ]; then
  printf 'run.sh: failed on %s\n' "${failed[@]}" >&2
  exit 1
fi

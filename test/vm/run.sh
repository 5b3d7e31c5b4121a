#!/usr/bin/env bash
# run.sh [--table] [--beside] KERNEL... [-- GO TEST ARGUMENT...]
#
# Runs the tests in virtual machines, three packages at a time (they wait a lot) or,
# --beside, one of each kernel at the same time, and judges them: what failed, and
# what was skipped without being in skips.txt, fails. The tools that
# the tests compare vnet with (ip, nft, ping, a shell) come from this machine; then
# vnet itself builds and proves labs on a kernel with nothing beside it, and on one
# without NAT and one without IPv6.
#
# The tests are told -short unless they are given arguments: an emulated processor
# is some twenty times slower. --table writes what the kernels showed into the README.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
cache=${VNET_VM_CACHE:-$here/cache}
arch=${VNET_VM_ARCH:-amd64}
table=
beside=
kernels=()
while [ $# -gt 0 ]; do
  case $1 in
    --table) table=1 ;;
    --beside) beside=1 ;;
    --) shift; break ;;
    *) kernels+=("$1") ;;
  esac
  shift
done
if [ $# = 0 ]; then set -- -short ./topo ./cmd/vnet ./...; fi # the longest first
tools=sh,ls,cat,echo,readlink,sleep,true,false,env,id,grep,sed,tr,seq,timeout,mkdir,rm,rmdir,stat,find,setsid,touch,chmod,ln,mount,umount,unshare,setpriv,setarch,ip,bridge,tc,ss,nft,iptables,ping,conntrack,sysctl
nat='nf_nat.*|nft_(nat|masq|redir|chain_nat)|ip6?table_nat'
export CGO_ENABLED=0 VNET_VM_CACHE=$cache
mkdir -p "$cache/bin" "$cache/runs"
go build -o "$cache/bin/vm" ./test/vm
go build -o "$cache/bin/report" ./test/vm/report
make -s build OUT="$cache/bin/vnet"

# tests NAME KERNEL OPTIONS ARGUMENT...: tests, with the tools to compare with.
tests() {
  local name=$1 kernel=$2 options=$3; shift 3
  go test -json -count=1 -p "${beside:-3}" -timeout 60m "$@" -exec "$cache/bin/vm -timeout 60m -kernel $cache/$arch/$kernel \
    -with $tools -load br_netfilter -file /etc/iproute2 -file /etc/protocols -file /etc/services $(printf -- "-file %s " /usr/lib/*/xtables) $options" >"$cache/runs/$name.json" || true
  "$cache/bin/report" -skips "$here/skips.txt" "$cache/runs/$name.json"
}

# alone KERNEL: vnet, a kernel, and nothing else.
alone() {
  local vm=("$cache/bin/vm" -kernel "$cache/$arch/$1") vnet=$cache/bin/vnet
  "${vm[@]}" "$vnet" demo >/dev/null &&
    "${vm[@]}" "$vnet" up examples/cheatsheet.yaml --and "$vnet" verify examples/cheatsheet.yaml --and "$vnet" down examples/cheatsheet.yaml
}

# whole KERNEL ARGUMENT...: all of it. What fails goes on a line of its own into a file.
whole() {
  local kernel=$1 begun=$SECONDS; shift
  failed() { echo "$*" >>"$cache/runs/failed"; }
  tests "$kernel" "$kernel" '' "$@" || failed "$kernel"
  tests "$kernel-without-nat" "$kernel" "-without $nat" -run '^TestWithoutNAT$' ./cmd/vnet || failed "$kernel without NAT"
  tests "$kernel-without-ipv6" "$kernel" '-append ipv6.disable=1' -run '^TestWithoutIPv6$' ./cmd/vnet || failed "$kernel without IPv6"
  VNET_VM_KERNEL=$cache/$arch/$kernel go test -count=1 -cover ./test/vm || failed "the runner with $kernel"
  alone "$kernel" || failed "$kernel alone"
  echo "$kernel: $((SECONDS - begun))s"
}

"$here/kernels.sh" -a "$arch" "${kernels[@]}"
: >"$cache/runs/failed"
runs=()
for kernel in "${kernels[@]}"; do
  if [ "$beside" ]; then whole "$kernel" "$@" & else whole "$kernel" "$@"; fi
  runs+=("$cache/runs/$kernel"{,-without-nat,-without-ipv6}.json)
done
wait
if [ "$table" ]; then
  "$cache/bin/report" -features "$here/features.txt" -into README.md "${runs[@]}" || echo table >>"$cache/runs/failed"
fi
if [ -s "$cache/runs/failed" ]; then
  sed 's/^/run.sh: failed on /' "$cache/runs/failed" >&2
  exit 1
fi

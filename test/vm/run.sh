#!/usr/bin/env bash
# run.sh [--table] [--parallel] KERNEL... [-- GO TEST ARGUMENT...]
#
# Runs the tests in VMs: three packages at a time (they wait a lot), or with --parallel
# one package of each kernel at a time. It fails if a test fails, or skips without being in
# skips.txt. The tools that the tests compare vnet with (ip, nft, ping, a shell) come from
# this machine. Then vnet alone brings up and verifies labs in a VM without these tools. Two
# more VMs have a kernel without NAT and one without IPv6.
#
# Without arguments for go test, the tests run with -short: an emulated processor is about
# twenty times slower. --table writes the results into the README.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
cache=${VNET_VM_CACHE:-$here/cache}
arch=${VNET_VM_ARCH:-amd64}
table=
parallel=
kernels=()
while [ $# -gt 0 ]; do
  case $1 in
    --table) table=1 ;;
    --parallel) parallel=1 ;;
    --) shift; break ;;
    *) kernels+=("$1") ;;
  esac
  shift
done
# The longest first, without test/trust: it builds vnet, and a VM has no Go.
if [ $# = 0 ]; then set -- -short ./topo/live ./cmd/vnet $(go list ./... | grep -v /test/trust); fi
tools=sh,ls,cat,echo,readlink,sleep,true,false,env,id,grep,sed,tr,seq,timeout,mkdir,rm,rmdir,stat,find,setsid,touch
tools+=,chmod,ln,mkfifo,mount,umount,unshare,setpriv,setarch,setcap,cp,ip,bridge,tc,ss,nft,ping,conntrack,sysctl
tools+=,head,tail,cut,wc,iptables,iptables-nft,ip6tables-nft,iptables-legacy,ip6tables-legacy
nat='nf_nat.*|nft_(nat|masq|redir|chain_nat)|ip6?table_nat'
export CGO_ENABLED=0 VNET_VM_CACHE=$cache
mkdir -p "$cache/bin" "$cache/runs"
go build -o "$cache/bin/vm" ./test/vm
go build -o "$cache/bin/report" ./test/vm/report
make -s build OUT="$cache/bin/vnet"

# tests NAME KERNEL OPTIONS ARGUMENT...: runs tests in a VM with these tools.
tests() {
  local name=$1 kernel=$2 options=$3; shift 3
  go test -json -count=1 -p "${parallel:-3}" -timeout 60m "$@" \
    -exec "$cache/bin/vm -timeout 60m -kernel $cache/$arch/$kernel -with $tools -load br_netfilter \
    -file /etc/iproute2 -file /etc/protocols -file /etc/services $(printf -- "-file %s " /usr/lib/*/xtables) $options" \
    >"$cache/runs/$name.json" || true
  "$cache/bin/report" -skips "$here/skips.txt" "$cache/runs/$name.json"
}

# alone KERNEL: runs vnet in a VM with the kernel and nothing else.
alone() {
  local vm=("$cache/bin/vm" -kernel "$cache/$arch/$1") vnet=$cache/bin/vnet lab=examples/cheatsheet.yaml
  "${vm[@]}" "$vnet" demo >/dev/null &&
    "${vm[@]}" "$vnet" up "$lab" --and "$vnet" verify "$lab" --and "$vnet" down "$lab"
}

# all KERNEL ARGUMENT...: runs everything on a kernel. Each failure is a line in a file.
all() {
  local kernel=$1 start=$SECONDS; shift
  failed() { echo "$*" >>"$cache/runs/failed"; }
  tests "$kernel" "$kernel" '' "$@" || failed "$kernel"
  tests "$kernel-without-nat" "$kernel" "-without $nat" -run '^TestWithoutNAT$' ./cmd/vnet ||
    failed "$kernel without NAT"
  tests "$kernel-without-ipv6" "$kernel" '-append ipv6.disable=1' -run '^TestWithoutIPv6$' ./cmd/vnet ||
    failed "$kernel without IPv6"
  VNET_VM_KERNEL=$cache/$arch/$kernel go test -count=1 -cover ./test/vm || failed "the runner with $kernel"
  alone "$kernel" || failed "$kernel alone"
  echo "$kernel: $((SECONDS - start))s"
}

"$here/kernels.sh" -a "$arch" "${kernels[@]}"
: >"$cache/runs/failed"
runs=()
for kernel in "${kernels[@]}"; do
  if [ "$parallel" ]; then all "$kernel" "$@" & else all "$kernel" "$@"; fi
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

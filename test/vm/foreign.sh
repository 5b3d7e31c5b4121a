#!/usr/bin/env bash
# foreign.sh ARCH KERNEL [PACKAGE]...
#
# Runs live tests in a VM of another processor (arm64, riscv64 or s390x), and verifies
# a lab there. The VM has only Debian's kernel, so tests that compare with ip or nft
# skip. The default packages take a few minutes. It needs qemu-system-arm for arm64,
# qemu-system-misc for the others, and kmod.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
arch=$1 kernel=$2
shift 2
if [ $# = 0 ]; then set -- ./nsfs ./rtnl ./nft/... ./examples/embed ./topo/topotest; fi
export VNET_VM_CACHE=${VNET_VM_CACHE:-$here/cache} CGO_ENABLED=0
bin=$VNET_VM_CACHE/bin
mkdir -p "$bin"
"$here/kernels.sh" -a "$arch" "$kernel"
go build -o "$bin/vm" ./test/vm
export GOARCH=$arch
go build -o "$bin/vm.$arch" ./test/vm
go build -o "$bin/vnet.$arch" ./cmd/vnet
vm="$bin/vm -init $bin/vm.$arch -kernel $VNET_VM_CACHE/$arch/$kernel"
go test -count=1 -short -p 1 -timeout 20m -exec "$vm -timeout 20m" "$@"
lab=examples/cheatsheet.yaml
$vm "$bin/vnet.$arch" up $lab --and "$bin/vnet.$arch" verify $lab --and "$bin/vnet.$arch" down $lab

#!/usr/bin/env bash
# processors.sh [ARCH]...
#
# Runs vnet and its tests on other processors with qemu-user: arm64, arm, riscv64,
# s390x (big-endian) and mipsle. It needs qemu-user.
#
# QEMU passes the system calls of the emulated program to the kernel of this machine,
# except for namespaces, netfilter's netlink and programs of the other processor. A test
# that needs one of these fails with an error of QEMU. No other failure is allowed. The
# VMs of foreign.sh run these tests. Packages that are not listed here have no other
# tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=(./rtnl ./nft/... ./topo/... ./cmd/vnet/internal/...)
qemu_errors='not a network namespace|[Ee]xec format error|CONFIG_NETFILTER_NETLINK'
qemu_errors+='|protocol not supported|function not implemented'
others='^(TestDiagnosis|TestAdoptedTwice|Example.*)$' # fail for the same reasons with other messages
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0
if [ $# = 0 ]; then set -- arm64 arm riscv64 s390x mipsle; fi

# qemu ARCH: QEMU's name of a Go processor.
qemu() {
  case $1 in
    arm64) echo qemu-aarch64 ;;
    mipsle) echo qemu-mipsel ;;
    *) echo "qemu-$1" ;;
  esac
}

# check: prints the results, and fails if a failure is not an error of QEMU.
check() {
  awk -v errors="$qemu_errors" '
    /^=== (RUN|CONT|NAME) / { split($3, name, "/"); test = name[1] }
    { output[test] = output[test] "\n" $0 }
    /^--- PASS/ { passed++ }
    /^--- SKIP/ { skipped++ }
    /^--- FAIL/ {
      if (output[$3] ~ errors) refused++
      else { print "FAIL", $3, output[$3]; bad++ }
    }
    /^panic:|^fatal error:|^sandbox:|^FAIL.*\[build failed\]|^SIG/ { print; bad++ }
    /^(ok|FAIL)\t/ {
      printf "%-55s %3d passed, %d skipped, %d need a kernel of that processor\n", $2, passed, skipped, refused
      if (!passed) bad++
      delete output; all += passed; passed = skipped = refused = 0
    }
    END { exit bad > 0 || !all }'
}

# outputs COMMAND...: the output of vnet commands that do not use the kernel.
outputs() {
  local file format
  "$@" help cheatsheet
  "$@" completion bash
  for file in examples/*.yaml; do
    if grep -Eq 'fastpath: true|mtu: auto' "$file"; then continue; fi # reads the default route from the kernel
    "$@" check "$file"
    for format in mermaid dot svg ascii; do "$@" graph --format "$format" "$file"; done
  done
  "$@" check test/vm/testdata/mistakes.yaml || echo "exit $?"
}

go build -o "$work/vnet" ./cmd/vnet
outputs "$work/vnet" >"$work/want" 2>&1
failed=()
for arch; do
  printf '\n=== %s (%ds)\n' "$arch" "$SECONDS"
  GOARCH=$arch go build -o "$work/vnet.$arch" ./cmd/vnet
  outputs "$(qemu "$arch")" "$work/vnet.$arch" >"$work/got" 2>&1
  diff "$work/want" "$work/got" || failed+=("$arch: vnet")
  GOARCH=$arch go test -count=1 -short -v -skip "$others" -exec "$PWD/test/vm/emulated.sh $(qemu "$arch")" \
    "${packages[@]}" >"$work/tests" 2>&1 || true
  check <"$work/tests" || failed+=("$arch: tests")
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'processors.sh: failed on %s\n' "${failed[@]}" >&2
  exit 1
fi

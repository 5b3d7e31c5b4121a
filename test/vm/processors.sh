#!/usr/bin/env bash
# processors.sh [ARCH]...
#
# Runs vnet and its tests on other processors, by qemu-user: arm64, arm, riscv64,
# s390x, whose byte order is the other one, and mipsle. It needs qemu-user.
#
# QEMU hands the system calls of the emulated program to the kernel of this machine,
# but for namespaces, netfilter's netlink and programs of the other processor. A test
# that needs one of them fails with QEMU's refusal, and only for that it may; it runs
# in the machines of foreign.sh. The packages that are not named here have none but
# such tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=(./rtnl ./nft ./topo ./cmd/vnet/internal/...)
refusals='not a network namespace|[Ee]xec format error|CONFIG_NETFILTER_NETLINK|protocol not supported|function not implemented'
others='^(TestLost|TestTakenTwice|Example.*)$' # that fail for the same reasons, but say other words
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0
if [ $# = 0 ]; then set -- arm64 arm riscv64 s390x mipsle; fi

# qemu ARCH: what QEMU calls Go's processor.
qemu() {
  case $1 in
    arm64) echo qemu-aarch64 ;;
    mipsle) echo qemu-mipsel ;;
    *) echo "qemu-$1" ;;
  esac
}

# judge: fails for each failure that is not a refusal of QEMU's.
judge() {
  awk -v refusals="$refusals" '
    /^=== (RUN|CONT|NAME) / { split($3, name, "/"); test = name[1] }
    { said[test] = said[test] "\n" $0 }
    /^--- PASS/ { passed++ }
    /^--- SKIP/ { skipped++ }
    /^--- FAIL/ {
      if (said[$3] ~ refusals) refused++
      else { print "FAIL", $3, said[$3]; bad++ }
    }
    /^panic:|^fatal error:|^sandbox:|^FAIL.*\[build failed\]|^SIG/ { print; bad++ }
    /^(ok|FAIL)\t/ {
      printf "%-55s %3d passed, %d skipped, %d need a kernel of that processor\n", $2, passed, skipped, refused
      if (!passed) bad++
      delete said; all += passed; passed = skipped = refused = 0
    }
    END { exit bad > 0 || !all }'
}

# outputs COMMAND...: what vnet says where it needs no kernel.
outputs() {
  local file format
  "$@" help cheatsheet
  "$@" completion bash
  for file in examples/*.yaml; do
    if grep -Eq 'fastpath: true|mtu: auto' "$file"; then continue; fi # the kernel is asked for the way out
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
  GOARCH=$arch go test -count=1 -short -v -skip "$others" -exec "$PWD/test/vm/emulated.sh $(qemu "$arch")" "${packages[@]}" >"$work/tests" 2>&1 || true
  judge <"$work/tests" || failed+=("$arch: tests")
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'processors.sh: failed on %s\n' "${failed[@]}" >&2
  exit 1
fi

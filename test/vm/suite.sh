#!/usr/bin/env bash
# suite.sh [FOLDER]: builds vnet and the test binaries of all packages, or of those in
# $VNET_BOX_PACKAGES, into FOLDER, by default test/vm/suite, for machines without Go.
# GOARCH selects the processor.
set -euo pipefail
cd "$(dirname "$0")/../.."
to=${1-test/vm/suite}
rm -rf "$to"
mkdir -p "$to"
export CGO_ENABLED=0
make -s build OUT="$to/vnet"
# shellcheck disable=SC2086 # several patterns
go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ${VNET_BOX_PACKAGES:-./...} | while read -r dir; do
  [ "$dir" ] || continue
  mkdir -p "$to${dir#"$PWD"}"
  go test -c -ldflags "-s -w" -o "$to${dir#"$PWD"}/package.test" "$dir"
done

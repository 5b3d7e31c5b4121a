#!/usr/bin/env bash
# suite.sh [FOLDER]: builds vnet and the test binary of each package, or of those in
# $VNET_BOX_PACKAGES, into a folder, test/vm/suite if none is named, for machines that
# have no Go. GOARCH is heeded.
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

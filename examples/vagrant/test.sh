#!/bin/sh
# test.sh [REPORT]: boots the machine, proves the lab in it, takes the machine away.
# The exit status is the verdict: 0, or what `vnet up` or `vnet verify` ended with.
# The report, report.xml if none is named, comes back whatever the facts were.
set -u
report=$(realpath "${1-report.xml}")
cd "$(dirname "$0")" || exit
trap 'vagrant destroy -f' EXIT
trap 'exit 130' INT TERM
vagrant up || exit
vagrant ssh -c 'sudo vnet up /tmp/lab.yaml && sudo vnet verify /tmp/lab.yaml --junit /tmp/report.xml'
status=$?
vagrant ssh -c 'cat /tmp/report.xml' >"$report"
exit $status

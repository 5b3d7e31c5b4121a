#!/bin/sh
# test.sh [REPORT]: boots the machine, verifies the lab in it, destroys the machine. The exit
# status is 0, or that of `vnet up` or `vnet verify`. The script fetches the report in any
# case, into REPORT, by default report.xml.
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

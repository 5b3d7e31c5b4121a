#!/usr/bin/env bash
# some.sh [KERNEL...]: what the checks run on two kernels, 6.1 and 6.12 if none is
# named, one virtual machine of each at a time; make test-vm-all runs all of it.
# Left out are the packages that do not speak to the kernel, and
#
#   TestSame, TestSameRoutes, TestGenerated   thousands of processes that say what ip says:
#                                             they run on the kernel at hand, and little of
#                                             it depends on the kernel
#   TestLaw8                                  deaths: hundreds of processes, the same
#
# The rest are -short: see run.sh.
set -euo pipefail
if [ $# = 0 ]; then set -- 6.1 6.12; fi
exec "$(dirname "$0")/run.sh" --beside "$@" -- -short -skip '^(TestSame|TestSameRoutes|TestGenerated|TestLaw8_.*)$' ./nsfs ./rtnl ./nft ./topo ./cmd/vnet

#!/usr/bin/env bash
# some.sh [KERNEL...]: what the checks run on two kernels, 6.1 and 6.12 if none is
# named, one virtual machine of each at a time; make test-vm-all runs all of it.
# In are the packages that speak to the kernel, and of the labs that each example comes
# up, is proven with packets, and goes. Left out are
#
#   TestSame, TestSameRoutes, TestGenerated   thousands of processes that say what ip says:
#                                             they run on the kernel at hand, and little of
#                                             it depends on the kernel
#   TestBadInput                              a process for each mistake: the same
#   ./topo                                    laws and losses: the labs, again and again
set -euo pipefail
if [ $# = 0 ]; then set -- 6.1 6.12; fi
exec "$(dirname "$0")/run.sh" --beside "$@" -- -short -skip '^(TestSame|TestSameRoutes|TestGenerated|TestBadInput)$' ./nsfs ./rtnl ./nft ./cmd/vnet

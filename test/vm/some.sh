#!/usr/bin/env bash
# some.sh [KERNEL...]: the part of the VM tests that .ci/run runs, by default on 6.1 and
# 6.12, with one VM of each at a time. make test-vm-all runs all tests. This part has the
# packages that talk to the kernel, and brings each example up, verifies it and takes it
# down. It omits
#
#   TestSame, TestSameRoutes, TestGenerated   thousands of processes that compare with ip;
#                                             .ci/test runs them on this kernel, and they
#                                             depend little on the kernel
#   TestBadInput                              a process for each wrong command; the same
#   ./topo/live                               the laws, which bring many labs up and down
set -euo pipefail
if [ $# = 0 ]; then set -- 6.1 6.12; fi
exec "$(dirname "$0")/run.sh" --parallel "$@" -- -short \
  -skip '^(TestSame|TestSameRoutes|TestGenerated|TestBadInput)$' ./nsfs ./rtnl ./nft/... ./cmd/vnet

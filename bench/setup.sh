#!/bin/sh
# Installs, on Debian, what vnet is measured against, and what measures it.
set -e
[ "$(id -u)" = 0 ] || { echo "bench/setup.sh: run it as root" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends make gcc libc6-dev iproute2 iptables nftables procps \
	containernetworking-plugins mininet bridge-utils netavark strace

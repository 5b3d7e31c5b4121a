#!/bin/sh
# Installs, on Debian, the tools that vnet is compared with, and strace.
set -e
[ "$(id -u)" = 0 ] || { echo "bench/setup.sh: run it as root" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends make gcc libc6-dev iproute2 iptables nftables procps \
	containernetworking-plugins mininet bridge-utils netavark strace

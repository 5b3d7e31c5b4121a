#!/bin/sh
# Installs, on Debian, what vnet is measured against.
exec apt-get install -y --no-install-recommends gcc libc6-dev iproute2 iptables nftables \
	containernetworking-plugins mininet bridge-utils netavark strace

#!/bin/sh
# provision.sh runs in the Vagrant machine, as root: it takes away what the machine
# is not to have, installs vnet, and runs all tests.
set -eu
# An ordinary box comes with these; its network is up already.
for tool in ip iptables; do
  if command -v "$tool" >/dev/null; then
    command -v nft >/dev/null || { apt-get update && apt-get install -y --no-install-recommends nftables; }
    rm -f /bin/ip /sbin/ip /usr/bin/ip /usr/sbin/ip /usr/sbin/iptables* /usr/sbin/ip6tables*
  fi
  if command -v "$tool" >/dev/null; then echo "$tool is still there" >&2; exit 1; fi
done
cd /vagrant/test/vm/suite
install -m 755 vnet /usr/local/bin/vnet
failed=
for test in $(find . -name package.test | sort); do
  package=${test%/package.test}
  echo "=== ${package#./}"
  (cd "/vagrant/$package" && "/vagrant/test/vm/suite/$test" -test.short -test.timeout 20m) || failed="$failed ${package#./}"
done
if [ "$failed" ]; then echo "failed:$failed" >&2; exit 1; fi

#!/bin/sh
# provision.sh runs in the Vagrant machine as root: it removes iproute2 and iptables,
# installs vnet, and runs all tests that the pattern $VNET_BOX_SKIP does not match.
set -eu

# A public box configures its network with ip. Configure it with systemd instead, now
# and after the next start.
replace_ip() {
	command -v nft >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends nftables; }
	printf '[Match]\nName=e*\n[Network]\nDHCP=yes\nKeepConfiguration=yes\n[DHCPv4]\nClientIdentifier=mac\n' \
		>/etc/systemd/network/50-vnet.network
	systemctl mask networking.service 2>/dev/null || true
	systemctl enable --now systemd-networkd
	rm -f /bin/ip /sbin/ip /usr/bin/ip /usr/sbin/ip
	rm -f /sbin/iptables* /sbin/ip6tables* /usr/sbin/iptables* /usr/sbin/ip6tables*
}

if command -v ip || command -v iptables; then replace_ip; fi
for tool in ip iptables; do
	if command -v "$tool"; then echo "$tool is still there" >&2; exit 1; fi
done

# Tests expect it: with it, hosts on one bridge reach each other through the machine's port forwards.
modprobe br_netfilter

cd /vagrant/test/vm/suite
install -m 755 vnet /usr/local/bin/vnet
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
# Two packages at a time, as go test does, the largest first. Each prints its result at its end.
# shellcheck disable=SC2016 # the inner shell's variables
find . -name package.test -printf '%s %P\n' | sort -rn | cut -d ' ' -f 2 | xargs -P 2 -I TEST sh -c '
	package=$(dirname "$2")
	log=$1/$(echo "$package" | tr / .)
	begun=$(date +%s)
	cd "/vagrant/$package"
	if "/vagrant/test/vm/suite/$2" -test.v -test.short -test.timeout 20m \
		${VNET_BOX_SKIP:+-test.skip "$VNET_BOX_SKIP"} >"$log" 2>&1; then
		count() { grep -c "^--- $1" "$log"; }
		echo "ok   $package: $(count PASS) passed, $(count SKIP) skipped, $(($(date +%s) - begun))s"
	else
		grep -vE "^ *(=== |--- (PASS|SKIP))" "$log"
		echo "FAIL $package"
		exit 1
	fi' package "$logs" TEST || { echo "tests failed" >&2; exit 1; }

#!/bin/sh
# go test -exec 'emulated.sh QEMU': runs a test binary of another processor under
# qemu-user. QEMU can neither make namespaces nor start a program of that processor
# again, so the sandbox that nsfs.Sandbox makes by both is made here, around QEMU.
who=-Ur
if [ "$(id -u)" = 0 ]; then who=; fi
VNET_SANDBOX="$(readlink /proc/self/ns/net) $(readlink /proc/self/ns/mnt)" VNET_EMULATED=1 exec unshare $who -nm "$@"

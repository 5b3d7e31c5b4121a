#!/bin/sh
# go test -exec 'emulated.sh QEMU': runs a test binary of another processor with
# qemu-user. Under QEMU a program cannot make namespaces or start itself again, as
# nsfs.Sandbox does. So this script makes the sandbox outside of QEMU.
user=-Ur
if [ "$(id -u)" = 0 ]; then user=; fi
VNET_SANDBOX="$(readlink /proc/self/ns/net) $(readlink /proc/self/ns/mnt)" VNET_EMULATED=1 \
  exec unshare $user -nm "$@"

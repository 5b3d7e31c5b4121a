#!/bin/sh
# go test -exec 'emulated.sh QEMU': runs a test binary of another processor with
# qemu-user. Under QEMU a program cannot make namespaces or start itself again, as
# nsfs.Sandbox does. So this script makes the sandbox outside of QEMU.
user=-Ur
if [ "$(id -u)" = 0 ]; then user=; fi
# Descriptors of the namespaces outside prove that the program is in a sandbox.
VNET_SANDBOX=1 VNET_EMULATED=1 exec unshare $user -nm "$@" 3</proc/self/ns/net 4</proc/self/ns/mnt

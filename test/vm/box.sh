#!/usr/bin/env bash
# box.sh BOX: makes a Vagrant box for libvirt from Debian packages of this machine's
# release: sshd, sudo and nftables, without iproute2 and iptables. It needs root but no
# loop device, and leaves no mounts.
set -euo pipefail
box=$(realpath "$1")
# The archive that apt uses here, without the updates.
# shellcheck disable=SC2016 # apt's own variables
read -r mirror suite < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
  'Created-By: Packages' 'Origin: Debian' | awk '$2 !~ /-/') || {
  echo "box.sh: apt has no package lists of Debian: run apt-get update" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

key=$(find /usr/share/rubygems-integration/all/gems/vagrant-*/keys -name vagrant.pub -print -quit)
cat >customize <<SCRIPT
set -eu
chroot "\$1" useradd -m -s /bin/sh vagrant
install -d -m 700 "\$1/home/vagrant/.ssh"
install -m 600 "$key" "\$1/home/vagrant/.ssh/authorized_keys"
chroot "\$1" chown -R vagrant:vagrant /home/vagrant/.ssh
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"\$1/etc/sudoers.d/vagrant"
echo 'UseDNS no' >>"\$1/etc/ssh/sshd_config"
printf '[Match]\nName=e*\n[Network]\nDHCP=ipv4\n' >"\$1/etc/systemd/network/dhcp.network"
chroot "\$1" systemctl enable systemd-networkd ssh
echo vnet >"\$1/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 vnet\n' >"\$1/etc/hosts"
rm -rf "\$1"/usr/share/doc/* "\$1"/usr/share/man/* "\$1"/usr/share/locale/* "\$1"/var/cache/apt/*.bin
SCRIPT
chmod +x customize
packages=linux-image-cloud-amd64,initramfs-tools,systemd-sysv,udev,dbus,openssh-server,sudo,nftables,rsync,zstd
mmdebstrap --quiet --variant=minbase --include=$packages \
  --customize-hook="$work/customize" "$suite" root "$mirror"
for tool in ip iptables; do
  if [ -e "root/usr/sbin/$tool" ] || [ -e "root/usr/bin/$tool" ]; then
    echo "box.sh: the box contains $tool" >&2
    exit 1
  fi
done

# A disk of 3 GiB: GRUB, and one partition that starts at 1 MiB.
truncate -s 3G disk
mke2fs -q -t ext4 -O ^metadata_csum_seed,^orphan_file,^64bit -L vnet -d root -E offset=1048576 \
  disk $((3 * 1024 * 1024 - 1024))k
apt-get download -qq grub-pc-bin grub-common
for deb in grub-*.deb; do dpkg -x "$deb" grub; done
cat >grub.cfg <<'CONF'
set root=(hd0,msdos1)
linux /vmlinuz root=/dev/vda1 rw console=ttyS0 quiet net.ifnames=0
initrd /initrd.img
boot
CONF
grub/usr/bin/grub-mkimage -O i386-pc -d grub/usr/lib/grub/i386-pc -p / -c grub.cfg -o core.img \
  biosdisk part_msdos ext2 linux boot
dd if=grub/usr/lib/grub/i386-pc/boot.img of=disk bs=440 count=1 conv=notrunc status=none
dd if=core.img of=disk bs=512 seek=1 conv=notrunc status=none
# One bootable entry, type Linux, from sector 2048; no CHS addresses.
{
  printf '\x80\xfe\xff\xff\x83\xfe\xff\xff\x00\x08\x00\x00'
  printf '%08x' $((3 * 1024 * 2048 - 2048)) | sed -E 's/(..)(..)(..)(..)/\\x\4\\x\3\\x\2\\x\1/' | xargs -0 printf '%b'
} | dd of=disk bs=1 seek=446 conv=notrunc status=none
printf '\x55\xaa' | dd of=disk bs=1 seek=510 conv=notrunc status=none

qemu-img convert -O qcow2 disk box.img
echo '{"provider": "libvirt", "format": "qcow2", "virtual_size": 3}' >metadata.json
echo 'Vagrant.configure("2") { |config| }' >Vagrantfile
tar -cf "$box.new" metadata.json Vagrantfile box.img
mv "$box.new" "$box"

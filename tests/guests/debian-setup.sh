#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The second half of debootstrap, and what makes the system known to the tests:
# in a chroot, or as the first process of the disk in a machine of its own.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C HOME=/root

end() {
	echo "DEBIAN-SETUP $1"
	rm -f /init
	[ $$ = 1 ] || exit 0
	# debootstrap has unmounted it
	[ -e /proc/sysrq-trigger ] || mount -t proc proc /proc
	sync
	echo u >/proc/sysrq-trigger
	sleep 2
	echo o >/proc/sysrq-trigger
	sleep 60
}

if [ $$ = 1 ]; then
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mount -o remount,rw /
fi
# an interrupted one leaves nothing that is used
printf 'force-unsafe-io\n' >/etc/dpkg/dpkg.cfg.d/setup
# of the kernel's 400 MB, drivers of what no machine here has
for d in drivers/gpu drivers/media drivers/staging drivers/infiniband drivers/net/wireless \
	drivers/net/ethernet/mellanox drivers/iio drivers/hid sound; do
	echo "path-exclude=/lib/modules/*/kernel/$d/*" >>/etc/dpkg/dpkg.cfg.d/setup
done
mkdir -p /etc/initramfs-tools/conf.d
printf 'COMPRESS=gzip\nMODULES=list\n' >/etc/initramfs-tools/conf.d/tests
printf '%s\n' virtio_pci virtio_blk virtio_scsi ata_piix sd_mod ext4 >/etc/initramfs-tools/modules
/debootstrap/debootstrap --second-stage >/tmp/log 2>&1 || {
	tail -n 20 /tmp/log /debootstrap/debootstrap.log
	end failed
}
rm -f /etc/dpkg/dpkg.cfg.d/setup

echo debian >/etc/hostname
echo 'root:anykvm' | chpasswd
cat >/etc/fstab <<-FSTAB
	LABEL=debian-root / ext4 errors=remount-ro 0 1
	LABEL=DEBIAN-ESP /boot/efi vfat noauto 0 0
FSTAB
mkdir -p /boot/efi
cat >/etc/systemd/network/ether.network <<-NETWORK
	[Match]
	Type=ether
	[Network]
	DHCP=ipv4
NETWORK
systemctl enable systemd-networkd >/dev/null 2>&1
systemctl disable apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
	fstrim.timer dpkg-db-backup.timer >/dev/null 2>&1
systemctl mask e2scrub_reap systemd-timesyncd systemd-networkd-wait-online >/dev/null 2>&1
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/*
ln -sf "$(ls /boot/vmlinuz-* | sed 's/.*\///')" /boot/vmlinuz
ln -sf "$(ls /boot/initrd.img-* | sed 's/.*\///')" /boot/initrd.img
[ -s /boot/initrd.img ] || end 'failed: no initramfs'
end done

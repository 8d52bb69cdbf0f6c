#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The first process where the guest needs modules of its kernel: loads those
# that are here, and goes on to the initramfs's /init, or to the disk that the
# kernel's command line names as root=LABEL=...
/bin/busybox --install -s
mount -t devtmpfs dev /dev
for m in /modules/*.ko; do
	insmod "$m" || echo "load: $m failed"
done
mount -t proc proc /proc
root=$(sed -n 's/.*\<root=LABEL=\([^ ]*\).*/\1/p' /proc/cmdline)
umount /proc
if [ -z "$root" ]; then
	umount /dev
	exec /init
fi
mkdir /new
n=0
# SCSI disks come some time after their driver
until mount -t ext4 "$(findfs "LABEL=$root")" /new; do
	[ $((n += 1)) -lt 50 ] || exec sh
	usleep 100000
done 2>/dev/null
mount -o move /dev /new/dev
exec switch_root /new /init

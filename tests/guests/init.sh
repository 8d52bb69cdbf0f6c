#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The first process of the test guests. The kernel's command line says what it
# does after its marker line and the loading of /modules:
#   anykvm.test=commands	the script of common commands, then power-off
#   anykvm.test=script	/test.sh, then power-off
#   anykvm.test=bench		/bench.sh, then power-off
#   anykvm.test=poweroff	nothing but the power-off
#   anykvm.test=reboot		nothing but a reboot
#   (nothing)			a shell on the console; power-off when it ends
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs tmp /tmp
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
dmesg -n 1
echo "ANYKVM-INIT uptime $(cut -d' ' -f1 /proc/uptime)"

for module in /modules/*.ko; do
	name=${module##*/[0-9][0-9]-}
	# not there, or already in
	[ -e "$module" ] && [ ! -e "/sys/module/${name%.ko}" ] || continue
	insmod "$module" || echo "ANYKVM-INSMOD-FAILED $module"
done

mode=
for word in $(cat /proc/cmdline); do
	case $word in
	anykvm.test=*) mode=${word#*=} ;;
	anykvm.cpus=*) export CPUS=${word#*=} ;;
	anykvm.arg=*) export ARG=${word#*=} ;;
	esac
done

cd /root
case $mode in
commands) sh /commands.sh ;;
bench) sh /bench.sh ;;
script) sh /test.sh ;;
poweroff) ;;
reboot)
	echo ANYKVM-REBOOT
	reboot -f
	;;
button)
	mkdir -p /etc/acpi/PWRF
	printf '#!/bin/sh\npoweroff -f\n' >/etc/acpi/PWRF/00000080
	chmod +x /etc/acpi/PWRF/00000080
	acpid -d -f >/dev/null 2>&1 &
	while :; do
		echo "TICK $((n += 1))"
		usleep 100000
	done
	;;
*)
	hostname anykvm
	echo
	echo "This is $(uname -sr) on $(nproc) CPU(s). poweroff -f ends it, and so does leaving" \
		"the shell."
	PS1='guest# ' setsid cttyhack sh
	;;
esac
echo ANYKVM-POWEROFF
poweroff -f

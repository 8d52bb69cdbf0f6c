#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Common commands, each with a known answer. Prints `TEST name ok` or
# `TEST name fail reason` a line, values for the host to compare as
# `VALUE name text`, and TESTS-DONE with the counts.
passed=0
failed=0

ok() {
	passed=$((passed + 1))
	echo "TEST $1 ok"
}

fail() {
	failed=$((failed + 1))
	echo "TEST $1 fail $2"
}

# equal NAME GOT WANTED
equal() {
	if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "got '$2', wanted '$3'"; fi
}

# within NAME VALUE LOW HIGH
within() {
	if [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; then
		ok "$1"
	else
		fail "$1" "$2 is not in $3..$4"
	fi
}

centiseconds() {
	awk '{ printf "%d\n", $1 * 100 }' /proc/uptime
}

# The sum over the CPUs of the lines of /proc/interrupts that match.
interrupts() {
	awk -v re="$1" '$1 ~ re { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' \
		/proc/interrupts
}

cd /tmp || exit 1
echo "VALUE kernel $(uname -r)"
echo "VALUE machine $(uname -m)"
echo "VALUE clocksource $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "VALUE memory $(awk '/MemTotal/ { print $2 }' /proc/meminfo)"
echo "VALUE date $(date -u +%s)"

# files and text
equal ls "$(ls / | grep -cxE 'proc|sys|dev|bin|init')" 5
printf 'pear 3\napple 10\nfig 2\n' >fruit
equal cat "$(cat fruit | wc -c)" 22
equal grep "$(grep -n fig fruit)" "3:fig 2"
equal sed "$(sed -n 's/^\(.*\) 3$/\1s/p' fruit)" pears
equal sort "$(sort fruit | cut -d' ' -f1 | tr '\n' ,)" apple,fig,pear,
equal sort-n "$(sort -k2 -n fruit | cut -d' ' -f2 | tr '\n' ,)" 2,3,10,
equal awk "$(awk '{ s += $2 } END { print s }' fruit)" 15
equal seq "$(seq 1 5000 | awk '{ s += $1 } END { print s }')" 12502500
equal find "$(find / -xdev -name commands.sh)" /commands.sh
mkdir -p d/e && cp fruit d/e/copy && mv d/e/copy d/moved && ln -s moved d/link
equal links "$(cmp fruit d/link && echo same)" same
rm -r d
equal rm "$(ls d 2>/dev/null | wc -l)" 0
equal float "$(awk 'BEGIN {
	for (x = i = 1; i < 9; i++) x = (x + 2 / x) / 2; printf "%.12f", x
	}')" 1.414213562373
equal float-loop "$(awk 'BEGIN {
	for (i = 1; i <= 20000; i++) s += 1 / (i * i); printf "%.8f", s
	}')" 1.64488407

# sums and compression
equal sha256 "$(printf abc | sha256sum | cut -c1-64)" \
	ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
equal sha512 "$(printf abc | sha512sum | cut -c1-32)" ddaf35a193617abacc417349ae204131
equal md5 "$(printf abc | md5sum | cut -c1-32)" 900150983cd24fb0d6963f7d28e17f72
equal dd "$(dd if=/dev/zero bs=64k count=64 2>/dev/null | sha256sum | cut -c1-16)" bb9f8df61474d25e
seq 1 60000 >numbers
gzip -9 <numbers >numbers.gz
equal gzip "$(zcat numbers.gz | sha256sum)" "$(sha256sum <numbers)"
within gzip-size "$(wc -c <numbers.gz)" 50000 250000
bzip2 <numbers >numbers.bz2
equal bzip2 "$(bunzip2 <numbers.bz2 | sha256sum)" "$(sha256sum <numbers)"
dd if=/dev/urandom of=random bs=4k count=512 2>/dev/null
tar czf random.tar.gz random numbers
mkdir -p out && tar xzf random.tar.gz -C out
equal tar "$(cat out/random out/numbers | sha256sum)" "$(cat random numbers | sha256sum)"
rm -r out random random.tar.gz numbers.bz2

# processes
equal pipe "$(yes | head -n 20000 | wc -l)" 20000
equal ps "$(ps | awk '$1 == 1 { print $1 }')" 1
n=0
for i in $(seq 1 40); do
	/bin/busybox true && n=$((n + 1))
done
equal fork "$n" 40
for i in 1 2 3 4 5 6 7 8; do
	(seq 1 2000 | sha256sum >job.$i) &
done
wait
equal jobs "$(cat job.* | sort -u | wc -l)" 1
sleep 100 &
kill $!
wait $! 2>/dev/null
equal kill "$?" 143
trap 'got=usr1' USR1
kill -USR1 $$
equal trap "$got" usr1
mkfifo pipe
echo through >pipe &
equal fifo "$(cat pipe)" through
equal segv "$(sh -c 'kill -SEGV $$' >/dev/null 2>&1; echo $?)" 139
equal cpuinfo "$(grep -c ^processor /proc/cpuinfo)" "$(nproc)"
[ -n "$CPUS" ] && equal nproc "$(nproc)" "$CPUS"
n=$(nproc)
for i in $(seq 0 $((n - 1))); do
	taskset $(printf %x $((1 << i))) sh -c 'seq 1 3000 | sha256sum' >on.$i &
done
wait
equal every-cpu "$(cat on.* | sort -u | wc -l)" 1

# time
before=$(centiseconds)
day=$(date +%s)
sleep 2
day=$(($(date +%s) - day))
after=$(centiseconds)
within sleep-uptime $((after - before)) 195 300
within sleep-date $day 2 3
before=$(centiseconds)
for i in 1 2 3 4 5 6 7 8 9 10; do
	usleep 20000
done
within usleep $(($(centiseconds) - before)) 19 120
within timer-interrupts "$(interrupts '^(LOC|0):$')" 20 1000000000
if [ "$n" -gt 1 ]; then
	within ipis "$(interrupts '^(RES|CAL|TLB):$')" 1 1000000000
	equal timer-each "$(awk -v n="$n" '
		/^ *LOC:/ { for (i = 2; i < 2 + n; i++) if ($i > 0) c++; print c }
		' /proc/interrupts)" "$n"
fi
echo "VALUE date2 $(date -u +%s)"

# the kernel's own complaints
dmesg | grep -E 'BUG:|Oops|WARNING:|Call Trace|soft lockup|rcu.*(stall|starved)|Bogus|segfault at' |
	grep -v 'Speculative\|MDS\|TAA' >complaints
if [ -s complaints ]; then
	fail dmesg "$(head -n 3 complaints | tr '\n' ';')"
else
	ok dmesg
fi
echo "TESTS-DONE $passed passed $failed failed"

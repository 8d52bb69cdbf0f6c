#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Workloads made of busybox alone, the same on the host and in a guest. Each is
# a function w_NAME; a line in the list below runs it. Whoever reads the output
# takes the times between the START and END lines, by the host's clock.
# Set outside: BB, the busybox to use; ARG, how often each is run; DIR, where in
# memory its files go.
BB=${BB:-/bin/busybox}

w_sha256() { $BB dd if=/dev/zero bs=1M count=64 2>/dev/null | $BB sha256sum; }
w_gzip() { $BB gzip -9 <numbers | $BB gunzip | $BB wc -c; }
w_bzip2() { $BB bzip2 <fewer | $BB bunzip2 | $BB wc -c; }
w_sort() { $BB sort -r numbers | $BB tail -n 1; }
w_grep() { $BB grep -cE '(1[0-9]+7|9.*3)$' numbers; }
w_awk() { $BB awk 'BEGIN { for (i = 0; i < 1000000; i++) s += i * 1.5; print s }'; }
w_shell() {
	i=0
	while [ $i -lt 200000 ]; do i=$((i + 1)); done
}
w_forkexec() {
	i=0
	while [ $i -lt 200 ]; do
		$BB true
		i=$((i + 1))
	done
}
w_syscalls() { $BB dd if=/dev/zero of=/dev/null bs=1 count=200000; }
w_pipe() { $BB dd if=/dev/zero bs=1 count=100000 2>/dev/null | $BB dd of=/dev/null bs=1; }
w_memory() { $BB dd if=/dev/zero of=/dev/null bs=64M count=8; }
w_files() {
	$BB mkdir files
	i=0
	while [ $i -lt 3000 ]; do
		echo $i >files/$i
		i=$((i + 1))
	done
	$BB find files -type f | $BB xargs $BB cat | $BB wc -l
	$BB rm -r files
}
w_parallel() {
	for i in 1 2; do $BB dd if=/dev/zero bs=1M count=32 2>/dev/null | $BB sha256sum & done
	wait
}

mkdir -p "${DIR:-/tmp}/anykvm-bench.$$" && cd "${DIR:-/tmp}/anykvm-bench.$$" || exit 1
$BB seq 1 500000 >numbers
$BB seq 1 200000 >fewer
for workload in sha256 gzip bzip2 sort grep awk shell forkexec syscalls pipe memory files parallel; do
	n=0
	while [ $n -lt "${ARG:-3}" ]; do
		echo "START $workload"
		w_$workload >/dev/null 2>&1
		echo "END $workload"
		n=$((n + 1))
	done
done
cd / && $BB rm -r "${DIR:-/tmp}/anykvm-bench.$$"
echo BENCH-DONE

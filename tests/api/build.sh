#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds Linux's KVM selftests from Debian's linux-source-6.1, with the
# kernel's own makefile and the headers of linux-libc-dev:
#   tests/api/build.sh DIRECTORY
# The programs land in DIRECTORY/bin. Nothing is done when they are there.
set -eu

out=$1
tarball=${LINUX_SOURCE:-/usr/src/linux-source-6.1.tar.xz}
top=linux-source-6.1

[ -e "$out/bin/.done" ] && [ ! "$tarball" -nt "$out/bin/.done" ] && exit 0
[ -r "$tarball" ] || {
	echo "selftests: no $tarball: install the package linux-source-6.1" >&2
	exit 1
}
rm -rf "$out"
mkdir -p "$out/bin" "$out/src"
out=$(cd "$out" && pwd)
echo "selftests: unpacking and building in $out" >&2
tar -x -J -f "$tarball" -C "$out/src" --strip-components=1 \
	"$top/scripts/subarch.include" "$top/tools/build" "$top/tools/include" \
	"$top/tools/arch/x86/include" "$top/tools/lib/rbtree.c" "$top/tools/scripts" \
	"$top/tools/testing/selftests/lib.mk" "$top/tools/testing/selftests/kselftest.h" \
	"$top/tools/testing/selftests/kselftest_harness.h" \
	"$top/tools/testing/selftests/rseq" "$top/tools/testing/selftests/kvm"

# Two slips of this stable tree: a macro that dirty_log_test uses goes by its
# older name in test_util.h, and steal_time.c takes its <linux/stddef.h> from
# tools/include, which lacks what <asm/kvm.h> needs.
flags='-DTEST_ASSERT_EQ=ASSERT_EQ -include /usr/include/linux/stddef.h'
make -s -k -C "$out/src/tools/testing/selftests/kvm" -j "$(nproc)" OUTPUT="$out/bin" \
	EXTRA_CFLAGS="$flags" >"$out/build.log" 2>&1 || {
	grep -E ' error: |Error ' "$out/build.log" | head -n 10 >&2
	echo "selftests: the build failed; see $out/build.log" >&2
	exit 1
}
rm -rf "$out/src"
touch "$out/bin/.done"

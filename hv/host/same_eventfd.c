/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether two descriptors are of one eventfd. All eventfds share one inode, so
 * fstat cannot tell: kcmp(2) can, and where a sandbox forbids it, the
 * "eventfd-id" line of /proc/self/fdinfo (Linux 5.2 and later).
 */
#include <fcntl.h>
#include <linux/kcmp.h>

#include "host.h"
#include "syscall.h"

/* The eventfd-id of fd, or -1. */
static s64 eventfd_id(int fd)
{
	static const char key[] = "eventfd-id:";
	char path[40] = "/proc/self/fdinfo/", text[512], digits[12];
	int n = 0, at = 18, file;
	s64 id = -1;
	long len, i;

	do {
		digits[n++] = (char)('0' + fd % 10);
		fd /= 10;
	} while (fd);
	while (n)
		path[at++] = digits[--n];
	file = (int)SYS4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (file < 0)
		return -1;
	len = SYS3(SYS_read, file, text, sizeof(text));
	host_close(file);
	for (i = 0; i + (long)sizeof(key) < len; i++) {
		if (host_memcmp(text + i, key, sizeof(key) - 1))
			continue;
		for (i += sizeof(key) - 1; i < len && text[i] == ' '; i++)
			;
		for (id = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++)
			id = id * 10 + (text[i] - '0');
		break;
	}
	return id;
}

bool host_same_eventfd(int a, int b)
{
	long self, r;
	s64 id;

	if (a < 0 || b < 0)
		return false;
	if (a == b)
		return true;
	self = SYS0(SYS_getpid);
	r = SYS6(SYS_kcmp, self, self, KCMP_FILE, a, b, 0);
	if (r >= 0)
		return r == 0;
	id = eventfd_id(a);
	return id >= 0 && id == eventfd_id(b);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of the hypervisor itself, and copies from and to addresses that its
 * caller named.
 *
 * Such an address may be anything, so it is never dereferenced here: the
 * kernel copies (process_vm_readv of one's own process) and reports what is
 * not there. Where a sandbox forbids that call, the bytes go through a memory
 * file, since write(2) and read(2) report bad addresses just as well.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "host.h"
#include "syscall.h"

void *host_zalloc(size_t size)
{
	return calloc(1, size);
}

void host_free(void *p)
{
	free(p);
}

void *host_map(size_t size)
{
	long p = SYS6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return host_syscall_failed(p) ? NULL : (void *)p;
}

int host_forbid(void *p, size_t size)
{
	return (int)SYS3(SYS_mprotect, p, size, PROT_NONE);
}

int host_repeat(void *p, size_t size, u32 views)
{
	long r = host_mmap((u64)p, size, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	for (u32 i = 1; i < views && !host_syscall_failed(r); i++)
		r = host_map_alias((u64)p + i * size, p, size, PROT_READ | PROT_WRITE);
	return host_syscall_failed(r) ? (int)r : 0;
}

void host_unmap(void *p, size_t size)
{
	if (p)
		SYS2(SYS_munmap, p, size);
}

/* The fallback's memory file: made once, used under a lock. */
static struct host_mutex bounce_lock;
static int bounce_fd = -1;

#define BOUNCE_SIZE 65536ul

static int bounce_open(void)
{
	if (bounce_fd < 0) {
		bounce_fd = host_memfd("anykvm-copy", BOUNCE_SIZE);
		if (bounce_fd < 0)
			return -EFAULT;
	}
	return 0;
}

/* One piece: written into the file from src, read out of it to dst. */
static int bounce_piece(u64 dst, u64 src, size_t n)
{
	if (SYS4(SYS_pwrite64, bounce_fd, src, n, 0) != (long)n)
		return -EFAULT;
	return SYS4(SYS_pread64, bounce_fd, dst, n, 0) == (long)n ? 0 : -EFAULT;
}

static int bounce_copy(u64 dst, u64 src, size_t n)
{
	int r;

	host_mutex_lock(&bounce_lock);
	r = bounce_open();
	while (!r && n) {
		size_t piece = MIN(n, BOUNCE_SIZE);

		r = bounce_piece(dst, src, piece);
		dst += piece;
		src += piece;
		n -= piece;
	}
	host_mutex_unlock(&bounce_lock);
	return r;
}

static int copy_self(long nr, void *mine, u64 theirs, size_t n)
{
	static u32 refused;

	while (n && !__atomic_load_n(&refused, __ATOMIC_RELAXED)) {
		struct iovec local = { mine, n }, remote = { (void *)theirs, n };
		long done = SYS6(nr, SYS0(SYS_getpid), &local, 1, &remote, 1, 0);

		if (done == -ENOSYS || done == -EPERM) {
			__atomic_store_n(&refused, 1, __ATOMIC_RELAXED);
			break;
		}
		if (done <= 0)
			return -EFAULT;
		/* A huge copy may come back short without a fault. */
		mine = (char *)mine + done;
		theirs += (u64)done;
		n -= (size_t)done;
	}
	if (!n)
		return 0;
	return nr == SYS_process_vm_readv ? bounce_copy((u64)mine, theirs, n) :
					    bounce_copy(theirs, (u64)mine, n);
}

int host_copy_from_user(void *dst, u64 src, size_t n)
{
	return copy_self(SYS_process_vm_readv, dst, src, n);
}

int host_copy_to_user(u64 dst, const void *src, size_t n)
{
	return copy_self(SYS_process_vm_writev, (void *)src, dst, n);
}

int host_copy_from_guest(void *dst, u64 src, size_t n)
{
	return host_in_run() ? host_guest_move(dst, (const void *)src, n) :
			       host_copy_from_user(dst, src, n);
}

int host_copy_to_guest(u64 dst, const void *src, size_t n)
{
	return host_in_run() ? host_guest_move((void *)dst, src, n) :
			       host_copy_to_user(dst, src, n);
}

/* msync with MS_ASYNC does nothing but look whether everything is mapped. */
bool host_range_mapped(u64 hva, u64 size)
{
	u64 start = hva & PAGE_MASK;
	u64 end = ALIGN_UP(hva + size, PAGE_SIZE);

	if (!size)
		return true;
	if (hva + size < hva || end < start)
		return false;
	return SYS3(SYS_msync, start, end - start, MS_ASYNC) == 0;
}

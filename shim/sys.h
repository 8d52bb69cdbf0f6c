/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls as they are, for the parts of the shim that may run on a thread
 * that is not the C library's: results are -errno on failure, and no memory of
 * the thread is touched.
 */
#ifndef SHIM_SYS_H
#define SHIM_SYS_H

#include <stddef.h>
#include <sys/syscall.h>

static inline long shim_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define SYS0(nr) shim_syscall(nr, 0, 0, 0, 0, 0, 0)
#define SYS1(nr, a) shim_syscall(nr, (long)(a), 0, 0, 0, 0, 0)
#define SYS2(nr, a, b) shim_syscall(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS3(nr, a, b, c) shim_syscall(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(nr, a, b, c, d) shim_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS5(nr, a, b, c, d, e) \
	shim_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS6(nr, a, b, c, d, e, f) \
	shim_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* mmap and friends return addresses: the last page of the space is errors. */
static inline int shim_failed(long ret)
{
	return (unsigned long)ret > -4096ul;
}

static inline void shim_copy(void *d, const void *s, size_t n)
{
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
}

static inline void shim_clear(void *d, size_t n)
{
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(0) : "memory");
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls without the C library, whose wrappers may use vector registers
 * (memcpy, the vDSO) or set errno of a thread that is inside the guest.
 * Results are those of the kernel: -errno on failure.
 */
#ifndef HV_HOST_SYSCALL_H
#define HV_HOST_SYSCALL_H

#include <sys/syscall.h>

static inline long host_syscall(long nr, long a, long b, long c, long d, long e, long f)
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

#define SYS0(nr) host_syscall(nr, 0, 0, 0, 0, 0, 0)
#define SYS1(nr, a) host_syscall(nr, (long)(a), 0, 0, 0, 0, 0)
#define SYS2(nr, a, b) host_syscall(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS3(nr, a, b, c) host_syscall(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(nr, a, b, c, d) host_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS5(nr, a, b, c, d, e) \
	host_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS6(nr, a, b, c, d, e, f) \
	host_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* mmap and friends return addresses: the last page of the space is errors. */
static inline int host_syscall_failed(long ret)
{
	return (unsigned long)ret > -4096ul;
}

#endif

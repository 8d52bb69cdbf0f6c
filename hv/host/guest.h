/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accesses to guest memory, which its owner may take away at any moment: each
 * is an instruction with an entry in a table that says where to go on when it
 * faults (signal.c looks there), so that a good access costs nothing extra.
 *
 * They are for threads that take signals of faults: those in KVM_RUN
 * (host_in_run()). Each function returns -EFAULT when the memory is not there.
 */
#ifndef HV_HOST_GUEST_H
#define HV_HOST_GUEST_H

#include <errno.h>

#include "types.h"

struct host_guarded {
	s32 at, to;	/* each relative to its own place */
};

/*
 * insn in an asm goto with the label gone. Only with volatile, since GCC drops
 * one whose outputs nobody looks at.
 */
#define HOST_GUARDED(insn)                                      \
	"771:\t" insn "\n\t"                                    \
	".pushsection anykvm_guarded, \"a\", @progbits\n\t"     \
	".balign 4\n\t"                                         \
	".long 771b - ., %l[gone] - .\n\t"                      \
	".popsection\n\t"

/* 1, 2, 4 or 8 bytes as one access. */
static inline int host_guest_load(const void *p, u32 size, u64 *val)
{
	u64 x;

	switch (size) {
	case 1:
		__asm__ volatile goto(HOST_GUARDED("movzbl %1, %k0")
			     : "=r"(x) : "m"(*(const volatile u8 *)p) : : gone);
		break;
	case 2:
		__asm__ volatile goto(HOST_GUARDED("movzwl %1, %k0")
			     : "=r"(x) : "m"(*(const volatile u16 *)p) : : gone);
		break;
	case 4:
		__asm__ volatile goto(HOST_GUARDED("movl %1, %k0")
			     : "=r"(x) : "m"(*(const volatile u32 *)p) : : gone);
		break;
	default:
		__asm__ volatile goto(HOST_GUARDED("movq %1, %0")
			     : "=r"(x) : "m"(*(const volatile u64 *)p) : : gone);
	}
	*val = x;
	return 0;
gone:
	return -EFAULT;
}

static inline int host_guest_store(void *p, u32 size, u64 val)
{
	switch (size) {
	case 1:
		__asm__ volatile goto(HOST_GUARDED("movb %b0, (%1)")
			     : : "q"(val), "r"(p) : "memory" : gone);
		break;
	case 2:
		__asm__ volatile goto(HOST_GUARDED("movw %w0, (%1)")
			     : : "r"(val), "r"(p) : "memory" : gone);
		break;
	case 4:
		__asm__ volatile goto(HOST_GUARDED("movl %k0, (%1)")
			     : : "r"(val), "r"(p) : "memory" : gone);
		break;
	default:
		__asm__ volatile goto(HOST_GUARDED("movq %0, (%1)")
			     : : "r"(val), "r"(p) : "memory" : gone);
	}
	return 0;
gone:
	return -EFAULT;
}

/* n bytes, of which some may have been copied when it fails. */
static inline int host_guest_move(void *dst, const void *src, size_t n)
{
	__asm__ volatile goto(HOST_GUARDED("rep movsb")
		     : "+D"(dst), "+S"(src), "+c"(n) : : "memory" : gone);
	return 0;
gone:
	return -EFAULT;
}

/* The same, in one access each where n is 1, 2, 4 or 8. */
static inline int host_guest_copy(void *dst, const void *src, size_t n)
{
	u64 x;

	if (unlikely(n > 8 || (n & (n - 1))))
		return host_guest_move(dst, src, n);
	if (!n)
		return 0;
	if (unlikely(host_guest_load(src, (u32)n, &x)))
		return -EFAULT;
	return host_guest_store(dst, (u32)n, x);
}

/* 4 or 8 bytes: 1 when *p was old and is val now, 0 when it was something else. */
static inline int host_guest_exchange(void *p, u32 size, u64 old, u64 val)
{
	bool done;

	if (size == 4)
		__asm__ volatile goto(HOST_GUARDED("lock cmpxchgl %k2, (%3)") "sete %1"
			     : "+a"(old), "=q"(done) : "r"(val), "r"(p) : "memory", "cc" : gone);
	else
		__asm__ volatile goto(HOST_GUARDED("lock cmpxchgq %2, (%3)") "sete %1"
			     : "+a"(old), "=q"(done) : "r"(val), "r"(p) : "memory", "cc" : gone);
	return done;
gone:
	return -EFAULT;
}

/* Sets and clears bits of a byte, each as a locked access. */
static inline int host_guest_bits8(void *p, u8 set, u8 clear)
{
	if (set)
		__asm__ volatile goto(HOST_GUARDED("lock orb %b0, (%1)")
			     : : "q"(set), "r"(p) : "memory", "cc" : gone);
	if (clear)
		__asm__ volatile goto(HOST_GUARDED("lock andb %b0, (%1)")
			     : : "q"((u8)~clear), "r"(p) : "memory", "cc" : gone);
	return 0;
gone:
	return -EFAULT;
}

/* Whether the byte may be written; it stays as it is. */
static inline int host_guest_touch(void *p)
{
	__asm__ volatile goto(HOST_GUARDED("lock orb $0, (%0)") : : "r"(p) : "memory", "cc" : gone);
	return 0;
gone:
	return -EFAULT;
}

/* Exchanges a byte atomically: the old value. */
static inline int host_guest_swap8(u64 addr, u8 val)
{
	__asm__ volatile goto(HOST_GUARDED("xchgb %b0, (%1)") : "+q"(val) : "r"(addr) : "memory" : gone);
	return val;
gone:
	return -EFAULT;
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where everything lies, for C and for the assembler. The same linear
 * addresses hold the same bytes natively and in the guest; below the arenas
 * and between their parts nothing is mapped.
 *
 * An arena has windows of code of 64 KiB each (so that a 16-bit segment can
 * span one), whose last two pages are a hole and the exit page to which every
 * sequence jumps at its end, and pages of data with holes around them. There
 * is one arena below 2 GiB, for absolute and 32-bit addresses, and one high up.
 */
#ifndef TESTS_NATIVE_LAYOUT_H
#define TESTS_NATIVE_LAYOUT_H

#define LOW_BASE 0x2b400000
#define HIGH_BASE 0x2a5180000000

#define CODE_WINDOW 0x10000
#define CODE_WINDOWS 128
#define CODE_SIZE (CODE_WINDOW * CODE_WINDOWS)
#define CODE_USABLE 0xe000	/* of a window; then the hole, then the exit page */
#define CODE_EXIT 0xf000

#define DATA_OFFSET 0x31110000	/* out of reach of 32-bit bit offsets */
#define DATA_PAGES 3		/* the last one read-only */
#define DATA_RW_SIZE 0x2000
#define DATA_SIZE 0x3000

/* The native side's own: a way back from compatibility mode, and its context. */
#define STUB_BASE 0x1f000000
#define CTX_BASE 0x1f5a0000
#define CTX_SIZE 0x4000

/* Offsets in the context (struct host_ctx). */
#define CTX_POP 0x000		/* r15 .. rax in the order of their POPs */
#define CTX_FRAME 0x078		/* rip, cs, rflags, rsp, ss for IRETQ */
#define CTX_HOST_RSP 0x0c0
#define CTX_XMASK 0x0c8
#define CTX_SEGS 0x0d0		/* ds, es, fs, gs */
#define CTX_OUT_GPR 0x100	/* rax, rcx, rdx, rbx, rsp, .. r15 */
#define CTX_OUT_FLAGS 0x180
#define CTX_OUT_SEGS 0x188
#define CTX_STACK 0x400
#define CTX_XSAVE_IN 0x1000
#define CTX_XSAVE_OUT 0x2000
#define CTX_MXCSR 0x3000

#endif

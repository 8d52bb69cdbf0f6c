/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The context page that enter.S loads a sequence's state from, and stores
 * the result to. The offsets are those of layout.h.
 */
#ifndef TESTS_NATIVE_HOST_H
#define TESTS_NATIVE_HOST_H

#include "native.h"

struct host_ctx {
	u64 pop[15];
	u64 rip, cs, rflags, rsp, ss;
	u64 unused0[4];
	u64 host_rsp;
	u64 xmask;
	u16 segs[4];			/* ds, es, fs, gs */
	u64 unused1[5];
	u64 out_gpr[16];
	u64 out_rflags;
	u16 out_segs[5];		/* ds, es, fs, gs, ss */
	u8 stack[CTX_XSAVE_IN - CTX_OUT_SEGS - 10];
	u8 xsave_in[XSAVE_SIZE];
	u8 xsave_out[XSAVE_SIZE];
	u32 mxcsr;
};

_Static_assert(offsetof(struct host_ctx, rip) == CTX_FRAME, "enter.S");
_Static_assert(offsetof(struct host_ctx, host_rsp) == CTX_HOST_RSP, "enter.S");
_Static_assert(offsetof(struct host_ctx, xmask) == CTX_XMASK, "enter.S");
_Static_assert(offsetof(struct host_ctx, segs) == CTX_SEGS, "enter.S");
_Static_assert(offsetof(struct host_ctx, out_gpr) == CTX_OUT_GPR, "enter.S");
_Static_assert(offsetof(struct host_ctx, out_rflags) == CTX_OUT_FLAGS, "enter.S");
_Static_assert(offsetof(struct host_ctx, out_segs) == CTX_OUT_SEGS, "enter.S");
_Static_assert(offsetof(struct host_ctx, xsave_in) == CTX_XSAVE_IN, "enter.S");
_Static_assert(offsetof(struct host_ctx, xsave_out) == CTX_XSAVE_OUT, "enter.S");
_Static_assert(offsetof(struct host_ctx, mxcsr) == CTX_MXCSR, "enter.S");

/* Returns 0 after a normal end, 1 after a signal. */
int host_enter(void);
void host_exit(void);
void host_return(void) __attribute__((noreturn));
void host_signal_entry(void);
void host_sigreturn(void);

/*
 * Puts this program's signal handler before all others, which keep getting
 * what does not come from a sequence: the engine under test has its own.
 */
void host_take_signals(void);

/* Signals that the engine does not want are its crashes, told with this test. */
extern const struct test *host_guest_test;
/* Ticks of 50 ms that passed since a run began. */
extern volatile int host_ticks;
#define HOST_TIMEOUT_TICKS 20

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * STI at CPL 0. Interrupts stay blocked for one more instruction; it runs in
 * line, and behind it an interrupt that waits for RFLAGS.IF leaves the block.
 */
#include "emit.h"

static bool runs_on(const struct xinsn *xi)
{
	switch (xi->kind) {
	case K_COPY:
	case K_NOP:
	case K_LEA:
	case K_MOFFS:
	case K_BIT_MEM:
	case K_PUSH:
	case K_POP:
	case K_LEAVE:
		return true;
	default:
		return false;
	}
}

void x_settle(struct xl *x)
{
	for (u32 i = 0; i < x->n; i++) {
		struct xinsn *xi = &x->x[i];

		if (xi->kind != K_STI || (i + 1 < x->n && runs_on(xi + 1)))
			continue;
		xi->kind = K_HELPER;
		xi->fn = emu_lookup(&xi->in, 64);
	}
}

static void set_byte(struct xl *x, s32 offset, u8 val)
{
	e8(x, 0xc6);
	e_modrm_state(x, 0, offset);
	e8(x, val);
}

void x_sti(struct xl *x, struct xinsn *xi)
{
	(void)xi;
	set_byte(x, OFF_IF, 1);
	set_byte(x, OFF_SHADOW, KVM_X86_SHADOW_INT_STI);
}

void x_shadow_ends(struct xl *x, struct xinsn *xi)
{
	x_rsp_catch_up(x);
	x->s0_holds = 0;
	set_byte(x, OFF_SHADOW, 0);
	x_flags_to_mem(x);
	e8(x, 0x80);			/* cmp byte [irq_blocked], 0 */
	e_modrm_state(x, 7, (s32)offsetof(struct vcpu, irq_blocked));
	e8(x, 0);
	x_exit_behind(x, xi, CC_NE, SOFT_NEXT);
}

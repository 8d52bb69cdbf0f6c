/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Host instruction forms that need more than a line, and the assignment of
 * guest registers to host registers.
 */
#include "emit.h"

const s8 host_reg[16] = {
	H_RAX, H_RCX, H_RDX, H_RBX, H_R15, H_R10, H_RSI, H_RDI, 8, 9, -1, -1, 12, 13, 14, -1,
};

void e_lea_full(struct xl *x, bool w, int reg, int base, int index, int scale, s32 disp)
{
	u8 ss = (u8)__builtin_ctz((u32)scale);

	if (index < 0 && !disp) {
		if (reg != base || !w)
			e_mov(x, w, reg, base);
		return;
	}
	if (index < 0) {
		e_lea(x, w, reg, base, disp);
		return;
	}
	e_rex(x, w, reg, index, base < 0 ? 0 : base);
	e8(x, 0x8d);
	if (base < 0) {
		e8(x, 0x04 | (reg & 7) << 3);
		e8(x, ss << 6 | (index & 7) << 3 | 5);
		e32(x, (u32)disp);
	} else if (disp >= -128 && disp < 128) {
		e8(x, 0x44 | (reg & 7) << 3);
		e8(x, ss << 6 | (index & 7) << 3 | (base & 7));
		e8(x, (u8)disp);
	} else {
		e8(x, 0x84 | (reg & 7) << 3);
		e8(x, ss << 6 | (index & 7) << 3 | (base & 7));
		e32(x, (u32)disp);
	}
}

void e_modrm_ref(struct xl *x, int reg)
{
	s32 disp = x->ref.disp;
	bool small = disp >= -128 && disp < 128;

	e8(x, (small ? 0x40 : 0x80) | (reg & 7) << 3 | (x->ref.index >= 0 ? 4 : S0));
	if (x->ref.index >= 0)
		e8(x, (x->ref.index & 7) << 3 | S0);
	if (small)
		e8(x, (u8)disp);
	else
		e32(x, (u32)disp);
}

void e_align_patch(struct xl *x, u32 bytes)
{
	u32 over = (uintptr_t)(x->p + bytes) & 7;

	if (over <= 4)
		return;
	/* one NOP of 8 - over bytes */
	if (over == 5)
		e8(x, 0x0f), e8(x, 0x1f), e8(x, 0x00);
	else if (over == 6)
		e8(x, 0x66), e8(x, 0x90);
	else
		e8(x, 0x90);
}

int gpr_number(ZydisRegister r, bool *high)
{
	*high = false;
	if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
		return r - ZYDIS_REGISTER_RAX;
	if (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15D)
		return r - ZYDIS_REGISTER_EAX;
	if (r >= ZYDIS_REGISTER_AX && r <= ZYDIS_REGISTER_R15W)
		return r - ZYDIS_REGISTER_AX;
	if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
		return r - ZYDIS_REGISTER_AL;
	if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH) {
		*high = true;
		return r - ZYDIS_REGISTER_AH;
	}
	if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
		return r - ZYDIS_REGISTER_SPL + 4;
	return -1;
}

void x_get(struct xl *x, int host, int guest)
{
	if (host_reg[guest] < 0)
		e_load(x, host, gpr_slot(guest));
	else if (host_reg[guest] != host)
		e_mov(x, true, host, host_reg[guest]);
}

int x_use(struct xl *x, int guest, int tmp)
{
	if (host_reg[guest] >= 0)
		return host_reg[guest];
	e_load(x, tmp, gpr_slot(guest));
	return tmp;
}

void x_put(struct xl *x, int guest, int host)
{
	if (host_reg[guest] < 0)
		e_store(x, host, gpr_slot(guest));
	else if (host_reg[guest] != host)
		e_mov(x, true, host_reg[guest], host);
}

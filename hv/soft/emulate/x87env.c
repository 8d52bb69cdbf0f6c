/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The x87 environment in memory: FNSTENV, FLDENV, FNSAVE, FRSTOR in their 16-
 * and 32-bit forms.
 *
 * The host's own instructions work on a buffer in the 32-bit form. The
 * instruction and data pointers, which would be those of translated code, are
 * 0 to the guest; with that the real-mode and protected-mode forms of one size
 * are the same. Intel SDM vol. 1, 8.1.10.
 */
#include "emulate.h"

#define ENV_SIZE 28
#define ENV_SIZE_16 14
#define REGS_SIZE 80

static enum emu x87_check(struct vcpu *v)
{
	emu_need_fpu(v);
	if (!(v->cr0 & (X86_CR0_EM | X86_CR0_TS)))
		return EMU_NEXT;
	vcpu_raise(v, EXC_NM);
	return EMU_FAULT;
}

static inline bool short_form(const struct insn *in)
{
	return in->mem_size == ENV_SIZE_16 || in->mem_size == ENV_SIZE_16 + REGS_SIZE;
}

static inline u32 alignment(const struct insn *in)
{
	return short_form(in) ? 2 : 4;
}

/* Replaces pointers by 0 and brings the environment into the guest's form: its size. */
static u32 env_to_guest(const struct insn *in, u8 *env)
{
	u32 i;

	host_memset(env + 12, 0, ENV_SIZE - 12);
	if (!short_form(in)) {
		env[26] = env[27] = 0xff;
		return ENV_SIZE;
	}
	for (i = 0; i < ENV_SIZE_16; i += 2) {
		env[i] = env[2 * i];
		env[i + 1] = env[2 * i + 1];
	}
	return ENV_SIZE_16;
}

/* Control, status and tag word of a guest's environment in the 32-bit form. */
static void env_from_guest(const struct insn *in, u8 *env)
{
	u8 word[6];
	u32 i, step = short_form(in) ? 2 : 4;

	for (i = 0; i < 3; i++) {
		word[2 * i] = env[step * i];
		word[2 * i + 1] = env[step * i + 1];
	}
	host_memset(env, 0, ENV_SIZE);
	for (i = 0; i < 3; i++) {
		env[4 * i] = word[2 * i];
		env[4 * i + 1] = word[2 * i + 1];
	}
}

/* Instructions that wait report an exception left pending by an earlier one. */
static enum emu x87_wait(struct vcpu *v)
{
	u16 status;

	__asm__ volatile("fnstsw %0" : "=a"(status));
	if (!(status & 0x80))
		return EMU_NEXT;
	vcpu_raise(v, EXC_MF);
	return EMU_FAULT;
}

EMU_HANDLER(emu_fnstenv)
{
	u32 size = short_form(in) ? ENV_SIZE_16 : ENV_SIZE;
	u8 env[ENV_SIZE];
	u64 linear;

	TRY(x87_check(v));
	TRY(seg_linear(v, in->seg, insn_ea(v, in), size, MMU_WRITE, &linear));
	TRY(emu_check_align(v, linear, alignment(in)));
	TRY(mem_probe_write(v, linear, size, MMU_WRITE));
	__asm__ volatile("fnstenv %0" : "=m"(env));
	return mem_write(v, linear, env, env_to_guest(in, env), MMU_WRITE);
}

EMU_HANDLER(emu_fldenv)
{
	u8 env[ENV_SIZE];

	TRY(x87_check(v));
	TRY(x87_wait(v));
	TRY(emu_load(v, in->seg, insn_ea(v, in), env, short_form(in) ? ENV_SIZE_16 : ENV_SIZE,
		     alignment(in)));
	env_from_guest(in, env);
	__asm__ volatile("fldenv %0" ::"m"(env));
	return EMU_NEXT;
}

EMU_HANDLER(emu_fnsave)
{
	u32 n, size = (short_form(in) ? ENV_SIZE_16 : ENV_SIZE) + REGS_SIZE;
	u8 image[ENV_SIZE + REGS_SIZE], out[ENV_SIZE + REGS_SIZE];
	u64 linear;

	TRY(x87_check(v));
	TRY(seg_linear(v, in->seg, insn_ea(v, in), size, MMU_WRITE, &linear));
	TRY(emu_check_align(v, linear, alignment(in)));
	TRY(mem_probe_write(v, linear, size, MMU_WRITE));
	__asm__ volatile("fnsave %0" : "=m"(image));
	n = env_to_guest(in, image);
	host_memcpy(out, image, n);
	host_memcpy(out + n, image + ENV_SIZE, REGS_SIZE);
	return mem_write(v, linear, out, size, MMU_WRITE);
}

EMU_HANDLER(emu_frstor)
{
	u32 n = short_form(in) ? ENV_SIZE_16 : ENV_SIZE;
	u8 raw[ENV_SIZE + REGS_SIZE], image[ENV_SIZE + REGS_SIZE];

	TRY(x87_check(v));
	TRY(x87_wait(v));
	TRY(emu_load(v, in->seg, insn_ea(v, in), raw, n + REGS_SIZE, alignment(in)));
	host_memcpy(image, raw, ENV_SIZE);
	env_from_guest(in, image);
	host_memcpy(image + ENV_SIZE, raw + n, REGS_SIZE);
	__asm__ volatile("frstor %0" ::"m"(image));
	return EMU_NEXT;
}

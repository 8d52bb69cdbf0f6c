/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory type range registers and the page attribute table (SDM vol. 3
 * sections 12.11 and 12.12). Memory types change nothing here: the registers
 * keep what they are given, and refuse what the processor refuses.
 */
#include "state.h"

#define MTRR_CAP 0xfe
#define MTRR_DEF_TYPE 0x2ff
#define MTRR_VAR_FIRST 0x200
#define MTRR_VAR_LAST 0x20f
#define MTRR_VAR_COUNT 8
#define DEF_TYPE_BITS 0xcffull

static const u16 fixed[11] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};

static bool type_valid(u8 t)
{
	return t < 8 && 0x73 >> t & 1;	/* UC WC WT WP WB */
}

/* As the MTRR types, and UC-. */
bool pat_valid(u64 pat)
{
	int i;

	for (i = 0; i < 64; i += 8) {
		u8 t = pat >> i & 0xff;

		if (!type_valid(t) && t != 7)
			return false;
	}
	return true;
}

static int fixed_index(u32 index)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(fixed); i++)
		if (fixed[i] == index)
			return (int)i;
	return -1;
}

int mtrr_get_msr(struct vcpu *v, u32 index, u64 *val)
{
	int i = fixed_index(index);

	if (index == MTRR_CAP)
		/* Eight variable ranges, fixed ones, write combining. */
		*val = 0x500 | MTRR_VAR_COUNT;
	else if (index == MTRR_DEF_TYPE)
		*val = v->mtrr_def;
	else if (index >= MTRR_VAR_FIRST && index <= MTRR_VAR_LAST)
		*val = v->mtrr_var[index - MTRR_VAR_FIRST];
	else if (i >= 0)
		*val = v->mtrr_fixed[i];
	else
		return 1;
	return 0;
}

static int set_variable(struct vcpu *v, u32 index, u64 val)
{
	u64 reserved = vcpu_reserved_gpa(v) | (index & 1 ? 0x7ff : 0xf00);

	if (val & reserved || (!(index & 1) && !type_valid(val & 0xff)))
		return 1;
	v->mtrr_var[index - MTRR_VAR_FIRST] = val;
	return 0;
}

int mtrr_set_msr(struct vcpu *v, u32 index, u64 val)
{
	int i = fixed_index(index), b;

	if (index >= MTRR_VAR_FIRST && index <= MTRR_VAR_LAST)
		return set_variable(v, index, val);
	if (index == MTRR_DEF_TYPE) {
		if (val & ~DEF_TYPE_BITS || !type_valid(val & 0xff))
			return 1;
		v->mtrr_def = val;
		return 0;
	}
	if (i < 0)
		return 1;
	for (b = 0; b < 64; b += 8)
		if (!type_valid(val >> b & 0xff))
			return 1;
	v->mtrr_fixed[i] = val;
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between direct jumps to other pages as they are written (branch.c) and as
 * they are led (../far.c).
 */
#ifndef HV_SOFT_FAR_H
#define HV_SOFT_FAR_H

#include "../soft.h"

/* Code that leads to a block, which is in region when that had been given up age times. */
struct far_way {
	u64 to;			/* the block's serial, 0: there is none yet */
	u8 *code;
	const u8 *indirect;	/* the block's */
	u32 age;
	u8 region;
};

struct far_jump {
	s64 gpa32;		/* the target, by the jump's vcpu->code_delta */
	u8 *stub;		/* executable: comes to soft_far_link() */
	u32 mode;		/* the target's */
	u32 slot;
	u32 version;		/* odd while way, which is read without the lock, changes */
	u8 at;			/* enum flags_at: where the flags are */
	bool back;		/* may close a loop: must poll */
	struct far_way way;	/* the last one */
};

/* A slot of its own for f; false: there is none left. Under the lock, as what follows. */
bool soft_far_new(struct soft_vm *s, struct far_jump *f);
void soft_far_publish(struct vm *vm, const struct far_jump *f);
/* Executable code that leads from f to b; NULL: no room. */
u8 *x_far_way(struct soft_vm *s, const struct far_jump *f, const struct block *b);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between direct jumps to other pages as they are written (branch.c) and as
 * they are led (../far.c).
 */
#ifndef HV_SOFT_FAR_H
#define HV_SOFT_FAR_H

#include "../soft.h"

/* A line of the host's cache: seldom there when a new process comes by. */
struct far_jump {
	s64 gpa32;		/* the target, by the jump's vcpu->code_delta */
	u8 *stub;		/* executable: comes to soft_far_link() */
	u32 mode;		/* the target's */
	u32 version;		/* odd while what follows, read without the lock, changes */
	u64 to;			/* the serial of the block to which code leads, 0: none yet */
	u8 *code;
	const u8 *indirect;	/* that block's, in region, when that was of this age */
	u64 page;		/* the serial of the page that it is of; 0: must be looked up */
	u32 age;
	u8 region;
	bool back;		/* may close a loop: must poll */
	u8 at;			/* enum flags_at: where the flags are */
};
_Static_assert(sizeof(struct far_jump) == 64, "a line");

static inline u32 soft_far_place(const struct soft_vm *s, const struct far_jump *f)
{
	return (u32)(f - s->far_jump);
}

/* One with a slot of its own, at its place; NULL: none is left. Under the lock, as what follows. */
struct far_jump *soft_far_new(struct soft_vm *s);
void soft_far_publish(struct vm *vm, const struct far_jump *f);
/* Executable code that leads from f to b; NULL: no room. */
u8 *x_far_way(struct soft_vm *s, const struct far_jump *f, const struct block *b);

#endif

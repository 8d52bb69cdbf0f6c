/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The set, by open addressing with linear probing; at most half of it is used. */
#include <errno.h>
#include <stdlib.h>

#include "set.h"

#define SLOTS_MIN 64

static u64 home(const struct set *s, u64 n)
{
	return (n * 0x9e3779b97f4a7c15ULL) >> 20 & (s->slots - 1);
}

/* The slot that holds n, or the empty one where it would go. */
static u64 find(const struct set *s, u64 n)
{
	u64 i = home(s, n);

	while (s->slot[i] && s->slot[i] != n + 1)
		i = (i + 1) & (s->slots - 1);
	return i;
}

bool set_has(const struct set *s, u64 n)
{
	return s->slots && s->slot[find(s, n)];
}

static int grow(struct set *s)
{
	struct set bigger = { NULL, s->slots ? s->slots * 2 : SLOTS_MIN, s->used };
	u64 i;

	bigger.slot = calloc(bigger.slots, sizeof(*bigger.slot));
	if (!bigger.slot)
		return -ENOMEM;
	for (i = 0; i < s->slots; i++)
		if (s->slot[i])
			bigger.slot[find(&bigger, s->slot[i] - 1)] = s->slot[i];
	free(s->slot);
	*s = bigger;
	return 0;
}

int set_add(struct set *s, u64 n)
{
	u64 i;

	if (s->used * 2 >= s->slots && grow(s) < 0)
		return -ENOMEM;
	i = find(s, n);
	if (s->slot[i])
		return 0;
	s->slot[i] = n + 1;
	s->used++;
	return 1;
}

void set_remove(struct set *s, u64 n)
{
	u64 i, j;

	if (!set_has(s, n))
		return;
	i = find(s, n);
	s->slot[i] = 0;
	s->used--;
	/* those behind it, up to the next gap, may have been put off by it */
	for (j = (i + 1) & (s->slots - 1); s->slot[j]; j = (j + 1) & (s->slots - 1)) {
		u64 v = s->slot[j];

		s->slot[j] = 0;
		s->slot[find(s, v - 1)] = v;
	}
}

void set_free(struct set *s)
{
	free(s->slot);
	*s = (struct set){ NULL, 0, 0 };
}

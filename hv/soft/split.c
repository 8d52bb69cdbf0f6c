/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stacks that lie in two pages. A program's stack has a few sites, each for one page;
 * where calls go back and forth over a page's end, every site met is for the wrong one,
 * and a program takes up to twice as long, or not, by chance of where its stack begins.
 * So fills of those sites are counted, and a program that makes very many gets
 * translations that ask the TLB for its stack (MODE_SPLIT), which has room for both pages.
 */
#include "soft.h"

#define WORTH (1 << 20)	/* fills that pay for translating anew */
#define CYCLES 200	/* of the time stamp counter; a fill in less is too often */

void soft_split_look(struct vcpu *v)
{
	struct soft_cpu *c = soft_cpu(v);
	u64 now = host_rdtsc(), time = now - c->split_time;
	u64 fills = c->fills.stack - c->fills.stack_seen;

	c->split_time = now;
	c->fills.stack_seen = c->fills.stack;
	c->split_fills = fills > time / CYCLES ? c->split_fills + fills : 0;
	if (c->split || soft_switch.no_split || c->split_fills < WORTH)
		return;
	c->split = true;
	c->split_fills = 0;
	c->stats.splits++;
	v->mode_stale = true;
}

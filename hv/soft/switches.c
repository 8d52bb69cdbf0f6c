/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine's switches ($ANYKVM_SOFT): each takes one thing out by which it is
 * fast, so that who looks for a fault can tell where it is.
 */
#include "soft.h"

struct soft_switches soft_switch;

static const struct {
	const char *name;
	bool *on;
} switches[] = {
	{ "exact-flags", &soft_switch.exact_flags },
	{ "no-far", &soft_switch.no_far },
	{ "no-inner", &soft_switch.no_inner },
	{ "no-links", &soft_switch.no_links },
	{ "no-returns", &soft_switch.no_returns },
	{ "no-sharing", &soft_switch.no_sharing },
	{ "no-sites", &soft_switch.no_sites },
	{ "no-spaces", &soft_switch.no_spaces },
	{ "no-steady", &soft_switch.no_steady },
	{ "perf-map", &soft_switch.perf_map },
	{ "stats-time", &soft_switch.stats_time },
};

void soft_switches_init(void)
{
	const char *names[ARRAY_SIZE(switches) + 1] = { NULL };

	for (u32 i = 0; i < ARRAY_SIZE(switches); i++) {
		*switches[i].on = host_option(switches[i].name);
		names[i] = switches[i].name;
	}
	host_options_known(names);
}

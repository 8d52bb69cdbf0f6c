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
	{ "check-always", &soft_switch.check_always },
	{ "exact-flags", &soft_switch.exact_flags },
	{ "no-again", &soft_switch.no_again },
	{ "no-apart", &soft_switch.no_apart },
	{ "no-crossing", &soft_switch.no_crossing },
	{ "no-early", &soft_switch.no_early },
	{ "no-far", &soft_switch.no_far },
	{ "no-hints", &soft_switch.no_hints },
	{ "no-inner", &soft_switch.no_inner },
	{ "no-links", &soft_switch.no_links },
	{ "no-past-calls", &soft_switch.no_past_calls },
	{ "no-prefetch", &soft_switch.no_prefetch },
	{ "no-returns", &soft_switch.no_returns },
	{ "no-sharing", &soft_switch.no_sharing },
	{ "no-sites", &soft_switch.no_sites },
	{ "no-spaces", &soft_switch.no_spaces },
	{ "no-split", &soft_switch.no_split },
	{ "no-steady", &soft_switch.no_steady },
	{ "no-system", &soft_switch.no_system },
	{ "perf-map", &soft_switch.perf_map },
	{ "stats-time", &soft_switch.stats_time },
};

void soft_switches_init(void)
{
	const char *names[ARRAY_SIZE(switches) + 2] = { NULL };

	for (u32 i = 0; i < ARRAY_SIZE(switches); i++) {
		*switches[i].on = host_option(switches[i].name);
		names[i] = switches[i].name;
	}
	names[ARRAY_SIZE(switches)] = "code-cache=";
	host_options_known(names);
}

/* Digits, and K, M or G perhaps; false where it is more than max, too. */
static bool parse_size(const char *p, u64 max, u64 *size)
{
	u32 shift = 0;
	u64 n = 0;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9' && n <= max; p++)
		n = n * 10 + (u64)(*p - '0');
	switch (*p) {
	case 'G':
		shift = 30;
		break;
	case 'M':
		shift = 20;
		break;
	case 'K':
		shift = 10;
		break;
	}
	*size = n << shift;
	return n <= max >> shift && !p[shift != 0];
}

bool soft_switch_size(const char *name, u64 min, u64 max, u64 *size)
{
	char text[24];
	u64 n;

	if (!host_option_value(name, text, sizeof(text)))
		return true;
	if (!parse_size(text, max, &n) || n < min) {
		host_log("ANYKVM_SOFT: %s takes a size from %lluM to %lluM, not '%s'", name,
			 (unsigned long long)min >> 20, (unsigned long long)max >> 20, text);
		return false;
	}
	*size = n;
	return true;
}

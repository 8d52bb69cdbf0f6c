/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding out whether an engine really serves: some hosts have a /dev/kvm that
 * answers but cannot run a 64-bit guest, or emulates it a thousand times too
 * slowly.
 */
#ifndef VMM_MACHINE_PROBE_H
#define VMM_MACHINE_PROBE_H

#include "../kvm.h"

#define PROBE_LIMIT_MS 100

struct probe_result {
	bool ok;
	char why[160];		/* how it went, as part of a sentence */
	double ms;		/* from the probe's start to its end */
	double ratio;		/* guest's time by the host's for the same work, if ok */
};

/*
 * Runs a small 64-bit guest with paging on the engine, in a child process and
 * for at most PROBE_LIMIT_MS. To be called before there are threads.
 */
void probe_engine(enum kvm_engine engine, struct probe_result *r);

/* The engine for "auto": /dev/kvm if its probe is ok, else the software engine. */
enum kvm_engine probe_choose(struct probe_result *r);

#endif

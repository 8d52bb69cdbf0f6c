/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that come and go while the machine runs. One that is to go is asked
 * for, and goes when the system has let go of it: then its memory is freed
 * while all CPUs are out of the guest, so that no handler of it runs.
 */
#include <errno.h>
#include <string.h>

#include "../error.h"
#include "machine.h"

int machine_add_device(struct machine *m, struct props *p)
{
	return device_create(&m->devices, &m->board, p) ? 0 : -1;
}

int machine_del_device(struct machine *m, const char *id)
{
	struct device *d = device_find(&m->devices, id);

	if (!d || !*id)
		return -ENOENT;
	return d->class->unplug ? d->class->unplug(d) : -EOPNOTSUPP;
}

static bool is_here(const struct machine *m, const struct device *d)
{
	const struct device *i;

	for (i = m->devices.first; i && i != d; i = i->next)
		;
	return i;
}

static void remove_all(void *ctx)
{
	struct machine *m = ctx;
	char id[DEVICE_ID_MAX];

	while (m->removals) {
		struct device *d = m->removal[--m->removals];

		strcpy(id, d->id);
		device_destroy(&m->devices, d);
		if (m->config->on_removed)
			m->config->on_removed(m->config->on_removed_ctx, id);
	}
}

void machine_remove_device(struct board *b, struct device *d)
{
	struct machine *m = b->machine;
	unsigned int i;

	for (i = 0; i < m->removals; i++)
		if (m->removal[i] == d)
			return;
	if (!is_here(m, d) || m->removals == ARRAY_SIZE(m->removal))
		return;
	m->removal[m->removals++] = d;
	if (machine_when_paused(m, remove_all, m) < 0)
		m->removals--;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks: the --disk option, and what happens when the host has no room for a
 * write. The machine is paused then, the write is tried again every other
 * second, and when it went well the machine goes on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "disk.h"
#include "registry.h"

#define RETRY_NS (2 * NSEC)
#define LOOK_NS (NSEC / 4)		/* after a try: did it fail again? */

/* --- a full disk ------------------------------------------------------------------- */

static void on_full(void *arg)
{
	struct disk *d = arg;

	if (!d->full) {
		error("%s: the host has no space left for what the guest writes; the machine "
		      "waits until there is some", d->path);
		d->pause(d->ctx, d, true);
	}
	d->full = true;
	d->retried = false;
	timer_set(d->timer, monotonic_ns() + RETRY_NS);
}

static void on_timer(void *arg)
{
	struct disk *d = arg;

	if (!d->full)
		return;
	if (!d->retried) {
		d->retried = true;
		timer_set(d->timer, monotonic_ns() + LOOK_NS);
		block_retry(d->block);
		return;
	}
	d->full = false;
	error("%s: there is space again; the machine goes on", d->path);
	d->pause(d->ctx, d, false);
}

/* On whichever thread found the disk full. */
static void on_stop(void *arg, int err)
{
	struct disk *d = arg;

	(void)err;
	loop_call(d->loop, on_full, d);
}

/* --- opening -------------------------------------------------------------------------- */

static void disk_free(void *backend)
{
	struct disk *d = backend;

	if (d->timer)
		timer_free(d->timer);
	if (block_close(d->block) < 0)
		error("%s: not everything could be written", d->path);
	loop_forget(d->loop, d);	/* what on_stop has left there */
	free(d->id);
	free(d->device);
	free(d->path);
	free(d);
}

/* What if= (or interface=, in full) takes, and the device of each. */
static const char *const interfaces[] = { "virtio", "ahci", "ide", "cdrom", "none", NULL };
static const char *const devices[] = { "virtio-blk", "sata-disk", "ide-disk", "cdrom", NULL };
enum { IF_VIRTIO, IF_CDROM = 3 };

static int take_options(struct disk *d, struct props *p, struct block_options *o,
			const char **device)
{
	unsigned int interface = props_choice(p, "interface", IF_VIRTIO, interfaces);
	const char *cache = props_string(p, "cache", "writeback");
	const char *serial = props_string(p, "serial", "");

	o->format = props_string(p, "format", NULL);
	interface = props_choice(p, "if", interface, interfaces);
	*device = devices[interface];
	o->readonly = props_bool(p, "readonly", interface == IF_CDROM);
	o->snapshot = props_bool(p, "snapshot", false);
	if (block_cache_parse(cache, &o->cache) < 0)
		return error("--disk: cache= takes writeback, none, writethrough, directsync or "
			     "unsafe, not '%s'", cache);
	if (strlen(serial) > DISK_SERIAL_MAX)
		return error("--disk: the serial number '%s' is longer than %d characters", serial,
			     DISK_SERIAL_MAX);
	strcpy(d->serial, serial);
	return p->failed ? -1 : 0;
}

static int open_disk(struct disk *d, struct registry *r, struct props *p)
{
	struct block_options o = { 0 };
	const char *device;

	if (!*p->type)
		return error("--disk needs the name of an image file");
	if (take_options(d, p, &o, &device) < 0)
		return -1;
	d->id = registry_choose_id(r, "disk", props_string(p, "id", NULL));
	if (!d->id)
		return -1;
	if (device)
		d->device = props_device(p, device, "drive", d->id);
	if ((device && !d->device) || props_finish(p) < 0)
		return -1;
	d->path = strdup(p->type);
	d->block = d->path ? block_open(p->type, &o) : NULL;
	if (!d->block)
		return -1;
	d->timer = timer_new(d->loop, on_timer, d);
	if (!d->timer)
		return error("cannot create a timer");
	block_set_stop(d->block, on_stop, d);
	return registry_add(r, "disk", d->id, d, disk_free);
}

struct disk *disk_open(struct registry *r, struct loop *l, const char *text,
		       void (*pause)(void *ctx, struct disk *d, bool on), void *ctx)
{
	struct disk *d = calloc(1, sizeof(*d));
	struct props p;

	if (!d) {
		error("out of memory");
		return NULL;
	}
	d->loop = l;
	d->pause = pause;
	d->ctx = ctx;
	if (props_parse(&p, text) < 0 || open_disk(d, r, &p) < 0) {
		disk_free(d);
		d = NULL;
	}
	props_free(&p);
	return d;
}

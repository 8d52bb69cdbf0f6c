/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the options of "run" connect the machine to, and the devices that this adds. */
#include <string.h>

#include "../backends/audio.h"
#include "../backends/chardev.h"
#include "../backends/console_tap.h"
#include "../backends/disk.h"
#include "../backends/net/net.h"
#include "../backends/registry.h"
#include "../backends/share.h"
#include "../backends/vsock.h"
#include "../display/show.h"
#include "../error.h"
#include "run.h"

#define VIRTIO_CONSOLE "virtio-console,chardev=stdio"

/* Opens the disks, and adds the devices for them. */
static int open_disks(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->ndisks; i++) {
		struct disk *d = disk_open(r->backends, r->loop, r->disks[i], run_on_full_disk, r);

		if (!d || (d->device && run_set_device(r, d->device) < 0))
			return -1;
	}
	return 0;
}

/* Opens the networks, one for those who asked for nothing, and adds the cards. */
static int open_nets(struct run *r)
{
	unsigned int i;

	if (!r->nnets && !r->no_net)
		r->nets[r->nnets++] = "user";
	for (i = 0; i < r->nnets; i++) {
		struct net *n = net_open(r->backends, r->loop, r->nets[i]);

		if (!n || (n->device && run_set_device(r, n->device) < 0))
			return -1;
	}
	return 0;
}

/* The VGA comes first, so that it has the first slot. */
static int add_vga(struct run *r)
{
	if (!(r->vga_given ? r->vga : r->ndisplays && r->config.type != &machine_micro))
		return 0;
	if (run_set_device(r, "vga") < 0)
		return -1;
	memmove(r->config.devices + 1, r->config.devices,
		(r->config.ndevices - 1) * sizeof(r->config.devices[0]));
	r->config.devices[0] = "vga";
	return 0;
}

/* Where a screen is shown, the pointer of who looks at it is to be the guest's. */
static int add_tablet(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->config.ndevices; i++)
		if (!strncmp(r->config.devices[i], "virtio-tablet", strlen("virtio-tablet")))
			return 0;
	return r->ndisplays ? run_set_device(r, "virtio-tablet") : 0;
}

int run_open_displays(struct run *r)
{
	const struct show_config c = {
		.display = r->display,
		.input = r->input,
		.tap = r->console,
		.name = r->control_config.name,
	};

	for (; r->nshows < r->ndisplays; r->nshows++) {
		r->shows[r->nshows] = show_open(&c, r->displays[r->nshows]);
		if (!r->shows[r->nshows])
			return -1;
	}
	return 0;
}

int run_open_chardevs(struct run *r)
{
	struct chardev *stdio = console_tap_chardev(r->console);
	unsigned int i;

	if (registry_add(r->backends, "chardev", "stdio", stdio, NULL) < 0)
		return -1;
	for (i = 0; i < r->nchardevs; i++)
		if (chardev_open(r->backends, r->loop, r->chardevs[i]) < 0)
			return -1;
	r->serial = chardev_null();
	if (r->console_kind == CONSOLE_SERIAL)
		r->serial = registry_claim(r->backends, "chardev", "stdio");
	else if (r->console_kind == CONSOLE_VIRTIO)
		return run_set_device(r, VIRTIO_CONSOLE);
	return 0;
}

static int open_vsock(struct run *r)
{
	struct vsock_backend *b = r->vsock ? vsock_open(r->backends, r->vsock) : NULL;

	return b ? run_set_device(r, b->device) : r->vsock ? -1 : 0;
}

static int open_shares(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->nshares; i++) {
		struct share *s = share_open(r->backends, r->shares[i]);

		if (!s || run_set_device(r, s->device) < 0)
			return -1;
		if (s->server < 0 && !r->no_sandbox)
			return error("--share: apart=off takes --sandbox off");
	}
	return 0;
}

static int open_audio(struct run *r)
{
	struct audio *a = r->audio ? audio_open(r->backends, r->audio) : NULL;

	if (!r->audio || !a)
		return r->audio ? -1 : 0;
	return a->device ? run_set_device(r, a->device) : 0;
}

int run_open_backends(struct run *r)
{
	if (add_vga(r) < 0 || add_tablet(r) < 0)
		return -1;
	if (open_disks(r) < 0 || open_nets(r) < 0 || open_vsock(r) < 0)
		return -1;
	return open_shares(r) < 0 || open_audio(r) < 0 ? -1 : 0;
}

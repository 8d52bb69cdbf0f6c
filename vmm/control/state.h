/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of this folder that act on the machine share. */
#ifndef VMM_CONTROL_STATE_H
#define VMM_CONTROL_STATE_H

#include "../backends/disk.h"
#include "commands.h"
#include "control.h"
#include "server.h"

/* The texts of devices that came while the machine ran; config->devices has them, too. */
struct plugged {
	struct plugged *next;
	char text[];
};

struct control {
	struct qmp_ops ops;
	struct control_config config;
	struct server *server;
	struct loop *loop;
	struct machine *machine;	/* NULL between two */
	bool stopped;
	unsigned int full;		/* disks that wait for space on the host */
	bool paused;			/* what the machine and the clients know of these */
	bool reset;			/* a client asked for it */
	bool quit;
	char name[24];			/* the process id */
	struct plugged *plugged;
	struct console_tap *console;	/* or NULL */
	struct leaving {
		char id[DEVICE_ID_MAX];	/* "": none */
		u64 asked;		/* when */
	} leaving[MACHINE_DEVICES_MAX];
};

static inline struct control *control_of(struct qmp *q)
{
	return q->ops->ctx;
}

/* --- plug.c: devices ---------------------------------------------------------------- */

json_t *control_device_add(struct qmp *q, json_t *arguments, struct qmp_error *e);
json_t *control_device_del(struct qmp *q, json_t *arguments, struct qmp_error *e);
/* A device is gone: config->on_removed. */
void control_device_gone(void *ctx, const char *id);
/* The machine is no more: devices that were to go do not come back. */
void control_devices_settle(struct control *c);

/* --- backends.c: what devices are connected to ---------------------------------------- */

json_t *control_blockdev_add(struct qmp *q, json_t *arguments, struct qmp_error *e);
json_t *control_blockdev_del(struct qmp *q, json_t *arguments, struct qmp_error *e);
json_t *control_netdev_add(struct qmp *q, json_t *arguments, struct qmp_error *e);
json_t *control_netdev_del(struct qmp *q, json_t *arguments, struct qmp_error *e);

/* --- fds.c: descriptors that clients pass ------------------------------------------------- */

json_t *control_add_fd(struct qmp *q, json_t *arguments, struct qmp_error *e);
json_t *control_remove_fd(struct qmp *q, json_t *arguments, struct qmp_error *e);
json_t *control_query_fdsets(struct qmp *q, json_t *arguments, struct qmp_error *e);

/* --- query.c, query_pci.c --------------------------------------------------------------- */

json_t *control_query_block(struct qmp *q, json_t *arguments, struct qmp_error *e);
json_t *control_query_cpus(struct qmp *q, json_t *arguments, struct qmp_error *e);
json_t *control_query_kvm(struct qmp *q, json_t *arguments, struct qmp_error *e);
json_t *control_query_memory(struct qmp *q, json_t *arguments, struct qmp_error *e);
json_t *control_query_pci(struct qmp *q, json_t *arguments, struct qmp_error *e);

#endif

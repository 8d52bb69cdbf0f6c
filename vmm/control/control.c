/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands on the machine, and its events: see control.h. The machine runs
 * unless the user has stopped it or a disk of the host is full.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "address.h"
#include "state.h"

/* --- commands ------------------------------------------------------------------------- */

static void update(struct control *c)
{
	bool paused = c->stopped || c->full;

	if (paused == c->paused)
		return;
	c->paused = paused;
	if (c->machine)
		machine_pause(c->machine, paused);
	server_event(c->server, paused ? "STOP" : "RESUME", NULL);
}

static const char *status(void *ctx)
{
	const struct control *c = ctx;

	if (c->stopped)
		return "paused";
	return c->full ? "io-error" : "running";
}

static void stop(void *ctx)
{
	struct control *c = ctx;

	c->stopped = true;
	update(c);
}

static void cont(void *ctx)
{
	struct control *c = ctx;

	c->stopped = false;
	update(c);
}

static void powerdown(void *ctx)
{
	struct control *c = ctx;

	if (!c->machine)
		return;
	server_event(c->server, "POWERDOWN", NULL);
	machine_power_button(c->machine);
}

static void reset(void *ctx)
{
	struct control *c = ctx;

	if (!c->machine)
		return;
	c->reset = true;
	machine_set_end(c->machine, MACHINE_RESET);
}

static void quit(void *ctx)
{
	struct control *c = ctx;

	if (!c->machine)
		return;
	c->quit = true;
	machine_set_end(c->machine, MACHINE_QUIT);
}

/* The connection is a stream of characters after the answer. */
static json_t *console_attach(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)arguments;
	if (!control_of(q)->console)
		return qmp_fail(e, "the machine has no console");
	q->stream = true;
	return json_object();
}

static const struct qmp_command commands[] = {
	{ "device_add", "*", control_device_add },
	{ "device_del", "id", control_device_del },
	{ "blockdev-add", "driver,node-name,file,filename,cache,read-only",
	  control_blockdev_add },
	{ "blockdev-del", "node-name", control_blockdev_del },
	{ "add-fd", "opaque", control_add_fd },
	{ "remove-fd", "fdset-id,fd", control_remove_fd },
	{ "query-fdsets", NULL, control_query_fdsets },
	{ "netdev_add", "*", control_netdev_add },
	{ "netdev_del", "id", control_netdev_del },
	{ "x-console-attach", NULL, console_attach },
	{ "query-block", NULL, control_query_block },
	{ "query-pci", NULL, control_query_pci },
	{ "query-cpus-fast", NULL, control_query_cpus },
	{ "query-kvm", NULL, control_query_kvm },
	{ "query-memory-size-summary", NULL, control_query_memory },
	{ NULL, NULL, NULL },
};

/* --- what happens to the machine ---------------------------------------------------------- */

void control_start(struct control *c, struct machine *m)
{
	c->machine = m;
	c->reset = c->quit = false;
	if (c->paused)
		machine_pause(m, true);
}

void control_end(struct control *c, enum machine_end why, bool again, bool signal)
{
	const char *reason = "host-error";

	if (why == MACHINE_OFF)
		reason = "guest-shutdown";
	else if (why == MACHINE_RESET)
		reason = c->reset ? "host-qmp-system-reset" : "guest-reset";
	else if (signal)
		reason = "host-signal";
	else if (why == MACHINE_QUIT)
		reason = c->quit ? "host-qmp-quit" : "host-ui";
	c->machine = NULL;
	if (again)
		control_devices_settle(c);
	server_event(c->server, again ? "RESET" : "SHUTDOWN", reason);
}

void control_full_disk(struct control *c, const struct disk *d, bool full)
{
	if (d && full)
		server_event_data(c->server, "BLOCK_IO_ERROR",
				  json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "device", d->id,
					    "node-name", d->id, "operation", "write", "action",
					    "stop", "nospace", 1, "reason",
					    "No space left on device"));
	c->full += full ? 1u : -1u;
	update(c);
}

void control_watchdog(struct control *c, const char *action)
{
	server_event_data(c->server, "WATCHDOG", json_pack("{s:s}", "action", action));
	if (!strcmp(action, "pause"))
		stop(c);
}

/* --- life ------------------------------------------------------------------------------- */

/* A machine without a name runs without its socket, too, where there is no place for it. */
static int listen_by_name(struct control *c, const char *name)
{
	char dir[PATH_MAX], path[2 * PATH_MAX];

	snprintf(c->name, sizeof(c->name), "%d", (int)getpid());
	address_dir(dir);
	snprintf(path, sizeof(path), "%s/%s" ADDRESS_SUFFIX, dir, name ? name : c->name);
	if (address_make_dir(dir) < 0 || server_listen(c->server, path) < 0)
		return name ? -1 : 0;
	return 0;
}

struct control *control_new(struct loop *l, const struct control_config *config)
{
	struct control *c = calloc(1, sizeof(*c));
	unsigned int i;

	if (!c) {
		error("out of memory");
		return NULL;
	}
	c->loop = l;
	c->config = *config;
	c->ops = (struct qmp_ops){ status, stop, cont, powerdown, reset, quit, config->name, c,
				   { commands } };
	for (i = 0; config->more && config->more[i] && i + 1 < QMP_TABLES; i++)
		c->ops.more[i + 1] = config->more[i];
	config->machine->on_removed = control_device_gone;
	config->machine->on_removed_ctx = c;
	c->server = server_new(l, &c->ops);
	if (!c->server)
		error("out of memory");
	if (c->server && listen_by_name(c, config->name) == 0 &&
	    (!config->path || server_listen(c->server, config->path) == 0))
		return c;
	control_free(c);
	return NULL;
}

int control_console(struct control *c, struct console_tap *console)
{
	c->console = console;
	return server_console(c->server, console);
}

void control_free(struct control *c)
{
	struct plugged *p;

	if (!c)
		return;
	server_free(c->server);
	while ((p = c->plugged)) {
		c->plugged = p->next;
		free(p);
	}
	free(c);
}

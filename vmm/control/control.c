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
#include "control.h"
#include "server.h"

struct control {
	struct qmp_ops ops;
	struct server *server;
	struct machine *machine;	/* NULL between two */
	bool stopped, full;
	bool paused;			/* what the machine and the clients know of these */
	bool reset;			/* a client asked for it */
	bool quit;
	char name[24];			/* the process id */
};

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
	server_event(c->server, again ? "RESET" : "SHUTDOWN", reason);
}

void control_full_disk(struct control *c, bool full)
{
	c->full = full;
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

	if (!c) {
		error("out of memory");
		return NULL;
	}
	c->ops = (struct qmp_ops){ status, stop, cont, powerdown, reset, quit, config->name, c };
	c->server = server_new(l, &c->ops);
	if (!c->server)
		error("out of memory");
	if (c->server && listen_by_name(c, config->name) == 0 &&
	    (!config->path || server_listen(c->server, config->path) == 0))
		return c;
	control_free(c);
	return NULL;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	server_free(c->server);
	free(c);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control of a running machine from outside: QMP's commands act on it, and
 * what happens to it is told as events. It goes through all of the machine's
 * lives: between two, when it is reset, there is none. On the main thread.
 */
#ifndef VMM_CONTROL_CONTROL_H
#define VMM_CONTROL_CONTROL_H

#include "../backends/loop.h"
#include "../machine/machine.h"

struct console_tap;
struct disk;
struct qmp_command;

struct control_config {
	const char *name;	/* or NULL: the process id is its name */
	const char *path;	/* of a socket, besides the one that goes by the name; or NULL */
	struct machine_config *machine;	/* devices that come are added to it */
	struct registry *backends;
	const struct qmp_command *const *more;	/* tables, up to a NULL; or NULL */
};

struct control;

/* NULL after an error line. */
struct control *control_new(struct loop *l, const struct control_config *config);
void control_free(struct control *c);

/* Clients may be connected to this console: 0, or -1 after an error line. */
int control_console(struct control *c, struct console_tap *console);
/* A machine is about to start: it stays paused if the one before was. */
void control_start(struct control *c, struct machine *m);
/* It is no more, and why: reset means that another one comes. */
void control_end(struct control *c, enum machine_end why, bool reset, bool signal);
/*
 * A disk waits for space on the host, or no longer; told once each time. The CPUs
 * wait as long as there is one. d is NULL for one that was removed.
 */
void control_full_disk(struct control *c, const struct disk *d, bool full);
/* A watchdog has run down: it is told, and "pause" is done. */
void control_watchdog(struct control *c, const char *action);

#endif

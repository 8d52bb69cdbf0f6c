/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QMP at unix sockets, for several clients at once, on the thread of an event
 * loop. What a client has sent is only looked at while it reads what it gets.
 */
#ifndef VMM_CONTROL_SERVER_H
#define VMM_CONTROL_SERVER_H

#include "../backends/console_tap.h"
#include "../backends/loop.h"
#include "qmp.h"

#define SERVER_CLIENTS_MAX 16
#define SERVER_SOCKETS_MAX 4

struct server;

/* NULL when there is no memory. loop and ops must outlive it. */
struct server *server_new(struct loop *l, const struct qmp_ops *ops);
/* Listens at a path, too: 0, or -1 after an error line. */
int server_listen(struct server *s, const char *path);
/* Tells all clients that have negotiated; for reason see qmp_event. */
void server_event(struct server *s, const char *name, const char *reason);
/* The same with the event's data, whose reference it takes. */
void server_event_data(struct server *s, const char *name, json_t *data);
/* Clients can become streams of this console from now on; it must outlive the server. 0 or -1. */
int server_console(struct server *s, struct console_tap *console);
/* Sends what is left, as far as clients take it at once, and removes the sockets. */
void server_free(struct server *s);

#endif

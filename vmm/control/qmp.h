/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One conversation in QMP, the protocol by which programs steer QEMU: a
 * greeting, commands in JSON with an answer each, and events. It knows neither
 * sockets nor the machine.
 */
#ifndef VMM_CONTROL_QMP_H
#define VMM_CONTROL_QMP_H

#include <jansson.h>

#include "frame.h"

struct qmp_command;

#define QMP_TABLES 4

/* What the commands do. */
struct qmp_ops {
	/* "running", "paused" or "io-error" */
	const char *(*status)(void *ctx);
	void (*stop)(void *ctx);
	void (*cont)(void *ctx);
	void (*powerdown)(void *ctx);
	void (*reset)(void *ctx);
	void (*quit)(void *ctx);
	const char *name;	/* of the machine, or NULL */
	void *ctx;
	/* tables of commands beside the common ones, each ended by a NULL name; or NULL */
	const struct qmp_command *more[QMP_TABLES];
};

struct qmp {
	const struct qmp_ops *ops;
	/* Sends text to the client; it may fail later. */
	void (*send)(void *client, const char *text, size_t n);
	void *client;
	bool ready;		/* the client has negotiated: it gets events */
	bool stream;		/* it is a terminal at the console from now on */
	int passed;		/* a descriptor that came with what it said; -1: none */
	struct frame frame;
};

/* What a client gets first. */
void qmp_greet(struct qmp *q);
/* Answers to what a client sends, in pieces of any size. */
void qmp_input(struct qmp *q, const char *p, size_t n);
/* The same up to the first answer: how many bytes were taken. */
size_t qmp_step(struct qmp *q, const char *p, size_t n);
/* Sends a value, whose reference it takes. */
void qmp_send(struct qmp *q, json_t *value);

/*
 * An event with the time of now. reason is NULL, or who asked for it: the
 * guest when it begins with "guest".
 */
json_t *qmp_event(const char *name, const char *reason);
/* The same with its data, whose reference it takes. */
json_t *qmp_event_data(const char *name, json_t *data);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QMP's conversation: the greeting, the negotiation of capabilities (there are
 * none to choose), the dispatch of commands, and errors in QMP's classes.
 * Follows the QEMU Machine Protocol
 * Specification (docs/interop/qmp-spec in QEMU).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../error.h"
#include "commands.h"

void qmp_send(struct qmp *q, json_t *value)
{
	char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

	json_decref(value);
	if (!text)
		return;		/* out of memory: the client misses an answer */
	q->send(q->client, text, strlen(text));
	q->send(q->client, "\r\n", 2);
	free(text);
}

json_t *qmp_event_data(const char *name, json_t *data)
{
	struct timespec now;
	json_t *event;

	clock_gettime(CLOCK_REALTIME, &now);
	event = json_pack("{s:{s:I, s:I}, s:s}", "timestamp",
			  "seconds", (json_int_t)now.tv_sec,
			  "microseconds", (json_int_t)(now.tv_nsec / 1000), "event", name);
	if (data && (!event || json_object_set_new(event, "data", data) < 0)) {
		json_decref(event);
		return NULL;
	}
	return event;
}

json_t *qmp_event(const char *name, const char *reason)
{
	return qmp_event_data(name, reason ? json_pack("{s:b, s:s}", "guest",
			      !strncmp(reason, "guest", 5), "reason", reason) : NULL);
}

void qmp_greet(struct qmp *q)
{
	qmp_send(q, json_pack("{s:{s:o, s:[]}}", "QMP", "version", commands_version(),
			      "capabilities"));
}

static void send_error(struct qmp *q, json_t *id, const struct qmp_error *e)
{
	const char *note = error_note(e->desc);
	json_t *answer = json_pack("{s:{s:s, s:s++}}", "error", "class",
				   e->class ? e->class : "GenericError",
				   "desc", e->desc, note ? ": " : "", note ? note : "");

	if (answer && id)
		json_object_set(answer, "id", id);
	qmp_send(q, answer);
}

/* True when the command has just these members: what they hold is checked where it is used. */
static bool check_members(json_t *request, struct qmp_error *e)
{
	const char *key;
	json_t *value;

	json_object_foreach(request, key, value) {
		if (!strcmp(key, "execute")) {
			if (!json_is_string(value))
				return qmp_fail(e, "member 'execute' must be a string"), false;
		} else if (!strcmp(key, "arguments")) {
			if (!json_is_object(value))
				return qmp_fail(e, "member 'arguments' must be an object"), false;
		} else if (strcmp(key, "id")) {
			return qmp_fail(e, "member '%.64s' is not expected", key), false;
		}
	}
	if (!json_object_get(request, "execute"))
		return qmp_fail(e, "member 'execute' is missing"), false;
	return true;
}

/* The command's value, or NULL with the error. */
static json_t *execute(struct qmp *q, json_t *request, struct qmp_error *e)
{
	const struct qmp_command *c;
	json_t *arguments;
	const char *name, *key;
	bool misplaced;
	void *at;

	if (!check_members(request, e))
		return NULL;
	name = json_string_value(json_object_get(request, "execute"));
	arguments = json_object_get(request, "arguments");
	c = commands_find(q->ops, name);
	misplaced = (strcmp(name, "qmp_capabilities") == 0) == q->ready;
	if (!c || misplaced)
		e->class = "CommandNotFound";
	if (!c)
		return qmp_fail(e, "there is no command '%.64s'", name);
	if (misplaced && q->ready)
		return qmp_fail(e, "the capabilities are negotiated already");
	if (misplaced)
		return qmp_fail(e, "the capabilities are not negotiated: qmp_capabilities is "
				"first");
	at = json_object_iter(arguments);
	for (; at; at = json_object_iter_next(arguments, at)) {
		key = json_object_iter_key(at);
		if (!commands_takes(c, key))
			return qmp_fail(e, "parameter '%.64s' is not expected", key);
	}
	return c->run(q, arguments, e);
}

/* The answer goes out before what the command does ends the machine. */
static void answer(struct qmp *q, json_t *request)
{
	json_t *id = json_object_get(request, "id"), *value, *reply;
	struct qmp_error e = { 0 };

	value = execute(q, request, &e);
	if (!value) {
		send_error(q, id, &e);
		return;
	}
	reply = json_pack("{s:o}", "return", value);
	if (reply && id)
		json_object_set(reply, "id", id);
	qmp_send(q, reply);
	if (e.after)
		e.after(q->ops->ctx);
}

static void take_value(struct qmp *q)
{
	struct qmp_error e = { 0 };
	json_error_t where;
	json_t *request = json_loadb(q->frame.text, q->frame.len, JSON_REJECT_DUPLICATES, &where);

	if (!request)
		qmp_fail(&e, "this is no JSON: %.100s", where.text);
	else if (!json_is_object(request))
		qmp_fail(&e, "a command must be a JSON object");
	if (e.desc[0])
		send_error(q, NULL, &e);
	else
		answer(q, request);
	json_decref(request);
}

size_t qmp_step(struct qmp *q, const char *p, size_t n)
{
	struct qmp_error e = { 0 };
	size_t taken = 0;

	switch (frame_feed(&q->frame, p, n, &taken)) {
	case FRAME_MORE:
		return taken;
	case FRAME_VALUE:
		take_value(q);
		return taken;
	case FRAME_BAD:
		qmp_fail(&e, "this is no JSON object");
		break;
	case FRAME_DEEP:
		qmp_fail(&e, "the command is nested too deep: at most %d", FRAME_DEPTH);
		break;
	case FRAME_LONG:
		qmp_fail(&e, "the command is too long: at most %d bytes", FRAME_MAX);
		break;
	}
	send_error(q, NULL, &e);
	return taken;
}

void qmp_input(struct qmp *q, const char *p, size_t n)
{
	size_t taken;

	for (; n; p += taken, n -= taken)
		taken = qmp_step(q, p, n);
}

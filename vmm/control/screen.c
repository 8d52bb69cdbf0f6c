/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QMP's commands on the screen and on what the user's hands do, with the names
 * and values of QEMU's QAPI schema: screendump, send-key, input-send-event.
 * Pressed keys of send-key are let go by a timer (hold-time).
 */
#include <stdlib.h>
#include <string.h>

#include "../backends/input.h"
#include "../display/image.h"
#include "../display/keys.h"
#include "commands.h"
#include "screen.h"

#define KEYS_MAX 16
#define HOLD_MS 100
#define HOLD_MS_MAX 60000

struct screen {
	struct display *display;
	struct input *input;
	struct timer *release;
	u16 held[KEYS_MAX];
	unsigned int count;
};

static struct screen *the_screen;	/* a process has one */

/* --- screendump -------------------------------------------------------------------- */

static json_t *dump(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	const char *path = json_string_value(json_object_get(arguments, "filename"));
	const char *format = json_string_value(json_object_get(arguments, "format"));
	struct surface *s;
	int err;

	(void)q;
	if (!path || !*path)
		return qmp_fail(e, "parameter 'filename' must be a string");
	if (json_object_get(arguments, "format") &&
	    (!format || (strcmp(format, "png") && strcmp(format, "ppm"))))
		return qmp_fail(e, "parameter 'format' must be png or ppm");
	if (json_object_get(arguments, "device") || json_object_get(arguments, "head"))
		return qmp_fail(e, "there is one screen: parameters 'device' and 'head' are not "
				"expected");
	s = display_snapshot(the_screen->display);
	if (!s)
		return qmp_fail(e, "out of memory");
	err = image_write(path, s, format && !strcmp(format, "png") ? IMAGE_PNG : IMAGE_PPM);
	free(s);
	if (err)
		return qmp_fail(e, "cannot write '%.80s': %s", path, strerror(-err));
	return json_object();
}

/* --- keys ------------------------------------------------------------------------------ */

/* A KeyValue: {"type": "qcode", "data": NAME} or {"type": "number", "data": N}; 0 after an error */
static u16 key_value(json_t *value, struct qmp_error *e)
{
	const char *type = json_string_value(json_object_get(value, "type"));
	json_t *data = json_object_get(value, "data");
	u16 code = 0;

	if (type && !strcmp(type, "qcode") && json_is_string(data))
		code = key_of_name(json_string_value(data));
	else if (type && !strcmp(type, "number") && json_is_integer(data) &&
		 json_integer_value(data) >= 0 && json_integer_value(data) <= 0xff)
		code = key_of_number((unsigned int)json_integer_value(data));
	if (!code)
		qmp_fail(e, "there is no such key");
	return code;
}

static void release(void *ctx)
{
	struct screen *s = ctx;

	while (s->count)
		input_key(s->input, s->held[--s->count], false);
	input_sync(s->input);
}

static json_t *send_key(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	struct screen *s = the_screen;
	json_t *keys = json_object_get(arguments, "keys"), *key;
	json_t *hold = json_object_get(arguments, "hold-time");
	u16 code[KEYS_MAX];
	size_t i, n = json_array_size(keys);
	json_int_t ms = hold ? json_integer_value(hold) : HOLD_MS;

	(void)q;
	if (!json_is_array(keys) || n < 1 || n > KEYS_MAX)
		return qmp_fail(e, "parameter 'keys' must be an array of 1 to %d keys", KEYS_MAX);
	if (ms < 1 || ms > HOLD_MS_MAX)
		return qmp_fail(e, "parameter 'hold-time' must be from 1 to %d", HOLD_MS_MAX);
	json_array_foreach(keys, i, key) {
		code[i] = key_value(key, e);
		if (!code[i])
			return NULL;
	}
	release(s);
	for (i = 0; i < n; i++) {
		input_key(s->input, code[i], true);
		s->held[s->count++] = code[i];
	}
	input_sync(s->input);
	timer_set(s->release, monotonic_ns() + (u64)ms * 1000000);
	return json_object();
}

/* --- input-send-event -------------------------------------------------------------------- */

static const char *text(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* What a list of events comes to, gathered before any is sent. */
struct events {
	struct event {
		enum { EVENT_KEY, EVENT_BUTTON, EVENT_WHEEL } kind;
		u16 code;
		bool down;
	} event[KEYS_MAX];
	unsigned int count;
	int dx, dy;
	int x, y;		/* -1: none */
};

static bool take_button(struct events *v, const char *name, bool down)
{
	u16 code = button_of_name(name);
	struct event *t = &v->event[v->count];

	if (!strncmp(name, "wheel-", 6) && (!strcmp(name + 6, "up") || !strcmp(name + 6, "down"))) {
		*t = (struct event){ EVENT_WHEEL, !strcmp(name + 6, "up"), down };
		v->count++;
		return true;
	}
	*t = (struct event){ EVENT_BUTTON, code, down };
	v->count += code != 0;
	return code;
}

static bool take_axis(struct events *v, json_t *data, bool absolute)
{
	json_t *value = json_object_get(data, "value");
	json_int_t n = json_integer_value(value);
	bool x = !strcmp(text(data, "axis"), "x");

	if ((!x && strcmp(text(data, "axis"), "y")) || !json_is_integer(value) ||
	    n < (absolute ? 0 : -INPUT_RANGE) || n > INPUT_RANGE)
		return false;
	if (absolute)
		*(x ? &v->x : &v->y) = (int)n;
	else
		*(x ? &v->dx : &v->dy) += (int)n;
	return true;
}

static bool take_event(struct events *v, json_t *event, struct qmp_error *e)
{
	const char *type = text(event, "type");
	json_t *data = json_object_get(event, "data"), *down = json_object_get(data, "down");
	bool key = !strcmp(type, "key"), ok = false;

	if ((key || !strcmp(type, "btn")) && json_is_boolean(down)) {
		if (key) {
			u16 code = key_value(json_object_get(data, "key"), e);

			v->event[v->count] = (struct event){ EVENT_KEY, code, json_is_true(down) };
			v->count += code != 0;
			ok = code;
		} else {
			ok = take_button(v, text(data, "button"), json_is_true(down));
		}
	} else if (!strcmp(type, "rel") || !strcmp(type, "abs")) {
		ok = take_axis(v, data, type[0] == 'a');
	}
	if (!ok)
		qmp_fail(e, "there is no such event");
	return ok;
}

static void send_events(struct input *in, const struct events *v)
{
	unsigned int i;

	if (v->x >= 0 && v->y >= 0)
		input_position(in, (unsigned int)v->x, (unsigned int)v->y);
	if (v->dx || v->dy)
		input_move(in, v->dx, v->dy);
	for (i = 0; i < v->count; i++) {
		const struct event *t = &v->event[i];

		if (t->kind == EVENT_KEY)
			input_key(in, t->code, t->down);
		else if (t->kind == EVENT_BUTTON)
			input_button(in, t->code, t->down);
		else if (t->down)
			input_wheel(in, t->code ? 1 : -1);
	}
	input_sync(in);
}

static json_t *send_event(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	json_t *list = json_object_get(arguments, "events"), *event;
	struct events v = { .x = -1, .y = -1 };
	size_t i;

	(void)q;
	if (!json_is_array(list) || json_array_size(list) > KEYS_MAX)
		return qmp_fail(e, "parameter 'events' must be an array of at most %d events",
				KEYS_MAX);
	json_array_foreach(list, i, event)
		if (!take_event(&v, event, e))
			return NULL;
	if ((v.x < 0) != (v.y < 0))
		return qmp_fail(e, "a position needs both axes");
	send_events(the_screen->input, &v);
	return json_object();
}

const struct qmp_command screen_commands[] = {
	{ "screendump", "filename,format,device,head", dump },
	{ "send-key", "keys,hold-time", send_key },
	{ "input-send-event", "events,device,head", send_event },
	{ NULL, NULL, NULL },
};

/* --- life ------------------------------------------------------------------------------------ */

struct screen *screen_new(struct loop *l, struct display *d, struct input *in)
{
	struct screen *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->display = d;
	s->input = in;
	s->release = timer_new(l, release, s);
	the_screen = s;
	if (s->release)
		return s;
	the_screen = NULL;
	free(s);
	return NULL;
}

void screen_free(struct screen *s)
{
	if (!s)
		return;
	the_screen = NULL;
	timer_free(s->release);
	free(s);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QMP's conversation without a socket: what clients rely on, and hostile input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/qmp.h"

#define NEGOTIATE "{\"execute\": \"qmp_capabilities\"}\n"

/* The machine: what was asked of it, a letter each. */
static char asked[64];
static const char *now = "running";

static void ask(char c)
{
	size_t len = strlen(asked);

	assert_true(len + 1 < sizeof(asked));
	asked[len] = c;
}

static const char *status(void *ctx) { (void)ctx; return now; }
static void stop(void *ctx) { (void)ctx; ask('s'); }
static void cont(void *ctx) { (void)ctx; ask('c'); }
static void powerdown(void *ctx) { (void)ctx; ask('p'); }
static void reset(void *ctx) { (void)ctx; ask('r'); }
static void quit(void *ctx) { (void)ctx; ask('q'); }

static const struct qmp_ops ops = { status, stop, cont, powerdown, reset, quit, "guest", NULL,
				      { NULL } };

/* The client: all that it got. */
static char got[1 << 20];
static size_t got_len;

static void receive(void *client, const char *text, size_t n)
{
	(void)client;
	assert_true(got_len + n < sizeof(got));
	memcpy(got + got_len, text, n);
	got_len += n;
	got[got_len] = 0;
}

static struct qmp *start(bool negotiate)
{
	struct qmp *q = calloc(1, sizeof(*q));

	assert_non_null(q);
	q->ops = &ops;
	q->send = receive;
	q->passed = -1;
	memset(asked, 0, sizeof(asked));
	if (negotiate)
		qmp_input(q, NEGOTIATE, strlen(NEGOTIATE));
	got_len = 0;
	got[0] = 0;
	return q;
}

static void say(struct qmp *q, const char *text)
{
	got_len = 0;
	got[0] = 0;
	qmp_input(q, text, strlen(text));
}

/* The only line that came, as JSON. */
static json_t *only(void)
{
	json_t *v;

	assert_true(got_len > 2);
	assert_string_equal(got + got_len - 2, "\r\n");
	assert_ptr_equal(strchr(got, '\n'), got + got_len - 1);
	v = json_loads(got, 0, NULL);
	assert_non_null(v);
	return v;
}

static void assert_error(const char *class, const char *mention)
{
	json_t *v = only(), *e = json_object_get(v, "error");

	assert_string_equal(json_string_value(json_object_get(e, "class")), class);
	assert_non_null(strstr(json_string_value(json_object_get(e, "desc")), mention));
	json_decref(v);
}

static void assert_empty_return(void)
{
	json_t *v = only(), *r = json_object_get(v, "return");

	assert_true(json_is_object(r));
	assert_int_equal(json_object_size(r), 0);
	json_decref(v);
}

static unsigned int lines(void)
{
	unsigned int n = 0;

	for (const char *p = got; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

/* --- the conversation ------------------------------------------------------------- */

static void greeting(void **state)
{
	struct qmp *q = start(false);
	json_t *v, *version;
	int major, minor, micro;

	(void)state;
	qmp_greet(q);
	v = only();
	version = json_object_get(json_object_get(v, "QMP"), "version");
	assert_int_equal(json_unpack(version, "{s:{s:i, s:i, s:i}}", "qemu", "major", &major,
				     "minor", &minor, "micro", &micro), 0);
	assert_true(json_is_string(json_object_get(version, "package")));
	assert_true(json_is_array(json_object_get(json_object_get(v, "QMP"), "capabilities")));
	json_decref(v);
	free(q);
}

static void negotiation(void **state)
{
	struct qmp *q = start(false);

	(void)state;
	say(q, "{\"execute\": \"stop\"}\n");
	assert_error("CommandNotFound", "qmp_capabilities");
	assert_false(q->ready);
	say(q, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}\n");
	assert_error("GenericError", "capabilities");
	say(q, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": 1}}\n");
	assert_error("GenericError", "enable");
	assert_false(q->ready);
	say(q, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": []}}\n");
	assert_empty_return();
	assert_true(q->ready);
	say(q, NEGOTIATE);
	assert_error("CommandNotFound", "already");
	assert_string_equal(asked, "");
	free(q);
}

static void actions(void **state)
{
	static const char *const names[] = {
		"stop", "cont", "system_powerdown", "system_reset", "quit",
	};
	struct qmp *q = start(true);
	char text[80];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(text, sizeof(text), "{\"execute\": \"%s\"}", names[i]);
		say(q, text);	/* without a line's end */
		assert_empty_return();
	}
	assert_string_equal(asked, "scprq");
	free(q);
}

static void queries(void **state)
{
	struct qmp *q = start(true);
	unsigned int i, n = 0;
	json_t *v, *list;
	const char *s;
	int running;

	(void)state;
	now = "paused";
	say(q, "{\"execute\": \"query-status\"}\r\n");
	now = "running";
	v = only();
	assert_int_equal(json_unpack(v, "{s:{s:s, s:b}}", "return", "status", &s, "running",
				     &running), 0);
	assert_string_equal(s, "paused");
	assert_false(running);
	json_decref(v);
	say(q, "{\"execute\": \"query-name\"}");
	v = only();
	assert_int_equal(json_unpack(v, "{s:{s:s}}", "return", "name", &s), 0);
	assert_string_equal(s, "guest");
	json_decref(v);
	say(q, "{\"execute\": \"query-commands\"}");
	v = only();
	list = json_object_get(v, "return");
	for (i = 0; i < json_array_size(list); i++) {
		s = json_string_value(json_object_get(json_array_get(list, i), "name"));
		n += !strcmp(s, "quit") || !strcmp(s, "query-version");
	}
	assert_int_equal(n, 2);
	json_decref(v);
	free(q);
}

static void ids(void **state)
{
	struct qmp *q = start(true);
	json_t *v;

	(void)state;
	say(q, "{\"execute\": \"query-status\", \"id\": {\"a\": [1, null]}}");
	v = only();
	assert_int_equal(json_array_size(json_object_get(json_object_get(v, "id"), "a")), 2);
	json_decref(v);
	say(q, "{\"id\": \"x\", \"execute\": \"no-such\"}");
	v = only();
	assert_string_equal(json_string_value(json_object_get(v, "id")), "x");
	json_decref(v);
	assert_error("CommandNotFound", "no-such");
	free(q);
}

static void events(void **state)
{
	struct qmp *q = start(true);
	json_t *v, *data;

	(void)state;
	qmp_send(q, qmp_event("STOP", NULL));
	v = only();
	assert_string_equal(json_string_value(json_object_get(v, "event")), "STOP");
	assert_true(json_integer_value(json_object_get(json_object_get(v, "timestamp"),
						       "seconds")) > 1000000000);
	assert_null(json_object_get(v, "data"));
	json_decref(v);
	got_len = 0;
	qmp_send(q, qmp_event("SHUTDOWN", "guest-shutdown"));
	v = only();
	data = json_object_get(v, "data");
	assert_true(json_is_true(json_object_get(data, "guest")));
	assert_string_equal(json_string_value(json_object_get(data, "reason")), "guest-shutdown");
	json_decref(v);
	free(q);
}

/* --- hostile input ------------------------------------------------------------------- */

static void malformed(void **state)
{
	static const char *const bad[] = {
		"hello\n", "\"execute\"\n", "42 {\"execute\": \"stop\"}\n", "}\n", "]]]]\n",
		"{]\n", "{\"execute\"}\n", "{\"execute\": \"sto\n", "{\"execute\": stop}\n",
		"{\"execute\": \"stop\", \"execute\": \"stop\"}\n", "[\"stop\"]\n", "{}\n",
		"{\"execute\": 1}\n", "{\"execute\": \"stop\", \"arguments\": 1}\n",
		"{\"execute\": \"stop\", \"argument\": {}}\n", "\xff\xfe\n",
		"{\"exec-oob\": \"stop\"}\n",
		"{\"execute\": \"stop\", \"arguments\": {\"a\": 1}}\n",
		"{\"execute\": \"st\xc0\x80op\"}\n", "{\"execute\": \"stop\\u0000\"}\n",
		"{\"execute\": \"stop\", \"\xc3\xa4\": 1}\n", "{\"execute\": 1e999}\n",
		"{\"execute\": \"stop\", \"id\": 99999999999999999999999}\n",
	};
	struct qmp *q = start(true);
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		say(q, bad[i]);
		assert_error("GenericError", "");
		say(q, "{\"execute\": \"cont\"}\n");
		assert_empty_return();
		assert_string_equal(asked, "c");
		memset(asked, 0, sizeof(asked));
	}
	free(q);
}

static void too_deep(void **state)
{
	struct qmp *q = start(true);
	unsigned int i;
	char *text = calloc(1, 3 * FRAME_DEPTH + 64);

	(void)state;
	strcpy(text, "{\"execute\": \"cont\", \"id\": ");
	for (i = 0; i < FRAME_DEPTH - 1; i++)
		strcat(text, "[");
	for (i = 0; i < FRAME_DEPTH - 1; i++)
		strcat(text, "]");
	strcat(text, "}\n");
	say(q, text);
	assert_int_equal(lines(), 1);
	assert_string_equal(asked, "c");
	free(text);
	got_len = 0;
	for (i = 0; i < 1000000; i++)
		qmp_input(q, i % 2 ? "{" : "[", 1);
	assert_error("GenericError", "deep");
	qmp_input(q, "\n", 1);
	say(q, "{\"execute\": \"cont\"}");
	assert_empty_return();
	free(q);
}

static void too_long(void **state)
{
	struct qmp *q = start(true);
	unsigned int i;

	(void)state;
	say(q, "{\"execute\": \"");
	for (i = 0; i < 3 * FRAME_MAX; i++)
		qmp_input(q, "a", 1);
	assert_error("GenericError", "long");
	qmp_input(q, "\"}\n", 3);
	assert_int_equal(lines(), 1);
	say(q, "{\"execute\": \"cont\"}");
	assert_empty_return();
	free(q);
}

/* The same bytes in pieces of every size are answered the same. */
static void pieces(void **state)
{
	static const char text[] = " {\"execute\": \"stop\"}{\"execute\": \"co\\\"}nt\"}\n[\n]nul\n"
				   "{\"execute\":\n\t\"cont\"}{\"x\": \"{[\\\\\"}\r\n";
	size_t n = sizeof(text) - 1, size, at, all_len = 0;
	static char all[4096];

	(void)state;
	for (size = n; size; size--) {
		struct qmp *q = start(true);

		for (at = 0; at < n; at += size)
			qmp_input(q, text + at, n - at < size ? n - at : size);
		if (size == n) {
			assert_true(got_len < sizeof(all));
			memcpy(all, got, got_len);
			all_len = got_len;
			assert_int_equal(lines(), 6);
			assert_string_equal(asked, "sc");
		}
		assert_int_equal(got_len, all_len);
		assert_memory_equal(got, all, all_len);
		free(q);
	}
}

/* Whatever comes: no answer but JSON, and a command in a line of its own is always heard. */
static void noise(void **state)
{
	static const char parts[] = "{}[]\":,\\ \n\t\r0e-.ntfu\x00\x7f\x80\xff" "executestop";
	struct qmp *q = start(true);
	u32 seed = 12345;
	unsigned int i;

	(void)state;
	for (i = 0; i < 300000; i++) {
		char c;

		seed = seed * 1664525 + 1013904223;
		c = parts[(seed >> 16) % sizeof(parts)];
		got_len = 0;
		got[0] = 0;
		qmp_input(q, &c, 1);
		if (got_len)
			json_decref(only());
	}
	/* ends a string, if it is in one, or an error's line; then any brackets */
	qmp_input(q, "\n\"\n", 3);
	say(q, "{\"execute\": \"cont\"}\n");
	assert_empty_return();
	free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greeting),
		cmocka_unit_test(negotiation),
		cmocka_unit_test(actions),
		cmocka_unit_test(queries),
		cmocka_unit_test(ids),
		cmocka_unit_test(events),
		cmocka_unit_test(malformed),
		cmocka_unit_test(too_deep),
		cmocka_unit_test(too_long),
		cmocka_unit_test(pieces),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

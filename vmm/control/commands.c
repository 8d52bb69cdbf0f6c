/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QMP's commands, by the names and with the values of QEMU's QAPI schema. The
 * version is anykvm's own; a client learns from query-commands what is there.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"

#ifndef ANYKVM_VERSION
#define ANYKVM_VERSION "0.0.0"
#endif

void *qmp_fail(struct qmp_error *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->desc, sizeof(e->desc), fmt, ap);
	va_end(ap);
	/* what it quotes may be no UTF-8, or be cut within a character */
	for (char *p = e->desc; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return NULL;
}

const char *qmp_string(json_t *arguments, const char *name, bool needed, struct qmp_error *e)
{
	json_t *value = json_object_get(arguments, name);

	if (json_is_string(value))
		return json_string_value(value);
	if (value)
		return qmp_fail(e, "parameter '%s' must be a string", name);
	return needed ? qmp_fail(e, "parameter '%s' is missing", name) : NULL;
}

json_t *commands_version(void)
{
	int major = 0, minor = 0, micro = 0;

	sscanf(ANYKVM_VERSION, "%d.%d.%d", &major, &minor, &micro);
	return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "micro", micro, "minor", minor,
			 "major", major, "package", "anykvm " ANYKVM_VERSION);
}

static json_t *capabilities(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	json_t *enable = json_object_get(arguments, "enable");

	if (enable && !json_is_array(enable))
		return qmp_fail(e, "parameter 'enable' must be an array");
	if (json_array_size(enable))
		return qmp_fail(e, "there are no capabilities to enable");
	q->ready = true;
	return json_object();
}

static json_t *query_version(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)q, (void)arguments, (void)e;
	return commands_version();
}

static json_t *query_name(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)arguments, (void)e;
	return q->ops->name ? json_pack("{s:s}", "name", q->ops->name) : json_object();
}

static json_t *query_status(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	const char *status = q->ops->status(q->ops->ctx);

	(void)arguments, (void)e;
	return json_pack("{s:s, s:b, s:b}", "status", status, "singlestep", 0, "running",
			 !strcmp(status, "running"));
}

static json_t *stop(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)arguments, (void)e;
	q->ops->stop(q->ops->ctx);
	return json_object();
}

static json_t *cont(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)arguments, (void)e;
	q->ops->cont(q->ops->ctx);
	return json_object();
}

static json_t *system_powerdown(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)arguments;
	e->after = q->ops->powerdown;
	return json_object();
}

static json_t *system_reset(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)arguments;
	e->after = q->ops->reset;
	return json_object();
}

static json_t *quit(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)arguments;
	e->after = q->ops->quit;
	return json_object();
}

static json_t *query_commands(struct qmp *q, json_t *arguments, struct qmp_error *e);

static const struct qmp_command commands[] = {
	{ "qmp_capabilities", "enable", capabilities },
	{ "query-commands", NULL, query_commands },
	{ "query-version", NULL, query_version },
	{ "query-name", NULL, query_name },
	{ "query-status", NULL, query_status },
	{ "stop", NULL, stop },
	{ "cont", NULL, cont },
	{ "system_powerdown", NULL, system_powerdown },
	{ "system_reset", NULL, system_reset },
	{ "quit", NULL, quit },
	{ NULL, NULL, NULL },
};

static void list(json_t *all, const struct qmp_command *c)
{
	for (; c && c->name; c++)
		json_array_append_new(all, json_pack("{s:s}", "name", c->name));
}

static json_t *query_commands(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	json_t *all = json_array();
	unsigned int i;

	(void)arguments, (void)e;
	list(all, commands);
	for (i = 0; i < QMP_TABLES; i++)
		list(all, q->ops->more[i]);
	return all;
}

static const struct qmp_command *find(const struct qmp_command *c, const char *name)
{
	for (; c && c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

const struct qmp_command *commands_find(const struct qmp_ops *ops, const char *name)
{
	const struct qmp_command *c = find(commands, name);
	unsigned int i;

	for (i = 0; !c && i < QMP_TABLES; i++)
		c = find(ops->more[i], name);
	return c;
}

bool commands_takes(const struct qmp_command *c, const char *argument)
{
	size_t len = strlen(argument);
	const char *p = c->arguments;

	if (!p || !strcmp(p, "*"))
		return p;
	for (; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (strcspn(p, ",") == len && !strncmp(p, argument, len))
			return true;
	}
	return false;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The balloon by QMP: its size, and what the guest tells of its memory, which
 * QEMU has as properties of the device, so that qom-get and qom-set are there
 * for these two: "guest-stats" and "guest-stats-polling-interval".
 */
#include <string.h>

#include "../devices/virtio/balloon.h"
#include "balloon.h"

#define PERIPHERALS "/machine/peripheral/"
#define STATS "guest-stats"
#define INTERVAL "guest-stats-polling-interval"
#define NOT_TOLD (-1)

static bool is_there(struct qmp_error *e)
{
	if (balloon_is_there())
		return true;
	e->class = "DeviceNotActive";
	qmp_fail(e, "the machine has no balloon");
	return false;
}

static json_t *set(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	json_t *value = json_object_get(arguments, "value");

	(void)q;
	if (!is_there(e))
		return NULL;
	if (!json_is_integer(value) || json_integer_value(value) <= 0)
		return qmp_fail(e, "parameter 'value' must be a number of bytes above 0");
	balloon_set_target((u64)json_integer_value(value));
	return json_object();
}

static json_t *query(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)q, (void)arguments;
	if (!is_there(e))
		return NULL;
	return json_pack("{s:I}", "actual", (json_int_t)balloon_actual());
}

/* True when path and property name one of the two. */
static bool check(json_t *arguments, const char **property, struct qmp_error *e)
{
	const char *path = qmp_string(arguments, "path", true, e), *name;

	if (!path)
		return false;
	*property = qmp_string(arguments, "property", true, e);
	if (!*property || !is_there(e))
		return false;
	name = strncmp(path, PERIPHERALS, strlen(PERIPHERALS)) ? path : path + strlen(PERIPHERALS);
	if (!*name || strcmp(name, balloon_id())) {
		qmp_fail(e, "'%.64s' is not the balloon, which needs an id", path);
		return false;
	}
	if (!strcmp(*property, STATS) || !strcmp(*property, INTERVAL))
		return true;
	qmp_fail(e, "there is no property '%.64s'", *property);
	return false;
}

static json_t *stats(void)
{
	struct balloon_stats s;
	json_t *all = json_object();
	unsigned int i;

	balloon_get_stats(&s);
	for (i = 0; i < BALLOON_STATS; i++)
		json_object_set_new(all, balloon_stat_names[i],
				    json_integer(s.when && s.value[i] <= INT64_MAX ?
						 (json_int_t)s.value[i] : NOT_TOLD));
	return json_pack("{s:o, s:I}", "stats", all, "last-update", (json_int_t)s.when);
}

static json_t *get_property(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	const char *property;

	(void)q;
	if (!check(arguments, &property, e))
		return NULL;
	return strcmp(property, STATS) ? json_integer(balloon_interval()) : stats();
}

static json_t *set_property(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	json_t *value = json_object_get(arguments, "value");
	const char *property;

	(void)q;
	if (!check(arguments, &property, e))
		return NULL;
	if (strcmp(property, INTERVAL))
		return qmp_fail(e, "property '%s' cannot be set", property);
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > UINT32_MAX)
		return qmp_fail(e, "parameter 'value' must be a number of seconds");
	balloon_set_interval((unsigned int)json_integer_value(value));
	return json_object();
}

const struct qmp_command balloon_commands[] = {
	{ "balloon", "value", set },
	{ "query-balloon", NULL, query },
	{ "qom-get", "path,property", get_property },
	{ "qom-set", "path,property,value", set_property },
	{ NULL, NULL, NULL },
};

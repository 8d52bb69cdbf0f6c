/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disk images and networks that come and go by QMP. blockdev-add has the form of
 * QEMU's: a format over a file, and the name that drive= of a device takes.
 * netdev_add takes the properties of --net as members. A device has to leave
 * before what it is connected to can.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../backends/net/net.h"
#include "../backends/registry.h"
#include "../error.h"
#include "state.h"
#include "text.h"

static void told(struct qmp_error *e)
{
	char *why = strdupa(e->desc);

	error_catch(NULL, 0);
	qmp_fail(e, "%s", why);
}

/* --- images ------------------------------------------------------------------------------- */

static void on_full(void *ctx, struct disk *d, bool full)
{
	control_full_disk(ctx, d, full);
}

/* The name of the file below: {"driver": "file", "filename": NAME}, and nothing else. */
static const char *file_name(json_t *file, struct qmp_error *e)
{
	const char *driver, *key;
	json_t *value;

	if (!json_is_object(file))
		return qmp_fail(e, "parameter 'file' must be an object with driver and filename");
	json_object_foreach(file, key, value)
		if (strcmp(key, "driver") && strcmp(key, "filename"))
			return qmp_fail(e, "parameter 'file.%.64s' is not expected", key);
	driver = qmp_string(file, "driver", true, e);
	if (!driver)
		return NULL;
	if (strcmp(driver, "file") && strcmp(driver, "host_device"))
		return qmp_fail(e, "the driver of 'file' must be file, not '%.64s'", driver);
	return qmp_string(file, "filename", true, e);
}

/* QEMU's two switches as the cache= of --disk; NULL after qmp_fail. */
static const char *cache_of(json_t *cache, struct qmp_error *e)
{
	json_t *direct = json_object_get(cache, "direct");
	json_t *unsafe = json_object_get(cache, "no-flush");

	if (cache && !json_is_object(cache))
		return qmp_fail(e, "parameter 'cache' must be an object");
	if ((direct && !json_is_boolean(direct)) || (unsafe && !json_is_boolean(unsafe)))
		return qmp_fail(e, "the members of 'cache' are booleans");
	if (json_is_true(unsafe))
		return "unsafe";
	return json_is_true(direct) ? "none" : "writeback";
}

/* The text of --disk; NULL after qmp_fail. */
static char *disk_text(json_t *arguments, struct qmp_error *e)
{
	const char *driver = qmp_string(arguments, "driver", true, e);
	const char *node = driver ? qmp_string(arguments, "node-name", true, e) : NULL;
	const char *cache = node ? cache_of(json_object_get(arguments, "cache"), e) : NULL;
	const char *name;
	struct text t;

	if (!cache)
		return NULL;
	if (!strcmp(driver, "file") || !strcmp(driver, "host_device"))
		name = qmp_string(arguments, "filename", true, e);
	else if (!strcmp(driver, "raw") || !strcmp(driver, "qcow2"))
		name = file_name(json_object_get(arguments, "file"), e);
	else
		return qmp_fail(e, "the driver must be raw, qcow2 or file, not '%.64s'", driver);
	if (!name)
		return NULL;
	text_begin(&t, name, e);
	text_add(&t, "format", strcmp(driver, "qcow2") ? "raw" : "qcow2");
	text_add(&t, "cache", cache);
	text_add(&t, "id", node);
	text_add(&t, "if", "none");
	text_add_json(&t, "readonly", json_object_get(arguments, "read-only"), e);
	return text_end(&t, e);
}

json_t *control_blockdev_add(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	struct control *c = control_of(q);
	char *text = disk_text(arguments, e);
	const char *node = json_string_value(json_object_get(arguments, "node-name"));
	struct disk *d;

	if (!text)
		return NULL;
	if (registry_find(c->config.backends, "disk", node)) {
		free(text);
		return qmp_fail(e, "Duplicate nodes with node-name='%.64s'", node);
	}
	error_catch(e->desc, sizeof(e->desc));
	d = disk_open(c->config.backends, c->loop, text, on_full, c);
	told(e);
	free(text);
	return d ? json_object() : NULL;
}

json_t *control_blockdev_del(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	const char *node = qmp_string(arguments, "node-name", true, e);
	struct control *c = control_of(q);
	struct disk *d = node ? registry_find(c->config.backends, "disk", node) : NULL;
	bool full = d && d->full;
	int err;

	if (!node)
		return NULL;
	err = registry_remove(c->config.backends, "disk", node);
	if (err == -ENOENT)
		return qmp_fail(e, "Failed to find node with node-name='%.64s'", node);
	if (err < 0)
		return qmp_fail(e, "Block device %.64s is in use", node);
	if (full)
		control_full_disk(c, NULL, false);
	return json_object();
}

/* --- networks ------------------------------------------------------------------------------ */

/* An element is the rule itself, or QEMU's {"str": RULE}. */
static void add_forwards(struct text *t, json_t *rules, struct qmp_error *e)
{
	json_t *rule;
	size_t i;

	json_array_foreach(rules, i, rule) {
		if (json_is_object(rule))
			rule = json_object_get(rule, "str");
		if (json_is_string(rule)) {
			text_add(t, "hostfwd", json_string_value(rule));
			continue;
		}
		qmp_fail(e, "parameter 'hostfwd' must be a list of strings");
		t->failed = true;
	}
}

static char *net_text(json_t *arguments, struct qmp_error *e)
{
	const char *type = qmp_string(arguments, "type", true, e), *key;
	const char *id = type ? qmp_string(arguments, "id", true, e) : NULL;
	json_t *value;
	struct text t;

	if (!id)
		return NULL;
	text_begin(&t, type, e);
	json_object_foreach(arguments, key, value) {
		if (!strcmp(key, "type"))
			continue;
		if (!strcmp(key, "hostfwd") && json_is_array(value))
			add_forwards(&t, value, e);
		else
			text_add_json(&t, key, value, e);
	}
	text_add(&t, "if", "none");
	return text_end(&t, e);
}

json_t *control_netdev_add(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	struct control *c = control_of(q);
	char *text = net_text(arguments, e);
	struct net *n;

	if (!text)
		return NULL;
	error_catch(e->desc, sizeof(e->desc));
	n = net_open(c->config.backends, c->loop, text);
	told(e);
	free(text);
	return n ? json_object() : NULL;
}

json_t *control_netdev_del(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	const char *id = qmp_string(arguments, "id", true, e);
	int err;

	if (!id)
		return NULL;
	err = registry_remove(control_of(q)->config.backends, "net", id);
	if (err == -ENOENT) {
		e->class = "DeviceNotFound";
		return qmp_fail(e, "Device '%.64s' not found", id);
	}
	if (err < 0)
		return qmp_fail(e, "a device has the network '%.64s'", id);
	return json_object();
}

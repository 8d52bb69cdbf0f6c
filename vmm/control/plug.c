/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that come and go by QMP: device_add takes the names and properties of
 * --device as members, device_del asks the guest to let go. What came is made
 * again after a reset, at the same place; what was asked to go is not.
 *
 * Names of QEMU are understood where they differ: "virtio-blk-pci" for
 * virtio-blk, and "netdev" for the property that names the network.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../devices/pci/pci.h"
#include "../error.h"
#include "state.h"
#include "text.h"

#define PCI_SUFFIX "-pci"
#define AGAIN_NS (6 * NSEC)	/* a second press of the button within 5 s takes back the first */

/* --- what is remembered ----------------------------------------------------------------- */

static struct leaving *find_leaving(struct control *c, const char *id)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c->leaving); i++)
		if (!strcmp(c->leaving[i].id, id))
			return &c->leaving[i];
	return NULL;
}

static bool has_id(const char *text, const char *id)
{
	struct props p;
	bool same = props_parse_lists(&p, text, NULL) == 0 &&
		    !strcmp(props_string(&p, "id", ""), id);

	props_free(&p);
	return same;
}

static void forget_text(struct control *c, const char *text)
{
	struct plugged **at = &c->plugged, *p;

	for (; (p = *at); at = &p->next)
		if (p->text == text) {
			*at = p->next;
			free(p);
			return;
		}
}

/* A reset does not bring it back. */
static void forget(struct control *c, const char *id)
{
	struct machine_config *m = c->config.machine;
	unsigned int i;

	for (i = 0; i < m->ndevices && !has_id(m->devices[i], id); i++)
		;
	if (i == m->ndevices)
		return;
	forget_text(c, m->devices[i]);
	m->ndevices--;
	memmove(&m->devices[i], &m->devices[i + 1], (m->ndevices - i) * sizeof(m->devices[0]));
}

static void tell_gone(struct control *c, const char *id)
{
	server_event_data(c->server, "DEVICE_DELETED",
			  json_pack("{s:s, s:s+}", "device", id, "path",
				    "/machine/peripheral/", id));
}

void control_device_gone(void *ctx, const char *id)
{
	struct control *c = ctx;
	struct leaving *l = *id ? find_leaving(c, id) : NULL;

	if (!*id)
		return;
	forget(c, id);
	tell_gone(c, id);
	if (l)
		l->id[0] = 0;	/* id may be this */
}

void control_devices_settle(struct control *c)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c->leaving); i++)
		if (c->leaving[i].id[0])
			control_device_gone(c, c->leaving[i].id);
}

/* --- device_add --------------------------------------------------------------------------- */

/* Its name without QEMU's suffix, if only that is one; else the name. */
static const struct device_class *class_of(const char *name)
{
	const struct device_class *class = device_find_class(name);
	size_t len = strlen(name), suffix = strlen(PCI_SUFFIX);
	char plain[64];

	if (class || len <= suffix || len - suffix >= sizeof(plain) ||
	    strcmp(name + len - suffix, PCI_SUFFIX))
		return class;
	memcpy(plain, name, len - suffix);
	plain[len - suffix] = 0;
	return device_find_class(plain);
}

/* The text of --device; NULL after qmp_fail. */
static char *device_text(const struct device_class *class, json_t *arguments, const char *bus,
			 struct qmp_error *e)
{
	const char *key;
	struct text t;
	json_t *value;

	text_begin(&t, class->name, e);
	json_object_foreach(arguments, key, value)
		if (strcmp(key, "driver"))
			text_add_json(&t, strcmp(key, "netdev") ? key : "net", value, e);
	if (bus)
		text_add(&t, "bus", bus);
	return text_end(&t, e);
}

static int plug(struct control *c, const char *text, struct qmp_error *e)
{
	struct props p;
	int r = -1;

	error_catch(e->desc, sizeof(e->desc));
	if (props_parse(&p, text) == 0)
		r = machine_add_device(c->machine, &p);
	error_catch(NULL, 0);
	props_free(&p);
	if (r < 0)
		qmp_fail(e, "%s", strdupa(e->desc));	/* in characters that an answer may have */
	return r;
}

/* Notes it for the next reset, too. Takes text. */
static json_t *add(struct control *c, char *text, struct qmp_error *e)
{
	struct machine_config *m = c->config.machine;
	struct plugged *p = malloc(sizeof(*p) + strlen(text) + 1);
	json_t *done = NULL;

	if (!p) {
		qmp_fail(e, "out of memory");
	} else if (m->ndevices == MACHINE_DEVICES_MAX) {
		qmp_fail(e, "there are too many devices: at most %d", MACHINE_DEVICES_MAX);
	} else if (plug(c, text, e) == 0) {
		strcpy(p->text, text);
		p->next = c->plugged;
		c->plugged = p;
		m->devices[m->ndevices++] = p->text;
		p = NULL;
		done = json_object();
	}
	free(p);
	free(text);
	return done;
}

json_t *control_device_add(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	const char *driver = qmp_string(arguments, "driver", true, e), *bus = NULL;
	const struct device_class *class;
	struct control *c = control_of(q);
	char *text;

	if (!driver)
		return NULL;
	class = class_of(driver);
	if (!class)
		return qmp_fail(e, "'%.64s' is no device that there is", driver);
	if (!class->unplug || !c->machine || !c->machine->board.pci)
		return qmp_fail(e, "Device '%.64s' does not support hotplugging%s", driver,
				class->unplug ? " in this machine" : "");
	if (!json_object_get(arguments, "bus")) {
		bus = pci_hotplug_bus(c->machine->board.pci);
		if (!bus)
			return qmp_fail(e, "no slot for hot-plug is free");
	}
	text = device_text(class, arguments, bus, e);
	return text ? add(c, text, e) : NULL;
}

/* --- device_del --------------------------------------------------------------------------- */

json_t *control_device_del(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	const char *id = qmp_string(arguments, "id", true, e);
	struct control *c = control_of(q);
	struct leaving *l;
	int err;

	if (!id)
		return NULL;
	if (!*id || !c->machine || !device_find(&c->machine->devices, id)) {
		e->class = "DeviceNotFound";
		return qmp_fail(e, "Device '%.64s' not found", id);
	}
	l = find_leaving(c, id);
	if (l && monotonic_ns() - l->asked < AGAIN_NS)
		return qmp_fail(e, "Device %.64s is already in the process of unplug", id);
	if (!l)
		l = find_leaving(c, "");
	if (!l)
		return qmp_fail(e, "too many devices are to go");
	err = machine_del_device(c->machine, id);
	if (err < 0)
		return qmp_fail(e, "Device '%.64s' does not support hot-unplug here", id);
	strcpy(l->id, id);	/* a device has it, so it fits */
	l->asked = monotonic_ns();
	return json_object();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What QMP tells of disks, CPUs, memory and the engine, in the form of QEMU's QAPI schema. */
#include <string.h>

#include "../backends/registry.h"
#include "../machine/vcpu.h"
#include "state.h"

/* --- disks ---------------------------------------------------------------------------------- */

static json_t *inserted(const struct disk *d)
{
	struct block_limits l;

	block_get_limits(d->block, &l);
	return json_pack("{s:s%, s:s, s:b, s:s, s:b, s:s, s:{s:s%, s:s, s:I}}",
			 "file", d->path, strlen(d->path), "node-name", d->id, "ro", l.readonly,
			 "drv", l.format, "encrypted", 0, "detect_zeroes", "off", "image",
			 "filename", d->path, strlen(d->path), "format", l.format,
			 "virtual-size", (json_int_t)l.size);
}

static void add_disk(void *ctx, const char *id, void *backend, bool claimed)
{
	const struct disk *d = backend;
	json_t *all = ctx, *in = inserted(d);
	json_t *one = json_pack("{s:s, s:s, s:b, s:b, s:s}", "device", id, "type", "unknown",
				"locked", 0, "removable", 0,
				"io-status", d->full ? "nospace" : "ok");

	(void)claimed;
	if (one && in)
		json_object_set_new(one, "inserted", in);
	json_array_append_new(all, one);
}

json_t *control_query_block(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	json_t *all = json_array();

	(void)arguments, (void)e;
	registry_each(control_of(q)->config.backends, "disk", add_disk, all);
	return all;
}

/* --- CPUs, memory, engine --------------------------------------------------------- */

static json_t *cpu(const struct vcpu *v)
{
	char path[64];

	snprintf(path, sizeof(path), "/machine/unattached/device[%u]", v->id);
	return json_pack("{s:i, s:s, s:i, s:s, s:{s:i, s:i, s:i}}", "cpu-index", (int)v->id,
			 "qom-path", path, "thread-id", __atomic_load_n(&v->tid, __ATOMIC_RELAXED),
			 "target", "x86_64", "props", "socket-id", 0, "core-id", (int)v->id,
			 "thread-id", 0);
}

json_t *control_query_cpus(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	const struct machine *m = control_of(q)->machine;
	json_t *all = json_array();
	unsigned int i;

	(void)arguments, (void)e;
	for (i = 0; m && i < m->cpus; i++)
		json_array_append_new(all, cpu(&m->vcpus[i]));
	return all;
}

json_t *control_query_memory(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)arguments, (void)e;
	return json_pack("{s:I, s:I}", "base-memory",
			 (json_int_t)control_of(q)->config.machine->memory, "plugged-memory",
			 (json_int_t)0);
}

json_t *control_query_kvm(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	const struct machine *m = control_of(q)->machine;
	bool kernel = m && m->kvm->engine == KVM_ENGINE_KERNEL;

	(void)arguments, (void)e;
	return json_pack("{s:b, s:b, s:s}", "enabled", kernel, "present", kernel, "engine",
			 m ? kvm_engine_name(m->kvm->engine) : "none");
}

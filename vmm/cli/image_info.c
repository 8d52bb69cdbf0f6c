/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "anykvm image info", for people and as JSON with the member names of qemu-img. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../error.h"
#include "image.h"
#include "progress.h"

/* --- for people -------------------------------------------------------------------- */

static void print_size(const char *name, u64 bytes)
{
	char text[32];

	printf("%-15s %s", name, size_text(bytes, text));
	if (bytes >= KIB)
		printf(" (%llu bytes)", (unsigned long long)bytes);
	printf("\n");
}

static void print_snapshots(const struct block *b, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		const struct image_snapshot *s = image_get_snapshot(b, i);
		time_t t = (time_t)s->date;
		char date[32] = "?", text[32];
		struct tm tm;

		if (localtime_r(&t, &tm))
			strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
		printf("%-15s %s '%s', %s, machine state %s\n", i ? "" : "snapshots", s->id,
		       s->name, date, size_text(s->vm_size, text));
	}
}

static void print_qcow2(const struct image_info *i)
{
	print_size("cluster size", i->cluster_size);
	printf("%-15s %u bits\n", "reference count", i->refcount_bits);
	if (i->zstd)
		printf("%-15s zstd\n", "compression");
	if (i->lazy_refcounts)
		printf("%-15s yes\n", "lazy refcounts");
	if (i->backing)
		printf("%-15s %s (%s)\n", "backing file", i->backing,
		       i->backing_format ? i->backing_format : "format not noted");
	if (i->dirty)
		printf("%-15s not closed properly: its reference counts need to be made anew\n",
		       "state");
	if (i->corrupt)
		printf("%-15s marked as damaged\n", "state");
}

static void print_info(const char *path, const struct image_info *i)
{
	printf("%-15s %s\n", "image", path);
	if (i->version)
		printf("%-15s %s, version %u\n", "format", i->format, i->version);
	else
		printf("%-15s %s\n", "format", i->format);
	print_size("disk size", i->size);
	print_size("on the host", i->allocated);
	if (i->version)
		print_qcow2(i);
}

static void print_all(const struct block *b, const struct image_args *a)
{
	struct image_info i;
	const char *path;
	unsigned int depth;

	image_get_info(b, &i);
	print_info(a->file[0], &i);
	print_snapshots(b, i.snapshots);
	for (depth = 0; a->chain && image_get_backing(b, depth, &i, &path); depth++) {
		printf("\n");
		print_info(path, &i);
	}
}

/* --- JSON ----------------------------------------------------------------------------- */

static json_t *number(u64 n)
{
	return json_integer((json_int_t)n);
}

/* Names in images need not be UTF-8. */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);

	return j ? j : json_string("(not UTF-8)");
}

static json_t *json_snapshots(const struct block *b, unsigned int n)
{
	json_t *list = json_array();
	unsigned int i;

	for (i = 0; i < n; i++) {
		const struct image_snapshot *s = image_get_snapshot(b, i);
		json_t *j = json_object();

		json_object_set_new(j, "id", text(s->id));
		json_object_set_new(j, "name", text(s->name));
		json_object_set_new(j, "date-sec", number(s->date));
		json_object_set_new(j, "vm-clock-sec", number(s->vm_clock / NSEC));
		json_object_set_new(j, "vm-clock-nsec", number(s->vm_clock % NSEC));
		json_object_set_new(j, "vm-state-size", number(s->vm_size));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *json_specific(const struct image_info *i)
{
	json_t *data = json_object(), *j = json_object();

	json_object_set_new(data, "compat", text(i->version == 3 ? "1.1" : "0.10"));
	json_object_set_new(data, "compression-type", text(i->zstd ? "zstd" : "zlib"));
	json_object_set_new(data, "refcount-bits", number(i->refcount_bits));
	json_object_set_new(data, "lazy-refcounts", json_boolean(i->lazy_refcounts));
	json_object_set_new(data, "corrupt", json_boolean(i->corrupt));
	json_object_set_new(j, "type", text(i->format));
	json_object_set_new(j, "data", data);
	return j;
}

static json_t *json_info(const char *path, const struct image_info *i)
{
	json_t *j = json_object();

	json_object_set_new(j, "filename", text(path));
	json_object_set_new(j, "format", text(i->format));
	json_object_set_new(j, "virtual-size", number(i->size));
	json_object_set_new(j, "actual-size", number(i->allocated));
	json_object_set_new(j, "dirty-flag", json_boolean(i->dirty));
	if (!i->version)
		return j;
	json_object_set_new(j, "cluster-size", number(i->cluster_size));
	json_object_set_new(j, "format-specific", json_specific(i));
	if (i->backing)
		json_object_set_new(j, "backing-filename", text(i->backing));
	if (i->backing_format)
		json_object_set_new(j, "backing-filename-format", text(i->backing_format));
	return j;
}

static int print_json(const struct block *b, const struct image_args *a)
{
	struct image_info i;
	const char *path;
	unsigned int depth;
	json_t *all = json_array(), *j;
	char *out;

	image_get_info(b, &i);
	j = json_info(a->file[0], &i);
	if (i.snapshots)
		json_object_set_new(j, "snapshots", json_snapshots(b, i.snapshots));
	json_array_append_new(all, j);
	for (depth = 0; a->chain && image_get_backing(b, depth, &i, &path); depth++)
		json_array_append_new(all, json_info(path, &i));
	out = json_dumps(a->chain ? all : json_array_get(all, 0), JSON_INDENT(4));
	json_decref(all);
	if (!out)
		return error("out of memory");
	printf("%s\n", out);
	free(out);
	return 0;
}

int image_command_info(const struct image_args *a)
{
	const struct block_options o = {
		.format = a->spec.format, .readonly = true, .shared = true, .examine = true,
		.no_backing = !a->chain,
	};
	struct block *b = block_open(a->file[0], &o);
	int err = 0;

	if (!b)
		return 1;
	if (a->json)
		err = print_json(b, a);
	else
		print_all(b, a);
	block_close(b);
	return err ? 1 : 0;
}

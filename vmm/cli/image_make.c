/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "anykvm image create", "convert" and "resize". */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../error.h"
#include "image.h"
#include "progress.h"

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

static const char *format_for(const char *file, const char *asked)
{
	if (asked)
		return asked;
	return ends_with(file, ".raw") || ends_with(file, ".img") ? "raw" : "qcow2";
}

int image_command_create(const struct image_args *a)
{
	struct image_spec spec = a->spec;
	char text[32];

	spec.format = format_for(a->file[0], spec.format);
	if (a->nfiles < 2 && !spec.backing)
		return error("image create needs the size of %s (try --help)", a->file[0]),
			EXIT_USAGE;
	if (a->nfiles == 2 && parse_size(a->file[1], &spec.size) < 0)
		return error("image create takes a size such as 512M or 20G, not '%s'", a->file[1]),
			EXIT_USAGE;
	if (a->nfiles == 2 && !spec.size)
		return error("image create: a disk of size 0 is of no use"), EXIT_USAGE;
	spec.size = align_up(spec.size, BLOCK_SECTOR);
	if (image_create(a->file[0], &spec) < 0)
		return 1;
	if (spec.size)
		printf("%s: %s, %s\n", a->file[0], spec.format, size_text(spec.size, text));
	else
		printf("%s: %s, as large as %s\n", a->file[0], spec.format, spec.backing);
	return 0;
}

/* --- convert ---------------------------------------------------------------------------- */

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int copy_into(struct block *from, const char *path, const char *format)
{
	const struct block_options o = { .format = format };
	struct progress p = { .what = "copying", .bytes = true };
	const struct image_copy c = {
		.zeroed = is_file(path), .progress = progress_show, .arg = &p,
	};
	struct block *to = block_open(path, &o);
	int err;

	if (!to)
		return -1;
	err = image_copy(from, to, &c);
	progress_end(&p);
	if (block_close(to) < 0 && !err)
		err = error("%s: cannot be closed", path);
	return err;
}

int image_command_convert(const struct image_args *a)
{
	const struct block_options o = { .format = a->from, .readonly = true };
	const char *path = a->file[1];
	struct image_spec spec = a->spec;
	struct block_limits l;
	struct block *from;
	bool there = access(path, F_OK) == 0;
	int err;

	from = block_open(a->file[0], &o);
	if (!from)
		return 1;
	block_get_limits(from, &l);
	spec.format = format_for(path, spec.format);
	spec.size = l.size;
	err = image_create(path, &spec);
	if (!err) {
		err = copy_into(from, path, spec.format);
		if (err && !there)
			unlink(path);
	}
	block_close(from);
	return err ? 1 : 0;
}

/* --- resize ------------------------------------------------------------------------------- */

int image_command_resize(const struct image_args *a)
{
	const struct block_options o = { .format = a->spec.format };
	const char *size = a->file[1];
	struct block_limits l;
	struct block *b;
	char text[32];
	u64 n;
	int err;

	if (parse_size(*size == '+' ? size + 1 : size, &n) < 0 || (!n && *size != '+'))
		return error("image resize takes a size such as 20G or +5G, not '%s'", size),
			EXIT_USAGE;
	b = block_open(a->file[0], &o);
	if (!b)
		return 1;
	block_get_limits(b, &l);
	if (*size == '+' && n > UINT64_MAX - l.size)
		err = error("%s cannot be made larger by %s", a->file[0], size);
	else
		err = image_resize(b, a->file[0], *size == '+' ? l.size + n : n, a->shrink);
	if (!err)
		block_get_limits(b, &l);
	if (block_close(b) < 0 && !err)
		err = error("%s: cannot be closed", a->file[0]);
	if (!err)
		printf("%s: %s\n", a->file[0], size_text(l.size, text));
	return err ? 1 : 0;
}

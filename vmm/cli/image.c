/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command "image": its options, and which command below it is meant. */
#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "commands.h"
#include "image.h"
#include "tables.h"

/* --- options ---------------------------------------------------------------------- */

OPTION_TEXT(set_format, struct image_args, spec.format)
OPTION_TEXT(set_from, struct image_args, from)
OPTION_TEXT(set_backing, struct image_args, spec.backing)
OPTION_TEXT(set_backing_format, struct image_args, spec.backing_format)
OPTION_FLAG(set_force, struct image_args, spec.force)
OPTION_FLAG(set_json, struct image_args, json)
OPTION_FLAG(set_chain, struct image_args, chain)
OPTION_FLAG(set_shrink, struct image_args, shrink)

static int set_cluster_size(void *ctx, const char *value)
{
	u64 size;

	if (parse_size(value, &size) < 0 || size < 512 || size > 2 * MIB || size & (size - 1))
		return error("--cluster-size takes a power of 2 from 512 to 2M, not '%s'", value);
	((struct image_args *)ctx)->spec.cluster_size = (u32)size;
	return 0;
}

static int set_refcount_bits(void *ctx, const char *value)
{
	u64 n;

	if (parse_number(value, &n) < 0 || n < 1 || n > 64 || n & (n - 1))
		return error("--refcount-bits takes a power of 2 up to 64, not '%s'", value);
	((struct image_args *)ctx)->spec.refcount_bits = (unsigned int)n;
	return 0;
}

static int set_repair(void *ctx, const char *value)
{
	static const char *const kinds[] = { "leaks", "all", NULL };
	int kind = options_choice("--repair", value, kinds);

	((struct image_args *)ctx)->repair = kind ? REPAIR_ALL : REPAIR_LEAKS;
	return kind;
}

#define OPTION_FORMAT(what) { "--format", "raw|qcow2", what, set_format }
#define OPTION_CLUSTER { "--cluster-size", "SIZE", "of qcow2 (default: 64K)", set_cluster_size }
#define OPTION_REFCOUNT { "--refcount-bits", "N", "of qcow2 (default: 16)", set_refcount_bits }
#define OPTION_FORCE { "--force", NULL, "write over a file that is there", set_force }
#define OPTION_END { NULL, NULL, NULL, NULL }

const struct option_def image_create_options[] = {
	OPTION_FORMAT("qcow2 or raw (default: raw for *.raw and *.img,\nelse qcow2)"),
	{ "--backing", "FILE", "the image that shows through where nothing was\n"
	  "written; a relative name begins at the new image", set_backing },
	{ "--backing-format", "raw|qcow2", "its format (default: as it looks)",
	  set_backing_format },
	OPTION_CLUSTER, OPTION_REFCOUNT, OPTION_FORCE, OPTION_END
};

const struct option_def image_convert_options[] = {
	OPTION_FORMAT("of the new image (default: as for create)"),
	{ "--from", "raw|qcow2", "of the old image (default: as it looks)", set_from },
	OPTION_CLUSTER, OPTION_REFCOUNT, OPTION_FORCE, OPTION_END
};

const struct option_def image_resize_options[] = {
	OPTION_FORMAT("qcow2 or raw (default: as it looks)"),
	{ "--shrink", NULL, "allow a smaller size, which cuts off data", set_shrink },
	OPTION_END
};

const struct option_def image_info_options[] = {
	OPTION_FORMAT("qcow2 or raw (default: as it looks)"),
	{ "--chain", NULL, "tell of its backing files, too", set_chain },
	{ "--json", NULL, "in JSON, with the names that qemu-img uses", set_json },
	OPTION_END
};

const struct option_def image_check_options[] = {
	OPTION_FORMAT("qcow2 (default: as it looks)"),
	{ "--repair", "leaks|all", "leaks: give back space that is lost\n"
	  "all: correct reference counts, too", set_repair },
	OPTION_END
};

/* --- the commands -------------------------------------------------------------------- */

static const struct image_command {
	const char *name, *arguments, *summary;
	const struct option_def *options;
	unsigned int min, max;		/* arguments that are no options */
	int (*run)(const struct image_args *a);
	const char *more;
} commands[] = {
	{ "create", "FILE [SIZE]", "make an empty image; sizes as 512M or 20G",
	  image_create_options, 1, 2, image_command_create,
	  "SIZE may be left out when there is a backing file.\n" },
	{ "info", "FILE", "tell what an image is",
	  image_info_options, 1, 1, image_command_info, "" },
	{ "convert", "FILE NEW", "copy an image, into another format if need be",
	  image_convert_options, 2, 2, image_command_convert,
	  "The new image needs no backing file and has no internal snapshots.\n" },
	{ "check", "FILE", "compare an image with its own reference counts",
	  image_check_options, 1, 1, image_command_check,
	  "exit status: 0 nothing is wrong, 3 space is lost, 4 there are errors,\n"
	  "1 it could not be checked. What was repaired does not count.\n" },
	{ "resize", "FILE [+]SIZE", "make a disk larger or smaller", image_resize_options, 2, 2,
	  image_command_resize, "The guest has to make use of the new size itself.\n" },
};

void help_image(void)
{
	unsigned int i;

	printf("usage: anykvm image COMMAND [OPTION]... FILE...\n\n"
	       "Disk images: raw (the file is the disk) and qcow2.\n\ncommands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-8s %-14s %s\n", commands[i].name, commands[i].arguments,
		       commands[i].summary);
	printf("\nanykvm image COMMAND --help tells the options of each.\n");
}

static void help_command(const struct image_command *c)
{
	printf("usage: anykvm image %s [OPTION]... %s\n\n%s%soptions:\n", c->name, c->arguments,
	       c->more, *c->more ? "\n" : "");
	options_print(c->options);
}

/* Whether an argument is an option whose value is the next one. */
static bool takes_next(const struct option_def *table, const char *arg)
{
	for (; table->name; table++)
		if (!strcmp(table->name, arg))
			return table->arg != NULL;
	return false;
}

/* As options_parse, with arguments between the options. */
static int parse(const struct image_command *c, struct image_args *a, int argc, char **argv)
{
	int i, n, err;

	for (i = 0; i < argc; i += n) {
		n = 1;
		if (argv[i][0] == '-') {
			n = takes_next(c->options, argv[i]) && i + 1 < argc ? 2 : 1;
			err = options_parse(c->options, a, n, argv + i);
			if (err)
				return err;
		} else if (a->nfiles == c->max) {
			return error("image %s: unexpected argument '%s' (try --help)", c->name,
				     argv[i]);
		} else {
			a->file[a->nfiles++] = argv[i];
		}
	}
	if (a->nfiles < c->min)
		return error("image %s needs %s (try --help)", c->name, c->arguments);
	return 0;
}

int command_image(int argc, char **argv)
{
	struct image_args a = { .repair = REPAIR_NONE };
	unsigned int i;
	int err;

	if (!argc)
		return error("image needs a command (try --help)"), EXIT_USAGE;
	if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
		help_image();
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, argv[0]))
			continue;
		err = parse(&commands[i], &a, argc - 1, argv + 1);
		if (err > 0)
			help_command(&commands[i]);
		return err < 0 ? EXIT_USAGE : err ? 0 : commands[i].run(&a);
	}
	return error("image has no command '%s' (try --help)", argv[0]), EXIT_USAGE;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands below "anykvm image". */
#ifndef VMM_CLI_IMAGE_H
#define VMM_CLI_IMAGE_H

#include "../block/create.h"
#include "options.h"

struct image_args {
	struct image_spec spec;
	const char *from;		/* the format of the source */
	enum image_repair repair;
	bool json, chain, shrink;
	const char *file[2];		/* what is no option */
	unsigned int nfiles;
};

/* Each gives the exit status. */
int image_command_create(const struct image_args *a);
int image_command_convert(const struct image_args *a);
int image_command_resize(const struct image_args *a);
int image_command_info(const struct image_args *a);
int image_command_check(const struct image_args *a);

#endif

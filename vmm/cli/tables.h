/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every command with its options, for what is made of them: completion and manual pages. */
#ifndef VMM_CLI_TABLES_H
#define VMM_CLI_TABLES_H

#include "options.h"

enum operand { OPERAND_NONE, OPERAND_FILE, OPERAND_MACHINE, OPERAND_PROGRAM, OPERAND_COMMAND };

struct command_table {
	const char *name;		/* with the name of a command below it after a blank */
	const struct option_def *options;	/* or NULL */
	enum operand operand;		/* what it takes beside options */
};

extern const struct command_table command_tables[];	/* ended by a NULL name */

/* The tables that commands have. */
extern const struct option_def run_options[], exec_options[], stop_options[];
extern const struct option_def image_create_options[], image_convert_options[],
	image_resize_options[], image_info_options[], image_check_options[];

/* One line about a command; NULL when there is none of this name. */
const char *command_summary(const char *name);
/* The name of the n-th command; NULL behind the last. */
const char *command_name(unsigned int n);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list of commands with options and operands: a new command has a line here. */
#include "tables.h"

const struct command_table command_tables[] = {
	{ "run", run_options, OPERAND_FILE },
	{ "exec", exec_options, OPERAND_PROGRAM },
	{ "image create", image_create_options, OPERAND_FILE },
	{ "image info", image_info_options, OPERAND_FILE },
	{ "image convert", image_convert_options, OPERAND_FILE },
	{ "image check", image_check_options, OPERAND_FILE },
	{ "image resize", image_resize_options, OPERAND_FILE },
	{ "ps", NULL, OPERAND_NONE },
	{ "stop", stop_options, OPERAND_MACHINE },
	{ "console", NULL, OPERAND_MACHINE },
	{ "qmp", NULL, OPERAND_MACHINE },
	{ "info", NULL, OPERAND_NONE },
	{ "completion", NULL, OPERAND_NONE },
	{ "help", NULL, OPERAND_COMMAND },
	{ NULL, NULL, OPERAND_NONE },
};

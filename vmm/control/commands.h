/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands of QMP that there are. */
#ifndef VMM_CONTROL_COMMANDS_H
#define VMM_CONTROL_COMMANDS_H

#include "qmp.h"

/* How a command ended. */
struct qmp_error {
	const char *class;		/* NULL: GenericError */
	char desc[256];
	void (*after)(void *ctx);	/* of a success: to be called when the answer is sent */
};

struct qmp_command {
	const char *name;
	const char *arguments;		/* those it may have, by commas; NULL: none, "*": any */
	/* The value, or NULL after qmp_fail */
	json_t *(*run)(struct qmp *q, json_t *arguments, struct qmp_error *e);
};

/* NULL when there is none of this name. */
const struct qmp_command *commands_find(const struct qmp_ops *ops, const char *name);
/* Whether a command may have an argument of this name. */
bool commands_takes(const struct qmp_command *c, const char *argument);
/* What query-version answers. */
json_t *commands_version(void);

/* Notes the error; NULL. */
void *qmp_fail(struct qmp_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The argument's text; NULL, after qmp_fail when it is needed or no string. */
const char *qmp_string(json_t *arguments, const char *name, bool needed, struct qmp_error *e);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * add-fd, remove-fd, query-fdsets: a client passes a descriptor with its command
 * (SCM_RIGHTS, unix(7)), and other commands name it /dev/fdset/ID. Each set has one
 * descriptor.
 */
#include <errno.h>
#include <unistd.h>

#include "../block/fdset.h"
#include "state.h"

json_t *control_add_fd(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	int fd = q->passed, id;

	if (qmp_string(arguments, "opaque", false, e) == NULL && e->desc[0])
		return NULL;
	if (fd < 0)
		return qmp_fail(e, "No file descriptor supplied via SCM_RIGHTS");
	id = fdset_add(fd);
	if (id < 0)
		return qmp_fail(e, "there are too many descriptors: at most %d", FDSETS_MAX);
	q->passed = -1;
	return json_pack("{s:i, s:i}", "fdset-id", id, "fd", fd);
}

json_t *control_remove_fd(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	json_t *id = json_object_get(arguments, "fdset-id"), *fd = json_object_get(arguments, "fd");
	json_int_t n = json_integer_value(id);

	(void)q;
	if (!json_is_integer(id) || (fd && !json_is_integer(fd)))
		return qmp_fail(e, "parameter '%s' must be a number", fd ? "fd" : "fdset-id");
	if (n < 0 || n >= FDSETS_MAX || fdset_get((unsigned int)n) < 0 ||
	    (fd && json_integer_value(fd) != fdset_get((unsigned int)n)))
		return qmp_fail(e, "File descriptor named 'fdset-id:%lld' not found", (long long)n);
	fdset_remove((unsigned int)n);
	return json_object();
}

json_t *control_query_fdsets(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	json_t *all = json_array();
	unsigned int i;

	(void)q, (void)arguments, (void)e;
	for (i = 0; i < FDSETS_MAX; i++)
		if (fdset_get(i) >= 0)
			json_array_append_new(all, json_pack("{s:i, s:[{s:i}]}", "fdset-id", (int)i,
							     "fds", "fd", fdset_get(i)));
	return all;
}

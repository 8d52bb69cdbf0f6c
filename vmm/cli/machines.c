/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the running machines of this user by their control sockets. Sockets
 * that processes left behind when they were killed are removed on the way.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../backends/loop.h"
#include "../control/address.h"
#include "../error.h"
#include "machines.h"
#include "options.h"

#define ANSWER_NS (2 * NSEC)	/* for one of many to answer */

struct search {
	u64 pid;
	char name[NAME_MAX + 1];
};

static void socket_path(char path[2 * PATH_MAX], const char *name)
{
	char dir[PATH_MAX];

	address_dir(dir);
	snprintf(path, 2 * PATH_MAX, "%s/%s" ADDRESS_SUFFIX, dir, name);
}

/* Where another user could put sockets nobody is asked: 0, or -1 after an error line. */
static int check_dir(void)
{
	char dir[PATH_MAX];

	address_dir(dir);
	if (address_check_dir(dir) == -EPERM)
		return error("%s is not a directory of this user alone", dir);
	return 0;
}

static int is_socket(const struct dirent *d)
{
	size_t len = strlen(d->d_name), suffix = sizeof(ADDRESS_SUFFIX) - 1;

	return len > suffix && d->d_name[0] != '.' &&
	       !strcmp(d->d_name + len - suffix, ADDRESS_SUFFIX);
}

static void visit(const char *name, void (*fn)(void *ctx, const char *name, struct client_qmp *c),
		  void *ctx)
{
	char path[2 * PATH_MAX];
	struct client_qmp c;
	int err;

	socket_path(path, name);
	err = client_open(&c, path, monotonic_ns() + ANSWER_NS);
	if (err == -ECONNREFUSED)
		address_clean(path);
	else if (err == -ETIMEDOUT)
		error("the machine %s does not answer", name);
	else if (err < 0 && err != -ENOENT)
		error("cannot reach the machine %s: %s", name, strerror(-err));
	if (err < 0)
		return;
	fn(ctx, name, &c);
	client_close(&c);
}

int machines_each(void (*fn)(void *ctx, const char *name, struct client_qmp *c), void *ctx)
{
	struct dirent **list;
	char dir[PATH_MAX];
	int i, n;

	if (check_dir() < 0)
		return -1;
	address_dir(dir);
	n = scandir(dir, &list, is_socket, alphasort);
	if (n < 0)
		return errno == ENOENT ? 0 : error("cannot read %s: %s", dir, strerror(errno));
	for (i = 0; i < n; i++) {
		list[i]->d_name[strlen(list[i]->d_name) - (sizeof(ADDRESS_SUFFIX) - 1)] = 0;
		visit(list[i]->d_name, fn, ctx);
		free(list[i]);
	}
	free(list);
	return 0;
}

static void match_pid(void *ctx, const char *name, struct client_qmp *c)
{
	struct search *s = ctx;

	if ((u64)c->pid == s->pid)
		snprintf(s->name, sizeof(s->name), "%s", name);
}

int machines_open(struct client_qmp *c, const char *name, u64 timeout_ns)
{
	char path[2 * PATH_MAX];
	struct search s = { 0 };
	int err;

	if (parse_number(name, &s.pid) == 0) {
		if (machines_each(match_pid, &s) < 0)
			return -1;
		if (!s.name[0])
			return error("no machine of this user has the process id %s", name);
		name = s.name;
	} else if (!address_name_ok(name)) {
		return error("'%s' is neither a machine's name nor a process id", name);
	}
	if (check_dir() < 0)
		return -1;
	socket_path(path, name);
	err = client_open(c, path, monotonic_ns() + timeout_ns);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return error("no machine of this user is called %s", name);
	if (err == -ETIMEDOUT)
		return error("the machine %s does not answer", name);
	return err < 0 ? error("cannot reach the machine %s: %s", name, strerror(-err)) : 0;
}

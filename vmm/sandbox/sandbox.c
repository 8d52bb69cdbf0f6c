/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Giving up rights: with root an empty root folder, namespaces of the process's
 * own and an unprivileged user; in every case no new privileges and the filter on
 * system calls.
 *
 * The root folder is one that was removed: nothing can be made in it, and nothing
 * has to be cleaned up. A namespace of processes is of no use here, as the process
 * can neither start others nor send signals to them.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../error.h"
#include "broker.h"
#include "sandbox.h"

#define NOBODY 65534

/* Containers may forbid some of them: what is left defends without. */
static void leave_namespaces(const struct sandbox_policy *p)
{
	static const int kinds[] = { CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (unshare(kinds[i]) < 0)
			continue;
	if (!(p->needs & SANDBOX_INET) && unshare(CLONE_NEWNET) < 0)
		return;
}

static int empty_root(void)
{
	char folder[] = "/tmp/anykvm-empty-XXXXXX";

	if (!mkdtemp(folder))
		return error("--sandbox: cannot make an empty folder: %s", strerror(errno));
	if (chdir(folder) < 0 || rmdir(folder) < 0 || chroot(".") < 0)
		return error("--sandbox: cannot change to an empty root folder: %s",
			     strerror(errno));
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0, 0, 0 } };

	/* of this thread, from which those of the guest come */
	if (syscall(SYS_capset, &h, none) < 0)
		return error("--sandbox: cannot give up root's capabilities: %s", strerror(errno));
	return 0;
}

static int drop_root(const struct sandbox_policy *p)
{
	leave_namespaces(p);
	if (empty_root() < 0)
		return -1;
	/* root of a user namespace may be the only user there, and is none outside */
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return drop_capabilities();
	return 0;
}

int sandbox_enter(void (*before_death)(void))
{
	struct sandbox_policy *p = &sandbox_policy;
	int opener = broker_start(p);

	if (opener < 0)
		return -1;
	if (geteuid() == 0 && drop_root(p) < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error("--sandbox: cannot give up new privileges: %s", strerror(errno));
	p->entered = true;
	error_set_note(filter_hint);
	return filter_load(p, opener, before_death);
}

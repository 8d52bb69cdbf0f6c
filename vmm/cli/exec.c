/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command "exec": becomes a program that uses /dev/kvm, with the shim
 * under it. Exit status, when that fails, as of env(1) and the shells: 127 no
 * such program, 126 it cannot be executed or served, 125 anykvm's own failure.
 */
#include <errno.h>
#include <limits.h>
#include <paths.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../shim/launch.h"
#include "../../shim/plan.h"
#include "../../shim/shim.h"
#include "../error.h"
#include "commands.h"
#include "tables.h"

#ifndef ANYKVM_LIBDIR
#define ANYKVM_LIBDIR "/usr/local/lib"
#endif
#define SHIM_NAME "libanykvm-shim.so"

enum { EXIT_OURS = 125, EXIT_CANNOT = 126, EXIT_NOT_FOUND = 127 };

extern char **environ;
char shim_path[4096];

/* --- options ---------------------------------------------------------------------- */

struct exec {
	const char *trap;
};

static int set_trap(void *ctx, const char *value)
{
	static const char *const kinds[] = { "auto", "always", NULL };

	((struct exec *)ctx)->trap = value;
	return options_choice("--trap", value, kinds);
}

const struct option_def exec_options[] = {
	{ "--trap", "auto|always", "trap the program's system calls:\n"
	  "auto (default): of static programs, of those written\n"
	  "in Go, of those for another C library than GNU's\n"
	  "always: of every program", set_trap },
	{ NULL, NULL, NULL, NULL },
};

void help_exec(void)
{
	printf("usage: anykvm exec [OPTION]... [--] PROGRAM [ARGUMENT]...\n\n"
	       "Runs a program that uses /dev/kvm, such as qemu-system-x86_64, with the\n"
	       "software engine in place of the kernel's KVM. The program is not changed. For\n"
	       "it and for the programs that it starts, /dev/kvm is there and may be used,\n"
	       "whether or not this host has one. PROGRAM is searched for in PATH.\n\n"
	       "options:\n");
	options_print(exec_options);
	printf("\n"
	       "A program that uses the GNU C library gets " SHIM_NAME " preloaded\n"
	       "and runs at full speed outside of KVM. Of any other (static, Go, musl) each\n"
	       "system call is trapped, at a cost of some microseconds; this needs Linux 5.11.\n\n"
	       "Not served, and refused: programs for other processors and 32-bit ones,\n"
	       "set-user-ID and set-group-ID programs and those with file capabilities.\n"
	       "When such a program is started by a served one it runs without the shim.\n\n"
	       "environment:\n"
	       "  ANYKVM_SHIM           the library to use: else the one beside anykvm, or in\n"
	       "                        " ANYKVM_LIBDIR "\n"
	       "  LD_PRELOAD            further libraries to preload are kept\n\n"
	       "exit status:\n"
	       "  127                   there is no such program\n"
	       "  126                   it cannot be executed, or not be served\n"
	       "  125                   anykvm itself failed\n"
	       "  2                     wrong command line\n"
	       "  other                 that of the program\n\n"
	       "example:\n"
	       "  anykvm exec qemu-system-x86_64 -accel kvm -cpu host -m 1G disk.img\n");
}

/* How many of the arguments are ours: up to "--" or the first that is no option. */
static int own_arguments(int argc, char **argv)
{
	int i = 0;

	while (i < argc && argv[i][0] == '-' && strcmp(argv[i], "--"))
		i += !strcmp(argv[i], "--trap") ? 2 : 1;
	return i < argc ? i : argc;
}

/* --- the library -------------------------------------------------------------------- */

static bool usable(const char *path)
{
	return realpath(path, shim_path) && access(shim_path, R_OK | X_OK) == 0;
}

static int find_shim(void)
{
	const char *named = getenv("ANYKVM_SHIM");
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(SHIM_NAME));
	char *slash;

	if (named && !usable(named))
		return error("cannot use %s, which ANYKVM_SHIM names: %s", named, strerror(errno));
	if (!named) {
		path[n > 0 ? n : 0] = 0;
		slash = strrchr(path, '/');
		strcpy(slash ? slash + 1 : path, SHIM_NAME);
		if (!usable(path) && !usable(ANYKVM_LIBDIR "/" SHIM_NAME))
			return error("cannot find " SHIM_NAME " beside anykvm or in "
				     ANYKVM_LIBDIR);
	}
	if (strpbrk(shim_path, ": "))
		return error("cannot use %s: ld.so takes no path with a blank or colon", shim_path);
	return 0;
}

/* --- the program --------------------------------------------------------------------- */

static bool candidate(const char *path, int *err)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno != ENOTDIR)
			*err = errno;
		return false;
	}
	if (S_ISREG(st.st_mode) && access(path, X_OK) == 0)
		return true;
	*err = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
	return false;
}

/* Where PROGRAM is: 0 with path filled, or an errno. */
static int find_program(const char *name, char path[PATH_MAX])
{
	const char *list = getenv("PATH"), *end;
	int err = ENOENT, best = ENOENT;

	if (strlen(name) >= PATH_MAX)
		return ENAMETOOLONG;
	if (strchr(name, '/') || !*name) {
		strcpy(path, name);
		return candidate(path, &err) ? 0 : err;
	}
	for (list = list ? list : _PATH_STDPATH; list; list = *end ? end + 1 : NULL) {
		end = strchrnul(list, ':');
		if (snprintf(path, PATH_MAX, "%.*s%s%s", (int)(end - list), list,
			     end > list ? "/" : "", name) >= PATH_MAX)
			continue;
		if (candidate(path, &err))
			return 0;
		if (err == EACCES)
			best = EACCES;
	}
	return best;
}

static int run_it(void *ctx, const char *path, char *const *argv, char *const *env)
{
	(void)ctx;
	return execve(path, argv, env);
}

static int explain(const char *name, int err)
{
	if (err == ENOENT || err == ENOTDIR)
		error("%.200s: there is no such program", name);
	else if (err == ENOEXEC)
		error("%s: is no program that Linux can execute", name);
	else
		error("%.200s: cannot be executed: %s", name, strerror(err));
	return err == ENOENT || err == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT;
}

static int start(const struct exec *e, char **argv)
{
	char path[PATH_MAX];
	struct plan plan;
	int err = find_program(argv[0], path);

	if (err)
		return explain(argv[0], err);
	if (find_shim() < 0)
		return EXIT_OURS;
	err = plan_program(path, e->trap && !strcmp(e->trap, "always"), &plan);
	if (err)
		return explain(argv[0], -err);
	if (plan.how == PLAN_NONE)
		return error("%s: cannot be served: it %s", argv[0], plan.why), EXIT_CANNOT;
	if (e->trap && setenv(ENV_TRAP, e->trap, 1) < 0)
		return error("cannot set the environment: %s", strerror(errno)), EXIT_OURS;
	launch(path, argv, environ, run_it, NULL);
	err = errno;
	if (err == ENOENT)	/* the file is there, so it is what the file asks for */
		return error("%s: its interpreter or loader is missing", argv[0]), EXIT_CANNOT;
	return explain(argv[0], err);
}

int command_exec(int argc, char **argv)
{
	struct exec e = { NULL };
	int own = own_arguments(argc, argv);
	int err = options_parse(exec_options, &e, own, argv);

	if (err > 0) {
		help_exec();
		return 0;
	}
	if (err < 0)
		return EXIT_USAGE;
	if (own < argc && !strcmp(argv[own], "--"))
		own++;
	if (own >= argc)
		return error("exec needs a program to run (try --help)"), EXIT_USAGE;
	return start(&e, argv + own);
}

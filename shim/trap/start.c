/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shim as a program: loads the one that ANYKVM_LOAD names and becomes it.
 */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/rseq.h>
#include <unistd.h>

#include "../launch.h"
#include "../plan.h"
#include "trap.h"

enum { EXIT_CANNOT = 126, EXIT_NOT_FOUND = 127 };

int shim_main(int argc, char **argv, char **env);

/* --- the shim's own text --------------------------------------------------------------- */

static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	unsigned long here = (unsigned long)arg;
	int i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		unsigned long start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && here >= start && here < start + p->p_memsz) {
			trap_text = start;
			trap_text_size = p->p_memsz;
			return 1;
		}
	}
	return 0;
}

/* --- the program's stack ------------------------------------------------------------------ */

static unsigned long aux_value(const struct image *im, const unsigned long *random,
			       unsigned long type, unsigned long old)
{
	switch (type) {
	case AT_PHDR:
		return im->phdr;
	case AT_PHNUM:
		return im->phnum;
	case AT_BASE:
		return im->base;
	case AT_ENTRY:
		return im->program_entry;
	case AT_EXECFN:
		return (unsigned long)trap_program;
	case AT_RANDOM:
		return (unsigned long)random;
	default:
		return old;
	}
}

/*
 * Arguments, environment and auxiliary vector as the kernel puts them (System
 * V ABI AMD64, 3.4.1). The strings stay where the kernel has put them.
 */
static void fill(unsigned long *sp, int argc, char **argv, char **env, const struct image *im)
{
	static unsigned long random[2];
	const unsigned long *aux;
	int i;

	if (getrandom(random, sizeof(random), GRND_NONBLOCK) < 0)
		memcpy(random, (void *)getauxval(AT_RANDOM), sizeof(random));
	*sp++ = (unsigned long)argc;
	for (i = 0; i < argc; i++)
		*sp++ = (unsigned long)argv[i];
	*sp++ = 0;
	for (i = 0; env[i]; i++)
		if (strncmp(env[i], ENV_LOAD "=", sizeof(ENV_LOAD)))
			*sp++ = (unsigned long)env[i];
	*sp++ = 0;
	for (aux = (unsigned long *)&env[i + 1]; *aux != AT_NULL; aux += 2) {
		*sp++ = aux[0];
		*sp++ = aux_value(im, random, aux[0], aux[1]);
	}
	*sp++ = AT_NULL;
	*sp = 0;
}

static size_t words(int argc, char **env)
{
	const unsigned long *aux;
	size_t n = 0, m = 0;

	while (env[n])
		n++;
	for (aux = (unsigned long *)&env[n + 1]; aux[m] != AT_NULL; m += 2)
		;
	return 1 + (size_t)argc + 1 + n + 1 + m + 2;
}

/* The area that the C library of this thread has registered; the program's wants to. */
static void leave_rseq(void)
{
#ifdef RSEQ_SIG
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	if (__rseq_size)
		SYS4(SYS_rseq, area, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

static int fail(const char *what, int err)
{
	fprintf(stderr, "anykvm: %s: cannot load %s: %s\n", trap_program, what,
		err == ENOEXEC ? "it is not of a form that Linux executes" : strerror(err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT;
}

int shim_main(int argc, char **argv, char **env)
{
	const char *path = plan_getenv(env, ENV_LOAD), *why, *name;
	struct image image;
	unsigned long *sp;
	int err;

	if (!path) {
		printf("This is a part of anykvm, which runs programs that use /dev/kvm.\n"
		       "It is used by the command: anykvm exec PROGRAM [ARGUMENT]...\n");
		return 0;
	}
	if (!realpath(path, trap_program))
		strncpy(trap_program, path, sizeof(trap_program) - 1);
	err = trap_load(path, &image, &why);
	if (!strncmp(path, LAUNCH_FD, strlen(LAUNCH_FD)))
		close(atoi(path + strlen(LAUNCH_FD)));
	if (err)
		return fail(why, -err);
	trap_brk_start = image.brk;
	name = strrchr(trap_program, '/');
	prctl(PR_SET_NAME, name ? name + 1 : trap_program);
	dl_iterate_phdr(find_text, (void *)trap_start);
	err = trap_threads_init();
	if (err)
		return fail("what goes with it", -err);
	trap_signals_init();
	fflush(NULL);
	sp = __builtin_alloca_with_align(words(argc, env) * sizeof(*sp) + 16, 128);
	fill(sp, argc, argv, env, &image);
	leave_rseq();
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, trap_text, trap_text_size,
		  NULL) < 0) {
		fprintf(stderr, "anykvm: %s: cannot trap its system calls: this kernel has no "
			"syscall user dispatch (Linux 5.11)\n", trap_program);
		return EXIT_CANNOT;
	}
	trap_start((unsigned long)sp, image.entry);
}

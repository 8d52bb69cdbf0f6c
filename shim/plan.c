/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking at programs before they are executed (execve(2), elf(5), ld.so(8)).
 *
 * This may run in a child between vfork and exec, or on a thread that knows no
 * C library: it makes system calls only and keeps all on the stack.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan.h"
#include "shim.h"
#include "sys.h"

#define MAX_HEADERS 64
#define NOTE_BYTES 512

/* --- strings ------------------------------------------------------------------------ */

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static bool starts(const char *s, const char *with)
{
	while (*with)
		if (*s++ != *with++)
			return false;
	return true;
}

static bool equal(const char *a, const char *b)
{
	return starts(a, b) && length(a) == length(b);
}

static char *append(char *to, const char *s)
{
	while (*s)
		*to++ = *s++;
	*to = 0;
	return to;
}

/* --- the file ------------------------------------------------------------------------- */

static bool read_at(int fd, void *buf, size_t size, uint64_t offset)
{
	return SYS4(SYS_pread64, fd, buf, size, offset) == (long)size;
}

/* What the kernel would make the program run as, for which the loader takes no preload. */
static const char *privileged(int fd)
{
	struct stat st;
	char caps[64];

	if (SYS2(SYS_fstat, fd, &st) < 0)
		return NULL;
	if (st.st_mode & S_ISUID && st.st_uid != (uid_t)SYS0(SYS_geteuid))
		return "is set-user-ID to another user, and takes no library from its caller";
	if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	    st.st_gid != (gid_t)SYS0(SYS_getegid))
		return "is set-group-ID to another group, and takes no library from its caller";
	if (SYS0(SYS_geteuid) != 0 &&
	    SYS4(SYS_fgetxattr, fd, "security.capability", caps, sizeof(caps)) > 0)
		return "has file capabilities, and takes no library from its caller";
	return NULL;
}

/* Go programs make system calls themselves, also when they use the C library. */
static bool go_note(int fd, const Elf64_Phdr *p)
{
	static const uint32_t want[] = { 4, 4 };	/* name size, type; the name is "Go" */
	char buf[NOTE_BYTES];
	uint64_t size = p->p_filesz < sizeof(buf) ? p->p_filesz : sizeof(buf), at = 0;
	Elf64_Nhdr h;

	if (!read_at(fd, buf, size, p->p_offset))
		return false;
	while (at + sizeof(h) + 4 <= size) {
		shim_copy(&h, buf + at, sizeof(h));
		if (h.n_namesz == want[0] && h.n_type == want[1] &&
		    starts(buf + at + sizeof(h), "Go"))
			return true;
		if (h.n_namesz > size || h.n_descsz > size)
			return false;
		at += sizeof(h) + ((h.n_namesz + 3) & ~3u) + ((h.n_descsz + 3) & ~3u);
	}
	return false;
}

/* Only the GNU C library's loader can preload a library that needs that C library. */
static bool gnu_loader(int fd, const Elf64_Phdr *p)
{
	static const char want[] = "ld-linux-x86-64.so.2";
	char path[256];
	uint64_t size = p->p_filesz;

	if (size < sizeof(want) || size > sizeof(path) || !read_at(fd, path, size, p->p_offset))
		return false;
	path[size - 1] = 0;
	return equal(path + size - sizeof(want), want);
}

static int plan_elf(int fd, const Elf64_Ehdr *e, bool trap, struct plan *plan)
{
	Elf64_Phdr p;
	bool gnu = false;
	int i;

	if (e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_machine != EM_X86_64) {
		plan->why = e->e_machine == EM_386 || e->e_machine == EM_X86_64 ?
				    "is a 32-bit program" :
				    "is a program for another processor architecture";
		return 0;
	}
	if ((e->e_type != ET_EXEC && e->e_type != ET_DYN) || e->e_phentsize != sizeof(p) ||
	    e->e_phnum > MAX_HEADERS)
		return -ENOEXEC;
	for (i = 0; i < e->e_phnum; i++) {
		if (!read_at(fd, &p, sizeof(p), e->e_phoff + (uint64_t)i * sizeof(p)))
			return -ENOEXEC;
		if (p.p_type == PT_INTERP)
			gnu = gnu_loader(fd, &p);
		else if (p.p_type == PT_NOTE && go_note(fd, &p))
			trap = true;
	}
	plan->how = gnu && !trap ? PLAN_PRELOAD : PLAN_LOAD;
	return 0;
}

/* --- scripts ----------------------------------------------------------------------------- */

static int open_program(const char *path, bool may_be_script, bool trap, struct plan *plan);

/* Splits the first line as the kernel does: the interpreter, and one argument. */
static int plan_script(bool trap, struct plan *plan)
{
	char *s = plan->line + 2, *end;
	struct plan sub;
	int r;

	for (end = s; *end && *end != '\n'; end++)
		;
	while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = 0;
	while (*s == ' ' || *s == '\t')
		s++;
	plan->interpreter = s;
	while (*s && *s != ' ' && *s != '\t')
		s++;
	if (*s)
		*s++ = 0;
	while (*s == ' ' || *s == '\t')
		s++;
	plan->argument = *s ? s : NULL;
	if (!*plan->interpreter)
		return -ENOEXEC;
	r = open_program(plan->interpreter, false, trap, &sub);
	plan->why = sub.why;
	plan->how = sub.how == PLAN_LOAD ? PLAN_SCRIPT : sub.how;
	return r;
}

static int look(int fd, bool may_be_script, bool trap, struct plan *plan)
{
	union {
		Elf64_Ehdr e;
		char line[PLAN_LINE];
	} head;
	long n;

	plan->why = privileged(fd);
	if (plan->why)
		return 0;
	shim_clear(&head, sizeof(head));
	n = SYS4(SYS_pread64, fd, &head, sizeof(head.line) - 1, 0);
	if (n >= 2 && head.line[0] == '#' && head.line[1] == '!') {
		if (!may_be_script) {	/* the kernel finds its way, with the C library's loader */
			plan->how = PLAN_PRELOAD;
			return 0;
		}
		shim_copy(plan->line, head.line, sizeof(head.line));
		return plan_script(trap, plan);
	}
	if (n < (long)sizeof(head.e) || !starts(head.line, ELFMAG))
		return -ENOEXEC;
	return plan_elf(fd, &head.e, trap, plan);
}

static int open_program(const char *path, bool may_be_script, bool trap, struct plan *plan)
{
	struct stat st;
	int fd;
	long r;

	plan->how = PLAN_NONE;
	plan->why = NULL;
	r = SYS4(SYS_newfstatat, AT_FDCWD, path, &st, 0);
	if (r < 0)
		return (int)r;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	r = SYS4(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS);
	if (r < 0 && r != -ENOSYS)
		return (int)r;
	fd = (int)SYS4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0) {
		plan->why = "may not be read, so how to serve it cannot be told";
		return 0;
	}
	r = look(fd, may_be_script, trap, plan);
	SYS1(SYS_close, fd);
	return (int)r;
}

int plan_program(const char *path, bool trap, struct plan *plan)
{
	return open_program(path, true, trap, plan);
}

/* --- the environment ------------------------------------------------------------------------ */

const char *plan_getenv(char *const *env, const char *name)
{
	size_t len = length(name);

	for (; env && *env; env++)
		if (starts(*env, name) && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

size_t plan_env_room(char *const *env)
{
	size_t n = 0;

	while (env && env[n])
		n++;
	return n + 3;
}

size_t plan_env_text(char *const *env, const char *shim, const char *load)
{
	const char *old = plan_getenv(env, ENV_PRELOAD);

	return sizeof(ENV_PRELOAD) + sizeof(ENV_LOAD) + 4 + length(shim) +
	       (old ? length(old) : 0) + (load ? length(load) : 0);
}

/* The list of libraries without the shim: how long what was put at out is. */
static size_t without_shim(char *out, const char *list, const char *shim)
{
	size_t len = length(shim), n = 0, word;

	while (*list) {
		for (word = 0; list[word] && list[word] != ':' && list[word] != ' '; word++)
			;
		if (word && !(word == len && starts(list, shim))) {
			if (n)
				out[n++] = ':';
			shim_copy(out + n, list, word);
			n += word;
		}
		list += word + (list[word] != 0);
	}
	out[n] = 0;
	return n;
}

void plan_env(char *const *env, const char *shim, const char *load, char **out, char *text)
{
	const char *old = plan_getenv(env, ENV_PRELOAD);
	char *at = append(text, ENV_PRELOAD "=");
	size_t others;

	for (; env && *env; env++)
		if (!starts(*env, ENV_PRELOAD "=") && !starts(*env, ENV_LOAD "="))
			*out++ = *env;
	if (!load)
		at = append(at, shim);
	if (old) {
		if (!load)
			*at++ = ':';
		others = without_shim(at, old, shim);
		at += others;
		if (!load && !others)
			*--at = 0;
	}
	if (at[-1] != '=')
		*out++ = text;
	if (load) {
		*out++ = at + 1;
		append(append(at + 1, ENV_LOAD "="), load);
	}
	*out = NULL;
}

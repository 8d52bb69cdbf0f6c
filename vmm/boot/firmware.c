/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loading firmware images. Variables are kept in a shared mapping of their
 * file, which is locked: two machines would ruin them for each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../devices/props.h"
#include "../error.h"
#include "firmware.h"

#define SIZE_MAX_ROM (8 * MIB)
#define PAGE 4096

/* Where distributions put them; the package is Debian's. */
static const struct known {
	const char *name, *rom, *vars, *package;
} known[] = {
	{ "bios", "/usr/share/seabios/bios-256k.bin", NULL, "seabios" },
	{ "uefi", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf" },
};

/* Opens a file of whole pages: a descriptor, or -1 after an error line. */
static int open_image(const char *path, int flags, const struct known *k, u64 *size)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && k)
		return error("cannot open the firmware '%s': %s (Debian's package %s has it)",
			     path, strerror(errno), k->package);
	if (fd < 0)
		return error("cannot open the firmware '%s': %s", path, strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    st.st_size % PAGE == 0 && (u64)st.st_size <= SIZE_MAX_ROM) {
		*size = (u64)st.st_size;
		return fd;
	}
	close(fd);
	return error("'%s' is no firmware: it must be a file of whole pages, up to 8 MiB", path);
}

/* A private copy: the mapping takes what the file is now, as far as it is touched. */
static u8 *map_image(const char *path, const struct known *k, u64 *size)
{
	int fd = open_image(path, O_RDONLY, k, size);
	u8 *p;

	if (fd < 0)
		return NULL;
	p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		return p;
	error("cannot map the firmware '%s': %s", path, strerror(errno));
	return NULL;
}

/* Makes the file for the variables from the template: 0, or -1 after an error line. */
static int make_vars(const char *path, const u8 *template, u64 size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	u64 done = 0;

	if (fd < 0)
		return error("cannot make '%s' for the firmware's variables: %s", path,
			     strerror(errno));
	while (done < size) {
		ssize_t n = write(fd, template + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (u64)n;
	}
	if (close(fd) == 0 && done == size)
		return 0;
	unlink(path);
	return error("cannot write '%s': %s", path, strerror(errno));
}

static int open_vars(struct firmware *f, const char *path)
{
	u64 size;
	u8 *p;

	if (access(path, F_OK) < 0 && make_vars(path, f->vars, f->vars_size) < 0)
		return -1;
	f->vars_fd = open_image(path, O_RDWR, NULL, &size);
	if (f->vars_fd < 0)
		return -1;
	if (size != f->vars_size)
		return error("'%s' has %llu bytes, the firmware's variables %llu", path,
			     (unsigned long long)size, (unsigned long long)f->vars_size);
	if (flock(f->vars_fd, LOCK_EX | LOCK_NB) < 0)
		return error("'%s' is in use by another machine", path);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f->vars_fd, 0);
	if (p == MAP_FAILED)
		return error("cannot map '%s': %s", path, strerror(errno));
	munmap(f->vars, f->vars_size);
	f->vars = p;
	return 0;
}

static const struct known *find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(name, known[i].name))
			return &known[i];
	return NULL;
}

static int load(struct firmware *f, struct props *p)
{
	const struct known *k = find(p->type);
	const char *path = k ? k->rom : p->type;
	const char *vars = props_string(p, "vars", NULL);
	const char *template = props_string(p, "template", k ? k->vars : vars);

	if (props_finish(p) < 0)
		return -1;
	f->rom = map_image(path, k, &f->size);
	if (!f->rom)
		return -1;
	if (template) {
		f->vars = map_image(template, k, &f->vars_size);
		if (!f->vars)
			return -1;
	} else if (vars) {
		return error("the firmware '%s' keeps no variables", p->type);
	}
	f->uefi = template;
	return vars ? open_vars(f, vars) : 0;
}

int firmware_load(struct firmware *f, const char *option)
{
	struct props p;
	int r = -1;

	memset(f, 0, sizeof(*f));
	f->vars_fd = -1;
	if (props_parse(&p, option) == 0)
		r = load(f, &p);
	props_free(&p);
	return r;
}

void firmware_free(struct firmware *f)
{
	if (f->rom)
		munmap(f->rom, f->size);
	if (f->vars)
		munmap(f->vars, f->vars_size);
	if (f->vars_fd >= 0)
		close(f->vars_fd);
	memset(f, 0, sizeof(*f));
	f->vars_fd = -1;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps a program as the kernel's execve would (elf(5), System V ABI chapter 5),
 * with its interpreter when it names one.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trap.h"

#define PAGE 4096ul
#define MAX_HEADERS 64
/* A place for position-independent programs with much room behind it for their heap. */
#define PROGRAM_BASE 0x200000000000ul
#define PROGRAM_SPREAD 0xfffffffful	/* in pages */

struct file {
	int fd;
	Elf64_Ehdr e;
	Elf64_Phdr p[MAX_HEADERS];
	unsigned long low, high;	/* of all segments */
	unsigned long bias;
};

static unsigned long down(unsigned long a)
{
	return a & ~(PAGE - 1);
}

static unsigned long up(unsigned long a)
{
	return (a + PAGE - 1) & ~(PAGE - 1);
}

static int read_headers(struct file *f)
{
	size_t size;
	int i;

	if (SYS4(SYS_pread64, f->fd, &f->e, sizeof(f->e), 0) != sizeof(f->e) ||
	    memcmp(f->e.e_ident, ELFMAG, SELFMAG) || f->e.e_machine != EM_X86_64 ||
	    f->e.e_ident[EI_CLASS] != ELFCLASS64 || f->e.e_phentsize != sizeof(f->p[0]) ||
	    !f->e.e_phnum || f->e.e_phnum > MAX_HEADERS ||
	    (f->e.e_type != ET_EXEC && f->e.e_type != ET_DYN))
		return -ENOEXEC;
	size = f->e.e_phnum * sizeof(f->p[0]);
	if (SYS4(SYS_pread64, f->fd, f->p, size, f->e.e_phoff) != (long)size)
		return -ENOEXEC;
	f->low = ~0ul;
	f->high = 0;
	for (i = 0; i < f->e.e_phnum; i++) {
		const Elf64_Phdr *p = &f->p[i];

		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_filesz > p->p_memsz || p->p_vaddr + p->p_memsz < p->p_vaddr ||
		    (p->p_vaddr - p->p_offset) & (PAGE - 1))
			return -ENOEXEC;
		if (down(p->p_vaddr) < f->low)
			f->low = down(p->p_vaddr);
		if (up(p->p_vaddr + p->p_memsz) > f->high)
			f->high = up(p->p_vaddr + p->p_memsz);
	}
	return f->high > f->low ? 0 : -ENOEXEC;
}

/* The segment's data beyond its file, and the rest of the pages that it begins and ends in. */
static int map_zeroes(const Elf64_Phdr *p, unsigned long bias, int prot)
{
	unsigned long start = bias + p->p_vaddr + p->p_filesz;
	unsigned long end = bias + p->p_vaddr + p->p_memsz;
	long r;

	if (p->p_memsz == p->p_filesz)
		return 0;
	if (prot & PROT_WRITE && p->p_filesz)
		memset((void *)start, 0, up(start) - start);
	if (up(end) <= up(start))
		return 0;
	r = SYS6(SYS_mmap, up(start), up(end) - up(start), prot,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return shim_failed(r) ? (int)r : 0;
}

static int map_segment(const struct file *f, const Elf64_Phdr *p)
{
	unsigned long at = f->bias + down(p->p_vaddr), skip = p->p_vaddr & (PAGE - 1);
	int prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
		   (p->p_flags & PF_X ? PROT_EXEC : 0);
	long r;

	if (p->p_filesz) {
		r = SYS6(SYS_mmap, at, p->p_filesz + skip, prot, MAP_PRIVATE | MAP_FIXED, f->fd,
			 p->p_offset - skip);
		if (shim_failed(r))
			return (int)r;
	}
	return map_zeroes(p, f->bias, prot);
}

/* Takes the addresses first, so that nothing else is there. */
static int map_file(struct file *f, unsigned long hint)
{
	unsigned long size = f->high - f->low;
	unsigned long want = f->e.e_type == ET_EXEC ? f->low : hint;
	long r;
	int i;

	r = SYS6(SYS_mmap, want, size, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
			 (f->e.e_type == ET_EXEC ? MAP_FIXED_NOREPLACE : 0), -1, 0);
	if (shim_failed(r))
		return (int)r;
	if (f->e.e_type == ET_EXEC && (unsigned long)r != want)
		return -EEXIST;
	f->bias = (unsigned long)r - f->low;
	for (i = 0; i < f->e.e_phnum; i++) {
		int err = f->p[i].p_type == PT_LOAD ? map_segment(f, &f->p[i]) : 0;

		if (err)
			return err;
	}
	return 0;
}

static unsigned long header_address(const struct file *f)
{
	unsigned long off = f->e.e_phoff;
	int i;

	for (i = 0; i < f->e.e_phnum; i++) {
		const Elf64_Phdr *p = &f->p[i];

		if (p->p_type == PT_PHDR)
			return f->bias + p->p_vaddr;
		if (p->p_type == PT_LOAD && p->p_offset <= off && off < p->p_offset + p->p_filesz)
			return f->bias + p->p_vaddr + (off - p->p_offset);
	}
	return 0;
}

static int load_one(const char *path, struct file *f, unsigned long hint)
{
	int err;

	f->fd = (int)SYS4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (f->fd < 0)
		return f->fd;
	err = read_headers(f);
	if (!err)
		err = map_file(f, hint);
	return err;
}

static int load_interpreter(const struct file *program, struct image *image, const char **why)
{
	static struct file f;
	char path[4096];
	int i, err;

	for (i = 0; i < program->e.e_phnum; i++) {
		const Elf64_Phdr *p = &program->p[i];

		if (p->p_type != PT_INTERP)
			continue;
		if (!p->p_filesz || p->p_filesz > sizeof(path) ||
		    SYS4(SYS_pread64, program->fd, path, p->p_filesz, p->p_offset) !=
			    (long)p->p_filesz)
			return -ENOEXEC;
		path[p->p_filesz - 1] = 0;
		*why = "its interpreter";
		err = load_one(path, &f, 0);
		if (f.fd >= 0)
			SYS1(SYS_close, f.fd);
		if (err)
			return err;
		image->base = f.bias + f.low;
		image->entry = f.bias + f.e.e_entry;
		return 0;
	}
	return 0;
}

static unsigned long random_base(void)
{
	unsigned long r = 0;

	SYS3(SYS_getrandom, &r, sizeof(r), 0);
	return PROGRAM_BASE + (r & PROGRAM_SPREAD) * PAGE;
}

int trap_load(const char *path, struct image *image, const char **why)
{
	static struct file f;
	int err;

	*why = "it";
	memset(image, 0, sizeof(*image));
	err = load_one(path, &f, random_base());
	if (!err) {
		image->entry = image->program_entry = f.bias + f.e.e_entry;
		image->phdr = header_address(&f);
		image->phnum = f.e.e_phnum;
		image->brk = f.bias + f.high;
		err = load_interpreter(&f, image, why);
	}
	if (f.fd >= 0)
		SYS1(SYS_close, f.fd);
	return err;
}

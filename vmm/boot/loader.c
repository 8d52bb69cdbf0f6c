/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the loading of every kind of kernel shares: reading files, telling
 * kinds apart, the memory map, the command line, the initial ramdisk and the
 * GDT of the entry state. The Linux boot protocol (Documentation/x86/boot.rst)
 * and PVH want the same segments; the selectors are Linux's __BOOT_CS and
 * __BOOT_DS.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../error.h"
#include "boot.h"

#define KERNEL_FILE_MAX (2 * GIB)

/* Opens a regular file and tells its size: a descriptor, or -1 after an error line. */
static int open_file(const char *what, const char *path, u64 *size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return error("cannot open the %s '%s': %s", what, path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error("the %s '%s' is not a regular file", what, path);
	}
	*size = (u64)st.st_size;
	return fd;
}

/* Reads exactly size bytes: 0, or -1 after an error line. */
static int read_file(int fd, const char *what, const char *path, u8 *to, u64 size)
{
	while (size) {
		ssize_t n = read(fd, to, size < GIB ? size : GIB);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error("cannot read the %s '%s': %s", what, path, strerror(errno));
		if (n == 0)
			return error("the %s '%s' became shorter while it was read", what, path);
		to += n;
		size -= (u64)n;
	}
	return 0;
}

static int load_kernel_file(struct boot_file *f)
{
	int fd = open_file("kernel", f->path, &f->size);
	int r;

	if (fd < 0)
		return -1;
	if (f->size == 0 || f->size > KERNEL_FILE_MAX) {
		close(fd);
		return error("the kernel '%s' is %s", f->path, f->size ? "too large" : "empty");
	}
	f->data = malloc(f->size);
	if (!f->data)
		r = error("no memory to read the kernel '%s'", f->path);
	else
		r = read_file(fd, "kernel", f->path, f->data, f->size);
	close(fd);
	return r;
}

unsigned int boot_memory_map(const struct guest_memory *m, const struct boot_config *c,
			     struct boot_range r[BOOT_RANGES_MAX])
{
	unsigned int n = 0, i;

	r[n++] = (struct boot_range){ 0, BOOT_LOW_END, E820_RAM };
	r[n++] = (struct boot_range){ BOOT_LOW_END, 0xa0000 - BOOT_LOW_END, E820_RESERVED };
	r[n++] = (struct boot_range){ BOOT_ACPI, BOOT_ACPI_END - BOOT_ACPI, E820_RESERVED };
	r[n++] = (struct boot_range){ BOOT_HIGH_START, m->low - BOOT_HIGH_START, E820_RAM };
	if (m->high)
		r[n++] = (struct boot_range){ MEMORY_HIGH_BASE, m->high, E820_RAM };
	for (i = 0; i < c->nreserved && i < BOOT_RESERVED_MAX; i++)
		r[n++] = c->reserved[i];
	return n;
}

int boot_put_cmdline(const struct guest_memory *m, const char *cmdline, u64 limit)
{
	size_t len = strlen(cmdline);

	if (limit > BOOT_CMDLINE_MAX - 1)
		limit = BOOT_CMDLINE_MAX - 1;
	if (len > limit)
		return error("the kernel command line has %zu characters; this kernel takes %llu",
			     len, (unsigned long long)limit);
	memcpy(memory_ptr(m, BOOT_CMDLINE, BOOT_CMDLINE_MAX), cmdline, len + 1);
	return 0;
}

int boot_put_initrd(const struct guest_memory *m, const struct boot_config *c, u64 kernel_end,
		    u64 max_addr, u64 *start, u64 *size)
{
	u64 end = m->low;
	int fd, r;

	*start = *size = 0;
	if (!c->initrd)
		return 0;
	fd = open_file("initrd", c->initrd, size);
	if (fd < 0)
		return -1;
	if (end > max_addr + 1)
		end = max_addr + 1;
	if (*size == 0) {
		r = error("the initrd '%s' is empty", c->initrd);
	} else if (*size > end || align_down(end - *size, 4096) < kernel_end) {
		r = error("not enough memory: the kernel takes %llu MiB and the initrd '%s' "
			  "%llu MiB below %llu MiB",
			  (unsigned long long)(align_up(kernel_end, MIB) / MIB), c->initrd,
			  (unsigned long long)(align_up(*size, MIB) / MIB),
			  (unsigned long long)(end / MIB));
	} else {
		*start = align_down(end - *size, 4096);
		r = read_file(fd, "initrd", c->initrd, memory_ptr(m, *start, *size), *size);
	}
	close(fd);
	return r;
}

static void put_gdt(const struct guest_memory *m, struct boot_entry *e)
{
	/* base 0; code and data reach 4 GiB; the TSS has the smallest limit */
	static const u64 gdt[] = {
		0, 0,
		0x00cf9b000000ffff,	/* code, execute and read, accessed */
		0x00cf93000000ffff,	/* data, read and write, accessed */
		0x00008b0000000067,	/* busy 32-bit TSS */
	};

	memcpy(memory_ptr(m, BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
	e->cs = 2 * 8;
	e->ds = 3 * 8;
	e->tr = 4 * 8;
}

int boot_load(const struct guest_memory *m, const struct boot_config *c, struct boot_entry *e)
{
	struct boot_file f = { .path = c->kernel };
	int r = -1;

	memset(e, 0, sizeof(*e));
	if (m->low < 2 * MIB)
		return error("%llu KiB of memory is too small: no kernel fits in less than 2 MiB",
			     (unsigned long long)(m->low / KIB));
	if (load_kernel_file(&f) == 0) {
		if (bzimage_match(&f))
			r = bzimage_load(m, c, &f, e);
		else if (elf_match(&f))
			r = elf_load(m, c, &f, e);
		else
			r = error("'%s' is not a kernel: neither a Linux bzImage nor ELF", f.path);
	}
	free(f.data);
	if (r < 0)
		return r;
	put_gdt(m, e);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loading of kernels: made-up images of both kinds, where their parts land,
 * and damage of every byte of their headers.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../../../vmm/boot/boot.h"
#include "vmm_test.h"

#define RAM (32 * MIB)
#define SETUP_SECTS 2
#define SETUP ((SETUP_SECTS + 1) * 512)
#define CODE 0x3000

static struct guest_memory mem;
static char path[64], initrd_path[64];
static int real_stderr;

static int setup(void **state)
{
	int null = open("/dev/null", O_WRONLY);

	(void)state;
	real_stderr = dup(2);
	dup2(null, 2);		/* the error lines are many and not looked at */
	close(null);
	snprintf(path, sizeof(path), "/tmp/anykvm-test-kernel-%d", getpid());
	snprintf(initrd_path, sizeof(initrd_path), "/tmp/anykvm-test-initrd-%d", getpid());
	return memory_create(&mem, RAM, MEMORY_LOW_MAX);
}

static int teardown(void **state)
{
	(void)state;
	dup2(real_stderr, 2);
	close(real_stderr);
	unlink(path);
	unlink(initrd_path);
	memory_destroy(&mem);
	return 0;
}

static void write_file(const char *to, const void *data, size_t size)
{
	int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), (ssize_t)size);
	close(fd);
}

static int load(const void *image, size_t size, const char *initrd, const char *cmdline,
		struct boot_entry *e)
{
	struct boot_config c = {
		.kernel = path, .initrd = initrd, .cmdline = cmdline, .cpus = 2,
	};

	write_file(path, image, size);
	memset(mem.host, 0, 2 * MIB);
	return boot_load(&mem, &c, e);
}

/* A relocatable kernel that prefers 16 MiB and needs 8 MiB. */
static size_t make_bzimage(u8 *image)
{
	struct setup_header h = {
		.setup_sects = SETUP_SECTS,
		.syssize = CODE / 16,
		.boot_flag = 0xaa55,
		.jump = 0x66eb,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.code32_start = 0x100000,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.cmdline_size = 2047,
		.pref_address = 16 * MIB,
		.init_size = 8 * MIB,
	};

	memset(image, 0, SETUP);
	memcpy(image + 0x1f1, &h, sizeof(h));
	memset(image + SETUP, 0xc3, CODE);
	return SETUP + CODE;
}

static void test_bzimage(void **state)
{
	static u8 image[SETUP + CODE], ramdisk[5000];
	struct boot_params *bp = memory_ptr(&mem, BOOT_ZERO_PAGE, sizeof(*bp));
	struct boot_entry e;
	unsigned int i;

	(void)state;
	memset(ramdisk, 0x5a, sizeof(ramdisk));
	write_file(initrd_path, ramdisk, sizeof(ramdisk));
	assert_int_equal(load(image, make_bzimage(image), initrd_path, "a=b", &e), 0);
	assert_int_equal(e.eip, 16 * MIB);
	assert_int_equal(e.esi, BOOT_ZERO_PAGE);
	assert_int_equal(mem.host[16 * MIB + CODE - 1], 0xc3);
	assert_int_equal(bp->hdr.type_of_loader, 0xff);
	assert_int_equal(bp->hdr.code32_start, 16 * MIB);
	assert_string_equal((char *)mem.host + bp->hdr.cmd_line_ptr, "a=b");
	assert_int_equal(bp->hdr.ramdisk_size, sizeof(ramdisk));
	assert_int_equal(bp->hdr.ramdisk_image, RAM - 8192);
	assert_memory_equal(mem.host + bp->hdr.ramdisk_image, ramdisk, sizeof(ramdisk));
	assert_int_equal(bp->acpi_rsdp_addr, BOOT_ACPI);
	assert_int_equal(bp->e820_entries, 4);
	for (i = 1; i < bp->e820_entries; i++)
		assert_true(bp->e820_table[i].addr >=
			    bp->e820_table[i - 1].addr + bp->e820_table[i - 1].size);
	assert_int_equal(bp->e820_table[3].addr + bp->e820_table[3].size, RAM);
}

static void set_header(u8 *image, struct setup_header **h)
{
	make_bzimage(image);
	*h = (struct setup_header *)(image + 0x1f1);
}

static void test_bzimage_rules(void **state)
{
	static u8 image[SETUP + CODE], ramdisk[5000];
	struct setup_header *h;
	struct boot_entry e;
	struct boot_params *bp = memory_ptr(&mem, BOOT_ZERO_PAGE, sizeof(*bp));
	char cmdline[300];

	(void)state;
	/* a kernel that cannot be moved goes where it says */
	set_header(image, &h);
	h->relocatable_kernel = 0;
	h->pref_address = 0;
	assert_int_equal(load(image, sizeof(image), NULL, "", &e), 0);
	assert_int_equal(e.eip, 0x100000);
	/* an old protocol has no pref_address, cmdline_size, or initrd_addr_max */
	set_header(image, &h);
	h->version = 0x0202;
	write_file(initrd_path, ramdisk, sizeof(ramdisk));
	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[255] = 0;
	assert_int_equal(load(image, sizeof(image), initrd_path, cmdline, &e), 0);
	assert_int_equal(e.eip, 0x100000);
	cmdline[255] = 'x';
	cmdline[256] = 0;
	assert_int_equal(load(image, sizeof(image), NULL, cmdline, &e), -1);
	/* the ramdisk stays below the kernel's limit */
	set_header(image, &h);
	h->initrd_addr_max = 25 * MIB - 1;
	assert_int_equal(load(image, sizeof(image), initrd_path, "", &e), 0);
	assert_int_equal(bp->hdr.ramdisk_image, 25 * MIB - 8192);
	h->initrd_addr_max = 24 * MIB;
	assert_int_equal(load(image, sizeof(image), initrd_path, "", &e), -1);
	/* memory */
	set_header(image, &h);
	h->init_size = 17 * MIB;
	assert_int_equal(load(image, sizeof(image), NULL, "", &e), -1);
	/* no zImage */
	set_header(image, &h);
	h->loadflags = 0;
	assert_int_equal(load(image, sizeof(image), NULL, "", &e), -1);
	/* every length that is too short */
	set_header(image, &h);
	assert_int_equal(load(image, sizeof(image) - 16, NULL, "", &e), -1);
	assert_int_equal(load(image, SETUP, NULL, "", &e), -1);
	assert_int_equal(load(image, 0x230, NULL, "", &e), -1);
	assert_int_equal(load(image, 1, NULL, "", &e), -1);
	assert_int_equal(load(image, 0, NULL, "", &e), -1);
}

struct elf {
	Elf64_Ehdr h;
	Elf64_Phdr p[2];
	Elf64_Nhdr n;
	char name[4];
	u32 entry;
	u8 code[64];
};

static void make_elf(struct elf *f)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->h.e_ident, ELFMAG, SELFMAG);
	f->h.e_ident[EI_CLASS] = ELFCLASS64;
	f->h.e_ident[EI_DATA] = ELFDATA2LSB;
	f->h.e_machine = EM_X86_64;
	f->h.e_phoff = offsetof(struct elf, p);
	f->h.e_phnum = 2;
	f->h.e_phentsize = sizeof(Elf64_Phdr);
	f->p[0].p_type = PT_LOAD;
	f->p[0].p_offset = offsetof(struct elf, code);
	f->p[0].p_paddr = 0x100000;
	f->p[0].p_filesz = sizeof(f->code);
	f->p[0].p_memsz = 0x2000;
	f->p[1].p_type = PT_NOTE;
	f->p[1].p_offset = offsetof(struct elf, n);
	f->p[1].p_filesz = f->p[1].p_memsz = sizeof(f->n) + 8;
	f->p[1].p_align = 4;
	f->n.n_namesz = 4;
	f->n.n_descsz = 4;
	f->n.n_type = 18;
	memcpy(f->name, "Xen", 4);
	f->entry = 0x100010;
	memset(f->code, 0x90, sizeof(f->code));
}

static void test_elf(void **state)
{
	struct boot_entry e;
	struct elf f;
	u32 info[14];

	(void)state;
	make_elf(&f);
	assert_int_equal(load(&f, sizeof(f), NULL, "hello", &e), 0);
	assert_int_equal(e.eip, 0x100010);
	assert_int_equal(e.ebx, BOOT_PVH_INFO);
	assert_int_equal(mem.host[0x100000], 0x90);
	memcpy(info, mem.host + BOOT_PVH_INFO, sizeof(info));
	assert_int_equal(info[0], 0x336ec578);
	assert_int_equal(info[1], 1);
	assert_string_equal((char *)mem.host + info[6], "hello");
	assert_int_equal(info[8], BOOT_ACPI);
	assert_int_equal(info[12], 4);
	f.n.n_type = 17;
	assert_int_equal(load(&f, sizeof(f), NULL, "", &e), -1);
	f.n.n_type = 18;
	f.p[0].p_paddr = RAM - 0x1000;
	assert_int_equal(load(&f, sizeof(f), NULL, "", &e), -1);
}

/* Whatever the files hold: loading ends, well or with an error. */
static void test_damage(void **state)
{
	static const u8 value[] = { 0, 1, 0x7f, 0x80, 0xff };
	static u8 image[SETUP + CODE], copy[SETUP + CODE];
	struct boot_entry e;
	struct elf f, g;
	size_t i, k;

	(void)state;
	make_elf(&f);
	for (i = 4; i < offsetof(struct elf, code); i++)
		for (k = 0; k < sizeof(value); k++) {
			g = f;
			((u8 *)&g)[i] = value[k];
			load(&g, sizeof(g), NULL, "", &e);
		}
	for (i = 0; i < sizeof(f); i++)
		load(&f, i, NULL, "", &e);
	make_bzimage(image);
	for (i = 0x1f1; i < 0x270; i++)
		for (k = 0; k < sizeof(value); k++) {
			memcpy(copy, image, sizeof(copy));
			copy[i] = value[k];
			load(copy, sizeof(copy), NULL, "", &e);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bzimage),
		cmocka_unit_test(test_bzimage_rules),
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

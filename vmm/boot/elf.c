/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ELF kernels entered by PVH: the note XEN_ELFNOTE_PHYS32_ENTRY names the
 * physical address of a 32-bit entry point, and EBX points to a structure that
 * tells of the command line, modules, memory map and RSDP. The contract is
 * Xen's docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h.
 */
#include <elf.h>
#include <string.h>

#include "../error.h"
#include "boot.h"

#define PVH_MAGIC 0x336ec578
#define XEN_NOTE_PHYS32_ENTRY 18

struct pvh_start_info {
	u32 magic, version, flags, modules;
	u64 modules_addr, cmdline_addr, rsdp_addr;
	u64 memmap_addr;	/* from version 1 */
	u32 memmap_entries, reserved;
};

struct pvh_module {
	u64 addr, size, cmdline_addr, reserved;
};

struct pvh_range {
	u64 addr, size;
	u32 type, reserved;
};

/* All of it lies in the page at BOOT_PVH_INFO. */
struct pvh_page {
	struct pvh_start_info info;
	struct pvh_module module;
	struct pvh_range map[BOOT_RANGES_MAX];
};

/* A program header of either class. */
struct segment {
	u32 type;
	u64 offset, paddr, filesz, memsz, align;
};

/* An ELF file and what was found in it. */
struct elf_image {
	const struct boot_file *f;
	bool is64;
	u64 phoff;
	u16 phnum, phentsize;
	u64 end;		/* the highest physical address it fills */
	u32 entry;
	bool has_entry;
};

bool elf_match(const struct boot_file *f)
{
	return f->size >= SELFMAG && !memcmp(f->data, ELFMAG, SELFMAG);
}

static bool inside(const struct boot_file *f, u64 offset, u64 len)
{
	return offset <= f->size && len <= f->size - offset;
}

static int truncated(const struct boot_file *f)
{
	return error("the kernel '%s' is truncated: an ELF part lies beyond its end", f->path);
}

static int read_header(struct elf_image *img)
{
	const struct boot_file *f = img->f;
	Elf64_Ehdr h64;
	Elf32_Ehdr h32;
	u16 machine;

	if (!inside(f, 0, sizeof(h64)))
		return truncated(f);
	memcpy(&h64, f->data, sizeof(h64));
	memcpy(&h32, f->data, sizeof(h32));
	img->is64 = h64.e_ident[EI_CLASS] == ELFCLASS64;
	machine = img->is64 ? h64.e_machine : h32.e_machine;
	if (h64.e_ident[EI_DATA] != ELFDATA2LSB || (machine != EM_X86_64 && machine != EM_386))
		return error("the kernel '%s' is ELF for another processor", f->path);
	img->phoff = img->is64 ? h64.e_phoff : h32.e_phoff;
	img->phnum = img->is64 ? h64.e_phnum : h32.e_phnum;
	img->phentsize = img->is64 ? h64.e_phentsize : h32.e_phentsize;
	if (!img->phnum)
		return error("'%s' is not a kernel: ELF without program headers", f->path);
	if (img->phentsize < (img->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return error("the kernel '%s' has a damaged ELF header", f->path);
	if (!inside(f, img->phoff, (u64)img->phnum * img->phentsize))
		return truncated(f);
	return 0;
}

static struct segment get_segment(const struct elf_image *img, unsigned int i)
{
	const u8 *at = img->f->data + img->phoff + (u64)i * img->phentsize;
	Elf64_Phdr p64;
	Elf32_Phdr p32;

	if (img->is64) {
		memcpy(&p64, at, sizeof(p64));
		return (struct segment){ p64.p_type, p64.p_offset, p64.p_paddr, p64.p_filesz,
					 p64.p_memsz, p64.p_align };
	}
	memcpy(&p32, at, sizeof(p32));
	return (struct segment){ p32.p_type, p32.p_offset, p32.p_paddr, p32.p_filesz,
				 p32.p_memsz, p32.p_align };
}

/* Looks for the entry point in a segment of notes. */
static void scan_notes(struct elf_image *img, const struct segment *s)
{
	const u8 *data = img->f->data + s->offset;
	u64 align = s->align == 8 ? 8 : 4;
	u64 at = 0;
	Elf64_Nhdr n;	/* the same in both classes */

	while (at <= s->filesz && s->filesz - at >= sizeof(n)) {
		u64 name = at + sizeof(n);
		u64 desc, next;

		memcpy(&n, data + at, sizeof(n));
		desc = align_up(name + n.n_namesz, align);
		next = align_up(desc + n.n_descsz, align);
		if (desc > s->filesz || n.n_descsz > s->filesz - desc)
			return;
		if (n.n_type == XEN_NOTE_PHYS32_ENTRY && n.n_namesz == 4 &&
		    !memcmp(data + name, "Xen", 4) && n.n_descsz >= 4) {
			memcpy(&img->entry, data + desc, 4);
			img->has_entry = true;
		}
		at = next;
	}
}

static int load_segment(const struct guest_memory *m, struct elf_image *img,
			const struct segment *s)
{
	u8 *to;

	if (s->filesz > s->memsz)
		return error("the kernel '%s' has a damaged program header", img->f->path);
	if (s->memsz == 0)
		return 0;
	if (s->paddr < BOOT_HIGH_START)
		return error("the kernel '%s' asks to be loaded below 1 MiB", img->f->path);
	to = s->memsz <= m->low ? memory_ptr(m, s->paddr, s->memsz) : NULL;
	if (!to || s->paddr >= m->low)
		return error("%llu MiB of memory is too small for the kernel '%s', which has "
			     "%llu KiB at %#llx", (unsigned long long)(m->low / MIB),
			     img->f->path, (unsigned long long)(align_up(s->memsz, KIB) / KIB),
			     (unsigned long long)s->paddr);
	memcpy(to, img->f->data + s->offset, s->filesz);
	if (s->paddr + s->memsz > img->end)
		img->end = s->paddr + s->memsz;
	return 0;
}

/* Checks that the file holds its segments, and looks for the entry point. */
static int find_entry(struct elf_image *img)
{
	unsigned int i;

	for (i = 0; i < img->phnum; i++) {
		struct segment s = get_segment(img, i);

		if (s.type != PT_LOAD && s.type != PT_NOTE)
			continue;
		if (!inside(img->f, s.offset, s.filesz))
			return truncated(img->f);
		if (s.type == PT_NOTE)
			scan_notes(img, &s);
	}
	if (!img->has_entry)
		return error("'%s' has no PVH entry point; it cannot be started as ELF",
			     img->f->path);
	return 0;
}

static int load_segments(const struct guest_memory *m, struct elf_image *img)
{
	unsigned int i;

	for (i = 0; i < img->phnum; i++) {
		struct segment s = get_segment(img, i);

		if (s.type == PT_LOAD && load_segment(m, img, &s) < 0)
			return -1;
	}
	if (img->entry < BOOT_HIGH_START || img->entry >= img->end)
		return error("the PVH entry point of '%s' lies outside it", img->f->path);
	return 0;
}

static void put_memory_map(const struct guest_memory *m, const struct boot_config *c,
			   struct pvh_page *p)
{
	struct boot_range r[BOOT_RANGES_MAX];
	unsigned int i, n = boot_memory_map(m, c, r);

	for (i = 0; i < n; i++) {
		p->map[i].addr = r[i].start;
		p->map[i].size = r[i].size;
		p->map[i].type = r[i].type;
	}
	p->info.memmap_entries = n;
	p->info.memmap_addr = BOOT_PVH_INFO + offsetof(struct pvh_page, map);
}

int elf_load(const struct guest_memory *m, const struct boot_config *c,
	     const struct boot_file *f, struct boot_entry *e)
{
	struct pvh_page *p = memory_ptr(m, BOOT_PVH_INFO, sizeof(*p));
	struct elf_image img = { .f = f };

	if (read_header(&img) < 0 || find_entry(&img) < 0 || load_segments(m, &img) < 0)
		return -1;
	if (boot_put_cmdline(m, c->cmdline, BOOT_CMDLINE_MAX - 1) < 0)
		return -1;
	memset(p, 0, sizeof(*p));
	if (boot_put_initrd(m, c, img.end, 0xffffffff, &p->module.addr, &p->module.size) < 0)
		return -1;
	p->info.magic = PVH_MAGIC;
	p->info.version = 1;
	p->info.cmdline_addr = BOOT_CMDLINE;
	p->info.rsdp_addr = BOOT_ACPI;
	if (p->module.size) {
		p->info.modules = 1;
		p->info.modules_addr = BOOT_PVH_INFO + offsetof(struct pvh_page, module);
	}
	put_memory_map(m, c, p);
	e->eip = img.entry;
	e->ebx = BOOT_PVH_INFO;
	return 0;
}

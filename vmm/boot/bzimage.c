/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kernels of the Linux boot protocol (Documentation/x86/boot.rst): the setup
 * header is checked and copied to a zero page, the protected-mode part goes to
 * where the kernel wants it, and the boot processor enters at the 32-bit entry
 * point with ESI at the zero page. The real-mode part never runs.
 */
#include <asm/bootparam.h>
#include <string.h>

#include "../error.h"
#include "boot.h"

#define HEADER_MAGIC 0x53726448	/* "HdrS" */
#define BOOT_FLAG 0xaa55
#define SECTOR 512
#define HEADER_OFFSET 0x1f1	/* of the setup header in file and zero page */
#define HEADER_END_MAX 0x290	/* end of its place in the zero page */
#define LOADER_UNDEFINED 0xff

/* Where the parts of a checked image are. */
struct bzimage {
	struct setup_header h;
	const u8 *code;		/* the protected-mode part in the file */
	u64 code_size;
	u64 load;		/* where it goes */
	u64 end;		/* end of the memory it needs before it reads the memory map */
};

bool bzimage_match(const struct boot_file *f)
{
	u32 magic;
	u16 flag;

	if (f->size < HEADER_OFFSET + sizeof(struct setup_header))
		return false;
	memcpy(&flag, f->data + HEADER_OFFSET + offsetof(struct setup_header, boot_flag), 2);
	memcpy(&magic, f->data + HEADER_OFFSET + offsetof(struct setup_header, header), 4);
	return flag == BOOT_FLAG && magic == HEADER_MAGIC;
}

/* Takes the header over; fields that this protocol version lacks become zero. */
static void read_header(const struct boot_file *f, struct bzimage *b)
{
	/* a jump follows the boot flag; its target is the header's end */
	u64 end = 0x202 + f->data[0x201];
	u64 size;

	if (end > HEADER_END_MAX)
		end = HEADER_END_MAX;
	if (end > f->size)
		end = f->size;
	size = end - HEADER_OFFSET;
	if (size > sizeof(b->h))
		size = sizeof(b->h);
	memset(b, 0, sizeof(*b));
	memcpy(&b->h, f->data + HEADER_OFFSET, size);
}

static int check(const struct boot_file *f, struct bzimage *b)
{
	u64 sects, setup, want;

	read_header(f, b);
	if (b->h.version < 0x0202)
		return error("the kernel '%s' has boot protocol %d.%02d; 2.02 or later is needed",
			     f->path, b->h.version >> 8, b->h.version & 0xff);
	if (!(b->h.loadflags & LOADED_HIGH))
		return error("the kernel '%s' is a zImage, which is not supported", f->path);
	sects = b->h.setup_sects ? b->h.setup_sects : 4;
	setup = (sects + 1) * SECTOR;
	want = b->h.version >= 0x0204 ? (u64)b->h.syssize * 16 : 0;
	if (f->size <= setup || f->size - setup + 15 < want)
		return error("the kernel '%s' is truncated: it has %llu of %llu bytes", f->path,
			     (unsigned long long)f->size, (unsigned long long)(setup + want));
	b->code = f->data + setup;
	b->code_size = f->size - setup;
	if (want && b->code_size > want)
		b->code_size = want;
	return 0;
}

/*
 * Chooses where the protected-mode part goes: a relocatable kernel to its
 * preferred address, which is also the lowest it unpacks itself to; another
 * one to where its code32_start says.
 */
static int place(const struct guest_memory *m, const struct boot_file *f, struct bzimage *b)
{
	u64 align = b->h.kernel_alignment ? b->h.kernel_alignment : 1;
	u64 pref = b->h.version >= 0x020a ? b->h.pref_address : 0;
	u64 init_size = b->h.version >= 0x020a ? b->h.init_size : b->code_size * 4;

	if (align & (align - 1))
		return error("the kernel '%s' asks for an alignment that is no power of two",
			     f->path);
	if (b->h.version < 0x0205 || !b->h.relocatable_kernel)
		b->load = b->h.code32_start ? b->h.code32_start : BOOT_HIGH_START;
	else if (pref >= BOOT_HIGH_START)
		b->load = pref;
	else
		b->load = align_up(BOOT_HIGH_START, align);
	if (b->load < BOOT_HIGH_START || pref >= MEMORY_HIGH_BASE)
		return error("the kernel '%s' asks to be loaded %s", f->path,
			     pref >= MEMORY_HIGH_BASE ? "above 4 GiB" : "below 1 MiB");
	b->end = (b->load > pref ? b->load : pref) + init_size;
	if (b->end < b->load + b->code_size)
		b->end = b->load + b->code_size;
	if (b->end > m->low)
		return error("%llu MiB of memory is too small: the kernel '%s' needs %llu MiB",
			     (unsigned long long)(m->low / MIB), f->path,
			     (unsigned long long)(align_up(b->end, MIB) / MIB));
	return 0;
}

static void put_memory_map(const struct guest_memory *m, const struct boot_config *c,
			   struct boot_params *bp)
{
	struct boot_range r[BOOT_RANGES_MAX];
	unsigned int i, n = boot_memory_map(m, c, r);

	for (i = 0; i < n; i++) {
		bp->e820_table[i].addr = r[i].start;
		bp->e820_table[i].size = r[i].size;
		bp->e820_table[i].type = r[i].type;
	}
	bp->e820_entries = (u8)n;
	/* what kernels without E820 read: KiB above 1 MiB */
	bp->alt_mem_k = (u32)((m->low - BOOT_HIGH_START) / KIB);
	bp->screen_info.ext_mem_k = bp->alt_mem_k > 0xfc00 ? 0xfc00 : (u16)bp->alt_mem_k;
}

/* Says that a mode of VESA's is set, which the kernel's simplest drivers can show. */
static void put_screen(struct boot_params *bp, const struct boot_screen *s)
{
	struct screen_info *i = &bp->screen_info;

	if (!s->size || s->base + s->size > 4 * GIB)
		return;
	i->orig_video_isVGA = VIDEO_TYPE_VLFB;
	i->lfb_base = (u32)s->base;
	i->lfb_size = (u32)(s->size >> 16);
	i->lfb_width = (u16)s->width;
	i->lfb_height = (u16)s->height;
	i->lfb_linelength = (u16)s->pitch;
	i->lfb_depth = 32;
	i->rsvd_size = i->blue_size = i->green_size = i->red_size = 8;
	i->rsvd_pos = 24;
	i->red_pos = 16;
	i->green_pos = 8;
	i->pages = 1;
}

static void fill_header(struct setup_header *h, const struct bzimage *b)
{
	h->type_of_loader = LOADER_UNDEFINED;
	h->code32_start = (u32)b->load;
	h->cmd_line_ptr = BOOT_CMDLINE;
	h->setup_data = 0;
	h->vid_mode = 0xffff;	/* normal */
	h->loadflags &= (u8)~(CAN_USE_HEAP | QUIET_FLAG);
}

int bzimage_load(const struct guest_memory *m, const struct boot_config *c,
		 const struct boot_file *f, struct boot_entry *e)
{
	struct boot_params *bp = memory_ptr(m, BOOT_ZERO_PAGE, sizeof(*bp));
	u64 initrd, initrd_size, initrd_max, cmdline_max;
	struct bzimage b;

	if (check(f, &b) < 0 || place(m, f, &b) < 0)
		return -1;
	memset(bp, 0, sizeof(*bp));
	memcpy(memory_ptr(m, b.load, b.code_size), b.code, b.code_size);
	cmdline_max = b.h.version >= 0x0206 && b.h.cmdline_size ? b.h.cmdline_size : 255;
	if (boot_put_cmdline(m, c->cmdline, cmdline_max) < 0)
		return -1;
	initrd_max = b.h.version >= 0x0203 ? b.h.initrd_addr_max : 0x37ffffff;
	if (boot_put_initrd(m, c, b.end, initrd_max, &initrd, &initrd_size) < 0)
		return -1;
	fill_header(&b.h, &b);
	b.h.ramdisk_image = (u32)initrd;
	b.h.ramdisk_size = (u32)initrd_size;
	bp->hdr = b.h;
	bp->acpi_rsdp_addr = BOOT_ACPI;
	put_memory_map(m, c, bp);
	put_screen(bp, &c->screen);
	e->eip = (u32)b.load;
	e->esi = BOOT_ZERO_PAGE;
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PCI device of the standard VGA (1234:1111): BAR 0 is video memory, BAR 2
 * a page of registers (EDID at 0, the VGA's ports from 0x3c0 on at 0x400,
 * dispi's at 0x500, their byte order at 0x600), the ROM SeaBIOS's VGA BIOS.
 * What the guest writes to video memory without this file seeing it comes out
 * of KVM's dirty log when the picture is looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../display/edid.h"
#include "../../error.h"
#include "../pci/pci.h"
#include "vga.h"
#include "vga_device.h"

#define ROM_SIZE 0x10000u
#define REGS_SIZE 0x1000u
#define REGS_PORTS 0x400u
#define REGS_DISPI 0x500u
#define REGS_EXTENSION 0x600u
#define ENDIAN_LITTLE 0x1e1e1e1eu

#define WINDOW 0xa0000u
#define PORTS_MONO 0x3b0u
#define PORTS_MONO_SIZE 12u
#define PORTS 0x3c0u
#define PORTS_SIZE 0x20u
#define DISPI_PORT 0x1ceu

#define MEMORY_MIN MIB
#define MEMORY_MAX (256 * MIB)
#define MEMORY_DEFAULT (16 * MIB)
#define WIDTH_DEFAULT 1024
#define HEIGHT_DEFAULT 768
#define EDID_MAX 4095			/* pixels that fit its fields */

struct vga_device {
	struct device dev;
	struct pci_device pci;
	struct board *board;
	struct vga v;
	u8 *rom;
	u8 edid[EDID_SIZE];
	unsigned int width, height;	/* that the monitor likes */
	bool on_ports, on_mono, on_dispi, on_window, on_display;
	bool moved;			/* BARs may be elsewhere; atomic */
	u64 *dirty, *log;		/* of refresh: a bit a page */
};

/* --- ports and the window ------------------------------------------------------------ */

static u64 port_read(void *dev, u64 port, unsigned int size)
{
	struct vga_device *g = dev;
	u8 value;

	(void)size;
	pthread_mutex_lock(&g->v.lock);
	value = vga_port_read(&g->v, PORTS + (unsigned int)port);
	pthread_mutex_unlock(&g->v.lock);
	return value;
}

static void port_write(void *dev, u64 port, u64 value, unsigned int size)
{
	struct vga_device *g = dev;

	(void)size;
	pthread_mutex_lock(&g->v.lock);
	vga_port_write(&g->v, PORTS + (unsigned int)port, (u8)value);
	pthread_mutex_unlock(&g->v.lock);
}

static u64 mono_read(void *dev, u64 port, unsigned int size)
{
	return port_read(dev, port - (PORTS - PORTS_MONO), size);
}

static void mono_write(void *dev, u64 port, u64 value, unsigned int size)
{
	port_write(dev, port - (PORTS - PORTS_MONO), value, size);
}

static u64 dispi_port_read(void *dev, u64 port, unsigned int size)
{
	struct vga_device *g = dev;
	u16 value;

	(void)size;
	pthread_mutex_lock(&g->v.lock);
	value = port ? vga_dispi_read(&g->v, g->v.r.dispi_index) : g->v.r.dispi_index;
	pthread_mutex_unlock(&g->v.lock);
	return value;
}

/* The data port answers at 0x1cf and, for what wants it aligned, at 0x1d0. */
static void dispi_port_write(void *dev, u64 port, u64 value, unsigned int size)
{
	struct vga_device *g = dev;

	(void)size;
	pthread_mutex_lock(&g->v.lock);
	if (port)
		vga_dispi_write(&g->v, g->v.r.dispi_index, (u16)value);
	else
		g->v.r.dispi_index = (u16)value;
	pthread_mutex_unlock(&g->v.lock);
}

static u64 window_read(void *dev, u64 offset, unsigned int size)
{
	struct vga_device *g = dev;
	u64 value = 0;
	unsigned int i;

	pthread_mutex_lock(&g->v.lock);
	for (i = 0; i < size; i++)
		value |= (u64)vga_window_read(&g->v, (u32)offset + i) << i * 8;
	pthread_mutex_unlock(&g->v.lock);
	return value;
}

static void window_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct vga_device *g = dev;
	unsigned int i;

	pthread_mutex_lock(&g->v.lock);
	for (i = 0; i < size; i++)
		vga_window_write(&g->v, (u32)offset + i, (u8)(value >> i * 8));
	pthread_mutex_unlock(&g->v.lock);
}

/* --- BAR 2 ----------------------------------------------------------------------------- */

static u64 regs_read(void *dev, u64 offset, unsigned int size)
{
	struct vga_device *g = dev;
	u64 value = 0;

	if (offset + size <= EDID_SIZE) {
		memcpy(&value, g->edid + offset, size);
		return value;
	}
	if (offset >= REGS_PORTS && offset + size <= REGS_PORTS + PORTS_SIZE) {
		value = port_read(g, offset - REGS_PORTS, 1);
		return size > 1 ? value | port_read(g, offset - REGS_PORTS + 1, 1) << 8 : value;
	}
	if (offset >= REGS_DISPI && offset < REGS_DISPI + DISPI_REGS * 2 && !(offset & 1)) {
		pthread_mutex_lock(&g->v.lock);
		value = vga_dispi_read(&g->v, (unsigned int)(offset - REGS_DISPI) / 2);
		pthread_mutex_unlock(&g->v.lock);
		return value;
	}
	if (offset == REGS_EXTENSION)
		return 8;		/* its size: this and the byte order */
	if (offset == REGS_EXTENSION + 4)
		return (u16)ENDIAN_LITTLE;
	return offset == REGS_EXTENSION + 6 ? ENDIAN_LITTLE >> 16 : 0;
}

static void regs_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct vga_device *g = dev;

	if (offset >= REGS_PORTS && offset + size <= REGS_PORTS + PORTS_SIZE) {
		port_write(g, offset - REGS_PORTS, value & 0xff, 1);
		if (size > 1)
			port_write(g, offset - REGS_PORTS + 1, value >> 8, 1);
	} else if (offset >= REGS_DISPI && offset < REGS_DISPI + DISPI_REGS * 2 &&
		   !(offset & 1)) {
		pthread_mutex_lock(&g->v.lock);
		vga_dispi_write(&g->v, (unsigned int)(offset - REGS_DISPI) / 2, (u16)value);
		pthread_mutex_unlock(&g->v.lock);
	}
}

/* --- the picture ------------------------------------------------------------------------ */

static void config_written(struct pci_device *d, unsigned int offset, unsigned int size)
{
	struct vga_device *g = d->owner;

	(void)offset, (void)size;
	__atomic_store_n(&g->moved, true, __ATOMIC_RELAXED);
}

static void refresh(void *ctx, struct display *d, bool all)
{
	struct vga_device *g = ctx;
	u32 words = g->v.mem_size / VGA_PAGE / 64, i;
	int slot = pci_bar_slot(&g->pci, 0);
	struct vga_regs r;

	/* the log of a mapping that is gone is gone, too */
	all |= __atomic_exchange_n(&g->moved, false, __ATOMIC_RELAXED);
	pthread_mutex_lock(&g->v.lock);
	r = g->v.r;
	all |= g->v.changed;
	g->v.changed = false;
	memcpy(g->dirty, g->v.touched, words * sizeof(u64));
	memset(g->v.touched, 0, words * sizeof(u64));
	pthread_mutex_unlock(&g->v.lock);
	if (slot >= 0 && vm_dirty_log(g->board->vm, slot, g->log) == 0)
		for (i = 0; i < words; i++)
			g->dirty[i] |= g->log[i];
	else if (slot >= 0)
		all = true;
	vga_draw(&g->v, &r, all ? NULL : g->dirty, d);
}

/* --- life ---------------------------------------------------------------------------------- */

static int load_rom(struct vga_device *g)
{
	int fd = open(VGA_BIOS, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd < 0)
		return error("cannot open the VGA BIOS '" VGA_BIOS "': %s (Debian's package "
			     "seabios has it)", strerror(errno));
	g->rom = mmap(NULL, ROM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->rom == MAP_FAILED)
		g->rom = NULL;
	else
		n = read(fd, g->rom, ROM_SIZE);
	close(fd);
	return n > 0 ? 0 : error("cannot read the VGA BIOS '" VGA_BIOS "'");
}

static int make_memory(struct vga_device *g, u64 size)
{
	u64 words = size / VGA_PAGE / 64;

	if (size < MEMORY_MIN || size > MEMORY_MAX || size & (size - 1))
		return error("vga: vgamem is a power of two from 1M to 256M");
	g->v.mem_size = (u32)size;
	g->v.mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (g->v.mem == MAP_FAILED)
		g->v.mem = NULL;
	g->v.touched = calloc(words, sizeof(u64));
	g->dirty = calloc(words, sizeof(u64));
	g->log = calloc(words, sizeof(u64));
	if (!g->v.mem || !g->v.touched || !g->dirty || !g->log)
		return error("out of memory for the screen");
	return 0;
}

static void make_pci(struct vga_device *g)
{
	const struct pci_ids ids = { 0x1234, 0x1111, 0x1af4, 0x1100, 0x030000, 2 };
	const struct bus_region regs = { "vga registers", 0, REGS_SIZE, 2, regs_read, regs_write,
					 g };

	pci_init(&g->pci, "vga", &ids);
	g->pci.owner = g;
	g->pci.config_written = config_written;
	pci_bar_memory(&g->pci, 0, PCI_BAR_MEM32 | PCI_BAR_PREFETCH, g->v.mem_size, g->v.mem,
		       VM_MAP_LOG);
	pci_bar(&g->pci, 2, PCI_BAR_MEM32, REGS_SIZE, &regs);
	pci_rom(&g->pci, g->rom, ROM_SIZE);
}

static int add_regions(struct vga_device *g)
{
	const struct bus_region ports = { "vga", PORTS, PORTS_SIZE, 1, port_read, port_write, g };
	const struct bus_region mono = { "vga", PORTS_MONO, PORTS_MONO_SIZE, 1, mono_read,
					 mono_write, g };
	const struct bus_region dispi = { "dispi", DISPI_PORT, 4, 2, dispi_port_read,
					  dispi_port_write, g };
	const struct bus_region window = { "vga memory", WINDOW, 0x20000, 8, window_read,
					   window_write, g };
	struct board *b = g->board;

	g->on_ports = bus_add(b->ports, &ports) == 0;
	g->on_mono = bus_add(b->ports, &mono) == 0;
	g->on_dispi = bus_add(b->ports, &dispi) == 0;
	g->on_window = bus_add(b->mmio, &window) == 0;
	if (!g->on_ports || !g->on_mono || !g->on_dispi || !g->on_window)
		return error("vga: another device has the VGA's ports or memory");
	return 0;
}

static void destroy(struct device *dev)
{
	struct vga_device *g = (struct vga_device *)dev;
	struct board *b = g->board;

	if (g->on_display)
		display_remove(b->display, g);
	if (b->vga == g)
		b->vga = NULL;
	if (g->on_ports)
		bus_remove(b->ports, PORTS, g);
	if (g->on_mono)
		bus_remove(b->ports, PORTS_MONO, g);
	if (g->on_dispi)
		bus_remove(b->ports, DISPI_PORT, g);
	if (g->on_window)
		bus_remove(b->mmio, WINDOW, g);
	if (g->pci.bus)
		pci_unplug(&g->pci);
	if (g->v.mem)
		munmap(g->v.mem, g->v.mem_size);
	if (g->rom)
		munmap(g->rom, ROM_SIZE);
	free(g->v.touched);
	free(g->dirty);
	free(g->log);
	free(g);
}

static int set_up(struct vga_device *g, struct props *p)
{
	const struct display_source source = { .refresh = refresh, .ctx = g };
	u64 memory = props_size(p, "vgamem", MEMORY_DEFAULT);

	g->width = (unsigned int)props_number(p, "xres", WIDTH_DEFAULT, 320, EDID_MAX) & ~7u;
	g->height = (unsigned int)props_number(p, "yres", HEIGHT_DEFAULT, 200, EDID_MAX);
	if (!g->board->pci)
		return error("vga: this machine has no PCI");
	if (g->board->pci->running)
		return error("vga: it cannot be added while the machine runs");
	if (make_memory(g, memory) < 0 || load_rom(g) < 0)
		return -1;
	edid_make(g->edid, g->width, g->height);
	vga_reset(&g->v);
	make_pci(g);
	if (pci_plug(g->board->pci, &g->pci, p) < 0 || props_finish(p) < 0 || add_regions(g) < 0)
		return -1;
	if (display_add(g->board->display, &source, true) < 0)
		return error("vga: there are too many screens");
	g->on_display = true;
	g->board->vga = g;
	return 0;
}

static struct device *create(struct board *b, struct props *p)
{
	struct vga_device *g = calloc(1, sizeof(*g));

	if (!g) {
		error("out of memory");
		return NULL;
	}
	g->board = b;
	pthread_mutex_init(&g->v.lock, NULL);
	if (set_up(g, p) == 0)
		return &g->dev;
	destroy(&g->dev);
	return NULL;
}

void vga_boot_screen(struct vga_device *g, struct boot_screen *s)
{
	struct vga *v = &g->v;

	pthread_mutex_lock(&v->lock);
	v->r.ar_index = 0x20;
	vga_dispi_write(v, DISPI_XRES, (u16)g->width);
	vga_dispi_write(v, DISPI_YRES, (u16)g->height);
	vga_dispi_write(v, DISPI_BPP, 32);
	vga_dispi_write(v, DISPI_ENABLE, DISPI_ENABLED);
	*s = (struct boot_screen){ 0 };
	if (vga_dispi_on(&v->r) && g->pci.bar[0].mapped)
		*s = (struct boot_screen){ g->pci.bar[0].region.base, v->mem_size, g->width,
					   g->height, g->width * 4 };
	pthread_mutex_unlock(&v->lock);
}

const struct device_class vga_class = {
	.name = "vga",
	.summary = "standard VGA with Bochs' linear modes",
	.usage = "vgamem=SIZE (default 16M), xres=N, yres=N (of its monitor; default 1024x768)",
	.create = create,
	.destroy = destroy,
};

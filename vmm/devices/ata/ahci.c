/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registers of a SATA controller (AHCI 1.3.1, chapter 3) with the six ports
 * of ICH9 (82801IR). It is there when a drive is connected. Left out: port
 * multipliers, hot-plug, power management of the link, staggered spin-up.
 */
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "ahci.h"

#define DEVICE 0x2922
#define ICH9_SLOT 31
#define ICH9_FUNCTION 2
#define BAR 5
#define BAR_SIZE 0x1000
#define MAP_AHCI 0x40			/* configuration register 0x90: it is no IDE controller */

enum { CAP = 0x00, GHC = 0x04, IS = 0x08, PI = 0x0c, VS = 0x10, CAP2 = 0x24 };
#define PORT0 0x100
#define PORT_SIZE 0x80
enum { PX_CLB = 0x00, PX_CLBU = 0x04, PX_FB = 0x08, PX_FBU = 0x0c, PX_IS = 0x10, PX_IE = 0x14,
	PX_CMD = 0x18, PX_TFD = 0x20, PX_SIG = 0x24, PX_SSTS = 0x28, PX_SCTL = 0x2c,
	PX_SERR = 0x30, PX_SACT = 0x34, PX_CI = 0x38 };

/* 64-bit addresses, queueing, 3 Gbit/s, no other mode, 32 slots; CLO, PIO in several blocks */
#define CAP_VALUE (0xc1248000u | (AHCI_SLOTS - 1) << 8 | (AHCI_PORTS - 1))
#define VERSION 0x00010300u
#define GHC_RESET 0x00000001u
#define GHC_IE 0x00000002u
#define GHC_AE 0x80000000u
#define PORTS_MASK ((1u << AHCI_PORTS) - 1)
#define LINK_UP 0x123u			/* active, 3 Gbit/s, a device that talks */
#define IE_MASK 0xfdc000ffu
#define NO_DEVICE 0x7fu

/* --- interrupts: under the lock --------------------------------------------------- */

/* fresh: something happened since the last interrupt. */
static void update(struct ahci *h, bool fresh)
{
	u32 old = h->is;
	unsigned int i;

	for (i = 0; i < AHCI_PORTS; i++)
		if (h->port[i].is & h->port[i].ie)
			h->is |= 1u << i;
	if (pci_msi_enabled(&h->pci)) {
		if (h->ghc & GHC_IE && h->is && (fresh || h->is & ~old))
			pci_msi_raise(&h->pci, 0);
		pci_intx(&h->pci, false);
	} else {
		pci_intx(&h->pci, h->ghc & GHC_IE && h->is);
	}
}

void ahci_event(struct ahci_port *p, u32 events)
{
	p->is |= events;
	update(p->h, events & p->ie);
}

/* --- ports ---------------------------------------------------------------------------- */

static u32 port_read(struct ahci_port *p, unsigned int reg)
{
	switch (reg) {
	case PX_CLB:
		return (u32)p->clb;
	case PX_CLBU:
		return (u32)(p->clb >> 32);
	case PX_FB:
		return (u32)p->fb;
	case PX_FBU:
		return (u32)(p->fb >> 32);
	case PX_IS:
		return p->is;
	case PX_IE:
		return p->ie;
	case PX_CMD:
		return p->cmd | (p->cmd & CMD_FRE ? CMD_FR : 0) |
			(p->cmd & CMD_ST || p->stopping ? CMD_CR : 0);
	case PX_TFD:
		return p->tfd;
	case PX_SIG:
		return p->sig;
	case PX_SSTS:
		return p->device && (p->sctl & 15) == 0 ? LINK_UP : 0;
	case PX_SCTL:
		return p->sctl;
	case PX_SERR:
		return p->serr;
	case PX_SACT:
		return p->sact;
	case PX_CI:
		return p->ci;
	}
	return 0;
}

/* The state after a reset of the link or the controller, once the port has stopped. */
static void reset_port(struct ahci_port *p)
{
	p->tfd = NO_DEVICE;
	p->sig = ~0u;
	if (!p->device)
		return;
	ata_reset(&p->drive);
	if ((p->sctl & 15) == 0)
		ahci_signature(p);
}

/* What has to be done without the lock after a write to a register. */
enum after { NOTHING, RUN, STOP, LINK_RESET };

static enum after write_command(struct ahci_port *p, u32 v)
{
	const bool was = p->cmd & CMD_ST;

	if (p->stopping)
		v &= ~(u32)CMD_ST;
	if (v & CMD_CLO)
		p->tfd &= ~(u32)(ATA_BUSY | ATA_DRQ);
	if (!(p->cmd & CMD_FRE) && v & CMD_FRE && p->device && !was) {
		p->cmd |= CMD_FRE;
		if (p->sig != ~0u && !p->running && !p->ci)
			ahci_signature(p);	/* it waited for a place */
	}
	p->cmd = (p->cmd & ~CMD_WRITABLE) | (v & CMD_WRITABLE);
	if (was && !(v & CMD_ST))
		return STOP;
	return !was && v & CMD_ST ? RUN : NOTHING;
}

static enum after write_link(struct ahci_port *p, u32 v)
{
	const u32 old = p->sctl & 15;

	p->sctl = v & 0xfff;
	return old != (v & 15) ? LINK_RESET : NOTHING;
}

static enum after port_write(struct ahci_port *p, unsigned int reg, u32 v)
{
	switch (reg) {
	case PX_CLB:
		p->clb = (p->clb & ~0xffffffffULL) | (v & ~0x3ffu);
		break;
	case PX_CLBU:
		p->clb = (p->clb & 0xffffffff) | (u64)v << 32;
		break;
	case PX_FB:
		p->fb = (p->fb & ~0xffffffffULL) | (v & ~0xffu);
		break;
	case PX_FBU:
		p->fb = (p->fb & 0xffffffff) | (u64)v << 32;
		break;
	case PX_IS:
		p->is &= ~v;
		update(p->h, false);
		break;
	case PX_IE:
		p->ie = v & IE_MASK;
		update(p->h, false);
		break;
	case PX_CMD:
		return write_command(p, v);
	case PX_SCTL:
		return write_link(p, v);
	case PX_SERR:
		p->serr &= ~v;
		break;
	case PX_SACT:
		if (p->cmd & CMD_ST)
			p->sact |= v;
		break;
	case PX_CI:
		if (p->cmd & CMD_ST)
			p->ci |= v;
		return RUN;
	}
	return NOTHING;
}

static void after_write(struct ahci_port *p, enum after what)
{
	if (what == RUN) {
		ahci_run(p);
		if (p->queue)
			block_commit(p->queue);
	}
	if (what == STOP || what == LINK_RESET)
		ahci_stop(p);
	if (what == LINK_RESET) {
		pthread_mutex_lock(&p->h->lock);
		reset_port(p);
		pthread_mutex_unlock(&p->h->lock);
	}
}

/* --- the controller ----------------------------------------------------------------------- */

static void reset_all(struct ahci *h)
{
	unsigned int i;

	for (i = 0; i < AHCI_PORTS; i++) {
		struct ahci_port *p = &h->port[i];

		ahci_stop(p);
		pthread_mutex_lock(&h->lock);
		p->clb = p->fb = 0;
		p->is = p->ie = p->serr = p->sctl = 0;
		p->cmd = CMD_SUD | CMD_POD;
		reset_port(p);
		pthread_mutex_unlock(&h->lock);
	}
	pthread_mutex_lock(&h->lock);
	h->is = 0;
	h->ghc = GHC_AE;
	update(h, false);
	pthread_mutex_unlock(&h->lock);
}

static u32 read_register(struct ahci *h, unsigned int reg)
{
	if (reg >= PORT0 && reg < PORT0 + AHCI_PORTS * PORT_SIZE)
		return port_read(&h->port[(reg - PORT0) / PORT_SIZE], reg % PORT_SIZE);
	switch (reg) {
	case CAP:
		return CAP_VALUE;
	case GHC:
		return h->ghc;
	case IS:
		return h->is;
	case PI:
		return PORTS_MASK;
	case VS:
		return VERSION;
	}
	return 0;
}

static u64 bar_read(void *dev, u64 offset, unsigned int size)
{
	struct ahci *h = dev;
	u32 v;

	(void)size;
	pthread_mutex_lock(&h->lock);
	v = read_register(h, (unsigned int)offset & ~3u);
	pthread_mutex_unlock(&h->lock);
	return v >> (offset & 3) * 8;
}

/* Registers that keep their other bytes when one is written; in others ones have effects. */
static bool keeps(unsigned int reg)
{
	const unsigned int px = reg % PORT_SIZE;

	if (reg < PORT0)
		return reg != IS;
	return px != PX_IS && px != PX_SERR && px != PX_SACT && px != PX_CI;
}

static void write_global(struct ahci *h, unsigned int reg, u32 v)
{
	bool reset = false;

	pthread_mutex_lock(&h->lock);
	if (reg == IS) {
		h->is &= ~v;
		update(h, false);
	} else if (reg == GHC) {
		reset = v & GHC_RESET;
		h->ghc = GHC_AE | (v & GHC_IE);
		update(h, true);
	}
	pthread_mutex_unlock(&h->lock);
	if (reset)
		reset_all(h);
}

static void bar_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct ahci *h = dev;
	const unsigned int reg = (unsigned int)offset & ~3u, shift = (unsigned int)(offset & 3) * 8;
	const u32 mask = (u32)((1ULL << size * 8) - 1) << shift;
	u32 v = (u32)value << shift & mask;
	struct ahci_port *p;
	enum after what;

	if (reg < PORT0) {
		pthread_mutex_lock(&h->lock);
		v |= keeps(reg) ? read_register(h, reg) & ~mask : 0;
		pthread_mutex_unlock(&h->lock);
		write_global(h, reg, v);
		return;
	}
	if (reg >= PORT0 + AHCI_PORTS * PORT_SIZE)
		return;
	p = &h->port[(reg - PORT0) / PORT_SIZE];
	pthread_mutex_lock(&h->lock);
	v |= keeps(reg) ? port_read(p, reg % PORT_SIZE) & ~mask : 0;
	what = port_write(p, reg % PORT_SIZE, v);
	pthread_mutex_unlock(&h->lock);
	after_write(p, what);
}

/* --- life ------------------------------------------------------------------------------------ */

static int plug(struct ahci *h, struct board *b)
{
	const struct pci_ids ids = {
		PCI_VENDOR_INTEL, DEVICE, PCI_VENDOR_REDHAT, PCI_SUBSYSTEM_ANY, 0x010601, 2,
	};
	const struct bus_region r = { .name = "ahci", .width = 4, .read = bar_read,
		.write = bar_write, .dev = h };
	struct pci_bus *root = b->pci->bus[0];

	pci_init(&h->pci, "ahci", &ids);
	h->pci.config[0x90] = MAP_AHCI;
	pci_put16(h->pci.writable, 0x92, PORTS_MASK);	/* which ports are switched on */
	pci_bar(&h->pci, BAR, PCI_BAR_MEM32, BAR_SIZE, &r);
	pci_set_pin(&h->pci, 1);
	if (pci_msi_init(&h->pci, 1) < 0)
		return error("ahci: no room for a capability");
	if (root->dev[ICH9_SLOT << 3])		/* ICH9 has it beside its bridge to ISA */
		return pci_plug_at(root, &h->pci, ICH9_SLOT, ICH9_FUNCTION);
	return pci_plug(b->pci, &h->pci, NULL);
}

static void ahci_free(struct ahci *h)
{
	unsigned int i;

	h->b->ahci = NULL;
	pci_unplug(&h->pci);
	if (h->thread)
		loop_thread_free(h->thread);
	for (i = 0; i < AHCI_PORTS; i++)
		pthread_mutex_destroy(&h->port[i].drain);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static struct ahci *ahci_new(struct board *b)
{
	struct ahci *h = calloc(1, sizeof(*h));
	unsigned int i;

	if (!h) {
		error("out of memory");
		return NULL;
	}
	h->b = b;
	h->ghc = GHC_AE;
	pthread_mutex_init(&h->lock, NULL);
	for (i = 0; i < AHCI_PORTS; i++) {
		h->port[i].h = h;
		h->port[i].cmd = CMD_SUD | CMD_POD;
		h->port[i].tfd = NO_DEVICE;
		h->port[i].sig = ~0u;
		pthread_mutex_init(&h->port[i].drain, NULL);
	}
	h->thread = loop_thread_new("ahci");
	if (h->thread && plug(h, b) == 0) {
		b->ahci = h;
		return h;
	}
	ahci_free(h);
	return NULL;
}

static struct ahci_port *choose_port(struct ahci *h, struct props *p)
{
	u64 n = props_number(p, "port", AHCI_PORTS, 0, AHCI_PORTS - 1);
	unsigned int i;

	if (n < AHCI_PORTS && h->port[n].device) {
		error("%s: port %u has a drive already", p->type, (unsigned int)n);
		return NULL;
	}
	for (i = 0; n == AHCI_PORTS && i < AHCI_PORTS; i++)
		if (!h->port[i].device)
			n = i;
	if (n < AHCI_PORTS)
		return &h->port[n];
	error("%s: all %d ports have a drive", p->type, AHCI_PORTS);
	return NULL;
}

static bool equip(struct ahci_port *p, struct board *b, struct props *props, bool cd)
{
	unsigned int i;

	if (!ata_open(&p->drive, b, props, cd))
		return false;
	p->drive.ncq = true;
	p->slot = calloc(AHCI_SLOTS, sizeof(*p->slot));
	p->queue = block_queue_new(p->drive.disk->block, p->h->thread, BLOCK_QUEUE_INLINE);
	if (!p->slot || !p->queue)
		return false;
	for (i = 0; i < AHCI_SLOTS; i++)
		p->slot[i].port = p;
	return true;
}

struct ahci_port *ahci_connect(struct board *b, struct props *props, struct device *d, bool cd)
{
	struct ahci *h = b->ahci ? b->ahci : ahci_new(b);
	struct ahci_port *p = h ? choose_port(h, props) : NULL;

	if (!p) {
		if (h && !h->drives)
			ahci_free(h);
		return NULL;
	}
	p->device = d;
	h->drives++;
	if (equip(p, b, props, cd)) {
		reset_port(p);
		return p;
	}
	ahci_disconnect(p);
	return NULL;
}

void ahci_disconnect(struct ahci_port *p)
{
	struct ahci *h = p->h;

	ahci_stop(p);
	block_queue_free(p->queue);
	free(p->slot);
	ata_close(&p->drive, h->b);
	p->queue = NULL;
	p->slot = NULL;
	p->device = NULL;
	if (--h->drives == 0)
		ahci_free(h);
}

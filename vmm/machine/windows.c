/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The windows for PCI's BARs; windows.h tells where. */
#include <cpuid.h>

#include "../devices/pci/pci.h"
#include "vcpu.h"
#include "windows.h"

#define SPLIT 0xe0000000u	/* where a window without a hole is told in two halves */
#define IO_START 0xc000u
#define IO_END 0x10000u
#define ADDRESS_LEAF 0x80000008u

/* Addresses are as wide as the host's, or what the machine allows. */
static u64 address_end(const struct machine *m)
{
	unsigned int a = 0, b, c, d, host = 36, bits;

	if (__get_cpuid(ADDRESS_LEAF, &a, &b, &c, &d) && (a & 0xff) >= host)
		host = a & 0xff;
	bits = cpuid_address_bits(MEMORY_HIGH_BASE + m->mem.high);
	return 1ULL << (bits < host ? bits : host);
}

void windows_describe(struct machine *m, struct acpi_config *c)
{
	u64 hole = SPLIT, hole_end = SPLIT;

	c->mem = align_up(m->mem.low, 256 * MIB);
	c->mem2_end = IOAPIC_BASE;
	if (c->ecam_size && c->ecam >= c->mem && c->ecam + c->ecam_size < IOAPIC_BASE) {
		hole = c->ecam;
		hole_end = c->ecam + c->ecam_size;
	}
	/* configuration space right behind RAM leaves one window, told in halves */
	if (hole == c->mem) {
		c->mem = hole_end;
		hole = hole_end = c->mem < SPLIT ? SPLIT : 0xf0000000u;
	}
	c->mem_end = hole;
	c->mem2 = hole_end;
	c->mem64 = align_up(MEMORY_HIGH_BASE + m->mem.high, GIB);
	c->mem64_end = address_end(m);
	if (c->mem64_end <= c->mem64)
		c->mem64_end = c->mem64 + GIB;
}

void windows_assign(struct machine *m)
{
	struct acpi_config c = { .cpus = 1 };
	struct pci_windows w = { .io = IO_START, .io_end = IO_END };

	m->config->type->describe(m, &c);
	/* the larger of the two */
	w.mem = c.mem;
	w.mem_end = c.mem_end;
	if (c.mem2_end - c.mem2 > c.mem_end - c.mem) {
		w.mem = c.mem2;
		w.mem_end = c.mem2_end;
	}
	w.mem64 = c.mem64;
	w.mem64_end = c.mem64_end;
	pci_assign(m->board.pci, &w);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A board for tests of PCI devices; see pc_fake.h. */
#include "pc_fake.h"

struct pc pc;

static unsigned int pirq_of(unsigned int slot, unsigned int pin)
{
	(void)slot;
	return pin;
}

static void set_pirq(void *ctx, unsigned int pirq, bool level)
{
	(void)ctx;
	vm_line(&pc.vm, PC_GSI + pirq, level);
}

static void off(void *ctx)
{
	(void)ctx;
	pc.offs++;
}

static void reset(void *ctx)
{
	(void)ctx;
	pc.resets++;
}

int pc_setup(void **state)
{
	const struct pci_wiring wiring = { pirq_of, set_pirq, NULL };
	const struct pci_ids isa = { PCI_VENDOR_INTEL, 0x7000, 0, 0, 0x060100, 0 };

	(void)state;
	memset(&pc, 0, sizeof(pc));
	memset(&fake_vm, 0, sizeof(fake_vm));
	if (memory_create(&pc.mem, PC_RAM, MEMORY_LOW_MAX) < 0)
		return -1;
	pc.board = (struct board){
		.vm = &pc.vm, .mem = &pc.mem, .ports = &pc.ports, .mmio = &pc.mmio,
		.loop = loop_new(), .backends = registry_new(), .cpus = 1,
		.power = { .off = off, .reset = reset },
	};
	pc.board.pci = pci_host_new(&pc.vm, &pc.ports, &pc.mmio, &wiring, NULL);
	pci_init(&pc.isa, "isa", &isa);
	return pci_plug_at(pc.board.pci->bus[0], &pc.isa, 1, 0);
}

int pc_teardown(void **state)
{
	(void)state;
	pci_unplug(&pc.isa);
	registry_free(pc.board.backends);
	loop_free(pc.board.loop);
	pci_host_free(pc.board.pci);
	memory_destroy(&pc.mem);
	return 0;
}

void pc_config_write(unsigned int offset, u32 value, unsigned int size)
{
	u32 address = 0x80000000u | (u32)pc.dev->devfn << 8 | (offset & 0xfc);

	bus_access(&pc.ports, 0xcf8, &address, 4, true);
	bus_access(&pc.ports, 0xcfc + (offset & 3), &value, size, true);
}

static void map_bars(void)
{
	unsigned int n;

	for (n = 0; n < 6; n++) {
		const struct pci_bar *b = &pc.dev->bar[n];

		if (b->size)
			pc_config_write(PCI_BAR0 + 4 * n, b->type & PCI_BAR_IO ?
					PC_BAR_IO + n * 256 : PC_BAR_MEM + n * (u32)MIB, 4);
	}
	pc_config_write(PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

struct device *pc_device(const struct device_class *class, const char *text)
{
	struct device *d = NULL;
	struct props p;
	unsigned int i;

	if (props_parse(&p, text) == 0)
		d = class->create(&pc.board, &p);
	props_free(&p);
	if (!d)
		return NULL;
	d->class = class;
	d->board = &pc.board;
	for (i = 0; i < 256; i++) {
		struct pci_device *f = pc.board.pci->bus[0]->dev[i];

		if (f && f != &pc.isa)
			pc.dev = f;
	}
	map_bars();
	return d;
}

void *pc_at(u64 gpa)
{
	return memory_ptr(&pc.mem, gpa, 1);
}

static u64 where(unsigned int bar, u64 offset)
{
	return (pc.dev->bar[bar].type & PCI_BAR_IO ? PC_BAR_IO + bar * 256 :
		PC_BAR_MEM + bar * MIB) + offset;
}

static struct bus *bus_of_bar(unsigned int bar)
{
	return pc.dev->bar[bar].type & PCI_BAR_IO ? &pc.ports : &pc.mmio;
}

u32 pc_read(unsigned int bar, u64 offset, unsigned int size)
{
	u32 v = 0;

	bus_access(bus_of_bar(bar), where(bar, offset), &v, size, false);
	return v;
}

void pc_write(unsigned int bar, u64 offset, u32 value, unsigned int size)
{
	bus_access(bus_of_bar(bar), where(bar, offset), &value, size, true);
}

bool pc_intx(void)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		if (fake_vm.line[PC_GSI + i])
			return true;
	return false;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI as a guest sees it: the configuration space by both ways, sizing and
 * moving BARs, capabilities, INTx with sharing and swizzling, MSI and MSI-X.
 */
#include <errno.h>

#include "../../../vmm/devices/pci/root_port.h"
#include "fake_vm.h"
#include "vmm_test.h"

static struct bus ports, mmio;
static struct vm vm;
static struct pci_host *host;
static struct pci_device dev, other;
static struct { unsigned int pirq; bool level; unsigned int calls; } wire;
static u64 last_offset, last_value;
static u8 framebuffer[0x2000] __attribute__((aligned(4096)));

static unsigned int pirq_of(unsigned int slot, unsigned int pin)
{
	return (slot + pin) % 4;
}

static void set_pirq(void *ctx, unsigned int pirq, bool level)
{
	(void)ctx;
	wire.pirq = pirq;
	wire.level = level;
	wire.calls++;
}

static u64 reg_read(void *opaque, u64 offset, unsigned int size)
{
	(void)opaque, (void)size;
	return 0x1000 + offset;
}

static void reg_write(void *opaque, u64 offset, u64 value, unsigned int size)
{
	(void)opaque, (void)size;
	last_offset = offset;
	last_value = value;
}

static const struct bus_region regs = { "regs", 0, 0, 4, reg_read, reg_write, &dev };
static const struct bus_region regs2 = { "regs", 0, 0, 4, reg_read, reg_write, &other };
static const struct pci_ids ids = { 0x1234, 0x5678, 0x1af4, 0x1100, 0x020000, 3 };

static int setup(void **state)
{
	const struct pci_wiring wiring = { pirq_of, set_pirq, NULL };

	(void)state;
	memset(&ports, 0, sizeof(ports));
	memset(&mmio, 0, sizeof(mmio));
	memset(&fake_vm, 0, sizeof(fake_vm));
	memset(&wire, 0, sizeof(wire));
	host = pci_host_new(&vm, &ports, &mmio, &wiring, NULL);
	assert_non_null(host);
	pci_init(&dev, "dev", &ids);
	pci_init(&other, "other", &ids);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pci_unplug(&dev);
	pci_unplug(&other);
	pci_host_free(host);
	return 0;
}

static void out32(u64 port, u32 v)
{
	bus_access(&ports, port, &v, 4, true);
}

static u32 config_in(unsigned int slot, unsigned int offset, unsigned int size)
{
	u32 v = 0;

	out32(0xcf8, 0x80000000 | slot << 11 | (offset & 0xfc));
	bus_access(&ports, 0xcfc + (offset & 3), &v, size, false);
	return v;
}

static void config_out(unsigned int slot, unsigned int offset, u32 v, unsigned int size)
{
	out32(0xcf8, 0x80000000 | slot << 11 | (offset & 0xfc));
	bus_access(&ports, 0xcfc + (offset & 3), &v, size, true);
}

static void mem_write(u64 addr, u32 v)
{
	bus_access(&mmio, addr, &v, 4, true);
}

static u32 mem_read(u64 addr)
{
	u32 v;

	bus_access(&mmio, addr, &v, 4, false);
	return v;
}

static void plug(struct pci_device *d, unsigned int slot)
{
	assert_int_equal(pci_plug_at(host->bus[0], d, slot, 0), 0);
}

static void test_config(void **state)
{
	(void)state;
	plug(&dev, 3);
	assert_int_equal(config_in(3, 0, 4), 0x56781234);
	assert_int_equal(config_in(3, 2, 2), 0x5678);
	assert_int_equal(config_in(3, 3, 1), 0x56);
	assert_int_equal(config_in(3, 8, 4), 0x02000003);
	assert_int_equal(config_in(4, 0, 4), 0xffffffff);
	config_out(3, 0, 0, 4);			/* read-only */
	assert_int_equal(config_in(3, 0, 4), 0x56781234);
	config_out(3, PCI_INTERRUPT_LINE, 0x0b, 1);
	assert_int_equal(config_in(3, PCI_INTERRUPT_LINE, 1), 0x0b);
	dev.config[PCI_STATUS + 1] = 0x30;
	config_out(3, PCI_STATUS, 0x1000, 2);	/* ones clear */
	assert_int_equal(config_in(3, PCI_STATUS, 2), 0x2000);
	out32(0xcf8, 3 << 11);			/* without the enable bit */
	assert_int_equal(inl(&ports, 0xcfc), 0xffffffff);
}

static void test_ecam(void **state)
{
	(void)state;
	plug(&dev, 3);
	pci_host_ecam(host, 0xb0000000, 256 * MIB);
	assert_int_equal(mem_read(0xb0000000 + (3 << 15)), 0x56781234);
	assert_int_equal(mem_read(0xb0000000 + (1 << 20)), 0xffffffff);
	assert_int_equal(mem_read(0xb0000000 + (3 << 15) + 0x100), 0xffffffff);
	assert_int_equal(pci_ext_capability(&dev, 1, 2, 0x48), 0x100);
	assert_int_equal(pci_ext_capability(&dev, 3, 1, 0x0c), 0x148);
	assert_int_equal(mem_read(0xb0000000 + (3 << 15) + 0x100), 0x14820001);
	pci_host_ecam(host, 0xc0000000, 64 * MIB);
	assert_int_equal(mem_read(0xb0000000 + (3 << 15)), 0xffffffff);
	assert_int_equal(mem_read(0xc0000000 + (3 << 15)), 0x56781234);
	pci_host_ecam(host, 0, 0);
	assert_int_equal(mem_read(0xc0000000 + (3 << 15)), 0xffffffff);
}

static void test_bar_sizing(void **state)
{
	(void)state;
	pci_bar(&dev, 0, PCI_BAR_IO, 0x20, &regs);
	pci_bar(&dev, 1, PCI_BAR_MEM32, 0x1000, &regs);
	pci_bar(&dev, 2, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, 0x4000, &regs);
	plug(&dev, 3);
	config_out(3, 0x10, ~0u, 4);
	config_out(3, 0x14, ~0u, 4);
	config_out(3, 0x18, ~0u, 4);
	config_out(3, 0x1c, ~0u, 4);
	config_out(3, 0x24, ~0u, 4);
	assert_int_equal(config_in(3, 0x10, 4), 0xffffffe1);
	assert_int_equal(config_in(3, 0x14, 4), 0xfffff000);
	assert_int_equal(config_in(3, 0x18, 4), 0xffffc00c);
	assert_int_equal(config_in(3, 0x1c, 4), 0xffffffff);
	assert_int_equal(config_in(3, 0x24, 4), 0);
}

static void test_bar_mapping(void **state)
{
	(void)state;
	pci_bar(&dev, 0, PCI_BAR_IO, 0x20, &regs);
	pci_bar(&dev, 2, PCI_BAR_MEM64, 0x4000, &regs);
	plug(&dev, 3);
	config_out(3, 0x10, 0xc000, 4);
	config_out(3, 0x18, 0xe0000000, 4);
	config_out(3, 0x1c, 0x10, 4);
	assert_int_equal(inl(&ports, 0xc004), 0xffffffff);	/* decoding is off */
	config_out(3, PCI_COMMAND, 3, 2);
	assert_int_equal(inl(&ports, 0xc004), 0x1004);
	assert_int_equal(mem_read(0x10e0000010), 0x1010);
	mem_write(0x10e0000020, 77);
	assert_int_equal(last_offset, 0x20);
	assert_int_equal(last_value, 77);
	config_out(3, 0x18, 0xd0000000, 4);
	assert_int_equal(mem_read(0x10e0000010), 0xffffffff);
	assert_int_equal(mem_read(0x10d0000010), 0x1010);
	config_out(3, PCI_COMMAND, 1, 2);
	assert_int_equal(mem_read(0x10d0000010), 0xffffffff);
	assert_int_equal(inl(&ports, 0xc004), 0x1004);
	pci_unplug(&dev);
	assert_int_equal(inl(&ports, 0xc004), 0xffffffff);
	assert_int_equal(ports.count, 2);
}

/* Two BARs at one place: the second comes when the first goes. */
static void test_bar_overlap(void **state)
{
	(void)state;
	pci_bar(&dev, 0, PCI_BAR_MEM32, 0x1000, &regs);
	pci_bar(&other, 0, PCI_BAR_MEM32, 0x4000, &regs2);
	plug(&dev, 3);
	plug(&other, 4);
	config_out(3, 0x10, 0xe0001000, 4);
	config_out(3, PCI_COMMAND, 2, 2);
	config_out(4, 0x10, 0xe0000000, 4);
	config_out(4, PCI_COMMAND, 2, 2);
	assert_int_equal(mem_read(0xe0001010), 0x1010);
	assert_int_equal(mem_read(0xe0000010), 0xffffffff);
	config_out(3, 0x10, 0xf0001000, 4);
	assert_int_equal(mem_read(0xe0001010), 0x2010);
	assert_int_equal(mem_read(0xf0001010), 0x1010);
	pci_unplug(&other);
	assert_int_equal(mmio.count, 1);
}

static void test_bar_memory(void **state)
{
	(void)state;
	pci_bar_memory(&dev, 0, PCI_BAR_MEM32, 0x2000, framebuffer, VM_MAP_LOG);
	pci_rom(&dev, framebuffer, 0x1000);
	plug(&dev, 3);
	assert_int_equal(pci_bar_slot(&dev, 0), -1);
	config_out(3, 0x10, 0xe0000000, 4);
	config_out(3, 0x30, 0xf0000000, 4);
	config_out(3, PCI_COMMAND, 2, 2);
	assert_int_equal(fake_vm.slot[0].gpa, 0xe0000000);
	assert_int_equal(fake_vm.slot[0].size, 0x2000);
	assert_int_equal(fake_vm.slot[0].flags, VM_MAP_LOG);
	assert_int_equal(fake_vm.slot[1].size, 0);	/* the ROM has its own enable bit */
	config_out(3, 0x30, 0xf0000001, 4);
	assert_int_equal(fake_vm.slot[1].gpa, 0xf0000000);
	assert_int_equal(fake_vm.slot[1].flags, VM_MAP_READONLY);
	assert_int_equal(pci_bar_slot(&dev, 0), 0);
	config_out(3, PCI_COMMAND, 0, 2);
	assert_int_equal(fake_vm.slot[0].size, 0);
	assert_int_equal(fake_vm.slot[1].size, 0);
}

static void test_doorbells(void **state)
{
	const struct pci_doorbell bell = { .bar = 0, .offset = 8, .size = 2, .fd = 40 };
	const struct pci_doorbell bell2 = {
		.bar = 0, .offset = 12, .matched = true, .match = 5, .fd = 41,
	};

	(void)state;
	pci_bar(&dev, 0, PCI_BAR_MEM32, 0x1000, &regs);
	plug(&dev, 3);
	assert_int_equal(pci_doorbell_add(&dev, &bell), 0);
	assert_int_equal(fake_vm.doorbells, 0);
	config_out(3, 0x10, 0xe0000000, 4);
	config_out(3, PCI_COMMAND, 2, 2);
	assert_int_equal(fake_vm.doorbells, 1);
	assert_int_equal(fake_vm.doorbell[0].addr, 0xe0000008);
	assert_int_equal(pci_doorbell_add(&dev, &bell2), 0);
	assert_int_equal(fake_vm.doorbells, 2);
	config_out(3, 0x10, 0xe1000000, 4);
	assert_int_equal(fake_vm.doorbells, 2);
	assert_int_equal(fake_vm.doorbell[0].addr & ~0xfULL, 0xe1000000);
	pci_doorbell_remove(&dev, 40);
	assert_int_equal(fake_vm.doorbells, 1);
	assert_int_equal(fake_vm.doorbell[0].addr, 0xe100000c);
	pci_unplug(&dev);
	assert_int_equal(fake_vm.doorbells, 0);
}

static void test_capabilities(void **state)
{
	u8 a, b;

	(void)state;
	plug(&dev, 3);
	a = pci_capability(&dev, PCI_CAP_VENDOR, 9);
	b = pci_capability(&dev, PCI_CAP_VENDOR, 16);
	assert_int_equal(a, 0x40);
	assert_int_equal(b, 0x4c);
	assert_int_equal(config_in(3, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES,
			 PCI_STATUS_CAPABILITIES);
	assert_int_equal(config_in(3, PCI_CAPABILITIES, 1), b);
	assert_int_equal(config_in(3, b, 2), PCI_CAP_VENDOR | a << 8);
	assert_int_equal(config_in(3, a, 2), PCI_CAP_VENDOR);
	while (pci_capability(&dev, PCI_CAP_VENDOR, 16))
		;
	assert_int_equal(pci_capability(&dev, PCI_CAP_VENDOR, 200), 0);
}

static void test_intx(void **state)
{
	(void)state;
	pci_set_pin(&dev, 1);
	pci_set_pin(&other, 2);
	plug(&dev, 3);
	plug(&other, 2);		/* both on PIRQ 3 */
	pci_intx(&dev, true);
	assert_int_equal(wire.calls, 1);
	assert_int_equal(wire.pirq, 3);
	assert_true(wire.level);
	assert_int_equal(config_in(3, PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
	pci_intx(&other, true);
	pci_intx(&dev, false);
	assert_int_equal(wire.calls, 1);
	config_out(2, PCI_COMMAND, PCI_COMMAND_INTX_OFF, 2);
	assert_int_equal(wire.calls, 2);
	assert_false(wire.level);
	assert_int_equal(config_in(2, PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
	config_out(2, PCI_COMMAND, 0, 2);
	assert_true(wire.level);
	pci_unplug(&other);
	assert_false(wire.level);
}

static void test_msi(void **state)
{
	u8 cap;

	(void)state;
	assert_int_equal(pci_msi_init(&dev, 4), 0);
	plug(&dev, 3);
	cap = dev.msi;
	pci_msi_raise(&dev, 0);
	assert_int_equal(fake_vm.msis, 0);
	config_out(3, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	config_out(3, cap + 4u, 0xfee01000, 4);
	config_out(3, cap + 12u, 0x4040, 2);
	config_out(3, cap + 2u, PCI_MSI_ENABLE | 2 << 4, 2);
	pci_msi_raise(&dev, 3);
	assert_int_equal(fake_vm.msis, 1);
	assert_int_equal(fake_vm.msi_addr, 0xfee01000);
	assert_int_equal(fake_vm.msi_data, 0x4043);
	config_out(3, cap + 16u, 1 << 2, 4);
	pci_msi_raise(&dev, 2);
	assert_int_equal(fake_vm.msis, 1);
	assert_int_equal(config_in(3, cap + 20u, 4), 1 << 2);
	config_out(3, cap + 16u, 0, 4);
	assert_int_equal(fake_vm.msis, 2);
	assert_int_equal(fake_vm.msi_data, 0x4042);
	assert_int_equal(config_in(3, cap + 20u, 4), 0);
	config_out(3, cap + 4u, 0x10000, 4);	/* no place of the APICs */
	pci_msi_raise(&dev, 2);
	assert_int_equal(fake_vm.msis, 2);
}

#define TABLE 0xe0000000u

static u8 plug_msix(void)
{
	assert_int_equal(pci_msix_init(&dev, 1, 4), 0);
	plug(&dev, 3);
	config_out(3, 0x14, TABLE, 4);
	config_out(3, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
	return config_in(3, PCI_CAPABILITIES, 1) & 0xff;
}

static void test_msix(void **state)
{
	u8 cap = plug_msix();

	(void)state;
	assert_int_equal(config_in(3, cap, 4), PCI_CAP_MSIX | 3 << 16);
	assert_int_equal(config_in(3, cap + 4u, 4), 1);
	assert_int_equal(config_in(3, cap + 8u, 4), 0x801);
	mem_write(TABLE + 16, 0xfee00000);
	mem_write(TABLE + 24, 0x31);
	assert_int_equal(mem_read(TABLE + 28), 1);	/* masked at first */
	mem_write(TABLE + 28, 0);
	pci_msix_raise(&dev, 1);
	assert_int_equal(fake_vm.msis, 0);		/* not enabled */
	config_out(3, cap + 2u, PCI_MSIX_ENABLE, 2);
	pci_msix_raise(&dev, 1);
	assert_int_equal(fake_vm.msis, 1);
	assert_int_equal(fake_vm.msi_data, 0x31);
	config_out(3, cap + 2u, PCI_MSIX_ENABLE | PCI_MSIX_MASK_ALL, 2);
	pci_msix_raise(&dev, 1);
	assert_int_equal(fake_vm.msis, 1);
	assert_int_equal(mem_read(TABLE + 0x800), 2);
	config_out(3, cap + 2u, PCI_MSIX_ENABLE, 2);
	assert_int_equal(fake_vm.msis, 2);
	assert_int_equal(mem_read(TABLE + 0x800), 0);
	mem_write(TABLE + 0x800, 0xff);			/* read-only */
	assert_int_equal(mem_read(TABLE + 0x800), 0);
	pci_msix_raise(&dev, 4);			/* there is no such vector */
	pci_msix_raise(&dev, ~0u);
	assert_int_equal(fake_vm.msis, 2);
	mem_write(TABLE + 64, 1);			/* nor entry */
	assert_int_equal(mem_read(TABLE + 64), 0);
}

/* An irqfd is tied to its vector only while that is open. */
static void test_msix_irqfd(void **state)
{
	u8 cap = plug_msix();
	int gsi = VM_IRQCHIP_GSIS;

	(void)state;
	assert_int_equal(pci_msix_irqfd(&dev, 4, 50), -EINVAL);
	assert_int_equal(pci_msix_irqfd(&dev, 2, 50), 0);
	assert_int_equal(fake_vm.gsi[gsi].fd, -1);
	mem_write(TABLE + 32, 0xfee02000);
	mem_write(TABLE + 40, 0x55);
	mem_write(TABLE + 44, 0);
	config_out(3, cap + 2u, PCI_MSIX_ENABLE, 2);
	assert_int_equal(fake_vm.gsi[gsi].fd, 50);
	assert_int_equal(fake_vm.gsi[gsi].addr, 0xfee02000);
	assert_int_equal(fake_vm.gsi[gsi].data, 0x55);
	mem_write(TABLE + 44, 1);
	assert_int_equal(fake_vm.gsi[gsi].fd, -1);
	mem_write(TABLE + 40, 0x66);
	mem_write(TABLE + 44, 0);
	assert_int_equal(fake_vm.gsi[gsi].fd, 50);
	assert_int_equal(fake_vm.gsi[gsi].data, 0x66);
	pci_unplug(&dev);
	assert_false(fake_vm.gsi[gsi].used);
}

static void test_places(void **state)
{
	struct props p;

	(void)state;
	plug(&other, 0);
	assert_int_equal(props_parse(&p, "dev,addr=5.1"), 0);
	assert_int_equal(pci_plug(host, &dev, &p), 0);
	props_free(&p);
	assert_ptr_equal(pci_find(host, 0, 5 << 3 | 1), &dev);
	pci_unplug(&dev);
	assert_int_equal(pci_plug(host, &dev, NULL), 0);
	assert_int_equal(dev.devfn, 1 << 3);
	pci_unplug(&dev);
	assert_int_equal(props_parse(&p, "dev,addr=0"), 0);
	assert_int_equal(pci_plug(host, &dev, &p), -1);		/* taken */
	props_free(&p);
	assert_int_equal(props_parse(&p, "dev,addr=20.0"), 0);
	assert_int_equal(pci_plug(host, &dev, &p), -1);
	props_free(&p);
	assert_int_equal(props_parse(&p, "dev,bus=none"), 0);
	assert_int_equal(pci_plug(host, &dev, &p), -1);
	props_free(&p);
}

static void test_assign(void **state)
{
	const struct pci_windows w = {
		0xc000, 0x10000, 0xe0000000, 0xe0100000, 0x100000000, 0x200000000,
	};

	(void)state;
	pci_bar(&dev, 0, PCI_BAR_IO, 0x20, &regs);
	pci_bar(&dev, 1, PCI_BAR_MEM32, 0x1000, &regs);
	pci_bar(&dev, 2, PCI_BAR_MEM64, 16 * MIB, &regs);
	pci_bar(&other, 0, PCI_BAR_MEM32, 0x80000, &regs2);
	pci_bar(&other, 1, PCI_BAR_MEM32, 0x100000, &regs2);	/* does not fit any more */
	plug(&dev, 3);
	plug(&other, 4);
	pci_assign(host, &w);
	assert_int_equal(config_in(3, 0x10, 4), 0xc001);
	assert_int_equal(config_in(3, 0x14, 4), 0xe0000000);
	assert_int_equal(config_in(3, 0x18, 4), 0x00000004);
	assert_int_equal(config_in(3, 0x1c, 4), 1);
	assert_int_equal(config_in(4, 0x10, 4), 0xe0080000);
	assert_int_equal(config_in(4, 0x14, 4), 0);
	assert_int_equal(mem_read(0x100000000), 0x1000);
	assert_int_equal(config_in(3, PCI_COMMAND, 2), 3);
}

/* --- a root port with its slot ------------------------------------------------------ */

static struct board board;
static struct device *removed;

static void on_remove(struct board *b, struct device *d)
{
	assert_ptr_equal(b, &board);
	removed = d;
	pci_unplug(&dev);
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void run_loop(void)
{
	loop_call(board.loop, stop, board.loop);
	loop_run(board.loop);
}

static struct root_port *make_port(void)
{
	struct root_port *port;

	board = (struct board){
		.vm = &vm, .ports = &ports, .mmio = &mmio, .pci = host, .loop = loop_new(),
		.remove = on_remove,
	};
	removed = NULL;
	port = root_port_new(&board, "port0", 5, 0);
	assert_non_null(port);
	config_out(5, PCI_PRIMARY_BUS, 0x020200, 4);	/* the bus below is 2 */
	return port;
}

static void free_port(struct root_port *port)
{
	pci_unplug(&dev);
	root_port_free(port);
	loop_free(board.loop);
}

static u32 below_in(unsigned int offset, unsigned int size)
{
	u32 v = 0;

	out32(0xcf8, 0x80000000 | 2 << 16 | (offset & 0xfc));
	bus_access(&ports, 0xcfc + (offset & 3), &v, size, false);
	return v;
}

static void plug_below(void)
{
	struct props p;

	pci_set_pin(&dev, 1);
	assert_int_equal(props_parse(&p, "dev,bus=port0"), 0);
	assert_int_equal(pci_plug(host, &dev, &p), 0);
	props_free(&p);
}

#define PORT_SLOT_CONTROL (0x40u + 0x18)
#define PORT_SLOT_STATUS (0x40u + 0x1a)

static void test_root_port(void **state)
{
	struct root_port *port = make_port();

	(void)state;
	assert_int_equal(config_in(5, PCI_HEADER_TYPE, 1), PCI_HEADER_BRIDGE | PCI_HEADER_MULTI);
	assert_int_equal(below_in(0, 4), 0xffffffff);
	assert_int_equal(config_in(5, PORT_SLOT_STATUS, 2), 0);
	plug_below();
	assert_int_equal(below_in(0, 4), 0x56781234);
	assert_int_equal(config_in(5, PORT_SLOT_STATUS, 2), 0x148);	/* present; both changed */
	config_out(5, PORT_SLOT_STATUS, 0x108, 2);
	assert_int_equal(config_in(5, PORT_SLOT_STATUS, 2), 0x40);
	pci_intx(&dev, true);			/* swizzled: INTA# of slot 0 is the port's INTA# */
	assert_int_equal(wire.pirq, pirq_of(5, 0));
	assert_true(wire.level);
	pci_unplug(&dev);
	assert_false(wire.level);
	assert_int_equal(config_in(5, PORT_SLOT_STATUS, 2), 0x108);
	assert_int_equal(below_in(0, 4), 0xffffffff);
	free_port(port);
}

/* While the machine runs a device comes to a slot, and goes when the system lets it. */
static void test_hotplug(void **state)
{
	struct root_port *port = make_port();
	struct device *const identity = (struct device *)&other;

	(void)state;
	host->running = true;
	config_out(5, PORT_SLOT_CONTROL, 0x400, 2);	/* the empty slot is off */
	run_loop();
	config_out(5, PORT_SLOT_CONTROL, 0x142a | 0x400, 2);	/* events interrupt */
	dev.device = identity;
	pci_set_pin(&dev, 1);
	assert_int_equal(pci_plug(host, &dev, NULL), 0);
	assert_ptr_equal(dev.bus->bridge->owner, port);
	assert_int_equal(pci_plug(host, &other, NULL), -1);	/* the only slot is taken */
	assert_true(wire.level);			/* of the port: it has no MSI enabled */
	config_out(5, PORT_SLOT_STATUS, 0x108, 2);
	assert_false(wire.level);
	config_out(5, PORT_SLOT_CONTROL, 0x142b | 0x400, 2);
	run_loop();
	assert_null(removed);				/* it was off all the time */
	config_out(5, PORT_SLOT_CONTROL, 0x102b, 2);	/* on */
	assert_int_equal(pci_request_unplug(&dev), 0);
	assert_true(wire.level);
	assert_int_equal(config_in(5, PORT_SLOT_STATUS, 2), 0x41);	/* the button */
	run_loop();
	assert_null(removed);
	config_out(5, PORT_SLOT_STATUS, 1, 2);
	config_out(5, PORT_SLOT_CONTROL, 0x142b, 2);	/* off */
	run_loop();
	assert_ptr_equal(removed, identity);
	assert_int_equal(below_in(0, 4), 0xffffffff);
	free_port(port);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_config), TEST(test_ecam), TEST(test_bar_sizing), TEST(test_bar_mapping),
		TEST(test_bar_overlap), TEST(test_bar_memory), TEST(test_doorbells),
		TEST(test_capabilities), TEST(test_intx), TEST(test_msi), TEST(test_msix),
		TEST(test_msix_irqfd), TEST(test_places), TEST(test_assign),
		TEST(test_root_port), TEST(test_hotplug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

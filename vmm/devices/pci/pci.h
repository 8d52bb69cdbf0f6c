/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI (PCI Local Bus Specification 3.0, PCI Express Base Specification): what
 * a device, a chipset and the machine use of it.
 *
 * How to write a PCI device: put a struct pci_device into the device's struct,
 * then in create():
 *
 *	pci_init(&x->pci, "name", &ids);	identity, header
 *	pci_bar(&x->pci, 0, PCI_BAR_MEM32, 0x1000, &handlers);	registers
 *	pci_msix_init(&x->pci, 1, 4);		interrupts: MSI-X in BAR 1,
 *	pci_set_pin(&x->pci, 1);		and INTA#
 *	pci_plug(b->pci, &x->pci, props);	on to the bus, at addr=SLOT[.FUNCTION]
 *
 * and in destroy() pci_unplug(). The handlers of BARs get the offset within the
 * BAR; where the BAR is, the guest decides, and it moves at any time. The
 * configuration space works by itself: bits of `writable` are the guest's,
 * those of `w1c` he clears by writing ones. The hook config_written is for
 * registers with effects; it runs under the lock of the host bridge, under
 * which nothing of this file but pci_intx, pci_msi_* and pci_msix_raise is
 * called.
 *
 * Locks, in the order in which they nest: host->lock (configuration and the
 * mapping of BARs), pci_device.msi_lock, host->intx_lock.
 */
#ifndef VMM_DEVICES_PCI_PCI_H
#define VMM_DEVICES_PCI_PCI_H

#include <pthread.h>

#include "../../machine/vm.h"
#include "../bus.h"
#include "../props.h"
#include "regs.h"

#define PCI_CONFIG_SIZE 0x1000
#define PCI_CONFIG_LEGACY 0x100
#define PCI_BARS 7			/* six, and the ROM */
#define PCI_BAR_ROM 6
#define PCI_PIRQS 8
#define PCI_BUSES_MAX 64

struct device;
struct fw_cfg;
struct pci_device;
struct pci_host;

/* --- the bus, as chipsets make it ---------------------------------------------- */

struct pci_bus {
	struct pci_host *host;
	struct pci_device *bridge;	/* NULL: the root bus */
	struct pci_device *dev[256];	/* by device and function */
	/* hot-plug, under host->lock; eject NULL: the bus has none */
	void (*plugged)(struct pci_bus *b, struct pci_device *d);
	void (*unplugged)(struct pci_bus *b, struct pci_device *d);
	/* Asks the system to let go of a device, which board.remove then hears of. */
	int (*eject)(struct pci_bus *b, struct pci_device *d);
};

/* How the chipset wires INTx: which of its PIRQs, and what a PIRQ drives. */
struct pci_wiring {
	/* pin: 0 is INTA#; below PCI_PIRQS */
	unsigned int (*pirq)(unsigned int slot, unsigned int pin);
	void (*set)(void *ctx, unsigned int pirq, bool level);
	void *ctx;
};

struct pci_host {
	struct vm *vm;
	struct bus *ports, *mmio;
	struct pci_wiring wiring;
	const struct bus_region *reset;	/* takes the byte at port 0xcf9, if given */
	bool express;			/* a PCI Express root complex */
	bool running;			/* devices come by hot-plug from now on */
	pthread_mutex_t lock, intx_lock;
	u32 address;			/* port 0xcf8 */
	u64 ecam, ecam_size;		/* where the configuration space is mapped; 0: nowhere */
	struct pci_bus *bus[PCI_BUSES_MAX];
	unsigned int buses;
	unsigned int levels[PCI_PIRQS];	/* how many pins assert each PIRQ */
};

/* The root bus and the ports 0xcf8 to 0xcff; NULL when memory or ports are lacking. */
struct pci_host *pci_host_new(struct vm *vm, struct bus *ports, struct bus *mmio,
			      const struct pci_wiring *wiring, const struct bus_region *reset);
void pci_host_free(struct pci_host *h);
/* Maps configuration space (ECAM) to memory, size 0: unmaps. Under host->lock or before start. */
void pci_host_ecam(struct pci_host *h, u64 base, u64 size);
/* The PIRQs again, after the chipset changed what they drive. Under host->lock. */
void pci_host_reroute(struct pci_host *h);

/* A bus below a bridge: 0, or -ENOSPC. */
int pci_bus_add(struct pci_host *h, struct pci_bus *b, struct pci_device *bridge);
void pci_bus_remove(struct pci_bus *b);

/* The device at a place, or NULL. Under host->lock. */
struct pci_device *pci_find(struct pci_host *h, unsigned int bus, unsigned int devfn);

/*
 * Gives every BAR on the root bus an address in the windows (an end of 0: no
 * window) and enables decoding, as firmware does, for a start without one.
 */
struct pci_windows {
	u64 io, io_end, mem, mem_end, mem64, mem64_end;
};
void pci_assign(struct pci_host *h, const struct pci_windows *w);

/* --- devices --------------------------------------------------------------------- */

struct pci_ids {
	u16 vendor, device;
	u16 subsystem_vendor, subsystem;
	u32 class;			/* class, subclass, interface: 24 bits */
	u8 revision;
};

#define PCI_BAR_IO 0x01			/* the type bits of the register */
#define PCI_BAR_MEM32 0x00
#define PCI_BAR_MEM64 0x04		/* takes the next BAR's number, too */
#define PCI_BAR_PREFETCH 0x08

struct pci_bar {
	u64 size;			/* 0: there is none */
	u8 type;			/* PCI_BAR_* */
	struct bus_region region;	/* the handlers; base is where it is mapped */
	void *host;			/* or: memory of this process, mapped as a slot */
	unsigned int map_flags;		/* VM_MAP_* of it */
	int slot;
	bool mapped;
};

/* A write to a BAR that signals an eventfd. */
struct pci_doorbell {
	unsigned int bar;
	u64 offset, match;
	unsigned int size;		/* 0: any */
	bool matched;
	int fd;
};

struct pci_msix;

struct pci_device {
	const char *name;
	struct pci_bus *bus;		/* NULL: unplugged */
	u8 devfn;
	bool express;			/* all 4096 bytes of configuration space */
	u8 config[PCI_CONFIG_SIZE], writable[PCI_CONFIG_SIZE], w1c[PCI_CONFIG_SIZE];
	struct pci_bar bar[PCI_BARS];
	struct pci_doorbell *doorbell;
	unsigned int doorbells;
	u8 next_cap;			/* free configuration space from here */
	u16 next_ext_cap, last_ext_cap;
	bool intx;			/* asserted by the device */
	bool intx_out;			/* and seen by the chipset */
	pthread_mutex_t msi_lock;
	u8 msi;				/* capability, or 0 */
	struct pci_msix *msix;		/* or NULL */
	/* first, and without the lock: true when it did the access itself */
	bool (*config_access)(struct pci_device *d, unsigned int offset, unsigned int size,
			      u32 *value, bool write);
	void (*config_written)(struct pci_device *d, unsigned int offset, unsigned int size);
	void *owner;			/* for the hooks */
	struct device *device;		/* that can be unplugged with it, or NULL */
};

void pci_init(struct pci_device *d, const char *name, const struct pci_ids *ids);

/*
 * Puts it on the root bus, or the bus of property bus=, at the free place that
 * property addr=SLOT[.FUNCTION] names, or the first free slot. While the
 * machine runs that is a bus with hot-plug. p may be NULL. 0, or -1 after an
 * error line.
 */
int pci_plug(struct pci_host *h, struct pci_device *d, struct props *p);
/* The name of a bus with hot-plug and a free slot, as bus= takes it; NULL: there is none. */
const char *pci_hotplug_bus(struct pci_host *h);
/* The same at a place that the chipset fixes. */
int pci_plug_at(struct pci_bus *b, struct pci_device *d, unsigned int slot, unsigned int fn);
/* Takes it off its bus, with its BARs and interrupts, and frees what it holds. */
void pci_unplug(struct pci_device *d);

/*
 * Asks for its removal: 0, after which board.remove hears of it when the system
 * has let go, or -EOPNOTSUPP.
 */
int pci_request_unplug(struct pci_device *d);

/*
 * A BAR of size bytes (a power of two: at least 4 for ports, 16 for memory)
 * with the handlers of r (name, width, read, write, dev).
 */
void pci_bar(struct pci_device *d, unsigned int n, u8 type, u64 size, const struct bus_region *r);
/* A BAR that is memory of this process: size at least 4 KiB, flags VM_MAP_*. */
void pci_bar_memory(struct pci_device *d, unsigned int n, u8 type, u64 size, void *host,
		    unsigned int flags);
/* The expansion ROM: size bytes (a power of two, at least 4 KiB) at host. */
void pci_rom(struct pci_device *d, void *host, u64 size);
/* The slot of a mapped memory BAR, for vm_dirty_log; -1 while it is not mapped. */
int pci_bar_slot(struct pci_device *d, unsigned int n);

/* Ties a doorbell to wherever the BAR is, until it is removed: 0 or -errno. */
int pci_doorbell_add(struct pci_device *d, const struct pci_doorbell *b);
void pci_doorbell_remove(struct pci_device *d, int fd);

/* Room for a capability of size bytes, its header made: its offset; none is left: 0. */
u8 pci_capability(struct pci_device *d, u8 id, u8 size);
/* The same in the extended configuration space; size a multiple of 4. */
u16 pci_ext_capability(struct pci_device *d, u16 id, u8 version, u16 size);
/* PCI Express capability of an endpoint integrated in the root complex, or of a slot's device. */
void pci_express_endpoint(struct pci_device *d, bool integrated);

/*
 * Adds a plugged device to the firmware's boot order as Open Firmware names it:
 * node is its kind ("scsi"), leaf what boots on it ("disk@0,0"). 0, or -1 after
 * an error line; 0 without firmware.
 */
int pci_boot(struct pci_device *d, struct fw_cfg *f, unsigned int index, const char *node,
	     const char *leaf);

static inline u16 pci_get16(const struct pci_device *d, unsigned int at)
{
	return (u16)(d->config[at] | d->config[at + 1] << 8);
}

static inline u32 pci_get32(const struct pci_device *d, unsigned int at)
{
	return pci_get16(d, at) | (u32)pci_get16(d, at + 2) << 16;
}

static inline void pci_put16(u8 *bytes, unsigned int at, u16 v)
{
	bytes[at] = (u8)v;
	bytes[at + 1] = (u8)(v >> 8);
}

static inline void pci_put32(u8 *bytes, unsigned int at, u32 v)
{
	pci_put16(bytes, at, (u16)v);
	pci_put16(bytes, at + 2, (u16)(v >> 16));
}

/* --- interrupts: from any thread ---------------------------------------------------- */

/* Pin 1 is INTA#; 0: none. Before it is plugged. */
void pci_set_pin(struct pci_device *d, u8 pin);
/* Drives the pin. */
void pci_intx(struct pci_device *d, bool level);

/* An MSI capability of 1, 2, 4 .. 32 vectors, 64-bit, with masks: 0 or -ENOSPC. */
int pci_msi_init(struct pci_device *d, unsigned int vectors);
bool pci_msi_enabled(const struct pci_device *d);
void pci_msi_raise(struct pci_device *d, unsigned int vector);

#define PCI_MSIX_MAX 2048

/* An MSI-X capability, with its table in a BAR that it has to itself: 0 or -errno. */
int pci_msix_init(struct pci_device *d, unsigned int bar, unsigned int vectors);
bool pci_msix_enabled(const struct pci_device *d);
void pci_msix_raise(struct pci_device *d, unsigned int vector);
/* Has eventfd fd raise a vector, or ends it (fd -1); of a plugged device. 0 or -errno. */
int pci_msix_irqfd(struct pci_device *d, unsigned int vector, int fd);

/* --- between the files of this folder -------------------------------------------------- */

u32 pci_config_read(struct pci_device *d, unsigned int offset, unsigned int size);
void pci_config_write(struct pci_device *d, unsigned int offset, u32 value, unsigned int size);
void pci_remap(struct pci_host *h);
void pci_unmap_bars(struct pci_device *d);
void pci_update_intx(struct pci_device *d);
void pci_msi_written(struct pci_device *d, unsigned int offset, unsigned int size);
void pci_msix_written(struct pci_device *d, unsigned int offset, unsigned int size);
void pci_msix_fini(struct pci_device *d);
/* Sends the message if the device may write to memory and it is one for the APICs. */
void pci_send_msi(struct pci_device *d, u64 addr, u32 data);

#endif

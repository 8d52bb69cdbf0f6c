/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that the user chooses (--device TYPE,...), and what they may use of
 * the machine. How to write one:
 *
 * - A device is one file with a struct that begins with a struct device (a
 *   virtio device's struct virtio_device does; a PCI device puts a struct
 *   pci_device after it), and one constant struct device_class, which classes.c
 *   names.
 * - create() takes its properties (props.h) and puts the device on a bus.
 *   It is called while the machine is put together, or by hot-plug, on the main
 *   thread. It says what is wrong in an error line and leaves nothing behind.
 * - destroy() is called on the main thread when the vCPUs do not run (the end
 *   of the machine), or after the device left its bus (hot-unplug).
 * - There is no reset of the machine to handle: a reset makes a new machine
 *   with new devices. What must outlive it (files, sockets, windows) is a
 *   backend (backends/registry.h), which the device finds by its name.
 *
 * Threads: handlers of ports, memory and configuration space run on the vCPUs'
 * threads, several at once; callbacks of a loop on that loop's thread. There is
 * no lock around the machine: a device has its own, and holds it only over its
 * own state. Interrupts (irq_set, pci_*, virtio_*) may be raised under it.
 *
 * Everything the guest writes is hostile. Guest memory is reached through
 * machine/memory.h, which checks bounds; what is read from it is read once,
 * into a local, and then checked.
 */
#ifndef VMM_DEVICES_DEVICE_H
#define VMM_DEVICES_DEVICE_H

#include "../backends/loop.h"
#include "../machine/memory.h"
#include "../machine/vm.h"
#include "bus.h"
#include "irq.h"
#include "power/power.h"
#include "props.h"

#define DEVICE_ID_MAX 64

struct ahci;
struct device;
struct display;
struct fw_cfg;
struct ide;
struct input;
struct pci_host;
struct virtio_mmio_bus;
struct registry;
struct vga_device;

/* What a device may use of the machine. */
struct board {
	struct vm *vm;
	const struct guest_memory *mem;
	struct bus *ports, *mmio;
	struct loop *loop;			/* the main thread's */
	struct pci_host *pci;			/* NULL: the machine has no PCI */
	struct virtio_mmio_bus *virtio_mmio;	/* NULL unless it has this instead */
	struct ahci *ahci;			/* NULL until a drive is on it */
	struct ide *ide;			/* the same */
	struct fw_cfg *fw_cfg;			/* NULL: there is no firmware */
	struct input *input;			/* where the user's keys and movements come from */
	struct display *display;		/* the screen */
	struct vga_device *vga;			/* the one that there is, or NULL */
	struct registry *backends;
	struct power_ops power;
	unsigned int cpus;
	/* The system has let go of a device: it goes. On the main thread; NULL: nobody hears. */
	void (*remove)(struct board *b, struct device *d);
	/* A watchdog has run down and does what its action says; on the main thread, or NULL. */
	void (*watchdog)(struct board *b, const char *action);
	void *machine;				/* for these two */
};

static inline struct irq_line board_line(const struct board *b, unsigned int gsi)
{
	return (struct irq_line){ vm_line, b->vm, gsi };
}

struct device {
	const struct device_class *class;
	struct board *board;
	char id[DEVICE_ID_MAX];			/* the user's name for it, or "" */
	struct device *next;
};

struct device_class {
	const char *name;			/* as --device gives it */
	const char *summary;			/* one line */
	const char *usage;			/* its properties, for the help */
	/* NULL after an error line */
	struct device *(*create)(struct board *b, struct props *p);
	void (*destroy)(struct device *d);
	/*
	 * Asks for the removal of a running device: 0 when it was asked for or
	 * is done, -errno when it cannot be removed. NULL: it cannot.
	 */
	int (*unplug)(struct device *d);
};

extern const struct device_class *const device_classes[];	/* ended by NULL */

/* NULL: there is none of this name. */
const struct device_class *device_find_class(const char *name);

/* The devices of a machine; all zero is none. */
struct devices {
	struct device *first;			/* the newest */
};

/* Makes a device of properties, with the common one, id: NULL after an error line. */
struct device *device_create(struct devices *all, struct board *b, struct props *p);
/* The same of an option's text. */
struct device *device_create_text(struct devices *all, struct board *b, const char *text);
struct device *device_find(const struct devices *all, const char *id);
/* Takes a device out and frees it; it must have left its bus, or no vCPU may run. */
void device_destroy(struct devices *all, struct device *d);
void devices_destroy(struct devices *all);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine: a virtual machine of the KVM API with memory, interrupt
 * controllers, CPUs and devices, from its start to its power-off. A reset
 * makes a new one, so nothing of the old state can stay.
 */
#ifndef VMM_MACHINE_MACHINE_H
#define VMM_MACHINE_MACHINE_H

#include <pthread.h>

#include "../backends/chardev.h"
#include "../backends/loop.h"
#include "../boot/boot.h"
#include <pthread.h>

#include "../boot/acpi.h"
#include "../devices/device.h"
#include "../kvm.h"
#include "memory.h"
#include "vm.h"

/* APIC ids of 8 bits; more needs interrupt remapping, which is not here. */
#define MACHINE_CPUS_MAX 255
#define MACHINE_DEVICES_MAX 64
#define PAUSE_JOBS_MAX 16

/* Pages that KVM needs on Intel processors without unrestricted guest mode; below all firmware. */
#define MACHINE_KVM_PAGES 0xfeffc000ULL
#define MACHINE_KVM_PAGES_SIZE 0x4000

struct firmware;
struct flash;
struct trace;
struct vcpu;
struct machine;

/*
 * A kind of machine, as --machine names it: what differs is the chipset. Its
 * functions fill in and use machine.board and machine.chipset.
 */
struct machine_type {
	const char *name, *summary;
	u64 low_max;			/* RAM below 4 GiB at most */
	bool hpet;
	bool keyboard;			/* with a keyboard and a mouse */
	bool shadow;			/* the chipset has the memory from 640 KiB to 1 MiB */
	/* 0, or -1 after an error line */
	int (*create)(struct machine *m);
	void (*destroy)(struct machine *m);
	/* After all devices are there, for a start without firmware. */
	void (*assign)(struct machine *m);
	/* Fills in what the ACPI tables say of it. */
	void (*describe)(struct machine *m, struct acpi_config *c);
};

extern const struct machine_type machine_q35, machine_pc, machine_micro;
extern const struct machine_type *const machine_types[];	/* ended by NULL */

struct machine_config {
	const struct machine_type *type;
	struct boot_config boot;	/* with the number of CPUs */
	u64 memory;			/* bytes */
	bool debug_port;		/* ports 0x402 and 0xe9 print to standard error */
	struct trace *trace;		/* or NULL */
	struct firmware *firmware;	/* unless a kernel starts directly */
	struct registry *backends;
	struct input *input;
	struct display *display;
	const char *devices[MACHINE_DEVICES_MAX];	/* --device, in their order */
	unsigned int ndevices;
	/* A device that machine_del_device was asked for is gone; or NULL. */
	void (*on_removed)(void *ctx, const char *id);
	void *on_removed_ctx;
	/* A watchdog has run down: "pause" is for this function to do. Or NULL. */
	void (*on_watchdog)(void *ctx, const char *action);
	void *on_watchdog_ctx;
};

/* Why a machine ended. */
enum machine_end {
	MACHINE_RUNNING,
	MACHINE_OFF,		/* the guest turned it off */
	MACHINE_RESET,		/* the guest asks for a reset */
	MACHINE_QUIT,		/* the user asks for its end */
	MACHINE_FAILED,		/* told in an error line */
};

struct machine {
	const struct kvm *kvm;
	const struct machine_config *config;
	struct loop *loop;
	struct vm vm;
	struct guest_memory mem;
	struct boot_entry entry;
	struct bus ports, mmio;
	struct board board;		/* all that devices may use of this */
	struct devices devices;		/* those that the user chose */
	void *chipset;			/* the type's */
	struct flash *flash;		/* of the firmware's variables, or NULL */
	struct uart *uart;
	struct hpet *hpet;		/* or NULL */
	struct rtc *rtc;
	struct i8042 *i8042;
	struct acpi_pm *acpi_pm;	/* the chipset's */
	struct reset_ports *reset_ports;
	struct vcpu *vcpus;	/* config->boot.cpus of them */
	unsigned int cpus;	/* how many of those are made */
	size_t run_size;	/* of a vCPU's run structure */
	u32 tsc_khz;		/* 0: unknown */
	int end;		/* enum machine_end, atomic */
	pthread_mutex_t pause_lock;	/* of the four below */
	pthread_cond_t resumed;
	bool pausing;
	u32 pauses;		/* how many there were */
	unsigned int paused;	/* CPUs that are out of the guest */
	bool user_pause;
	struct pause_job {
		void (*fn)(void *ctx);
		void *ctx;
	} pause_job[PAUSE_JOBS_MAX];
	unsigned int pause_jobs;
	struct device *removal[PAUSE_JOBS_MAX];	/* devices that go at the next pause */
	unsigned int removals;
};

/*
 * A machine with its kernel loaded, ready to start; NULL after an error line.
 * kvm, config, loop and console must outlive it.
 */
struct machine *machine_new(const struct kvm *kvm, const struct machine_config *config,
			    struct loop *loop, struct chardev *console);
/* Starts the CPUs: 0, or -1 after an error line. */
int machine_start(struct machine *m);
/*
 * Makes every CPU leave the guest and waits for it. 0, or -1 after an error
 * line when one does not leave; then the machine cannot be freed.
 */
int machine_stop(struct machine *m);
/* Of a stopped machine. */
void machine_free(struct machine *m);

/* --- pause.c: on the main thread ------------------------------------------------- */

/* Makes all CPUs wait, and go on. What devices are doing goes on. */
void machine_pause(struct machine *m, bool on);
/* All CPUs are out of the guest. */
bool machine_is_paused(struct machine *m);
/*
 * Calls fn(ctx) while all CPUs are out of the guest, so that no handler of a
 * device runs; if they are not, they are only for that. 0, or -EBUSY when too
 * much waits for that already.
 */
int machine_when_paused(struct machine *m, void (*fn)(void *ctx), void *ctx);
/* The last CPU is out; on its thread. */
void machine_all_paused(struct machine *m);
/* Forgets all of it, for the end of the machine. */
void machine_unpause(struct machine *m);

/* --- hotplug.c: on the main thread ------------------------------------------------- */

/* 0, or -1 after an error line. */
int machine_add_device(struct machine *m, struct props *p);
/*
 * Asks the guest to let go of a device, which may take it seconds or for ever;
 * then config->on_removed is called. 0, -ENOENT, or -EOPNOTSUPP when the device
 * cannot be removed.
 */
int machine_del_device(struct machine *m, const char *id);
/* The guest has let go of a device: board.remove. */
void machine_remove_device(struct board *b, struct device *d);

/* --- ending ---------------------------------------------------------------------------- */

/* Notes why the machine ends (the first reason counts) and stops the loop. */
void machine_set_end(struct machine *m, enum machine_end why);
enum machine_end machine_get_end(const struct machine *m);

/* Presses the power button: the guest is to shut down. */
void machine_power_button(struct machine *m);

/* Has every CPU tell its registers on standard error. */
void machine_info(struct machine *m);
/*
 * Has every CPU leave the guest for a moment, which brings its counters up to
 * date and opens them.
 */
void machine_refresh(struct machine *m);
/* Has every CPU give the trace a sample of where it is. */
void machine_sample(struct machine *m);

#endif

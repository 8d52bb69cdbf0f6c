/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The watchdog of Intel's 6300ESB (datasheet 300641, chapter 15): two timers of
 * 20 bits, one after the other. When the first has run down there may be an
 * interrupt, when the second has the system hangs, and what the user chose is
 * done about it. That it was so is forgotten with the reset.
 */
#include <stdlib.h>

#include "../../error.h"
#include "../device.h"
#include "../pci/pci.h"

#define DEVICE 0x25ab
#define BAR_SIZE 16
#define PCI_HZ 33333333ULL
#define LINES_MAX 16			/* a guest can have it fire at will */
#define STAGE_MIN (NSEC / 1000)		/* what is shorter only keeps the main thread busy */

/* Configuration space */
#define C_CONFIG 0x60
#define C_LOCK 0x68
#define CONFIG_NO_OUTPUT (1 << 5)
#define CONFIG_FAST (1 << 2)
#define CONFIG_INTERRUPT 3		/* 0: INTA# */
#define LOCK_LOCKED (1 << 0)
#define LOCK_ENABLE (1 << 1)
#define LOCK_FREE_RUNNING (1 << 2)

/* Memory */
enum { TIMER1 = 0x00, TIMER2 = 0x04, STATUS = 0x08, RELOAD = 0x0c };
#define TIMER_MASK 0xfffffu
#define STATUS_INTERRUPT 1
#define RELOAD_NOW (1 << 8)
#define RELOAD_TIMEOUT (1 << 9)
#define UNLOCK1 0x80
#define UNLOCK2 0x86

enum action { ACTION_RESET, ACTION_POWEROFF, ACTION_PAUSE, ACTION_NONE };
static const char *const actions[] = { "reset", "poweroff", "pause", "none", NULL };

struct watchdog {
	struct device dev;		/* first */
	struct pci_device pci;
	struct board *b;
	struct timer *timer;
	pthread_mutex_t lock;
	enum action action;
	u32 preload[2];
	unsigned int stage;		/* which timer runs: 0 or 1 */
	unsigned int unlocked;		/* how much of the key came */
	u16 config;
	u8 locked;			/* the lock register */
	bool interrupt, timeout;
	unsigned int lines;		/* of text so far; the main thread's */
};

/* --- the timers: under the lock ------------------------------------------------------ */

static void start_stage(struct watchdog *w, unsigned int stage)
{
	const u64 ticks = w->preload[stage] ? w->preload[stage] : 1;
	const u64 cycles = ticks << (w->config & CONFIG_FAST ? 5 : 15);
	/* in nanoseconds at once, the longest would not fit 64 bits */
	const u64 ns = cycles / PCI_HZ * NSEC + cycles % PCI_HZ * NSEC / PCI_HZ;

	w->stage = stage;
	timer_set(w->timer, monotonic_ns() + (ns > STAGE_MIN ? ns : STAGE_MIN));
}

static void restart(struct watchdog *w)
{
	if (w->locked & LOCK_ENABLE)
		start_stage(w, 0);
	else
		timer_set(w->timer, 0);
}

/* On the main thread, without the lock. */
static void act(struct watchdog *w)
{
	const struct power_ops *power = &w->b->power;

	if (w->lines++ < LINES_MAX)
		error("the watchdog found the guest hanging: action %s", actions[w->action]);
	if (w->b->watchdog)
		w->b->watchdog(w->b, actions[w->action]);
	if (w->action == ACTION_RESET)
		power->reset(power->ctx);
	else if (w->action == ACTION_POWEROFF)
		power->off(power->ctx);
}

static void on_timer(void *arg)
{
	struct watchdog *w = arg;
	bool hangs = false;

	pthread_mutex_lock(&w->lock);
	if (!(w->locked & LOCK_ENABLE)) {
		;	/* it was switched off meanwhile */
	} else if (w->stage == 0) {
		w->interrupt = true;
		if (!(w->config & CONFIG_INTERRUPT))
			pci_intx(&w->pci, true);
		start_stage(w, 1);
	} else if (w->locked & LOCK_FREE_RUNNING) {
		start_stage(w, 0);
	} else {
		w->timeout = true;
		hangs = !(w->config & CONFIG_NO_OUTPUT);
	}
	pthread_mutex_unlock(&w->lock);
	if (hangs)
		act(w);
}

/* --- registers ------------------------------------------------------------------------ */

static u64 bar_read(void *dev, u64 offset, unsigned int size)
{
	struct watchdog *w = dev;
	u32 v = 0;

	(void)size;
	pthread_mutex_lock(&w->lock);
	if ((offset & ~3ULL) == STATUS)
		v = w->interrupt ? STATUS_INTERRUPT : 0;
	else if ((offset & ~3ULL) == RELOAD)
		v = w->timeout ? RELOAD_TIMEOUT : 0;
	pthread_mutex_unlock(&w->lock);
	return v >> (offset & 3) * 8;
}

/* Behind the key. */
static void write_unlocked(struct watchdog *w, u64 offset, u32 v)
{
	if (offset == TIMER1 || offset == TIMER2) {
		w->preload[offset / 4] = v & TIMER_MASK;
	} else if (offset == RELOAD) {
		if (v & RELOAD_TIMEOUT)
			w->timeout = false;
		if (v & RELOAD_NOW)
			restart(w);
	}
}

static void bar_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct watchdog *w = dev;

	(void)size;
	pthread_mutex_lock(&w->lock);
	if (offset == STATUS) {
		if (value & STATUS_INTERRUPT) {
			w->interrupt = false;
			pci_intx(&w->pci, false);
		}
	} else if (offset == RELOAD && value == UNLOCK1) {
		w->unlocked = 1;
	} else if (offset == RELOAD && value == UNLOCK2 && w->unlocked == 1) {
		w->unlocked = 2;
	} else {
		if (w->unlocked == 2)
			write_unlocked(w, offset, (u32)value);
		w->unlocked = 0;
	}
	pthread_mutex_unlock(&w->lock);
}

static void config_written(struct pci_device *d, unsigned int offset, unsigned int size)
{
	struct watchdog *w = d->owner;
	const u8 lock = d->config[C_LOCK];

	pthread_mutex_lock(&w->lock);
	w->config = pci_get16(d, C_CONFIG);
	if (offset <= C_LOCK && offset + size > C_LOCK && lock != w->locked) {
		w->locked = lock;
		if (lock & LOCK_LOCKED)		/* for ever */
			d->writable[C_LOCK] = 0;
		restart(w);
	}
	pthread_mutex_unlock(&w->lock);
}

/* --- life ------------------------------------------------------------------------------- */

static void destroy(struct device *d)
{
	struct watchdog *w = (struct watchdog *)d;

	pci_unplug(&w->pci);
	if (w->timer)
		timer_free(w->timer);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static int create_all(struct watchdog *w, struct board *b, struct props *p)
{
	const struct bus_region r = { .name = "i6300esb", .width = 4, .read = bar_read,
		.write = bar_write, .dev = w };

	if (!b->pci)
		return error("i6300esb: the machine has no PCI");
	w->action = props_choice(p, "action", ACTION_RESET, actions);
	w->preload[0] = w->preload[1] = TIMER_MASK;
	w->timer = timer_new(b->loop, on_timer, w);
	if (!w->timer)
		return error("cannot create a timer");
	pci_put16(w->pci.writable, C_CONFIG, CONFIG_NO_OUTPUT | CONFIG_FAST | CONFIG_INTERRUPT);
	w->pci.writable[C_LOCK] = LOCK_LOCKED | LOCK_ENABLE | LOCK_FREE_RUNNING;
	w->pci.config_written = config_written;
	w->pci.owner = w;
	pci_set_pin(&w->pci, 1);
	pci_bar(&w->pci, 0, PCI_BAR_MEM32, BAR_SIZE, &r);
	if (pci_plug(b->pci, &w->pci, p) < 0)
		return -1;
	return props_finish(p);
}

static struct device *create(struct board *b, struct props *p)
{
	const struct pci_ids ids = {
		PCI_VENDOR_INTEL, DEVICE, PCI_VENDOR_REDHAT, PCI_SUBSYSTEM_ANY, 0x088000, 2,
	};
	struct watchdog *w = calloc(1, sizeof(*w));

	if (!w) {
		error("out of memory");
		return NULL;
	}
	w->b = b;
	pthread_mutex_init(&w->lock, NULL);
	pci_init(&w->pci, "i6300esb", &ids);
	if (create_all(w, b, p) == 0)
		return &w->dev;
	destroy(&w->dev);
	return NULL;
}

const struct device_class i6300esb_class = {
	.name = "i6300esb",
	.summary = "a watchdog, Intel 6300ESB",
	.usage = "action=reset|poweroff|pause|none",
	.create = create,
	.destroy = destroy,
};

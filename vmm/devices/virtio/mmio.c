/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Virtio over MMIO (4.2), version 2 of the registers. Slots share interrupt
 * lines, which are high while a device of theirs has something to tell.
 */
#include <stdlib.h>

#include "../../error.h"
#include "mmio.h"
#include "virtio.h"

#define MAGIC 0x74726976
#define VERSION 2
#define VENDOR 0x4d564b41		/* "AKVM" */

enum {
	REG_MAGIC = 0x00, REG_VERSION = 0x04, REG_DEVICE = 0x08, REG_VENDOR = 0x0c,
	REG_FEATURES = 0x10, REG_FEATURES_SEL = 0x14, REG_DRIVER = 0x20, REG_DRIVER_SEL = 0x24,
	REG_QUEUE_SEL = 0x30, REG_QUEUE_MAX = 0x34, REG_QUEUE_NUM = 0x38, REG_QUEUE_READY = 0x44,
	REG_NOTIFY = 0x50, REG_ISR = 0x60, REG_ISR_ACK = 0x64, REG_STATUS = 0x70,
	REG_DESC = 0x80, REG_AVAIL = 0x90, REG_USED = 0xa0, REG_SHM_SEL = 0xac,
	REG_SHM_LEN = 0xb0, REG_SHM_BASE = 0xb8, REG_QUEUE_RESET = 0xc0, REG_GENERATION = 0xfc,
	REG_CONFIG = 0x100,
};

struct virtio_mmio {
	struct virtio_device *v;
	struct virtio_mmio_bus *bus;
	unsigned int slot;
	u32 features_sel, driver_sel, queue_sel;
	bool level;			/* under bus->lock */
};

struct virtio_mmio_bus {
	struct board *b;
	pthread_mutex_t lock;
	struct virtio_mmio *slot[VIRTIO_MMIO_SLOTS];
	unsigned int levels[VIRTIO_MMIO_GSIS];
};

/* --- interrupts -------------------------------------------------------------------------- */

static void update_line(struct virtio_mmio *t)
{
	unsigned int line = t->slot % VIRTIO_MMIO_GSIS;
	bool level;

	pthread_mutex_lock(&t->bus->lock);
	level = __atomic_load_n(&t->v->isr, __ATOMIC_SEQ_CST);
	if (level != t->level) {
		t->level = level;
		t->bus->levels[line] += level ? 1 : -1u;
		if (t->bus->levels[line] == (level ? 1 : 0))
			vm_line(t->bus->b->vm, VIRTIO_MMIO_GSI + line, level);
	}
	pthread_mutex_unlock(&t->bus->lock);
}

static void interrupt(struct virtio_device *v, int queue)
{
	(void)queue;
	update_line(v->transport_data);
}

static u64 place(unsigned int slot)
{
	return VIRTIO_MMIO_BASE + (u64)slot * VIRTIO_MMIO_SIZE;
}

static int doorbell(struct virtio_device *v, unsigned int queue, int fd, bool on)
{
	struct virtio_mmio *t = v->transport_data;
	const struct vm_doorbell d = {
		.addr = place(t->slot) + REG_NOTIFY,
		.match = queue,
		.matched = true,
		.size = 4,
		.fd = fd,
	};

	return vm_doorbell(v->board->vm, &d, on);
}

/* --- registers: under v->lock --------------------------------------------------------------- */

static struct virtqueue *selected(struct virtio_mmio *t)
{
	return t->queue_sel < t->v->queues ? &t->v->queue[t->queue_sel] : NULL;
}

static u32 read_reg(struct virtio_mmio *t, unsigned int reg)
{
	struct virtio_device *v = t->v;
	struct virtqueue *q = selected(t);

	switch (reg) {
	case REG_MAGIC:
		return MAGIC;
	case REG_VERSION:
		return VERSION;
	case REG_DEVICE:
		return v->ops->type;
	case REG_VENDOR:
		return VENDOR;
	case REG_FEATURES:
		return t->features_sel < 2 ? (u32)(v->offered >> t->features_sel * 32) : 0;
	case REG_QUEUE_MAX:
		return q ? q->max_size : 0;
	case REG_QUEUE_READY:
		return q ? q->enabled : 0;
	case REG_ISR:
		return __atomic_load_n(&v->isr, __ATOMIC_SEQ_CST);
	case REG_STATUS:
		return __atomic_load_n(&v->status, __ATOMIC_SEQ_CST);
	case REG_SHM_LEN:
	case REG_SHM_LEN + 4:
	case REG_SHM_BASE:
	case REG_SHM_BASE + 4:
		return ~0u;		/* there is no such region */
	case REG_GENERATION:
		return __atomic_load_n(&v->generation, __ATOMIC_SEQ_CST);
	}
	return 0;
}

static void set_half(u64 *v, bool high, u32 value)
{
	*v = high ? (*v & 0xffffffff) | (u64)value << 32 : (*v & ~0xffffffffULL) | value;
}

static void write_queue(struct virtqueue *q, unsigned int reg, u32 value)
{
	if (reg == REG_QUEUE_READY && value == 1)
		virtio_queue_enable(q->v, q->index);
	else if (reg == REG_QUEUE_RESET && value == 1)
		virtio_queue_reset(q->v, q->index);
	if (q->enabled)
		return;
	switch (reg) {
	case REG_QUEUE_NUM:
		q->size = value <= q->max_size ? (u16)value : 0;
		break;
	case REG_DESC:
	case REG_DESC + 4:
		set_half(&q->desc_gpa, reg != REG_DESC, value);
		break;
	case REG_AVAIL:
	case REG_AVAIL + 4:
		set_half(&q->avail_gpa, reg != REG_AVAIL, value);
		break;
	case REG_USED:
	case REG_USED + 4:
		set_half(&q->used_gpa, reg != REG_USED, value);
		break;
	}
}

static void write_reg(struct virtio_mmio *t, unsigned int reg, u32 value)
{
	struct virtio_device *v = t->v;
	struct virtqueue *q = selected(t);

	switch (reg) {
	case REG_FEATURES_SEL:
		t->features_sel = value;
		break;
	case REG_DRIVER_SEL:
		t->driver_sel = value;
		break;
	case REG_DRIVER:
		if (t->driver_sel < 2 && !(v->status & VIRTIO_STATUS_FEATURES_OK))
			set_half(&v->driver_features, t->driver_sel, value);
		break;
	case REG_QUEUE_SEL:
		t->queue_sel = value;
		break;
	case REG_ISR_ACK:
		__atomic_fetch_and(&v->isr, (u8)~value, __ATOMIC_SEQ_CST);
		update_line(t);
		break;
	case REG_STATUS:
		virtio_set_status(v, (u8)value);
		update_line(t);
		break;
	default:
		if (q)
			write_queue(q, reg, value);
	}
}

static u64 slot_read(void *dev, u64 offset, unsigned int size)
{
	struct virtio_mmio *t = dev;
	u64 value = 0;

	if (offset >= REG_CONFIG) {
		virtio_config_get(t->v, (unsigned int)offset - REG_CONFIG, &value, size);
		return value;
	}
	if (size != 4 || offset % 4)
		return 0;
	pthread_mutex_lock(&t->v->lock);
	value = read_reg(t, (unsigned int)offset);
	pthread_mutex_unlock(&t->v->lock);
	return value;
}

static void slot_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct virtio_mmio *t = dev;

	if (offset >= REG_CONFIG) {
		virtio_config_set(t->v, (unsigned int)offset - REG_CONFIG, &value, size);
		return;
	}
	if (size != 4 || offset % 4)
		return;
	if (offset == REG_NOTIFY) {
		virtio_notified(t->v, (u32)value);
		return;
	}
	pthread_mutex_lock(&t->v->lock);
	write_reg(t, (unsigned int)offset, (u32)value);
	pthread_mutex_unlock(&t->v->lock);
}

/* --- life ------------------------------------------------------------------------------------- */

static void detach(struct virtio_device *v)
{
	struct virtio_mmio *t = v->transport_data;

	bus_remove(v->board->mmio, place(t->slot), t);
	t->bus->slot[t->slot] = NULL;
	free(t);
	v->transport = NULL;
}

static const struct virtio_transport transport = { interrupt, doorbell, detach, NULL };

int virtio_mmio_attach(struct virtio_device *v)
{
	struct virtio_mmio_bus *bus = v->board->virtio_mmio;
	struct virtio_mmio *t;
	unsigned int slot = 0;

	while (slot < VIRTIO_MMIO_SLOTS && bus->slot[slot])
		slot++;
	if (slot == VIRTIO_MMIO_SLOTS)
		return error("%s: the machine takes no more than %d virtio devices", v->ops->name,
			     VIRTIO_MMIO_SLOTS);
	t = calloc(1, sizeof(*t));
	if (!t)
		return error("out of memory");
	*t = (struct virtio_mmio){ .v = v, .bus = bus, .slot = slot };
	if (bus_add(v->board->mmio, &(struct bus_region){
			v->ops->name, place(slot), VIRTIO_MMIO_SIZE, 8, slot_read, slot_write, t,
		}) < 0) {
		free(t);
		return error("%s: its place in memory is taken", v->ops->name);
	}
	bus->slot[slot] = t;
	v->transport = &transport;
	v->transport_data = t;
	return 0;
}

struct virtio_mmio_bus *virtio_mmio_new(struct board *b)
{
	struct virtio_mmio_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return NULL;
	bus->b = b;
	pthread_mutex_init(&bus->lock, NULL);
	b->virtio_mmio = bus;
	return bus;
}

void virtio_mmio_free(struct virtio_mmio_bus *bus)
{
	free(bus);
}

void virtio_mmio_describe(const struct virtio_mmio_bus *bus, struct acpi_config *c)
{
	unsigned int i;

	for (i = 0; i < VIRTIO_MMIO_SLOTS && c->mmio_count < ACPI_MMIO_DEVICES_MAX; i++)
		if (bus->slot[i])
			c->mmio[c->mmio_count++] = (struct acpi_mmio_device){
				(u32)place(i), VIRTIO_MMIO_SIZE,
				VIRTIO_MMIO_GSI + i % VIRTIO_MMIO_GSIS,
			};
}

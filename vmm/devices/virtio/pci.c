/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Virtio over PCI (4.1), without the legacy interface. BAR 1 is MSI-X's, with a
 * vector for each queue and one for the configuration; BAR 4 has, each in a
 * page of its own, the common configuration, the interrupt status, the device's
 * configuration and the doorbells.
 */
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "../pci/pci.h"
#include "virtio.h"

#define DEVICE_ID_BASE 0x1040
#define MSIX_BAR 1
#define BAR 4
#define BAR_SIZE 0x4000

#define COMMON 0x0000
#define ISR 0x1000
#define DEVICE 0x2000
#define NOTIFY 0x3000
#define AREA 0x1000
#define NOTIFY_STEP 4
#define BOOT_LAST 0xffffffffu	/* of no index of its own */

/* Types of capabilities */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI };
#define CAP_SIZE 16
#define CAP_BAR 4
#define CAP_OFFSET 8
#define CAP_LENGTH 12
#define CAP_DATA 16		/* of CAP_PCI */

/* The common configuration (4.1.4.3) */
enum {
	FEATURE_SELECT = 0x00, FEATURE = 0x04, DRIVER_SELECT = 0x08, DRIVER_FEATURE = 0x0c,
	CONFIG_VECTOR = 0x10, NUM_QUEUES = 0x12, STATUS = 0x14, GENERATION = 0x15,
	QUEUE_SELECT = 0x16, QUEUE_SIZE = 0x18, QUEUE_VECTOR = 0x1a, QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e, QUEUE_DESC = 0x20, QUEUE_DRIVER = 0x28, QUEUE_DEVICE = 0x30,
	QUEUE_NOTIFY_DATA = 0x38, QUEUE_RESET = 0x3a, COMMON_SIZE = 0x3c,
};

struct virtio_pci {
	struct pci_device pci;
	struct virtio_device *v;
	u32 feature_select, driver_select;
	u16 queue_select;
	u8 window;			/* the capability CAP_PCI */
};

/* --- interrupts ----------------------------------------------------------------------- */

static void interrupt(struct virtio_device *v, int queue)
{
	struct virtio_pci *t = v->transport_data;
	u16 vector = queue < 0 ? v->config_vector : v->queue[queue].vector;

	if (pci_msix_enabled(&t->pci)) {
		if (vector != VIRTIO_NO_VECTOR)
			pci_msix_raise(&t->pci, vector);
	} else {
		pci_intx(&t->pci, true);
	}
}

static u8 read_isr(struct virtio_pci *t)
{
	u8 isr = __atomic_exchange_n(&t->v->isr, 0, __ATOMIC_SEQ_CST);

	pci_intx(&t->pci, false);
	/* one that came between the two is not lost */
	if (__atomic_load_n(&t->v->isr, __ATOMIC_SEQ_CST) && !pci_msix_enabled(&t->pci))
		pci_intx(&t->pci, true);
	return isr;
}

static int doorbell(struct virtio_device *v, unsigned int queue, int fd, bool on)
{
	struct virtio_pci *t = v->transport_data;
	const struct pci_doorbell bell = {
		.bar = BAR, .offset = NOTIFY + queue * NOTIFY_STEP, .fd = fd,
	};

	if (on)
		return pci_doorbell_add(&t->pci, &bell);
	pci_doorbell_remove(&t->pci, fd);
	return 0;
}

/* --- the common configuration: under v->lock --------------------------------------------- */

static struct virtqueue *selected(struct virtio_pci *t)
{
	return t->queue_select < t->v->queues ? &t->v->queue[t->queue_select] : NULL;
}

static u32 read_queue(const struct virtqueue *q, unsigned int at)
{
	switch (at) {
	case QUEUE_SIZE:
		return q->size;
	case QUEUE_VECTOR:
		return q->vector;
	case QUEUE_ENABLE:
		return q->enabled;
	case QUEUE_NOTIFY_OFF:
		return q->index;
	case QUEUE_DESC:
		return (u32)q->desc_gpa;
	case QUEUE_DESC + 4:
		return (u32)(q->desc_gpa >> 32);
	case QUEUE_DRIVER:
		return (u32)q->avail_gpa;
	case QUEUE_DRIVER + 4:
		return (u32)(q->avail_gpa >> 32);
	case QUEUE_DEVICE:
		return (u32)q->used_gpa;
	case QUEUE_DEVICE + 4:
		return (u32)(q->used_gpa >> 32);
	}
	return 0;
}

static u32 read_common(struct virtio_pci *t, unsigned int at)
{
	struct virtio_device *v = t->v;
	struct virtqueue *q = selected(t);

	switch (at) {
	case FEATURE_SELECT:
		return t->feature_select;
	case FEATURE:
		return t->feature_select < 2 ? (u32)(v->offered >> t->feature_select * 32) : 0;
	case DRIVER_SELECT:
		return t->driver_select;
	case DRIVER_FEATURE:
		return t->driver_select < 2 ?
			(u32)(v->driver_features >> t->driver_select * 32) : 0;
	case CONFIG_VECTOR:
		return v->config_vector;
	case NUM_QUEUES:
		return v->queues;
	case STATUS:
		return __atomic_load_n(&v->status, __ATOMIC_SEQ_CST);
	case GENERATION:
		return __atomic_load_n(&v->generation, __ATOMIC_SEQ_CST) & 0xff;
	case QUEUE_SELECT:
		return t->queue_select;
	}
	return q ? read_queue(q, at) : 0;
}

static void set_half(u64 *v, unsigned int half, u32 value)
{
	unsigned int shift = half * 32;

	*v = (*v & ~(0xffffffffULL << shift)) | (u64)value << shift;
}

static u16 check_vector(const struct virtio_device *v, u32 vector)
{
	return vector <= v->queues ? (u16)vector : VIRTIO_NO_VECTOR;
}

static void write_queue(struct virtqueue *q, unsigned int at, u32 value)
{
	struct virtio_device *v = q->v;

	if (at == QUEUE_VECTOR)
		q->vector = check_vector(v, value);
	else if (at == QUEUE_RESET && value == 1)
		virtio_queue_reset(v, q->index);
	else if (at == QUEUE_ENABLE && value == 1)
		virtio_queue_enable(v, q->index);
	if (q->enabled)
		return;
	switch (at) {
	case QUEUE_SIZE:
		q->size = (u16)value;
		break;
	case QUEUE_DESC:
	case QUEUE_DESC + 4:
		set_half(&q->desc_gpa, at != QUEUE_DESC, value);
		break;
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4:
		set_half(&q->avail_gpa, at != QUEUE_DRIVER, value);
		break;
	case QUEUE_DEVICE:
	case QUEUE_DEVICE + 4:
		set_half(&q->used_gpa, at != QUEUE_DEVICE, value);
		break;
	}
}

static void write_common(struct virtio_pci *t, unsigned int at, u32 value)
{
	struct virtio_device *v = t->v;
	struct virtqueue *q = selected(t);

	switch (at) {
	case FEATURE_SELECT:
		t->feature_select = value;
		return;
	case DRIVER_SELECT:
		t->driver_select = value;
		return;
	case DRIVER_FEATURE:
		if (t->driver_select < 2 && !(v->status & VIRTIO_STATUS_FEATURES_OK))
			set_half(&v->driver_features, t->driver_select, value);
		return;
	case CONFIG_VECTOR:
		v->config_vector = check_vector(v, value);
		return;
	case STATUS:
		virtio_set_status(v, (u8)value);
		if (!value)
			pci_intx(&t->pci, false);
		return;
	case QUEUE_SELECT:
		t->queue_select = (u16)value;
		return;
	}
	if (q)
		write_queue(q, at, value);
}

/* The width of the field at an offset. A driver accesses each field as a whole. */
static unsigned int field_size(unsigned int at)
{
	if (at == STATUS || at == GENERATION)
		return 1;
	if ((at >= CONFIG_VECTOR && at < QUEUE_DESC) || at >= QUEUE_NOTIFY_DATA)
		return 2;
	return 4;
}

/* --- the BAR --------------------------------------------------------------------------------- */

static u64 read_bar(struct virtio_pci *t, u64 offset, unsigned int size)
{
	unsigned int at = (unsigned int)offset % AREA;
	struct virtio_device *v = t->v;
	u64 value = 0;

	switch (offset & ~(u64)(AREA - 1)) {
	case COMMON:
		if (size < field_size(at) || at >= COMMON_SIZE)
			return 0;
		pthread_mutex_lock(&v->lock);
		value = read_common(t, at);
		if (size == 8)
			value |= (u64)read_common(t, at + 4) << 32;
		pthread_mutex_unlock(&v->lock);
		break;
	case ISR:
		value = at == 0 ? read_isr(t) : 0;
		break;
	case DEVICE:
		virtio_config_get(v, at, &value, size);
		break;
	}
	return value;
}

static void write_bar(struct virtio_pci *t, u64 offset, u64 value, unsigned int size)
{
	unsigned int at = (unsigned int)offset % AREA;
	struct virtio_device *v = t->v;

	switch (offset & ~(u64)(AREA - 1)) {
	case COMMON:
		if (size < field_size(at) || at >= COMMON_SIZE)
			return;
		pthread_mutex_lock(&v->lock);
		write_common(t, at, (u32)value);
		if (size == 8)
			write_common(t, at + 4, (u32)(value >> 32));
		pthread_mutex_unlock(&v->lock);
		break;
	case DEVICE:
		virtio_config_set(v, at, &value, size);
		break;
	case NOTIFY:
		virtio_notified(v, at / NOTIFY_STEP);
		break;
	}
}

static u64 bar_read(void *dev, u64 offset, unsigned int size)
{
	return read_bar(dev, offset, size);
}

static void bar_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	write_bar(dev, offset, value, size);
}

/* --- the window in configuration space (4.1.4.9), for firmware that cannot reach the BAR ------ */

static bool config_access(struct pci_device *d, unsigned int offset, unsigned int size,
			  u32 *value, bool write)
{
	struct virtio_pci *t = d->owner;
	unsigned int at = t->window;
	u32 where = pci_get32(d, at + CAP_OFFSET), length = pci_get32(d, at + CAP_LENGTH);

	(void)size;
	if (offset != at + CAP_DATA || d->config[at + CAP_BAR] != BAR ||
	    (length != 1 && length != 2 && length != 4) || where % length ||
	    where > BAR_SIZE - length)
		return false;
	if (write)
		write_bar(t, where, *value, length);
	else
		*value = (u32)read_bar(t, where, length);
	return true;
}

/* --- life ------------------------------------------------------------------------------------- */

static u8 add_cap(struct pci_device *d, u8 type, u32 offset, u32 length, u8 extra)
{
	u8 at = pci_capability(d, PCI_CAP_VENDOR, (u8)(CAP_SIZE + extra));

	d->config[at + 2] = (u8)(CAP_SIZE + extra);
	d->config[at + 3] = type;
	d->config[at + CAP_BAR] = BAR;
	pci_put32(d->config, at + CAP_OFFSET, offset);
	pci_put32(d->config, at + CAP_LENGTH, length);
	return at;
}

static void add_caps(struct virtio_pci *t)
{
	struct pci_device *d = &t->pci;
	u8 at;

	add_cap(d, CAP_COMMON, COMMON, COMMON_SIZE, 0);
	add_cap(d, CAP_ISR, ISR, 1, 0);
	if (t->v->config_size)
		add_cap(d, CAP_DEVICE, DEVICE, AREA, 0);
	at = add_cap(d, CAP_NOTIFY, NOTIFY, t->v->queues * NOTIFY_STEP, 4);
	pci_put32(d->config, at + CAP_DATA, NOTIFY_STEP);
	at = add_cap(d, CAP_PCI, 0, 0, 4);
	d->config[at + CAP_BAR] = 0;
	d->writable[at + CAP_BAR] = 0xff;
	pci_put32(d->writable, at + CAP_OFFSET, ~0u);
	pci_put32(d->writable, at + CAP_LENGTH, ~0u);
	t->window = at;
}

static void detach(struct virtio_device *v)
{
	struct virtio_pci *t = v->transport_data;

	pci_unplug(&t->pci);
	free(t);
	v->transport = NULL;
}

static int unplug(struct virtio_device *v)
{
	struct virtio_pci *t = v->transport_data;

	return pci_request_unplug(&t->pci);
}

static const struct virtio_transport transport = { interrupt, doorbell, detach, unplug };

static int set_boot_order(struct virtio_pci *t, struct props *p)
{
	const struct virtio_ops *ops = t->v->ops;
	u64 index;

	if (!ops->boot_node)
		return 0;
	index = props_number(p, "bootindex", BOOT_LAST, 0, BOOT_LAST);
	if (index == BOOT_LAST)
		return 0;
	return pci_boot(&t->pci, t->v->board->fw_cfg, (unsigned int)index, ops->boot_node,
			t->v->boot_leaf ? t->v->boot_leaf : ops->boot_leaf);
}

int virtio_pci_attach(struct virtio_device *v, struct props *p)
{
	struct virtio_pci *t = calloc(1, sizeof(*t));
	const struct pci_ids ids = {
		PCI_VENDOR_REDHAT, (u16)(DEVICE_ID_BASE + v->ops->type), PCI_VENDOR_REDHAT,
		PCI_SUBSYSTEM_ANY, v->ops->pci_class, 1,
	};
	const struct bus_region r = { v->ops->name, 0, 0, 8, bar_read, bar_write, t };

	if (!t)
		return error("out of memory");
	t->v = v;
	v->transport = &transport;
	v->transport_data = t;
	pci_init(&t->pci, v->ops->name, &ids);
	t->pci.owner = t;
	t->pci.device = &v->dev;
	t->pci.config_access = config_access;
	pci_bar(&t->pci, BAR, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, BAR_SIZE, &r);
	pci_set_pin(&t->pci, 1);
	add_caps(t);
	if (pci_msix_init(&t->pci, MSIX_BAR, v->queues + 1) < 0)
		return error("%s: cannot have MSI-X", v->ops->name);
	return pci_plug(v->board->pci, &t->pci, p) < 0 ? -1 : set_boot_order(t, p);
}

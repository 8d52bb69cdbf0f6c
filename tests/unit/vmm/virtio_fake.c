/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A driver for tests of virtio devices; see virtio_fake.h. */
#include "virtio_fake.h"

struct fake_driver fake;

static void interrupt(struct virtio_device *v, int queue)
{
	(void)v;
	if (queue < 0)
		fake.config_interrupts++;
	else
		fake.interrupts[queue]++;
}

static int doorbell(struct virtio_device *v, unsigned int queue, int fd, bool on)
{
	(void)v, (void)queue, (void)fd;
	fake.doorbells += on ? 1 : -1u;
	return 0;
}

static void detach(struct virtio_device *v)
{
	v->transport = NULL;
	fake.v = NULL;
}

static const struct virtio_transport transport = { interrupt, doorbell, detach, NULL };

int virtio_pci_attach(struct virtio_device *v, struct props *p)
{
	(void)p;
	v->transport = &transport;
	fake.v = v;
	return 0;
}

int virtio_mmio_attach(struct virtio_device *v)
{
	return virtio_pci_attach(v, NULL);
}

int fake_setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.board.mem = &fake.mem;
	fake.board.virtio_mmio = (struct virtio_mmio_bus *)&fake;	/* there is a bus */
	return memory_create(&fake.mem, FAKE_RAM, MEMORY_LOW_MAX);
}

int fake_teardown(void **state)
{
	(void)state;
	memory_destroy(&fake.mem);
	return 0;
}

static void set_up(unsigned int n, u16 size)
{
	struct virtqueue *q = &fake.v->queue[n];

	memset(fake_at(fake_queue(n)), 0, FAKE_QUEUE);
	q->size = size;
	q->desc_gpa = fake_queue(n);
	q->avail_gpa = fake_queue(n) + FAKE_AVAIL;
	q->used_gpa = fake_queue(n) + FAKE_USED;
	virtio_queue_enable(fake.v, n);
}

void fake_restart_queue(unsigned int n)
{
	u16 size = fake.v->queue[n].size;

	virtio_queue_reset(fake.v, n);
	set_up(n, size);
}

void fake_start(u64 features, u16 size)
{
	struct virtio_device *v = fake.v;
	unsigned int i;

	virtio_set_status(v, 0);
	virtio_set_status(v, 3);
	v->driver_features = features | VIRTIO_F_VERSION_1;
	virtio_set_status(v, 11);
	assert_int_equal(v->status, 11);
	for (i = 0; i < v->queues; i++)
		set_up(i, size);
	virtio_set_status(v, 15);
}

void fake_desc(unsigned int n, unsigned int i, u64 addr, u32 len, u16 flags, u16 next)
{
	u8 *d = fake_at(fake_queue(n) + i * 16);

	memcpy(d, &addr, 8);
	memcpy(d + 8, &len, 4);
	memcpy(d + 12, &flags, 2);
	memcpy(d + 14, &next, 2);
}

void fake_add_quietly(unsigned int n, u16 head)
{
	u16 *avail = fake_at(fake_queue(n) + FAKE_AVAIL);

	avail[2 + avail[1] % fake.v->queue[n].size] = head;
	avail[1]++;
}

void fake_add(unsigned int n, u16 head)
{
	fake_add_quietly(n, head);
	virtio_notified(fake.v, n);
}

u16 fake_used(unsigned int n, u32 *id, u32 *len)
{
	u8 *used = fake_at(fake_queue(n) + FAKE_USED);
	u16 idx;

	memcpy(&idx, used + 2, 2);
	used += 4 + (u32)((idx - 1) & (fake.v->queue[n].size - 1)) * 8;
	if (id)
		memcpy(id, used, 4);
	if (len)
		memcpy(len, used + 4, 4);
	return idx;
}

static u64 place_out(unsigned int n)
{
	return FAKE_DATA + n * 0x20000ULL;
}

void *fake_answer(unsigned int n)
{
	return fake_at(place_out(n) + 0x10000);
}

u32 fake_request(unsigned int n, const void *out, u32 out_len, u32 in_len)
{
	u16 before = fake_used(n, NULL, NULL);
	u32 written = 0;

	if (out_len) {
		memcpy(fake_at(place_out(n)), out, out_len);
		fake_desc(n, 0, place_out(n), out_len, in_len ? VIRTQ_DESC_NEXT : 0, 1);
	}
	if (in_len) {
		memset(fake_answer(n), 0xee, in_len);
		fake_desc(n, !!out_len, place_out(n) + 0x10000, in_len, VIRTQ_DESC_WRITE, 0);
	}
	fake_add(n, 0);
	if (fake_used(n, NULL, &written) == before)
		return FAKE_NO_ANSWER;
	return written;
}

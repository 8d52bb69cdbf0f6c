/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver for tests of virtio devices: guest memory, a transport that notes
 * interrupts, and the driver's side of a split queue. A test of a device makes
 * it with create() of its class on `board`; whose virtio_attach() is the one
 * here, which takes the properties and connects this transport.
 */
#ifndef TESTS_UNIT_VMM_VIRTIO_FAKE_H
#define TESTS_UNIT_VMM_VIRTIO_FAKE_H

#include "../../../vmm/devices/virtio/virtio.h"
#include "vmm_test.h"

#define FAKE_RAM (4 * MIB)
#define FAKE_QUEUE 0x10000u		/* of queue n: FAKE_QUEUE * (n + 1) */
#define FAKE_AVAIL 0x4000u
#define FAKE_USED 0x6000u
#define FAKE_INDIRECT 0x8000u
#define FAKE_DATA 0x200000u

struct fake_driver {
	struct guest_memory mem;
	struct board board;
	struct virtio_device *v;	/* that virtio_attach connected */
	unsigned int interrupts[VIRTIO_QUEUES_MAX];
	unsigned int config_interrupts;
	unsigned int doorbells;
};

extern struct fake_driver fake;

/* cmocka's setup and teardown: memory and board. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* Negotiates features (VERSION_1 is added) and sets up every queue with `size` entries. */
void fake_start(u64 features, u16 size);
/* Resets queue n alone, and sets it up again, empty. */
void fake_restart_queue(unsigned int n);

static inline void *fake_at(u64 gpa)
{
	return fake.mem.host + gpa;
}

static inline u64 fake_queue(unsigned int n)
{
	return FAKE_QUEUE * (n + 1ULL);
}

/* Writes a descriptor of queue n. */
void fake_desc(unsigned int n, unsigned int i, u64 addr, u32 len, u16 flags, u16 next);
/* Makes head available, and the device's notification. */
void fake_add(unsigned int n, u16 head);
/* The same without the notification. */
void fake_add_quietly(unsigned int n, u16 head);
/* How many chains came back, and the last of them. */
u16 fake_used(unsigned int n, u32 *id, u32 *len);

#define FAKE_NO_ANSWER 0xffffffffu

/*
 * One request of up to 64 KiB either way in the first two descriptors: how many
 * bytes were written to its answer, or FAKE_NO_ANSWER when it has not come.
 */
u32 fake_request(unsigned int n, const void *out, u32 out_len, u32 in_len);
void *fake_answer(unsigned int n);

#endif

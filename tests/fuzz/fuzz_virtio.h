/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver of virtio devices that has lost its mind: fuzz_virtio.c has the rings
 * and the noise, fuzz_virtio_devices.c what requests of each device look like,
 * fuzz_virtio_outside.c the programs of the host that the devices talk to.
 */
#ifndef TESTS_FUZZ_FUZZ_VIRTIO_H
#define TESTS_FUZZ_FUZZ_VIRTIO_H

#include "../../vmm/backends/loop.h"
#include "../../vmm/backends/registry.h"
#include "../unit/vmm/virtio_fake.h"
#include "chance.h"

#define HEAD_MAX 1024

/* A request as it should be, or nearly: the device's random part. */
struct request {
	u8 head[HEAD_MAX];	/* the first bytes that the driver gives */
	u32 head_len;
	u32 out_len, in_len;	/* all bytes either way; the rest of out is random */
};

struct fuzzed {
	const char *name;
	/* Makes what the device is connected to; the text for its class, or NULL. */
	const char *(*prepare)(struct registry *r, struct loop *l);
	const struct device_class *class;
	void (*request)(unsigned int queue, struct request *q);
	/* What happened outside must not have: false after a line. May be NULL. */
	bool (*check)(void);
};

extern const struct fuzzed fuzzed_devices[];	/* ended by a name of NULL */

/* 1, 2, 4 or 8 bytes into the head. */
void put(struct request *q, u32 at, u64 v, u32 size);

/* Starts a program that connects to, or listens at, a socket in the working directory. */
void outside_client(const char *path, const char *greeting);
void outside_server(const char *path);
/* Frames as a wire between two machines has them. */
void outside_wire(const char *path);
void outside_stop(void);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver of the virtio block device that has lost its mind: descriptors,
 * rings, indirect tables and requests at random, on a qcow2 image. Nothing may
 * crash or hang, and the image must stay whole.
 *
 *	fuzz-blk SECONDS [SEED]
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../../vmm/backends/disk.h"
#include "../../vmm/backends/registry.h"
#include "../../vmm/block/create.h"
#include "../../vmm/error.h"
#include "../unit/vmm/virtio_fake.h"
#include "chance.h"

#define HANG_SECONDS 30
#define DISK (1 * MIB)
#define AREA (FAKE_RAM - FAKE_DATA)

extern const struct device_class virtio_blk_class;

static unsigned long answers;

static void on_pause(void *ctx, struct disk *d, bool on)
{
	(void)ctx, (void)d, (void)on;
}

/* --- what the driver writes ------------------------------------------------------------ */

static u64 address(void)
{
	switch (chance(12)) {
	case 0:
		return chance(0);
	case 1:
		return FAKE_RAM - chance(4096);
	case 2:
		return fake_queue((unsigned int)chance(2)) + chance(FAKE_QUEUE);
	default:
		return FAKE_DATA + chance(AREA);
	}
}

static u32 length(void)
{
	switch (chance(10)) {
	case 0:
		return 0;
	case 1:
		return (u32)chance(0);
	case 2:
		return (u32)chance(300000);
	case 3:
		return 1;
	default:
		return (u32)(512 * (1 + chance(20)));
	}
}

static void put_header(u64 at)
{
	static const u32 types[] = { 0, 1, 4, 8, 11, 13, 0, 1 };
	u32 type = chance(20) ? types[chance(8)] : (u32)chance(0);
	u64 sector = chance(10) ? chance(DISK / 512) : chance(0) >> chance(64);

	memcpy(fake_at(at), &type, 4);
	memcpy(fake_at(at + 8), &sector, 8);
}

/* A request as it should be, but for its content: three descriptors from i on. */
static void put_request(unsigned int n, u16 i, u16 size)
{
	u64 at = FAKE_DATA + align_down(chance(AREA - 0x10000), 16), range[2];
	u16 in = chance(2) ? VIRTQ_DESC_WRITE : 0;
	u32 len = length();

	put_header(at);
	range[0] = chance(8) ? chance(DISK / 512) : chance(0);
	range[1] = chance(64) | chance(4) << 32;
	if (chance(3) == 0) {
		memcpy(fake_at(at + 16), range, 16);
		len = 16;
		in = 0;
	}
	if (len > 0x8000 || !len)
		len = 0x8000;
	fake_desc(n, i, at, 16, VIRTQ_DESC_NEXT, (u16)((i + 1) % size));
	fake_desc(n, (i + 1u) % size, at + 16, len, VIRTQ_DESC_NEXT | in, (u16)((i + 2) % size));
	fake_desc(n, (i + 2u) % size, at + 0x9000, 1, VIRTQ_DESC_WRITE, 0);
}

static void put_junk(unsigned int n, u16 size)
{
	unsigned int i;

	for (i = 0; i < size; i++)
		if (chance(3) == 0)
			fake_desc(n, i, address(), length(), (u16)chance(chance(4) ? 8 : 65536),
				  (u16)(chance(8) ? chance(size) : chance(65536)));
	/* an indirect table is as bad as the ring's */
	for (i = 0; i < 4; i++)
		fake_desc(n, (unsigned int)(FAKE_INDIRECT / 16 + chance(64)), address(), length(),
			  (u16)chance(8), (u16)chance(64));
	if (chance(2))
		fake_desc(n, (unsigned int)chance(size), fake_queue(n) + FAKE_INDIRECT,
			  (u32)(chance(8) ? 16 * chance(64) : chance(0)), VIRTQ_DESC_INDIRECT, 0);
}

static void one_round(void)
{
	const u64 features[] = { VIRTIO_F_INDIRECT, VIRTIO_F_EVENT_IDX, VIRTIO_BIT(9),
				 VIRTIO_BIT(11), VIRTIO_BIT(13), VIRTIO_BIT(14) };
	u16 size = (u16)(chance(8) ? 32 << chance(4) : 1 << chance(9)), *avail;
	u8 byte = (u8)chance(256);
	unsigned int i, k, n;
	u64 f = 0;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		f |= chance(2) ? features[i] : 0;
	fake_start(f & fake.v->offered, size);
	for (k = 0; k < 8; k++) {
		n = (unsigned int)chance(fake.v->queues);
		for (i = 0; i < 6; i++)
			put_request(n, (u16)(chance(40) ? 3 * i : chance(size)), size);
		if (chance(10) == 0)
			put_junk(n, size);
		avail = fake_at(fake_queue(n) + FAKE_AVAIL);
		for (i = 0; i < 6; i++)
			fake_add_quietly(n, (u16)(chance(40) ? 3 * i : chance(65536)));
		if (chance(30) == 0)
			avail[1] = (u16)chance(65536);
		virtio_notified(fake.v, n);
		if (chance(20) == 0)
			virtio_config_set(fake.v, (unsigned int)chance(70), &byte, 1);
		if (chance(20) == 0)
			virtio_queue_reset(fake.v, n);
	}
	for (n = 0; n < fake.v->queues; n++)
		answers += fake_used(n, NULL, NULL);
}

static void on_alarm(int sig)
{
	(void)sig;
	abort();
}

static int make_device(struct registry *backends, struct loop *loop, struct device **dev)
{
	const struct image_spec s = { .format = "qcow2", .size = DISK, .cluster_size = 4096 };
	struct props p;

	if (image_create("disk", &s) < 0 || fake_setup(NULL))
		return -1;
	fake.board.backends = backends;
	fake.board.loop = loop;
	fake.board.cpus = 2;
	if (!disk_open(backends, loop, "disk,cache=unsafe", on_pause, NULL))
		return -1;
	props_parse(&p, "virtio-blk,drive=disk0");
	*dev = virtio_blk_class.create(&fake.board, &p);
	props_free(&p);
	if (*dev)
		(*dev)->board = &fake.board;
	return *dev ? 0 : -1;
}

static u64 errors_of_image(void)
{
	const struct block_options o = { .readonly = true, .examine = true };
	struct image_check c = { 0 };
	struct block *b = block_open("disk", &o);
	u64 n = b && image_check(b, REPAIR_NONE, &c) == 0 ? c.errors + c.leaks : UINT64_MAX;

	block_close(b);
	return n;
}

int main(int argc, char **argv)
{
	char folder[] = "/dev/shm/anykvm-fuzz-XXXXXX", command[64];
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	struct registry *backends = registry_new();
	struct loop *loop = loop_new();
	struct device *dev = NULL;
	unsigned long rounds = 0;
	u64 errors;

	chance_state = chance_seed(argc > 2 ? argv[2] : NULL);
	if (!mkdtemp(folder) || chdir(folder) < 0 || make_device(backends, loop, &dev) < 0)
		return 2;
	printf("fuzz-blk: seed %llu, folder %s\n", (unsigned long long)chance_state, folder);
	fflush(stdout);
	signal(SIGALRM, on_alarm);
	for (; time(NULL) < end; rounds++) {
		alarm(HANG_SECONDS);
		one_round();
		alarm(0);
	}
	virtio_blk_class.destroy(dev);
	registry_free(backends);
	loop_free(loop);
	fake_teardown(NULL);
	errors = errors_of_image();
	printf("fuzz-blk: %lu rounds, %llu errors in the image, %lu answers\n", rounds,
	       (unsigned long long)errors, answers);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") < 0 || system(command) || errors || answers < rounds;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The virtio block device: requests as the specification has them, and such as it has not. */
#include <unistd.h>

#include "../../../vmm/backends/disk.h"
#include "../../../vmm/backends/registry.h"
#include "virtio_fake.h"

#define DISK (1 * MIB)
#define SIZE 64
#define HEADER FAKE_DATA
#define STATUS (FAKE_DATA + 0x100)
#define BUFFER (FAKE_DATA + 0x1000)
#define OUT 0
#define IN VIRTQ_DESC_WRITE
#define NEXT VIRTQ_DESC_NEXT

extern const struct device_class virtio_blk_class;

static struct registry *backends;
static struct loop *loop;
static struct device *dev;
static u8 *config;

static void on_pause(void *ctx, struct disk *d, bool on)
{
	(void)ctx, (void)d, (void)on;
}

static int start(const char *disk, const char *device)
{
	struct props p;

	assert_int_equal(fake_setup(NULL), 0);
	loop = loop_new();
	backends = registry_new();
	fake.board.backends = backends;
	fake.board.loop = loop;
	fake.board.cpus = 2;
	if (!disk_open(backends, loop, disk, on_pause, NULL))
		return -1;
	props_parse(&p, device);
	dev = virtio_blk_class.create(&fake.board, &p);
	props_free(&p);
	if (!dev)
		return -1;
	dev->board = &fake.board;
	config = fake.v->config;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	if (system("head -c 1048576 /dev/zero | tr '\\0' 'z' >disk"))
		return -1;
	return start("disk,format=raw,serial=number", "virtio-blk,drive=disk0");
}

static int teardown(void **state)
{
	(void)state;
	if (dev)
		virtio_blk_class.destroy(dev);
	registry_free(backends);
	loop_free(loop);
	return fake_teardown(NULL);
}

static void header(u32 type, u64 sector)
{
	const u32 h[2] = { type, 0 };

	memcpy(fake_at(HEADER), h, 8);
	memcpy(fake_at(HEADER + 8), &sector, 8);
	*(u8 *)fake_at(STATUS) = 0xee;
}

/* Notifies and waits for the answer: the status byte; *len: bytes that the device wrote. */
static u8 finish(unsigned int queue, u32 *len)
{
	u16 before = fake_used(queue, NULL, NULL);
	unsigned int i;

	fake_add(queue, 0);
	for (i = 0; i < 2000 && fake_used(queue, NULL, len) == before; i++)
		usleep(1000);
	assert_int_equal(fake_used(queue, NULL, len), (u16)(before + 1));
	return *(u8 *)fake_at(STATUS);
}

/* A request with one buffer of data. */
static u8 request(u32 type, u64 sector, u32 len, u16 dir, u32 *written)
{
	header(type, sector);
	fake_desc(0, 0, HEADER, 16, NEXT, len ? 1 : 2);
	fake_desc(0, 1, BUFFER, len, dir | NEXT, 2);
	fake_desc(0, 2, STATUS, 1, IN, 0);
	return finish(0, written);
}

static void configuration(void **state)
{
	u64 capacity;

	(void)state;
	memcpy(&capacity, config, 8);
	assert_int_equal(capacity, DISK / 512);
	assert_int_equal(config[12], 126);	/* seg_max */
	assert_int_equal(config[34], 2);	/* num_queues: one a CPU */
	assert_true(fake.v->offered & VIRTIO_BIT(9) && fake.v->offered & VIRTIO_BIT(13));
	assert_false(fake.v->offered & VIRTIO_BIT(5));
}

static void reading_and_writing(void **state)
{
	u8 *data;
	u32 len;

	(void)state;
	fake_start(VIRTIO_BIT(9), SIZE);
	data = fake_at(BUFFER);
	assert_int_equal(request(0, 7, 4096, IN, &len), 0);
	assert_int_equal(len, 4097);
	assert_true(data[0] == 'z' && data[4095] == 'z');
	memset(data, 'a', 1024);
	assert_int_equal(request(1, 9, 1024, OUT, &len), 0);
	assert_int_equal(len, 1);
	memset(data, 0, 4096);
	assert_int_equal(request(0, 8, 2048, IN, &len), 0);
	assert_true(data[511] == 'z' && data[512] == 'a' && data[1535] == 'a' && data[1536] == 'z');
	assert_int_equal(request(4, 0, 0, OUT, &len), 0);
	/* the last sector, and one more */
	assert_int_equal(request(0, DISK / 512 - 1, 512, IN, &len), 0);
	assert_int_equal(request(0, DISK / 512 - 1, 1024, IN, &len), 1);
	assert_int_equal(request(0, DISK / 512, 512, IN, &len), 1);
	assert_int_equal(request(1, UINT64_MAX, 512, OUT, &len), 1);
	assert_int_equal(request(1, UINT64_MAX / 512, 512, OUT, &len), 1);
	assert_int_equal(request(0, 0, 100, IN, &len), 1);
	assert_int_equal(request(0, 0, 0, IN, &len), 0);
	assert_true(fake.interrupts[0] > 0);
}

static void other_requests(void **state)
{
	struct {
		u64 sector;
		u32 sectors, flags;
	} range = { 16, 8, 0 };
	u8 *data;
	u32 len;

	(void)state;
	fake_start(VIRTIO_BIT(9) | VIRTIO_BIT(13) | VIRTIO_BIT(14), SIZE);
	data = fake_at(BUFFER);
	memset(data, 1, 32);
	assert_int_equal(request(8, 0, 20, IN, &len), 0);
	assert_memory_equal(data, "number\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	memset(data, 1, 32);
	assert_int_equal(request(8, 0, 3, IN, &len), 0);
	assert_memory_equal(data, "num\1", 4);
	/* zeros and discards */
	memcpy(data, &range, 16);
	assert_int_equal(request(13, 0, 16, OUT, &len), 0);
	assert_int_equal(request(0, 15, 512 * 10, IN, &len), 0);
	assert_true(data[511] == 'z' && !data[512] && !data[512 * 9 - 1] && data[512 * 9] == 'z');
	range.sector = 64;
	range.flags = 1;
	memcpy(data, &range, 16);
	assert_int_equal(request(13, 0, 16, OUT, &len), 0);
	assert_int_equal(request(11, 0, 16, OUT, &len), 2);	/* a discard has no flags */
	range.flags = 0;
	memcpy(data, &range, 16);
	assert_int_equal(request(11, 0, 16, OUT, &len), 0);
	range.flags = 2;
	memcpy(data, &range, 16);
	assert_int_equal(request(13, 0, 16, OUT, &len), 2);
	range.flags = 0;
	range.sectors = UINT32_MAX;
	memcpy(data, &range, 16);
	assert_int_equal(request(13, 0, 16, OUT, &len), 1);
	range.sectors = 1;
	range.sector = DISK / 512;
	memcpy(data, &range, 16);
	assert_int_equal(request(13, 0, 16, OUT, &len), 1);
	assert_int_equal(request(13, 0, 15, OUT, &len), 2);
	assert_int_equal(request(99, 0, 0, OUT, &len), 2);
	assert_int_equal(request(99, 0, 512, IN, &len), 2);
}

/* Headers and status bytes that begin and end anywhere. */
static void odd_layouts(void **state)
{
	u8 *data;
	u32 len;

	(void)state;
	fake_start(VIRTIO_BIT(9), SIZE);
	data = fake_at(BUFFER);
	header(0, 3);
	fake_desc(0, 0, HEADER, 5, NEXT, 1);
	fake_desc(0, 1, HEADER + 5, 11, NEXT, 2);
	fake_desc(0, 2, BUFFER, 100, IN | NEXT, 3);
	fake_desc(0, 3, BUFFER + 100, 413, IN, 0);	/* the data's end and the status */
	data[512] = 0xee;
	finish(0, &len);
	assert_int_equal(len, 513);
	assert_int_equal(data[511], 'z');
	assert_int_equal(data[512], 0);
	/* a header that is too short */
	header(0, 3);
	fake_desc(0, 0, HEADER, 15, NEXT, 1);
	fake_desc(0, 1, STATUS, 1, IN, 0);
	assert_int_equal(finish(0, &len), 1);
	/* the second queue works alike */
	header(0, 3);
	fake_desc(1, 0, HEADER, 16, NEXT, 1);
	fake_desc(1, 1, BUFFER, 512, IN | NEXT, 2);
	fake_desc(1, 2, STATUS, 1, IN, 0);
	assert_int_equal(finish(1, &len), 0);
	assert_int_equal(fake.interrupts[1], 1);
	/* no room for the status: there is no answer to give */
	fake_desc(0, 0, HEADER, 16, 0, 0);
	fake_add(0, 0);
	assert_true(fake.v->status & VIRTIO_STATUS_NEEDS_RESET);
	/* and a reset makes all well again */
	fake_start(VIRTIO_BIT(9), SIZE);
	assert_int_equal(request(0, 0, 512, IN, &len), 0);
}

static void many_at_once(void **state)
{
	unsigned int i;

	(void)state;
	fake_start(VIRTIO_BIT(9), 256);
	header(0, 0);
	for (i = 0; i < 80; i++) {
		fake_desc(0, 3 * i, HEADER, 16, NEXT, (u16)(3 * i + 1));
		fake_desc(0, 3 * i + 1, BUFFER + i * 512, 512, IN | NEXT, (u16)(3 * i + 2));
		fake_desc(0, 3 * i + 2, STATUS + i, 1, IN, 0);
		fake_add_quietly(0, (u16)(3 * i));
	}
	virtio_notified(fake.v, 0);
	for (i = 0; i < 2000 && fake_used(0, NULL, NULL) < 80; i++)
		usleep(1000);
	assert_int_equal(fake_used(0, NULL, NULL), 80);
	/* a reset in the middle of requests waits for them */
	for (i = 0; i < 80; i++)
		fake_add_quietly(0, (u16)(3 * i));
	virtio_notified(fake.v, 0);
	virtio_set_status(fake.v, 0);
	assert_int_equal(fake.v->queue[0].in_use, 0);
}

/* Without the feature the driver knows of no cache: nothing is kept in one. */
static void write_cache(void **state)
{
	u8 off = 0;

	(void)state;
	fake_start(VIRTIO_BIT(9) | VIRTIO_BIT(11), SIZE);
	assert_int_equal(config[32], 1);
	virtio_config_set(fake.v, 32, &off, 1);
	assert_int_equal(config[32], 0);
	fake_start(0, SIZE);
	assert_int_equal(config[32], 0);
	fake_start(VIRTIO_BIT(9), SIZE);
	assert_int_equal(config[32], 1);
	virtio_config_set(fake.v, 32, &off, 1);	/* not negotiated */
	assert_int_equal(config[32], 1);
}

static int setup_readonly(void **state)
{
	(void)state;
	if (system("head -c 1048576 /dev/zero >disk"))
		return -1;
	return start("disk,format=raw,readonly=on,id=x", "virtio-blk,drive=x,iothread=on,"
		     "num-queues=1");
}

static void read_only(void **state)
{
	u32 len;

	(void)state;
	assert_true(fake.v->offered & VIRTIO_BIT(5));
	assert_false(fake.v->offered & VIRTIO_BIT(13));
	assert_int_equal(fake.v->queues, 1);
	fake_start(0, SIZE);
	assert_int_equal(request(0, 0, 512, IN, &len), 0);
	assert_int_equal(request(1, 0, 512, OUT, &len), 1);
	assert_int_equal(request(4, 0, 0, OUT, &len), 0);
}

/* Nobody waits for a request without end: the buffers may all be the same. */
static void long_transfers(void **state)
{
	const unsigned int pieces = 65;
	unsigned int i;
	u32 len;

	(void)state;
	fake_start(VIRTIO_BIT(9), 128);
	header(0, 0);
	fake_desc(0, 0, HEADER, 16, NEXT, 1);
	for (i = 1; i <= pieces; i++)
		fake_desc(0, i, 0, FAKE_RAM, OUT | NEXT, (u16)(i + 1));
	fake_desc(0, pieces + 1, STATUS, 1, IN, 0);
	*(u32 *)fake_at(HEADER) = 1;
	assert_int_equal(finish(0, &len), 1);
	assert_int_equal(request(0, 7, 4096, IN, &len), 0);
}

static int setup_long(void **state)
{
	(void)state;
	if (system("rm -f disk && truncate -s 1G disk"))
		return -1;
	return start("disk,format=raw", "virtio-blk,drive=disk0");
}

int main(void)
{
	char folder[] = "/var/tmp/anykvm-blk-XXXXXX";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(configuration, setup, teardown),
		cmocka_unit_test_setup_teardown(reading_and_writing, setup, teardown),
		cmocka_unit_test_setup_teardown(other_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(odd_layouts, setup, teardown),
		cmocka_unit_test_setup_teardown(many_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(write_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(long_transfers, setup_long, teardown),
		cmocka_unit_test_setup_teardown(read_only, setup_readonly, teardown),
	};
	int failed;

	if (!mkdtemp(folder) || chdir(folder) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink("disk");
	rmdir(folder);
	return failed;
}

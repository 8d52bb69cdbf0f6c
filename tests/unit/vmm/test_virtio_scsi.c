/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The SCSI host: commands and their errors, on an image of 1 MiB and one that is a CD. */
#include <stdio.h>
#include <unistd.h>

#include "../../../vmm/backends/disk.h"
#include "../../../vmm/backends/registry.h"
#include "../../../vmm/block/create.h"
#include "virtio_fake.h"

#define SIZE (1 * MIB)
#define REQUESTS 2		/* the queue */
#define HEADER 51
#define RESPONSE 108
#define NO_LUN 5

extern const struct device_class virtio_scsi_class;

static struct device *dev;
static struct registry *registry;
static struct loop *loop;
static char folder[] = "/tmp/anykvm-scsi-XXXXXX";

static void no_pause(void *ctx, struct disk *d, bool on)
{
	(void)ctx, (void)d, (void)on;
}

static int setup(void **state)
{
	const struct image_spec s = { .format = "raw", .size = SIZE };
	struct props p;

	fake_setup(state);
	strcpy(folder, "/tmp/anykvm-scsi-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(image_create("disk", &s), 0);
	assert_int_equal(image_create("cd", &s), 0);
	registry = registry_new();
	loop = loop_new();
	fake.board.backends = registry;
	fake.board.loop = loop;
	fake.board.cpus = 1;
	assert_non_null(disk_open(registry, loop, "disk,format=raw,if=none,id=d,serial=xyz",
				  no_pause, NULL));
	assert_non_null(disk_open(registry, loop, "cd,format=raw,if=none,id=c,readonly=on",
				  no_pause, NULL));
	assert_int_equal(props_parse(&p, "virtio-scsi,lun0=d,cd3=c"), 0);
	dev = virtio_scsi_class.create(&fake.board, &p);
	assert_non_null(dev);
	props_free(&p);
	fake_start(0, 16);
	return 0;
}

static int teardown(void **state)
{
	virtio_scsi_class.destroy(dev);
	registry_free(registry);
	loop_free(loop);
	assert_int_equal(unlink("disk") || unlink("cd") || chdir("/") || rmdir(folder), 0);
	return fake_teardown(state);
}

struct response {
	u32 sense_len, residual;
	u16 qualifier;
	u8 status, response, sense[96], data[];
} __attribute__((packed));

/* A command with data either way: its response, when it has come. */
static const struct response *command(unsigned int lun, const u8 *cdb, size_t cdb_len,
				      const void *out, u32 out_len, u32 in_len)
{
	u8 bytes[HEADER + 4096] = { 1, 0, 0x40, (u8)lun };
	u16 before = fake_used(REQUESTS, NULL, NULL);
	unsigned int ms;

	memcpy(bytes + 19, cdb, cdb_len);
	if (out_len)
		memcpy(bytes + HEADER, out, out_len);
	fake_request(REQUESTS, bytes, HEADER + out_len, RESPONSE + in_len);
	for (ms = 0; fake_used(REQUESTS, NULL, NULL) == before; ms++) {
		assert_true(ms < 5000);
		usleep(1000);
	}
	return fake_answer(REQUESTS);
}

#define COMMAND(lun, out, out_len, in_len, ...) \
	command(lun, (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }), out, \
		out_len, in_len)

static void assert_sense(const struct response *r, u8 key, u8 code)
{
	assert_int_equal(r->response, 0);
	assert_int_equal(r->status, 2);
	assert_int_equal(r->sense_len, 18);
	assert_int_equal(r->sense[2], key);
	assert_int_equal(r->sense[12], code);
}

static void assert_good(const struct response *r, u32 residual)
{
	assert_int_equal(r->response, 0);
	assert_int_equal(r->status, 0);
	assert_int_equal(r->residual, residual);
}

static void test_identity(void **state)
{
	const struct response *r = COMMAND(0, NULL, 0, 96, 0x12, 0, 0, 0, 96, 0);

	(void)state;
	assert_good(r, 96 - 36);
	assert_int_equal(r->data[0], 0);
	assert_memory_equal(r->data + 8, "anykvm  disk ", 13);
	r = COMMAND(3, NULL, 0, 36, 0x12, 0, 0, 0, 36, 0);
	assert_int_equal(r->data[0], 5);
	r = COMMAND(0, NULL, 0, 64, 0x12, 1, 0x80, 0, 64, 0);
	assert_good(r, 64 - 7);
	assert_memory_equal(r->data + 3, "\3xyz", 4);
	assert_sense(COMMAND(0, NULL, 0, 64, 0x12, 1, 0x99, 0, 64, 0), 5, 0x24);
	r = COMMAND(NO_LUN, NULL, 0, 36, 0x12, 0, 0, 0, 36, 0);
	assert_int_equal(r->data[0], 0x7f);
	assert_true(r->data[2] >= 5);
	assert_sense(COMMAND(NO_LUN, NULL, 0, 0, 0x00), 5, 0x25);
	r = COMMAND(NO_LUN, NULL, 0, 64, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64);
	assert_good(r, 64 - 24);
	assert_int_equal(r->data[3], 16);
	assert_int_equal(r->data[8 + 8 + 1], 3);
}

static void test_bytes(void **state)
{
	u8 block[1024];
	const struct response *r;

	(void)state;
	memset(block, 0x5a, sizeof(block));
	assert_good(COMMAND(0, block, 1024, 0, 0x2a, 0, 0, 0, 0, 4, 0, 0, 2, 0), 0);
	r = COMMAND(0, NULL, 0, 512, 0x28, 0, 0, 0, 0, 5, 0, 0, 1, 0);
	assert_good(r, 0);
	assert_memory_equal(r->data, block, 512);
	assert_good(COMMAND(0, NULL, 0, 0, 0x35), 0);
	/* zeros over one of the two */
	memset(block, 0, sizeof(block));
	assert_good(COMMAND(0, block, 512, 0, 0x41, 0, 0, 0, 0, 5, 0, 0, 1, 0), 512);
	r = COMMAND(0, NULL, 0, 1024, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 2);
	assert_int_equal(r->data[511], 0x5a);
	assert_int_equal(r->data[512], 0);
	block[7] = 1;
	assert_sense(COMMAND(0, block, 512, 0, 0x41, 0, 0, 0, 0, 5, 0, 0, 1, 0), 5, 0x26);
}

static void test_bounds(void **state)
{
	u8 block[512] = { 0 }, unmap[24] = { 0, 22, 0, 16 };

	(void)state;
	assert_sense(COMMAND(0, NULL, 0, 512, 0x28, 0, 0, 0, 8, 0, 0, 0, 1, 0), 5, 0x21);
	assert_sense(COMMAND(0, NULL, 0, 1024, 0x28, 0, 0, 0, 7, 0xff, 0, 0, 2, 0), 5, 0x21);
	assert_sense(COMMAND(0, NULL, 0, 512, 0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			     0xff, 0, 0, 0, 1), 5, 0x21);
	assert_sense(COMMAND(0, NULL, 0, 512, 0x93, 1, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 9), 5,
		     0x21);
	/* less room, or data, than the command is for */
	assert_int_equal(COMMAND(0, NULL, 0, 511, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0)->response, 1);
	assert_int_equal(COMMAND(0, block, 511, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0)->response, 1);
	memset(unmap + 8, 0xff, 12);
	assert_sense(COMMAND(0, unmap, 24, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), 5, 0x21);
	unmap[3] = 32;
	assert_sense(COMMAND(0, unmap, 24, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), 5, 0x26);
	assert_sense(COMMAND(0, NULL, 0, 0, 0xee), 5, 0x20);
}

static void test_cd(void **state)
{
	const struct response *r = COMMAND(3, NULL, 0, 8, 0x25);

	(void)state;
	assert_good(r, 0);
	assert_memory_equal(r->data, "\0\0\1\xff\0\0\x08\0", 8);
	assert_good(COMMAND(3, NULL, 0, 2048, 0x28, 0, 0, 0, 1, 0xff, 0, 0, 1, 0), 0);
	assert_sense(COMMAND(3, NULL, 0, 2048, 0x28, 0, 0, 0, 2, 0, 0, 0, 1, 0), 5, 0x21);
	assert_sense(COMMAND(3, NULL, 0, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), 5, 0x20);
	r = COMMAND(3, NULL, 0, 20, 0x43, 0, 0, 0, 0, 0, 0, 0, 20, 0);
	assert_good(r, 0);
	assert_int_equal(r->data[4 + 2], 1);
	assert_memory_equal(r->data + 12, "\0\x14\xaa\0\0\0\2\0", 8);
}

static void test_no_request(void **state)
{
	u8 header[HEADER] = { 1, 0, 0x40 };

	(void)state;
	header[0] = 9;
	fake_request(REQUESTS, header, HEADER, RESPONSE);
	assert_int_equal(((const struct response *)fake_answer(REQUESTS))->response, 3);
	assert_int_equal(fake_request(REQUESTS, header, HEADER - 1, RESPONSE), FAKE_NO_ANSWER);
	assert_true(fake.v->status & VIRTIO_STATUS_NEEDS_RESET);
	fake_start(0, 16);
	assert_int_equal(fake_request(REQUESTS, header, HEADER, RESPONSE - 1), FAKE_NO_ANSWER);
	assert_true(fake.v->status & VIRTIO_STATUS_NEEDS_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_request, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

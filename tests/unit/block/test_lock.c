/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Locks: two of ours, and ours beside QEMU's, in both directions. */
#include <unistd.h>

#include "block_test.h"

static struct block *try_open(const char *path, bool readonly, bool shared)
{
	const struct block_options o = { .readonly = readonly, .shared = shared };
	struct block *b;

	quiet();
	b = block_open(path, &o);
	loud();
	return b;
}

static void ours(void **state)
{
	struct block *a, *b;

	(void)state;
	make_image("disk", 1 * MIB, 0, 0, NULL);
	a = open_rw("disk");
	assert_null(try_open("disk", false, false));
	assert_true(told("disk is in use by another program"));
	assert_null(try_open("disk", true, false));
	assert_true(told("disk is being written by another program"));
	b = try_open("disk", true, true);	/* only looks */
	assert_non_null(b);
	block_close(b);
	block_close(a);

	a = open_ro("disk");
	b = open_ro("disk");
	assert_null(try_open("disk", false, false));
	assert_true(told("disk"));
	block_close(a);
	assert_null(try_open("disk", false, false));
	block_close(b);
	b = open_rw("disk");
	block_close(b);
}

static void qemu_beside_us(void **state)
{
	struct block *b;

	(void)state;
	make_image("disk", 1 * MIB, 0, 0, NULL);
	b = open_rw("disk");
	assert_int_not_equal(sh("qemu-io -c 'read 0 512' disk"), 0);
	assert_int_not_equal(sh("qemu-io -r -c 'read 0 512' disk"), 0);
	must("qemu-io -r -U -c 'read 0 512' disk");
	block_close(b);
	b = open_ro("disk");
	must("qemu-io -r -c 'read 0 512' disk");
	assert_int_not_equal(sh("qemu-io -c 'write 0 512' disk"), 0);
	block_close(b);
	must("qemu-io -c 'write 0 512' disk");
}

static void we_beside_qemu(void **state)
{
	struct block *b;
	unsigned int i;
	FILE *q;

	(void)state;
	make_image("disk", 1 * MIB, 0, 0, NULL);
	q = popen("stdbuf -oL qemu-io disk >said 2>&1", "w");
	fprintf(q, "write 0 512\n");
	fflush(q);
	for (i = 0; i < 2000 && sh("grep -q wrote said"); i++)
		usleep(10000);
	must("grep -q wrote said");
	assert_null(try_open("disk", false, false));
	assert_true(told("another program"));
	assert_null(try_open("disk", true, false));
	b = try_open("disk", true, true);
	assert_non_null(b);
	block_close(b);
	fprintf(q, "quit\n");
	assert_int_equal(pclose(q), 0);
	b = open_rw("disk");
	block_close(b);
}

static void backing_files(void **state)
{
	struct block *top, *other;

	(void)state;
	make_image("base", 1 * MIB, 0, 0, NULL);
	make_image("top", 0, 0, 0, "base");
	make_image("other", 0, 0, 0, "base");
	top = open_rw("top");
	other = open_rw("other");		/* two may stand on one */
	assert_null(try_open("base", false, false));
	assert_int_not_equal(sh("qemu-io -c 'write 0 512' base"), 0);
	block_close(other);
	block_close(top);
	top = open_rw("base");
	assert_null(try_open("other", false, false));
	assert_true(told("cannot open its backing file 'base'"));
	block_close(top);
}

/* A command that makes or resizes an image keeps off one in use. */
static void making(void **state)
{
	const struct image_spec s = { .format = "qcow2", .size = MIB, .force = true };
	struct block *b;

	(void)state;
	make_image("disk", 1 * MIB, 0, 0, NULL);
	b = open_rw("disk");
	quiet();
	assert_int_equal(image_create("disk", &s), -1);
	loud();
	assert_true(told("disk is in use"));
	assert_int_equal(block_close(b), 0);
	assert_clean("disk");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ours),
		cmocka_unit_test(qemu_beside_us),
		cmocka_unit_test(we_beside_qemu),
		cmocka_unit_test(backing_files),
		cmocka_unit_test(making),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}

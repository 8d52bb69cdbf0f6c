/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which requests may be under way together, and who runs when those before are done. */
#include <unistd.h>

#include "../../../vmm/block/image.h"
#include "block_test.h"

#define CLUSTER 65536ULL
#define NUMBER 6

static struct node node = { .granularity = CLUSTER };
static struct block image = { .node = &node, .lock = PTHREAD_MUTEX_INITIALIZER };
static struct block_request r[NUMBER];
static bool ran[NUMBER];

static void run(struct pool_job *j)
{
	struct block_request *q = (struct block_request *)((char *)j -
							   offsetof(struct block_request, job));

	__atomic_store_n(&ran[q - r], true, __ATOMIC_RELEASE);
}

static void set(unsigned int i, enum block_op op, u64 offset, u64 length)
{
	r[i] = (struct block_request){
		.op = op, .offset = offset, .length = length, .job = { .fn = run },
	};
	ran[i] = false;
}

/* Gives the pool time: what is to run runs, and nothing else. */
static void expect_ran(unsigned int i, bool yes)
{
	unsigned int n;

	for (n = 0; n < (yes ? 2000 : 20) && !__atomic_load_n(&ran[i], __ATOMIC_ACQUIRE); n++)
		usleep(1000);
	assert_int_equal(__atomic_load_n(&ran[i], __ATOMIC_ACQUIRE), yes);
}

static void shared(void **state)
{
	(void)state;
	set(0, BLOCK_OP_READ, 0, 8192);
	set(1, BLOCK_OP_WRITE, 4096, 8192);
	set(2, BLOCK_OP_READ, 0, CLUSTER);
	assert_true(track(&image, &r[0], false));
	assert_true(track(&image, &r[1], false));
	assert_true(track(&image, &r[2], false));
	untrack(&image, &r[1]);
	untrack(&image, &r[0]);
	untrack(&image, &r[2]);
	assert_null(image.active.first);
}

/* Somebody who is alone is so on whole clusters, and those behind keep their order. */
static void alone(void **state)
{
	(void)state;
	set(0, BLOCK_OP_DISCARD, CLUSTER + 512, 512);
	set(1, BLOCK_OP_READ, CLUSTER, 512);
	set(2, BLOCK_OP_READ, 0, CLUSTER);
	set(3, BLOCK_OP_READ, 2 * CLUSTER, 512);
	set(4, BLOCK_OP_ZERO, 2 * CLUSTER - 512, 1024);
	set(5, BLOCK_OP_READ, 3 * CLUSTER - 512, 512);
	assert_true(track(&image, &r[0], true));
	assert_false(track(&image, &r[1], false));
	assert_true(track(&image, &r[2], false));
	assert_true(track(&image, &r[3], false));
	assert_false(track(&image, &r[4], true));
	assert_false(track(&image, &r[5], false));	/* behind the one before it */
	untrack(&image, &r[3]);
	expect_ran(4, false);
	untrack(&image, &r[0]);
	expect_ran(1, true);
	expect_ran(4, false);
	untrack(&image, &r[1]);
	expect_ran(4, true);
	expect_ran(5, false);
	untrack(&image, &r[4]);
	expect_ran(5, true);
	untrack(&image, &r[5]);
	untrack(&image, &r[2]);
	assert_null(image.active.first);
	assert_null(image.waiting.first);
}

/* A write that has to wait may take clusters when it runs: it has them to itself. */
static void waiting_writes(void **state)
{
	(void)state;
	set(0, BLOCK_OP_ZERO, 0, 512);
	set(1, BLOCK_OP_WRITE, 4096, 512);
	set(2, BLOCK_OP_WRITE, 8192, 512);
	assert_true(track(&image, &r[0], true));
	assert_false(track(&image, &r[1], false));
	assert_false(track(&image, &r[2], false));
	untrack(&image, &r[0]);
	expect_ran(1, true);
	expect_ran(2, false);
	untrack(&image, &r[1]);
	expect_ran(2, true);
	untrack(&image, &r[2]);
}

/* Two that find that they must be alone do not wait for each other. */
static void both_alone(void **state)
{
	(void)state;
	set(0, BLOCK_OP_WRITE, 0, 512);
	set(1, BLOCK_OP_WRITE, 512, 512);
	assert_true(track(&image, &r[0], false));
	assert_true(track(&image, &r[1], false));
	assert_false(track_alone(&image, &r[0]));
	assert_false(track_alone(&image, &r[1]));
	expect_ran(0, true);
	expect_ran(1, false);
	untrack(&image, &r[0]);
	expect_ran(1, true);
	untrack(&image, &r[1]);
	assert_null(image.active.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared),
		cmocka_unit_test(alone),
		cmocka_unit_test(waiting_writes),
		cmocka_unit_test(both_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

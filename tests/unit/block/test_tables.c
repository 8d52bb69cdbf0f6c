/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What qcow2's tables are made of: counts of each width, the set, the cache, entries. */
#include <errno.h>
#include <unistd.h>

#include "../../../vmm/block/qcow2/qcow2.h"
#include "block_test.h"

static void counts(void **state)
{
	static u8 block[4096], expect[4096];
	unsigned int order;
	u64 i, n, max;

	(void)state;
	for (order = 0; order <= 6; order++) {
		struct qcow2 q = { .refcount_order = order };

		n = sizeof(block) * 8 >> order;
		max = order == 6 ? UINT64_MAX : (1ULL << (1 << order)) - 1;
		memset(block, 0, sizeof(block));
		for (i = 0; i < n; i++)
			qcow2_count_set(&q, block, i, (i * 0x123456789abcdefULL) & max);
		for (i = 0; i < n; i++)
			assert_true(qcow2_count_at(&q, block, i) ==
				    ((i * 0x123456789abcdefULL) & max));
		/* a change touches nothing beside it */
		memcpy(expect, block, sizeof(block));
		qcow2_count_set(&q, block, 77, max);
		qcow2_count_set(&q, block, 77, (77 * 0x123456789abcdefULL) & max);
		assert_memory_equal(block, expect, sizeof(block));
	}
}

/* The specification: sub-byte counts begin at the least significant bit, others are big-endian. */
static void count_layout(void **state)
{
	struct qcow2 q = { .refcount_order = 1 };
	u8 block[16] = { 0 };

	(void)state;
	qcow2_count_set(&q, block, 1, 3);
	assert_int_equal(block[0], 0x0c);
	q.refcount_order = 4;
	qcow2_count_set(&q, block, 1, 0x1234);
	assert_int_equal(block[2], 0x12);
	assert_int_equal(block[3], 0x34);
}

static void numbers(void **state)
{
	static bool in[5000];
	struct set s = { NULL, 0, 0 };
	unsigned int i, n;

	(void)state;
	chance_seed();
	memset(in, 0, sizeof(in));
	for (i = 0; i < 100000; i++) {
		n = (unsigned int)chance(ARRAY_SIZE(in));
		assert_int_equal(set_has(&s, n), in[n]);
		if (chance(2)) {
			assert_int_equal(set_add(&s, n), !in[n]);
			in[n] = true;
		} else {
			set_remove(&s, n);
			in[n] = false;
		}
	}
	for (i = 0; i < ARRAY_SIZE(in); i++)
		assert_int_equal(set_has(&s, i), in[i]);
	set_free(&s);
}

static unsigned int evicted;

static int evict(void *arg, struct table *t)
{
	evicted++;
	return cache_write(arg, t);
}

/* Twenty tables through a cache of four: what was written comes back. */
static void caching(void **state)
{
	const struct file_options o = { .writable = true, .create = true };
	struct file *f = file_open("cache", &o);
	struct cache c;
	struct table *t;
	unsigned int i, k;

	(void)state;
	assert_non_null(f);
	assert_int_equal(cache_init(&c, f, 512, 4, NULL), 0);
	c.evict = evict;
	c.arg = &c;
	for (i = 1; i <= 20; i++) {
		assert_int_equal(cache_new(&c, i * 512, &t), 0);
		memset(t->data, (int)i, 512);
	}
	assert_int_equal(evicted, 16);
	for (k = 0; k < 200; k++) {
		i = 1 + (unsigned int)chance(20);
		assert_int_equal(cache_get(&c, i * 512, &t), 0);
		assert_int_equal(t->offset, i * 512);
		assert_int_equal(t->data[511], i);
		assert_ptr_equal(cache_find(&c, i * 512), t);
	}
	cache_drop(&c, i * 512);
	assert_null(cache_find(&c, i * 512));
	assert_int_equal(cache_write_all(&c), 0);
	assert_int_equal(c.ndirty, 0);
	cache_destroy(&c);
	file_close(f);
}

static void entries(void **state)
{
	struct qcow2 q = { .version = 3, .cluster_bits = 16, .cluster_size = 65536 };
	u64 off, len;

	(void)state;
	assert_int_equal(qcow2_kind(&q, 0), QCOW2_KIND_NONE);
	assert_int_equal(qcow2_kind(&q, 1), QCOW2_KIND_ZERO);
	assert_int_equal(qcow2_kind(&q, 0x50001), QCOW2_KIND_ZERO);
	assert_int_equal(qcow2_kind(&q, 0x50000 | QCOW2_COPIED), QCOW2_KIND_DATA);
	assert_int_equal(qcow2_kind(&q, 0x50200), QCOW2_KIND_BAD);
	assert_int_equal(qcow2_kind(&q, QCOW2_COPIED), QCOW2_KIND_BAD);
	q.version = 2;
	assert_int_equal(qcow2_kind(&q, 0x50001), QCOW2_KIND_BAD);
	/* x = 62 - (16 - 8) = 54 bits of offset, then the number of further sectors */
	qcow2_compressed(&q, QCOW2_COMPRESSED | 3ULL << 54 | 0x12345, &off, &len);
	assert_int_equal(off, 0x12345);
	assert_int_equal(len, 4 * 512 - (0x12345 & 511));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),
		cmocka_unit_test(count_layout),
		cmocka_unit_test(numbers),
		cmocka_unit_test(caching),
		cmocka_unit_test(entries),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Spans: every cut of odd iovec arrays, beside plain memory. */
#include "../../../vmm/block/span.h"
#include "block_test.h"

static u8 memory[64];
/* pieces of odd lengths, empty ones among them */
static struct iovec vec[] = {
	{ memory + 40, 5 }, { memory, 0 }, { memory + 2, 1 }, { memory + 10, 16 },
	{ memory + 60, 0 }, { memory + 30, 7 }, { memory + 50, 0 },
};

#define LEN 29

/* Where byte i of the array lies. */
static u8 *byte(size_t i)
{
	unsigned int v = 0;

	while (i >= vec[v].iov_len)
		i -= vec[v++].iov_len;
	return (u8 *)vec[v].iov_base + i;
}

static void all_cuts(void **state)
{
	struct span all = span_all(vec, ARRAY_SIZE(vec));
	size_t from, len, i;

	(void)state;
	assert_int_equal(all.len, LEN);
	for (from = 0; from <= LEN; from++)
		for (len = 0; len <= LEN - from; len++) {
			struct span s = span_cut(&all, from, len);
			u8 out[LEN], in[LEN];

			for (i = 0; i < sizeof(memory); i++)
				memory[i] = (u8)(i + 100);
			span_get(&s, out);
			for (i = 0; i < len; i++)
				assert_int_equal(out[i], *byte(from + i));
			memset(in, 7, sizeof(in));
			span_put(&s, in);
			for (i = 0; i < LEN; i++)
				assert_int_equal(*byte(i) == 7, i >= from && i < from + len);
			span_zero(&s);
			for (i = 0; i < LEN; i++)
				assert_int_equal(*byte(i) == 0, i >= from && i < from + len);
		}
}

static void vectors(void **state)
{
	struct span all = span_all(vec, ARRAY_SIZE(vec)), s = span_cut(&all, 3, 20);
	struct iovec v[8];

	(void)state;
	assert_int_equal(span_pieces(&all), 4);
	assert_int_equal(span_pieces(&s), 4);
	assert_int_equal(span_vec(&s, v, 8), 4);
	assert_ptr_equal(v[0].iov_base, memory + 43);
	assert_int_equal(v[0].iov_len, 2);
	assert_int_equal(v[1].iov_len, 1);
	assert_int_equal(v[2].iov_len, 16);
	assert_int_equal(v[3].iov_len, 1);
	assert_int_equal(span_vec(&s, v, 2), 2);
}

static void alignment(void **state)
{
	static u8 room[64] __attribute__((aligned(64)));
	struct iovec a[] = { { room, 16 }, { room + 32, 32 } };
	struct span s = span_all(a, 2), cut = span_cut(&s, 8, 8);

	(void)state;
	assert_true(span_aligned(&s, 16));
	assert_false(span_aligned(&s, 32));
	assert_false(span_aligned(&cut, 16));
	assert_true(span_aligned(&cut, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_cuts),
		cmocka_unit_test(vectors),
		cmocka_unit_test(alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

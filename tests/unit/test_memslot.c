/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory slots: every check of KVM_SET_USER_MEMORY_REGION, lookups against a
 * plain list, the dirty log in both of its forms, and slots that come and go
 * while other threads read guest memory.
 */
#include <pthread.h>

#include "api.h"
#include "vm/vm.h"

#define PAGE 4096ul

static struct vm *vm;

static int setup(void **state)
{
	if (setup_vm(state))
		return -1;
	vm = vm_create(NULL);
	return vm == NULL;
}

static int teardown(void **state)
{
	vm_put(vm);
	return teardown_vm(state);
}

static int set(u32 slot, u32 flags, u64 gpa, u64 size, u64 hva)
{
	struct kvm_userspace_memory_region r = { slot, flags, gpa, size, hva };

	return vm_set_memory_region(vm, &r);
}

static u64 host(u64 offset)
{
	return (u64)memory + offset;
}

/* --- checks --------------------------------------------------------------------- */

static void test_bad_arguments(void **state)
{
	(void)state;
	assert_int_equal(set(0, 4, 0, PAGE, host(0)), -EINVAL);
	assert_int_equal(set(0, 0, 1, PAGE, host(0)), -EINVAL);
	assert_int_equal(set(0, 0, 0, PAGE + 1, host(0)), -EINVAL);
	assert_int_equal(set(0, 0, 0, PAGE, host(1)), -EINVAL);
	assert_int_equal(set(32764, 0, 0, PAGE, host(0)), -EINVAL);
	assert_int_equal(set(2 << 16, 0, 0, PAGE, host(0)), -EINVAL);
	assert_int_equal(set(1 << 16 | 32764, 0, 0, PAGE, host(0)), -EINVAL);
	assert_int_equal(set(0, 0, 0, 0, host(0)), -EINVAL);
	assert_int_equal(set(0, 0, 0, PAGE, 0xffff800000000000ull), -EINVAL);
	assert_int_equal(set(0, 0, 0, 0x7fffffff0000ull, PAGE << 10), -EINVAL);
	assert_int_equal(set(0, 0, ~0ull & ~(PAGE - 1), 2 * PAGE, host(0)), -EINVAL);
	assert_int_equal(set(0, 0, 1ull << 48, PAGE, host(0)), -EINVAL);
	assert_int_equal(set(0, 0, (1ull << 48) - PAGE, 2 * PAGE, host(0)), -EINVAL);
	assert_int_equal(set(0, 0, 0, (1ull << 43), 0), -EINVAL);
	assert_null(vm_find_slot(vm, 0));
	/* The last page of the space, and memory that is not mapped yet. */
	assert_int_equal(set(0, 0, (1ull << 48) - PAGE, PAGE, 0x10000), 0);
}

/* What system management mode sees is apart from the rest. */
static void test_address_spaces(void **state)
{
	struct slot_array *smm;

	(void)state;
	assert_int_equal(set(1 << 16 | 3, 0, 0, 2 * PAGE, host(0)), 0);
	assert_null(vm_find_slot(vm, 0));
	assert_int_equal(set(3, 0, PAGE, 2 * PAGE, host(4 * PAGE)), 0);
	assert_int_equal(vm_find_slot(vm, 1)->id, 3);
	smm = vm->smm_slots;
	assert_int_equal(slot_array_find(smm, 1)->id, 1 << 16 | 3);
	assert_null(slot_array_find(smm, 2));
	assert_int_equal(set(1 << 16 | 4, 0, PAGE, PAGE, host(0)), -EEXIST);
	assert_int_equal(set(1 << 16 | 3, 0, 0, 0, 0), 0);
	assert_int_equal(vm_find_slot(vm, 1)->id, 3);
}

static void test_overlap(void **state)
{
	(void)state;
	assert_int_equal(set(0, 0, 4 * PAGE, 4 * PAGE, host(0)), 0);
	assert_int_equal(set(1, 0, 0, 5 * PAGE, host(0)), -EEXIST);
	assert_int_equal(set(1, 0, 7 * PAGE, PAGE, host(0)), -EEXIST);
	assert_int_equal(set(1, 0, 0, 16 * PAGE, host(0)), -EEXIST);
	assert_int_equal(set(1, 0, 0, 4 * PAGE, host(0)), 0);
	assert_int_equal(set(2, 0, 8 * PAGE, PAGE, host(0)), 0);
	/* Moving onto oneself is no overlap, onto another is. */
	assert_int_equal(set(2, 0, 9 * PAGE, PAGE, host(0)), 0);
	assert_int_equal(set(2, 0, 6 * PAGE, PAGE, host(0)), -EEXIST);
}

static void test_change(void **state)
{
	(void)state;
	assert_int_equal(set(5, 0, 0, 4 * PAGE, host(0)), 0);
	assert_int_equal(set(5, 0, 0, 4 * PAGE, host(0)), 0);
	assert_int_equal(set(5, 0, 0, 8 * PAGE, host(0)), -EINVAL);
	assert_int_equal(set(5, 0, 0, 4 * PAGE, host(PAGE)), -EINVAL);
	assert_int_equal(set(5, KVM_MEM_READONLY, 0, 4 * PAGE, host(0)), -EINVAL);
	assert_int_equal(set(5, KVM_MEM_LOG_DIRTY_PAGES, 0, 4 * PAGE, host(0)), 0);
	assert_non_null(vm_find_slot(vm, 0)->dirty);
	/* A move keeps the log. */
	vm_find_slot(vm, 0)->dirty[0] = 2;
	assert_int_equal(set(5, KVM_MEM_LOG_DIRTY_PAGES, 16 * PAGE, 4 * PAGE, host(0)), 0);
	assert_null(vm_find_slot(vm, 0));
	assert_int_equal(vm_find_slot(vm, 16)->dirty[0], 2);
	assert_int_equal(set(5, 0, 16 * PAGE, 4 * PAGE, host(0)), 0);
	assert_null(vm_find_slot(vm, 16)->dirty);
	assert_int_equal(set(5, 0, 0, 0, 0), 0);
	assert_null(vm_find_slot(vm, 16));
	assert_int_equal(set(5, 0, 0, 0, 0), -EINVAL);
}

/* --- lookups --------------------------------------------------------------------- */

static void test_random_lookups(void **state)
{
	static struct {
		u64 gfn, n;
	} have[64];
	u32 seed = 1, i, round;

	(void)state;
	for (round = 0; round < 2000; round++) {
		u32 slot, gfn, n;
		bool clash = false;

		seed = seed * 1103515245 + 12345;
		slot = seed >> 8 & 63;
		gfn = seed >> 14 & 1023;
		n = 1 + (seed >> 24 & 15);
		if (have[slot].n) {
			assert_int_equal(set(slot, 0, 0, 0, 0), 0);
			have[slot].n = 0;
		}
		for (i = 0; i < 64; i++)
			clash |= have[i].n && gfn < have[i].gfn + have[i].n &&
				 have[i].gfn < gfn + n;
		assert_int_equal(set(slot, 0, gfn * PAGE, n * PAGE, host(0)), clash ? -EEXIST : 0);
		if (!clash) {
			have[slot].gfn = gfn;
			have[slot].n = n;
		}
	}
	for (i = 0; i < 1100; i++) {
		struct memslot *s = vm_find_slot(vm, i);
		u32 j, want = 64;

		for (j = 0; j < 64; j++)
			if (have[j].n && i - have[j].gfn < have[j].n)
				want = j;
		assert_int_equal(s ? s->id : 64, want);
	}
}

static void test_all_slots(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 2000; i++)
		assert_int_equal(set(i * 16, 0, (u64)i * 2 * PAGE, PAGE, host(0)), 0);
	for (i = 0; i < 2000; i++) {
		assert_int_equal(vm_find_slot(vm, i * 2)->id, i * 16);
		assert_null(vm_find_slot(vm, i * 2 + 1));
	}
}

/* --- reading and writing ------------------------------------------------------------ */

static void test_copies(void **state)
{
	u8 out[64], in[64];
	u32 i;

	(void)state;
	for (i = 0; i < sizeof(in); i++)
		in[i] = (u8)i;
	assert_int_equal(set(0, 0, 0, PAGE, host(0)), 0);
	assert_int_equal(set(1, KVM_MEM_LOG_DIRTY_PAGES, PAGE, 2 * PAGE, host(8 * PAGE)), 0);
	assert_int_equal(set(2, KVM_MEM_READONLY, 3 * PAGE, PAGE, host(4 * PAGE)), 0);
	/* Across slots that are apart in the host's memory. */
	assert_int_equal(vm_write(vm, PAGE - 32, in, 64), 0);
	assert_memory_equal(memory + PAGE - 32, in, 32);
	assert_memory_equal(memory + 8 * PAGE, in + 32, 32);
	assert_int_equal(vm_read(vm, PAGE - 32, out, 64), 0);
	assert_memory_equal(in, out, 64);
	assert_int_equal(vm_find_slot(vm, 1)->dirty[0], 1);
	assert_int_equal(vm_write(vm, 3 * PAGE, in, 8), -EFAULT);
	assert_int_equal(vm_read(vm, 3 * PAGE, out, 8), 0);
	assert_int_equal(vm_write(vm, 4 * PAGE - 4, in, 8), -EFAULT);
	assert_int_equal(vm_read(vm, 1ull << 40, out, 8), -EFAULT);
	/* The caller's mapping is gone: an error, not a fault. */
	assert_int_equal(munmap(memory + 8 * PAGE, PAGE), 0);
	assert_int_equal(vm_read(vm, PAGE, out, 8), -EFAULT);
	assert_int_equal(vm_write(vm, PAGE, in, 8), -EFAULT);
	assert_ptr_equal(mmap(memory + 8 * PAGE, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE |
			 MAP_ANONYMOUS, -1, 0), memory + 8 * PAGE);
	assert_int_equal(vm_write(vm, PAGE, in, 8), -EFAULT);
}

static void test_dirty_log(void **state)
{
	u64 bits[2] = { 0, 0 };
	struct kvm_dirty_log log = { .slot = 3, .dirty_bitmap = bits };
	struct kvm_clear_dirty_log clear = { .slot = 3, .dirty_bitmap = bits };

	(void)state;
	assert_int_equal(vm_get_dirty_log(vm, &log), -ENOENT);
	assert_int_equal(set(3, 0, 0, 70 * PAGE, host(0)), 0);
	assert_int_equal(vm_get_dirty_log(vm, &log), -ENOENT);
	log.slot = 40000;
	assert_int_equal(vm_get_dirty_log(vm, &log), -EINVAL);
	log.slot = 3;
	assert_int_equal(set(3, KVM_MEM_LOG_DIRTY_PAGES, 0, 70 * PAGE, host(0)), 0);
	vm_write(vm, 5 * PAGE, "x", 1);
	vm_write(vm, 69 * PAGE, "x", 1);
	assert_int_equal(vm_get_dirty_log(vm, &log), 0);
	assert_int_equal(bits[0], 1 << 5);
	assert_int_equal(bits[1], 1 << 5);
	assert_int_equal(vm_get_dirty_log(vm, &log), 0);
	assert_int_equal(bits[0] | bits[1], 0);
	log.dirty_bitmap = (void *)8;
	assert_int_equal(vm_get_dirty_log(vm, &log), -EFAULT);
	log.dirty_bitmap = bits;

	/* By hand: reading leaves the bits, which are cleared one by one. */
	vm->manual_dirty_log = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
	assert_int_equal(set(3, 0, 0, 70 * PAGE, host(0)), 0);
	assert_int_equal(set(3, KVM_MEM_LOG_DIRTY_PAGES, 0, 70 * PAGE, host(0)), 0);
	assert_int_equal(vm_get_dirty_log(vm, &log), 0);
	assert_true(bits[0] == ~0ull && bits[1] == 0x3f);
	clear.first_page = 3;
	assert_int_equal(vm_clear_dirty_log(vm, &clear), -EINVAL);
	clear.first_page = 64;
	clear.num_pages = 7;
	assert_int_equal(vm_clear_dirty_log(vm, &clear), -EINVAL);
	clear.num_pages = 6;
	bits[0] = 0x15;
	assert_int_equal(vm_clear_dirty_log(vm, &clear), 0);
	assert_int_equal(vm_get_dirty_log(vm, &log), 0);
	assert_true(bits[0] == ~0ull && bits[1] == 0x2a);
}

/* --- while others look ------------------------------------------------------------------ */

static volatile bool stop;

static void *reader(void *arg)
{
	u64 n = 0, val;

	(void)arg;
	while (!stop) {
		int r = vm_read(vm, 16 * PAGE, &val, sizeof(val));

		assert_true(r == 0 || r == -EFAULT);
		n++;
	}
	return (void *)n;
}

static void test_readers(void **state)
{
	pthread_t t[2];
	void *count;
	u32 i;

	(void)state;
	stop = false;
	for (i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, reader, NULL);
	for (i = 0; i < 3000; i++) {
		assert_int_equal(set(0, 0, (i % 3) * 16 * PAGE, 32 * PAGE, host(0)), 0);
		if (i % 5 == 0)
			assert_int_equal(set(0, 0, 0, 0, 0), 0);
	}
	stop = true;
	for (i = 0; i < 2; i++) {
		pthread_join(t[i], &count);
		assert_non_null(count);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_bad_arguments),
		T(test_address_spaces),
		T(test_overlap),
		T(test_change),
		T(test_random_lookups),
		T(test_all_slots),
		T(test_copies),
		T(test_dirty_log),
		T(test_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

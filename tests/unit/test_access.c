/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Emulated reads and writes: RAM, page crossings, faults that must change
 * nothing, read-only memory, devices of ours and MMIO fragments of user space.
 */
#include "fake_bus.h"

#define ROOT 0x1000ull
#define L3 0x2000ull
#define L2 0x3000ull
#define L1 0x4000ull
#define BASE 0x7f1234400000ull		/* page n of it is mapped by leaf(n) */

static u64 *leaf(u32 n)
{
	return (u64 *)(low + L1) + n;
}

static int setup(void **state)
{
	fake_vm_setup(state);
	fake_long_mode(ROOT);
	((u64 *)(low + ROOT))[BASE >> 39 & 511] = L3 | 7;
	((u64 *)(low + L3))[BASE >> 30 & 511] = L2 | 7;
	((u64 *)(low + L2))[BASE >> 21 & 511] = L1 | 7;
	*leaf(0) = 0x20000 | 7;
	*leaf(1) = 0x50000 | 7;
	return 0;
}

static void test_ram(void **state)
{
	u8 buf[64], i;
	u32 size;

	(void)state;
	for (i = 0; i < 64; i++)
		low[0x20100 + i] = i;
	for (size = 1; size <= 64; size++) {
		memset(buf, 0xee, sizeof(buf));
		assert_int_equal(mem_read(vcpu, BASE + 0x100, buf, size, MMU_READ), EMU_NEXT);
		assert_memory_equal(buf, low + 0x20100, size);
		if (size < 64)
			assert_int_equal(buf[size], 0xee);
		memset(low + 0x20200, 0, 80);
		assert_int_equal(mem_write(vcpu, BASE + 0x200, buf, size, MMU_WRITE), EMU_NEXT);
		assert_memory_equal(buf, low + 0x20200, size);
		assert_int_equal(low[0x20200 + size], 0);
	}
	assert_true(is_dirty(0x20000));
	assert_int_equal(written_calls, 0);
	assert_int_equal(mem_read(vcpu, BASE, buf, 0, MMU_READ), EMU_NEXT);
}

static void test_crossing(void **state)
{
	static u8 big[2 * PAGE_SIZE + 1];
	u64 v = 0x1122334455667788ull, w = 0;
	u32 i;

	(void)state;
	assert_int_equal(mem_write(vcpu, BASE + 0xffd, &v, 8, MMU_WRITE), EMU_NEXT);
	assert_memory_equal(low + 0x20ffd, &v, 3);
	assert_memory_equal(low + 0x50000, (u8 *)&v + 3, 5);
	assert_true(is_dirty(0x20000) && is_dirty(0x50000));
	assert_int_equal(mem_read(vcpu, BASE + 0xffd, &w, 8, MMU_READ), EMU_NEXT);
	assert_true(v == w);

	*leaf(2) = 0x30000 | 7;
	for (i = 0; i < sizeof(big); i++)
		big[i] = (u8)(i * 7);
	assert_int_equal(mem_write(vcpu, BASE + 0x10, big, 2 * PAGE_SIZE, MMU_WRITE), EMU_NEXT);
	assert_memory_equal(low + 0x20010, big, 0xff0);
	assert_memory_equal(low + 0x50000, big + 0xff0, 0x1000);
	assert_memory_equal(low + 0x30000, big + 0x1ff0, 0x10);
	assert_int_equal(mem_write(vcpu, BASE, big, MEM_MAX_SIZE + 1, MMU_WRITE), EMU_UNHANDLED);
}

static void test_fault_changes_nothing(void **state)
{
	u64 v = ~0ull;

	(void)state;
	*leaf(1) = 0x50000 | 5;
	assert_int_equal(mem_write(vcpu, BASE + 0xffc, &v, 8, MMU_WRITE), EMU_FAULT);
	assert_int_equal(raised(), EXC_PF);
	assert_int_equal(exc.error, PFERR_P | PFERR_W);
	assert_true(exc.cr2 == BASE + 0x1000);
	assert_int_equal(*(u32 *)(low + 0x20ffc), 0);
	assert_int_equal(mem_probe_write(vcpu, BASE + 0xffc, 8, MMU_WRITE), EMU_FAULT);
	assert_int_equal(mem_probe_write(vcpu, BASE + 0xff8, 8, 0), EMU_NEXT);
	/* An MMIO write before the faulting page stays undone too. */
	*leaf(0) = HOLE_GPA | 7;
	assert_int_equal(mem_write(vcpu, BASE + 0xffc, &v, 8, MMU_WRITE), EMU_FAULT);
	assert_int_equal(vcpu->mmio_writes, 0);
	*leaf(0) = DEVICE_GPA | 7;
	assert_int_equal(mem_write(vcpu, BASE + 0xffc, &v, 8, MMU_WRITE), EMU_FAULT);
	assert_int_equal(device_accesses, 0);
	vcpu->cpl = 3;
	*leaf(0) = 0x20000 | 3;
	assert_int_equal(mem_read(vcpu, BASE + 8, &v, 8, MMU_READ), EMU_FAULT);
	assert_int_equal(exc.error, PFERR_P | PFERR_U);
	assert_true(exc.cr2 == BASE + 8);
	assert_int_equal(mem_read(vcpu, BASE + 8, &v, 8, MMU_READ | MMU_SUPER), EMU_NEXT);
}

static void test_canonical(void **state)
{
	u64 v = 0;

	(void)state;
	raised();
	assert_int_equal(mem_read(vcpu, 0x800000000000ull, &v, 8, MMU_READ), EMU_FAULT);
	assert_int_equal(raised(), EXC_GP);
	assert_int_equal(exc.error, 0);
	assert_int_equal(mem_read(vcpu, 0xffff7fffffffffffull, &v, 1, MMU_READ | MMU_STACK),
			 EMU_FAULT);
	assert_int_equal(raised(), EXC_SS);
}

static void test_wrap_32(void **state)
{
	u64 v = 0x8877665544332211ull;

	(void)state;
	vcpu->cr0 = X86_CR0_PE;
	vcpu->efer = vcpu->cr4 = 0;
	/* The last page of 4G is a hole here, the first one is RAM. */
	assert_int_equal(mem_write(vcpu, 0xfffffffeull, &v, 8, MMU_WRITE), EMU_NEXT);
	assert_memory_equal(low, (u8 *)&v + 2, 6);
	assert_int_equal(vcpu->mmio_writes, 1);
	assert_true(vcpu->mmio_write[0].gpa == 0xfffffffeull);
	assert_int_equal(vcpu->mmio_write[0].len, 2);
	assert_memory_equal(vcpu->mmio_write[0].data, &v, 2);
}

static void test_rom(void **state)
{
	u32 v = 0x12345678, w = 0;

	(void)state;
	*leaf(0) = ROM_GPA | 7;
	memcpy(rom + 16, &v, 4);
	assert_int_equal(mem_read(vcpu, BASE + 16, &w, 4, MMU_READ), EMU_NEXT);
	assert_int_equal(w, v);
	w = 0;
	assert_int_equal(mem_write(vcpu, BASE + 16, &w, 4, MMU_WRITE), EMU_NEXT);
	assert_memory_equal(rom + 16, &v, 4);
	assert_int_equal(vcpu->mmio_writes, 1);
	assert_true(vcpu->mmio_write[0].gpa == ROM_GPA + 16);
	assert_non_null(mem_ptr(vcpu, BASE + 16, 4, MMU_READ));
	assert_null(mem_ptr(vcpu, BASE + 16, 4, MMU_WRITE));
}

static void test_device(void **state)
{
	u8 buf[20], out[20];
	u32 i;

	(void)state;
	*leaf(0) = DEVICE_GPA | 7;
	for (i = 0; i < 20; i++)
		out[i] = (u8)(0x40 + i);
	assert_int_equal(mem_write(vcpu, BASE + 0x20, out, 20, MMU_WRITE), EMU_NEXT);
	assert_memory_equal(device + 0x20, out, 20);
	assert_int_equal(device_accesses, 3);
	assert_int_equal(mem_read(vcpu, BASE + 0x20, buf, 20, MMU_READ), EMU_NEXT);
	assert_memory_equal(buf, out, 20);
	assert_int_equal(vcpu->mmio_writes + vcpu->mmio_reads, 0);
}

/* What the run loop does with a read that user space answered. */
static void answer(const void *data)
{
	memcpy(fake_run.mmio.data, data, 8);
	memcpy(vcpu->mmio[vcpu->mmio_reads].data, fake_run.mmio.data, 8);
	vcpu->mmio_reads++;
	vcpu->mmio_read_next = vcpu->mmio_writes = 0;
}

static void test_mmio_read(void **state)
{
	u8 buf[20], data[24];
	u32 i;

	(void)state;
	*leaf(0) = HOLE_GPA | 7;
	for (i = 0; i < 24; i++)
		data[i] = (u8)(i + 1);
	for (i = 0; i < 3; i++) {
		memset(&fake_run, 0xee, sizeof(fake_run));
		assert_int_equal(mem_read(vcpu, BASE + 0x30, buf, 20, MMU_READ), EMU_EXIT);
		assert_int_equal(fake_run.exit_reason, KVM_EXIT_MMIO);
		assert_true(fake_run.mmio.phys_addr == HOLE_GPA + 0x30 + i * 8);
		assert_int_equal(fake_run.mmio.len, i == 2 ? 4 : 8);
		assert_int_equal(fake_run.mmio.is_write, 0);
		answer(data + i * 8);
	}
	assert_int_equal(mem_read(vcpu, BASE + 0x30, buf, 20, MMU_READ), EMU_NEXT);
	assert_memory_equal(buf, data, 20);
	/* A second read of the same instruction asks again, and keeps the first answers. */
	assert_int_equal(mem_read(vcpu, BASE + 0x60, buf, 2, MMU_READ), EMU_EXIT);
	assert_true(fake_run.mmio.phys_addr == HOLE_GPA + 0x60);
	answer(data);
	assert_int_equal(mem_read(vcpu, BASE + 0x30, buf, 20, MMU_READ), EMU_NEXT);
	assert_int_equal(mem_read(vcpu, BASE + 0x60, buf, 2, MMU_READ), EMU_NEXT);
	assert_memory_equal(buf, data, 2);
	/* Another address than before: the old answers are void. */
	vcpu->mmio_read_next = 0;
	assert_int_equal(mem_read(vcpu, BASE + 0x31, buf, 8, MMU_READ), EMU_EXIT);
	assert_int_equal(vcpu->mmio_reads, 0);
	assert_true(fake_run.mmio.phys_addr == HOLE_GPA + 0x31);
}

static void test_mmio_limits(void **state)
{
	static u8 buf[1024];
	u32 i;

	(void)state;
	*leaf(0) = HOLE_GPA | 7;
	assert_int_equal(mem_write(vcpu, BASE, buf, 8 * MMIO_FRAGMENTS + 1, MMU_WRITE),
			 EMU_UNHANDLED);
	assert_int_equal(vcpu->mmio_writes, 0);
	assert_int_equal(mem_write(vcpu, BASE, buf, 8 * MMIO_FRAGMENTS, MMU_WRITE), EMU_NEXT);
	assert_int_equal(vcpu->mmio_writes, MMIO_FRAGMENTS);
	assert_int_equal(mem_write(vcpu, BASE, buf, 1, MMU_WRITE), EMU_UNHANDLED);
	assert_int_equal(mem_probe_write(vcpu, BASE, 1, MMU_WRITE), EMU_UNHANDLED);
	for (i = 0; i < MMIO_FRAGMENTS; i++) {
		assert_int_equal(mem_read(vcpu, BASE, buf, 1024, MMU_READ), EMU_EXIT);
		answer(buf);
	}
	assert_int_equal(mem_read(vcpu, BASE, buf, 1024, MMU_READ), EMU_UNHANDLED);
	vcpu->mmio_read_next = 0;
	assert_int_equal(mem_read(vcpu, BASE, buf, 512, MMU_READ), EMU_NEXT);
}

static void test_code_page(void **state)
{
	u32 v = 0x90909090;

	(void)state;
	code_gfn = 0x50;
	assert_int_equal(mem_write(vcpu, BASE + 0xffe, &v, 4, MMU_WRITE), EMU_NEXT);
	assert_int_equal(written_calls, 1);
	assert_true(written_gpa == 0x50000);
	assert_int_equal(written_len, 2);
	assert_null(mem_ptr(vcpu, BASE + 0x1000, 4, MMU_WRITE));
	assert_ptr_equal(mem_ptr(vcpu, BASE + 0x1000, 4, MMU_READ), low + 0x50000);
}

static void test_ptr(void **state)
{
	(void)state;
	assert_ptr_equal(mem_ptr(vcpu, BASE + 0xff8, 8, MMU_READ), low + 0x20ff8);
	assert_null(mem_ptr(vcpu, BASE + 0xff9, 8, MMU_READ));
	assert_null(mem_ptr(vcpu, BASE, ~0u, MMU_READ));
	assert_false(is_dirty(0x20000));
	assert_ptr_equal(mem_ptr(vcpu, BASE, 4096, MMU_READ | MMU_WRITE), low + 0x20000);
	assert_true(is_dirty(0x20000));
	assert_int_equal(*leaf(0), 0x20000 | 7 | 0x60);
	assert_null(mem_ptr(vcpu, BASE + 0x2000, 1, MMU_READ));
	assert_null(mem_ptr(vcpu, 0x800000000000ull, 1, MMU_READ));
	*leaf(0) = HOLE_GPA | 7;
	assert_null(mem_ptr(vcpu, BASE, 4, MMU_READ));
	/* The slot above 4G. */
	*leaf(0) = HIGH_GPA | 7;
	assert_ptr_equal(mem_ptr(vcpu, BASE + 8, 4, MMU_WRITE), high + 8);
	assert_int_equal(raised(), -1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_vm_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_ram), T(test_crossing), T(test_fault_changes_nothing), T(test_canonical),
		T(test_wrap_32), T(test_rom), T(test_device), T(test_mmio_read),
		T(test_mmio_limits), T(test_code_page), T(test_ptr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

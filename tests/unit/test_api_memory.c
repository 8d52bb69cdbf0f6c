/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What user space learns of the guest's memory accesses: coalesced writes, the
 * dirty log with its own clearing, memory that is taken away.
 */
#include "guest16.h"

#define PAGE 4096u

/* --- coalesced writes ------------------------------------------------------------------- */

/* Without a local APIC of ours its page is nobody's. */
CODE16(writes, "1:\tmovb $0x11, 0x800\n\t"
	       "movl $0x12345678, 0x804\n\t"
	       "mov $0x33, %al\n\t"
	       "out %al, $0x40\n\t"
	       "out %al, $0x10\n\t"
	       "jmp 1b");

static struct kvm_coalesced_mmio_ring *ring(void)
{
	return (void *)((char *)run + KVM_COALESCED_MMIO_PAGE_OFFSET * PAGE);
}

static int zone(unsigned long request, uint64_t addr, uint32_t size, uint32_t pio)
{
	struct kvm_coalesced_mmio_zone z = { .addr = addr, .size = size, .pio = pio };

	return anykvm_ioctl(vm_fd, request, &z);
}

static void check_entry(uint32_t i, uint64_t addr, uint32_t len, uint32_t pio, uint32_t data)
{
	const struct kvm_coalesced_mmio *e = &ring()->coalesced_mmio[i];

	assert_int_equal(e->phys_addr, addr);
	assert_int_equal(e->len, len);
	assert_int_equal(e->pio, pio);
	assert_memory_equal(e->data, &data, len);
}

static void test_coalesced(void **state)
{
	const uint32_t max = (PAGE - sizeof(struct kvm_coalesced_mmio_ring)) /
			     sizeof(struct kvm_coalesced_mmio);

	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, writes);
	assert_int_equal(zone(KVM_REGISTER_COALESCED_MMIO, APIC + 0x800, 8, 0), 0);
	assert_int_equal(zone(KVM_REGISTER_COALESCED_MMIO, 0x40, 1, 1), 0);
	assert_errno(zone(KVM_REGISTER_COALESCED_MMIO, 0x40, 1, 2), EINVAL);
	run_to_out(0x10);
	assert_int_equal(ring()->first, 0);
	assert_int_equal(ring()->last, 3);
	check_entry(0, APIC + 0x800, 1, 0, 0x11);
	check_entry(1, APIC + 0x804, 4, 0, 0x12345678);
	check_entry(2, 0x40, 1, 1, 0x33);
	/* A full ring: the write is told at once. */
	ring()->first = 3;
	ring()->last = (3 + max - 1) % max;
	assert_int_equal(run_once(), KVM_EXIT_MMIO);
	assert_int_equal(run->mmio.phys_addr, APIC + 0x800);
	ring()->first = ring()->last = 0;
	run_to_out(0x10);
	assert_int_equal(ring()->last, 2);
	/* Without the zones nothing is held back. */
	assert_int_equal(zone(KVM_UNREGISTER_COALESCED_MMIO, 0x40, 1, 1), 0);
	assert_int_equal(zone(KVM_UNREGISTER_COALESCED_MMIO, APIC + 0x800, 8, 0), 0);
	assert_int_equal(run_once(), KVM_EXIT_MMIO);
	assert_int_equal(run_once(), KVM_EXIT_MMIO);
	run_to_out(0x40);
	run_to_out(0x10);
	assert_int_equal(ring()->last, 2);
	guest16_end();
}

/* --- the dirty log -------------------------------------------------------------------------- */

#define PAGES (MEMORY / PAGE)
#define WORDS (PAGES / 64)

/* Pages 3 and 70. */
CODE16(dirties, "1:\tmovb $1, %es:0x3000\n\t"
		"movb $1, %fs:0x0\n\t"
		"out %al, $0x10\n\t"
		"jmp 1b");

static uint64_t bitmap[WORDS];

static int get_log(void)
{
	struct kvm_dirty_log l = { .slot = 0, .dirty_bitmap = bitmap };

	memset(bitmap, 0x5a, sizeof(bitmap));
	return anykvm_ioctl(vm_fd, KVM_GET_DIRTY_LOG, &l);
}

static int clear_log(uint64_t first, uint32_t pages, uint64_t *bits)
{
	struct kvm_clear_dirty_log l = {
		.slot = 0, .first_page = first, .num_pages = pages, .dirty_bitmap = bits,
	};

	return anykvm_ioctl(vm_fd, KVM_CLEAR_DIRTY_LOG, &l);
}

static void logging_guest(uint64_t manual)
{
	struct kvm_sregs s;

	guest16(CHIPS_NONE, NULL);
	if (manual)
		assert_int_equal(enable_cap(vm_fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, manual), 0);
	PUT(ENTRY, dirties);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.fs.base = 70 * PAGE;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), 0);
	set_regs(ENTRY, 0);
	assert_int_equal(set_slot(0, KVM_MEM_LOG_DIRTY_PAGES, 0, MEMORY, memory), 0);
}

static void test_log(void **state)
{
	(void)state;
	logging_guest(0);
	run_to_out(0x10);
	assert_int_equal(get_log(), 0);
	assert_int_equal(bitmap[0], 1 << 3);
	assert_int_equal(bitmap[1], 1 << 6);
	assert_int_equal(get_log(), 0);
	assert_int_equal(bitmap[0] | bitmap[1], 0);
	run_to_out(0x10);
	assert_int_equal(get_log(), 0);
	assert_int_equal(bitmap[0], 1 << 3);
	guest16_end();
}

static void test_manual_clear(void **state)
{
	uint64_t bits[2] = { 1 << 3, ~0ull };

	(void)state;
	logging_guest(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	assert_errno(enable_cap(vm_fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
				KVM_DIRTY_LOG_INITIALLY_SET), EINVAL);
	run_to_out(0x10);
	/* Reading takes nothing away. */
	assert_int_equal(get_log(), 0);
	assert_int_equal(get_log(), 0);
	assert_int_equal(bitmap[0], 1 << 3);
	assert_int_equal(bitmap[1], 1 << 6);
	assert_int_equal(clear_log(0, 64, bits), 0);
	assert_int_equal(get_log(), 0);
	assert_int_equal(bitmap[0], 0);
	assert_int_equal(bitmap[1], 1 << 6);
	/* What is written after that counts again. */
	run_to_out(0x10);
	assert_int_equal(get_log(), 0);
	assert_int_equal(bitmap[0], 1 << 3);
	assert_int_equal(clear_log(64, 128, bits), 0);
	assert_errno(clear_log(1, 64, bits), EINVAL);
	assert_errno(clear_log(0, 63, bits), EINVAL);
	assert_errno(clear_log(0, PAGES + 64, bits), EINVAL);
	assert_errno(clear_log(0, 64, (void *)1), EFAULT);
	guest16_end();
}

static void test_initially_set(void **state)
{
	uint64_t all = ~0ull;

	(void)state;
	logging_guest(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	assert_int_equal(get_log(), 0);
	assert_int_equal(bitmap[0], ~0ull);
	assert_int_equal(bitmap[WORDS - 1], ~0ull);
	assert_int_equal(clear_log(0, 64, &all), 0);
	assert_int_equal(get_log(), 0);
	assert_int_equal(bitmap[0], 0);
	run_to_out(0x10);
	assert_int_equal(get_log(), 0);
	assert_int_equal(bitmap[0], 1 << 3);
	guest16_end();
}

/* --- memory that is taken away ---------------------------------------------------------------- */

CODE16(copies, "mov $0x3000, %si\n\t"
	       "mov $0x4000, %di\n\t"
	       "mov $0x100, %cx\n\t"
	       "rep movsb %es:(%si), %es:(%di)\n\t"
	       "out %al, $0x10\n\t"
	       "push %ax\n\t"
	       "out %al, $0x10\n\t"
	       "int $0x21\n\t"
	       "out %al, $0x10");
CODE16(returns, "iret");

static void protect(uint32_t page, int prot)
{
	assert_int_equal(mprotect(memory + page * PAGE, PAGE, prot), 0);
}

/* KVM_RUN fails while the page is not there, and goes on when it is. */
static void check_gone(uint32_t page, int prot)
{
	uint64_t rip = get_regs().rip;

	protect(page, prot);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EFAULT);
	if (page != ENTRY / PAGE)
		assert_true(get_regs().rip >= rip);
	protect(page, PROT_READ | PROT_WRITE);
}

static void test_gone(void **state)
{
	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, copies);
	PUT(0x6000, returns);
	set_vector(0x21, 0x6000);
	memset(memory + 0x3000, 0x77, 0x100);
	check_gone(ENTRY / PAGE, PROT_NONE);	/* code */
	check_gone(3, PROT_NONE);		/* a string instruction's source, */
	check_gone(4, PROT_READ);		/* destination */
	run_to_out(0x10);
	assert_memory_equal(memory + 0x3000, memory + 0x4000, 0x100);
	check_gone(7, PROT_NONE);		/* the stack */
	run_to_out(0x10);
	assert_int_equal(get_regs().rsp, 0x7ffe);
	check_gone(7, PROT_READ);		/* the stack of an interrupt, */
	check_gone(0, PROT_NONE);		/* its vector, */
	check_gone(6, PROT_NONE);		/* its handler */
	run_to_out(0x10);
	assert_int_equal(get_regs().rsp, 0x7ffe);
	guest16_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_coalesced),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_manual_clear),
		cmocka_unit_test(test_initially_set),
		cmocka_unit_test(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

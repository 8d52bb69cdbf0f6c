/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interrupt controllers in user space, whole or in part: KVM_INTERRUPT, interrupt
 * windows, CR8, EOI exits of the split irqchip, TPR reporting and the virtual
 * APIC page, HLT without exits.
 */
#include "guest16.h"

/* --- split irqchip ------------------------------------------------------------------ */

CODE16(idle, "movl $0x1ff, 0xf0\n\t"	/* APIC on */
	     "out %al, $0x10\n\t"
	     "sti\n"
	     "1:\tnop\n\t"
	     "jmp 1b");
CODE16(eoi_handler, "movl $0, 0xb0\n\t"
		    "mov $0x55, %al\n\t"
		    "out %al, $0x30\n\t"
		    "iret");
CODE16(plain_handler, "mov $0x66, %al\n\t"
		      "out %al, $0x21\n\t"
		      "iret");

static void test_split(void **state)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e[1];
	} table = { .head.nr = 1 };
	struct kvm_irqchip chip = { 0 };

	(void)state;
	guest16(CHIPS_SPLIT, NULL);
	assert_errno(enable_cap(vm_fd, KVM_CAP_SPLIT_IRQCHIP, 24), EEXIST);
	assert_errno(enable_cap(vm_fd, KVM_CAP_SPLIT_IRQCHIP, 4097), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0), EEXIST);
	assert_errno(anykvm_ioctl(vm_fd, KVM_GET_IRQCHIP, &chip), ENXIO);
	table.e[0].type = KVM_IRQ_ROUTING_IRQCHIP;
	assert_errno(anykvm_ioctl(vm_fd, KVM_SET_GSI_ROUTING, &table), EINVAL);
	table.e[0].type = KVM_IRQ_ROUTING_MSI;
	table.e[0].gsi = 5;
	table.e[0].u.msi.address_lo = APIC;
	table.e[0].u.msi.data = 0xc030;
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_SET_GSI_ROUTING, &table), 0);

	PUT(ENTRY, idle);
	PUT(0x2000, eoi_handler);
	set_vector(0x30, 0x2000);
	set_vector(0x31, 0x2000);
	run_to_out(0x10);
	send_msi(0x30, 1);
	assert_int_equal(run_once(), KVM_EXIT_IOAPIC_EOI);
	assert_int_equal(run->eoi.vector, 0x30);
	assert_int_equal(run_to_out(0x30), 0x55);
	/* A vector of no IOAPIC's. */
	send_msi(0x31, 1);
	assert_int_equal(run_to_out(0x30), 0x55);
	guest16_end();
}

CODE16(window, "out %al, $0x10\n\t"
	       "nop\n\t"
	       "sti\n\t"
	       "nop\n\t"
	       "nop\n"
	       "1:\tjmp 1b");

static void test_window(enum chips chips)
{
	guest16(chips, NULL);
	PUT(ENTRY, window);
	PUT(0x2000, plain_handler);
	set_vector(0x40, 0x2000);
	run->request_interrupt_window = 1;
	run_to_out(0x10);
	assert_int_equal(run->if_flag, 0);
	assert_int_equal(run->ready_for_interrupt_injection, 0);
	assert_int_equal(run_once(), KVM_EXIT_IRQ_WINDOW_OPEN);
	assert_int_equal(run->if_flag, 1);
	assert_int_equal(run->ready_for_interrupt_injection, 1);
	assert_int_equal(get_regs().rip, ENTRY + 5);	/* behind the instruction after STI */
	assert_int_equal(interrupt(0x40), 0);
	assert_errno(interrupt(0x100), EINVAL);
	run->request_interrupt_window = 0;
	assert_int_equal(run_to_out(0x21), 0x66);
	/* Back where it was, and on to the loop. */
	alarm_in(20);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	assert_int_equal(run->exit_reason, KVM_EXIT_INTR);
	assert_int_equal(get_regs().rip, ENTRY + 6);
	guest16_end();
}

static void test_windows(void **state)
{
	(void)state;
	test_window(CHIPS_SPLIT);
	test_window(CHIPS_NONE);
}

CODE16(mask_lint0, "movl $0x1ff, 0xf0\n\t"
		   "movl $0x10700, 0x350\n\t"
		   "sti\n\t"
		   "nop\n\t"
		   "out %al, $0x10\n\t"
		   "movl $0x700, 0x350\n\t"
		   "nop\n"
		   "1:\tjmp 1b");

/* The PIC's interrupt waits for LINT0. */
static void test_extint(void **state)
{
	(void)state;
	guest16(CHIPS_SPLIT, NULL);
	PUT(ENTRY, mask_lint0);
	PUT(0x2000, plain_handler);
	set_vector(0x41, 0x2000);
	run->request_interrupt_window = 1;
	run_to_out(0x10);
	assert_int_equal(run->ready_for_interrupt_injection, 0);
	assert_int_equal(interrupt(0x41), 0);
	assert_errno(interrupt(0x41), EEXIST);
	assert_int_equal(run_to_out(0x21), 0x66);
	guest16_end();
}

/* --- nothing in the kernel -------------------------------------------------------------- */

CODE16(halts, "hlt\n\t"
	      "jmp halts");

static void test_none(void **state)
{
	struct kvm_mp_state mp = { KVM_MP_STATE_HALTED };
	struct kvm_lapic_state lapic;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_MP_STATE, &mp), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_GET_LAPIC, &lapic), EINVAL);
	PUT(ENTRY, halts);
	PUT(0x2000, plain_handler);
	set_vector(0x41, 0x2000);
	assert_int_equal(run_once(), KVM_EXIT_HLT);
	/* Delivered whatever RFLAGS.IF says. */
	assert_int_equal(interrupt(0x41), 0);
	assert_int_equal(get_events().interrupt.injected, 1);
	assert_int_equal(get_events().interrupt.nr, 0x41);
	assert_int_equal(run_to_out(0x21), 0x66);
	assert_int_equal(get_events().interrupt.injected, 0);
	assert_int_equal(run_once(), KVM_EXIT_HLT);
	guest16_end();
}

CODE16(priorities, ".byte 0xf0, 0x0f, 0x20, 0xc0\n\t"	/* mov %cr8, %eax */
		   "out %al, $0x10\n\t"
		   "mov $7, %eax\n\t"
		   ".byte 0xf0, 0x0f, 0x22, 0xc0\n\t"	/* mov %eax, %cr8 */
		   "mov $3, %eax\n\t"
		   ".byte 0xf0, 0x0f, 0x22, 0xc0\n\t"
		   "out %al, $0x11\n\t"
		   "hlt");

static void test_cr8(void **state)
{
	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, priorities);
	run->cr8 = 16;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINVAL);
	run->cr8 = 5;
	assert_int_equal(run_to_out(0x10), 5);
	assert_int_equal(run_once(), KVM_EXIT_SET_TPR);
	assert_int_equal(run->cr8, 3);
	assert_int_equal(run_to_out(0x11), 3);
	guest16_end();
}

CODE16(waits, "sti\n\t"
	      "hlt\n\t"
	      "mov $0x77, %al\n\t"
	      "out %al, $0x10\n\t"
	      "hlt");

static void no_halt_exits(void)
{
	assert_errno(enable_cap(vm_fd, KVM_CAP_X86_DISABLE_EXITS, 1 << 4), EINVAL);
	assert_int_equal(enable_cap(vm_fd, KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_HLT |
							KVM_X86_DISABLE_EXITS_PAUSE), 0);
}

/* HLT stays in the guest; what ends KVM_RUN ends it too. */
static void test_halt_inside(void **state)
{
	struct kvm_mp_state mp;

	(void)state;
	guest16(CHIPS_NONE, no_halt_exits);
	PUT(ENTRY, waits);
	alarm_in(20);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(run_to_out(0x10), 0x77);
	guest16_end();
}

/* --- the task priority register ------------------------------------------------------------ */

CODE16(tpr, "movl $0x1ff, 0xf0\n\t"
	    "mov 0x80, %eax\n"
	    "tpr_write:\tmovl $0x20, 0x80\n"
	    "tpr_done:\tout %al, $0x10\n\t"
	    "hlt");
extern const unsigned char tpr_write[], tpr_done[];

static void test_tpr_reporting(void **state)
{
	struct kvm_tpr_access_ctl on = { .enabled = 1 }, bad = { .flags = 1 };

	(void)state;
	guest16(CHIPS_ALL, NULL);
	PUT(ENTRY, tpr);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_TPR_ACCESS_REPORTING, &bad), EINVAL);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_TPR_ACCESS_REPORTING, &on), 0);
	assert_int_equal(run_once(), KVM_EXIT_TPR_ACCESS);
	assert_int_equal(run->tpr_access.is_write, 0);
	assert_int_equal(get_regs().rip, ENTRY + (tpr_write - tpr));
	assert_int_equal(run_once(), KVM_EXIT_TPR_ACCESS);
	assert_int_equal(run->tpr_access.is_write, 1);
	assert_int_equal(run->tpr_access.rip, ENTRY + (tpr_write - tpr));
	assert_int_equal(get_regs().rip, ENTRY + (tpr_done - tpr));
	run_to_out(0x10);
	guest16_end();
}

CODE16(vapic, "movl $0x1ff, 0xf0\n\t"
	      "movl $0x20, 0x80\n\t"
	      "mov %cs:0x4000, %eax\n\t"	/* the page follows the register, */
	      "out %al, $0x10\n\t"
	      "movb $0x50, %cs:0x4000\n\t"	/* and the register the page */
	      "out %al, $0x11\n\t"
	      "mov 0x80, %eax\n\t"
	      "out %al, $0x12\n\t"
	      "hlt");

static void test_vapic(void **state)
{
	struct kvm_vapic_addr at = { 0x4000 }, off = { 0 }, bad = { MEMORY };

	(void)state;
	guest16(CHIPS_ALL, NULL);
	PUT(ENTRY, vapic);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_VAPIC_ADDR, &bad), EINVAL);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_VAPIC_ADDR, &at), 0);
	assert_int_equal(run_to_out(0x10), 0x20);
	run_to_out(0x11);
	assert_int_equal(run->cr8, 5);
	assert_int_equal(run_to_out(0x12), 0x50);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_VAPIC_ADDR, &off), 0);
	guest16_end();
}

/* --- PV EOI ---------------------------------------------------------------------------------- */

CODE16(pv_idle, "movl $0x1ff, 0xf0\n\t"
		"out %al, $0x10\n\t"
		"sti\n"
		"1:\tnop\n\t"
		"jmp 1b");
CODE16(pv_handler, "btrl $0, %cs:0x4000\n\t"
		   "setc %al\n\t"
		   "jc 1f\n\t"
		   "movl $0, 0xb0\n"
		   "1:\tout %al, $0x30\n\t"
		   "iret");

static unsigned char isr_of(uint8_t vector)
{
	struct kvm_lapic_state s;

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_LAPIC, &s), 0);
	return s.regs[0x100 + vector / 32 * 16 + vector % 32 / 8] >> (vector % 8) & 1;
}

static void test_pv_eoi(void **state)
{
	(void)state;
	guest16(CHIPS_ALL, NULL);
	PUT(ENTRY, pv_idle);
	PUT(0x2000, pv_handler);
	set_vector(0x51, 0x2000);
	set_msr(0x4b564d04, 0x4002, 0);
	set_msr(0x4b564d04, MEMORY | 1, 0);
	set_msr(0x4b564d04, 0x4001, 1);
	run_to_out(0x10);
	/* Edges are ended in memory; both leave nothing in service. */
	send_msi(0x51, 0);
	assert_int_equal(run_to_out(0x30), 1);
	assert_int_equal(isr_of(0x51), 0);
	send_msi(0x51, 1);
	assert_int_equal(run_to_out(0x30), 0);
	assert_int_equal(isr_of(0x51), 0);
	send_msi(0x51, 0);
	assert_int_equal(run_to_out(0x30), 1);
	guest16_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_extint),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_cr8),
		cmocka_unit_test(test_halt_inside),
		cmocka_unit_test(test_tpr_reporting),
		cmocka_unit_test(test_vapic),
		cmocka_unit_test(test_pv_eoi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

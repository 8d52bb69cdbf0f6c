/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events that user space brings about, and those it is told of: machine checks,
 * NMIs, debug exceptions, hypercalls, a triple fault, counters.
 */
#include <linux/kvm_para.h>

#include "guest16.h"
#include "stats.h"

/* --- machine checks ----------------------------------------------------------------------- */

#define MC0_STATUS 0x401
#define UNCORRECTED (1ull << 63 | 1ull << 61)	/* valid, too */
#define CR4_MCE 0x40

CODE16(idle, "out %al, $0x10\n"
	     "1:\tnop\n\t"
	     "jmp 1b");
/* The status' lowest byte. */
CODE16(machine_check, "mov $0x401, %ecx\n\t"
		      "rdmsr\n\t"
		      "out %al, $0x18\n\t"
		      "iret");

static struct kvm_x86_mce uncorrected = {
	.status = UNCORRECTED | 1ull << 56 | 0x99, .mcg_status = 5, .bank = 0,
};

static void test_machine_check(void **state)
{
	uint64_t cap = 10 | 1ull << 24, bad = 33;
	struct kvm_x86_mce m = uncorrected;
	struct kvm_sregs s;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, idle);
	PUT(0x2000, machine_check);
	set_vector(18, 0x2000);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_X86_SETUP_MCE, &bad), EINVAL);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_X86_SETUP_MCE, &cap), 0);
	m.bank = 10;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_X86_SET_MCE, &m), EINVAL);
	m.bank = 0;
	m.status &= ~(1ull << 63);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_X86_SET_MCE, &m), EINVAL);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.cr4 |= CR4_MCE;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), 0);
	run_to_out(0x10);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_X86_SET_MCE, &uncorrected), 0);
	assert_int_equal(run_to_out(0x18), 0x99);
	/* Another while the first is in progress is the end. */
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_X86_SET_MCE, &uncorrected), 0);
	assert_int_equal(run_once(), KVM_EXIT_SHUTDOWN);
	guest16_end();
}

/* --- NMIs ------------------------------------------------------------------------------------ */

CODE16(nmi_handler, "out %al, $0x30\n\t"
		    "nop\n\t"
		    "out %al, $0x21\n\t"
		    "iret");

static void test_nmi(void **state)
{
	struct kvm_vcpu_events e;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, idle);
	PUT(0x2000, nmi_handler);
	set_vector(2, 0x2000);
	run_to_out(0x10);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_NMI, 0), 0);
	run_to_out(0x30);
	e = get_events();
	assert_int_equal(e.nmi.masked, 1);
	assert_int_equal(e.nmi.pending, 0);
	/* Two that come meanwhile are one, and wait for IRET. */
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_NMI, 0), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_NMI, 0), 0);
	assert_int_equal(get_events().nmi.pending, 1);
	run_to_out(0x21);
	run_to_out(0x30);
	run_to_out(0x21);
	alarm_in(20);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	assert_int_equal(get_events().nmi.masked, 0);
	guest16_end();
}

/* --- hypercalls ------------------------------------------------------------------------------- */

/* KVM_HC_MAP_GPA_RANGE of 2 pages at 0x5000, by either vendor's instruction. */
CODE16(maps, "1:\tmov $12, %eax\n\t"
	     "mov $0x5000, %ebx\n\t"
	     "mov $2, %ecx\n\t"
	     "mov $0x10, %edx\n\t"
	     "vmmcall\n\t"
	     "out %al, $0x10\n\t"
	     "jmp 1b");

static void test_hypercall_exit(void **state)
{
	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, maps);
	/* It is KVM's to refuse until user space wants it. */
	assert_int_equal(run_to_out(0x10), (unsigned char)-KVM_ENOSYS);
	assert_errno(enable_cap(vm_fd, KVM_CAP_EXIT_HYPERCALL, 1), EINVAL);
	assert_int_equal(enable_cap(vm_fd, KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE), 0);
	assert_int_equal(run_once(), KVM_EXIT_HYPERCALL);
	assert_int_equal(run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	assert_int_equal(run->hypercall.args[0], 0x5000);
	assert_int_equal(run->hypercall.args[1], 2);
	assert_int_equal(run->hypercall.args[2], 0x10);
	run->hypercall.ret = 0x44;
	assert_int_equal(run_to_out(0x10), 0x44);
	guest16_end();
}

/* An IPI to APIC id 0, which is itself; then a kick, which ends the HLT that follows. */
CODE16(sends, "movl $0x1ff, 0xf0\n\t"
	      "sti\n\t"
	      "mov $10, %eax\n\t"
	      "mov $1, %ebx\n\t"
	      "xor %ecx, %ecx\n\t"
	      "xor %edx, %edx\n\t"
	      "mov $0x55, %esi\n\t"
	      "vmmcall\n\t"
	      "nop\n\t"
	      "out %al, $0x10\n\t"
	      "mov $5, %eax\n\t"
	      "xor %ecx, %ecx\n\t"
	      "vmmcall\n\t"
	      "hlt\n\t"
	      "out %al, $0x11\n\t"
	      "mov $99, %eax\n\t"
	      "vmmcall\n\t"
	      "out %al, $0x12");
CODE16(receives, "push %ax\n\t"
		 "out %al, $0x30\n\t"
		 "movl $0, 0xb0\n\t"
		 "pop %ax\n\t"
		 "iret");

static void test_hypercalls(void **state)
{
	(void)state;
	guest16(CHIPS_ALL, NULL);
	PUT(ENTRY, sends);
	PUT(0x2000, receives);
	set_vector(0x55, 0x2000);
	run_to_out(0x30);
	assert_int_equal(run_to_out(0x10), 1);	/* CPUs that took it */
	run_to_out(0x11);
	assert_int_equal(run_to_out(0x12), (unsigned char)-KVM_ENOSYS);
	guest16_end();
}

/* --- debugging -------------------------------------------------------------------------------- */

CODE16(debugged, "out %al, $0x10\n\t"
		 "nop\n\t"			/* +2 */
		 "int3\n\t"			/* +3 */
		 "movb $1, %es:0x3000\n\t"	/* +4 */
		 "nop\n\t"			/* +10 */
		 "out %al, $0x11");
CODE16(db_handler, "out %al, $0x30\n\t"
		   "iret");

static void debug(uint32_t control, uint64_t address, uint64_t dr7)
{
	struct kvm_guest_debug d = { .control = control };

	d.arch.debugreg[0] = address;
	d.arch.debugreg[7] = dr7;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_GUEST_DEBUG, &d), 0);
}

static void check_debug_exit(uint32_t exception, uint64_t pc, uint64_t dr6)
{
	assert_int_equal(run_once(), KVM_EXIT_DEBUG);
	assert_int_equal(run->debug.arch.exception, exception);
	assert_int_equal(run->debug.arch.pc, pc);
	if (exception == 1)
		assert_int_equal(run->debug.arch.dr6 & 0xf00f, dr6);
}

static void test_debug(void **state)
{
	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, debugged);
	PUT(0x2000, db_handler);
	set_vector(1, 0x2000);
	set_vector(3, 0x2000);
	run_to_out(0x10);
	debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0, 0);
	check_debug_exit(1, ENTRY + 2, 0x4000);	/* of the OUT */
	check_debug_exit(1, ENTRY + 3, 0x4000);
	/* Software breakpoints are the debugger's, or the guest's. */
	debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, 0, 0);
	check_debug_exit(3, ENTRY + 3, 0);
	debug(0, 0, 0);
	run_to_out(0x30);
	/* A hardware breakpoint before the instruction, a watchpoint behind it. */
	debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, ENTRY + 4, 0x402);
	check_debug_exit(1, ENTRY + 4, 1);
	debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, 0x3000, 0x10402);
	check_debug_exit(1, ENTRY + 10, 1);
	/* One that user space makes up. */
	debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB, 0, 0);
	run_to_out(0x30);
	debug(0, 0, 0);
	run_to_out(0x11);
	guest16_end();
}

/* --- a triple fault --------------------------------------------------------------------------- */

static void test_triple_fault(void **state)
{
	struct kvm_vcpu_events e;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, idle);
	run_to_out(0x10);
	e = get_events();
	e.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	e.triple_fault.pending = 1;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_VCPU_EVENTS, &e), EINVAL);
	assert_int_equal(enable_cap(vm_fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_VCPU_EVENTS, &e), 0);
	assert_int_equal(get_events().triple_fault.pending, 1);
	assert_int_equal(run_once(), KVM_EXIT_SHUTDOWN);
	guest16_end();
}

/* --- counters --------------------------------------------------------------------------------- */

static void test_counters(void **state)
{
	int fd;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, maps);
	fd = anykvm_ioctl(cpu_fd, KVM_GET_STATS_FD, 0);
	assert_true(fd >= 0);
	run_to_out(0x10);
	run_to_out(0x10);
	assert_int_equal(counter(cpu_fd, "io_exits"), 2);
	assert_int_equal(counter(cpu_fd, "hypercalls"), 2);
	assert_int_equal(write(fd, "x", 1), -1);
	close(fd);
	guest16_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machine_check),
		cmocka_unit_test(test_nmi),
		cmocka_unit_test(test_hypercall_exit),
		cmocka_unit_test(test_hypercalls),
		cmocka_unit_test(test_debug),
		cmocka_unit_test(test_triple_fault),
		cmocka_unit_test(test_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

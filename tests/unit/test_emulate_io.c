/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports: the permission bitmap, in-kernel devices, exits to user space with
 * their completion, and the string forms in batches.
 */
#include "emu_fake.h"

static void test_in_kernel(void **state)
{
	setup_32(0);
	fake_port.mine = true;
	fake_port.value = 0x44332211;
	vcpu->gpr[REG_RAX] = 0xaaaaaaaaaaaaaaaa;
	assert_int_equal(exec("e4 60"), EMU_NEXT);
	assert_true(vcpu->gpr[REG_RAX] == 0xaaaaaaaaaaaaaa11);
	assert_int_equal(exec("66 ed"), EMU_NEXT);
	assert_true(vcpu->gpr[REG_RAX] == 0xaaaaaaaaaaaa2211);
	assert_int_equal(exec("e5 60"), EMU_NEXT);
	assert_true(vcpu->gpr[REG_RAX] == 0x44332211);
	vcpu->gpr[REG_RAX] = 0x87654321;
	assert_int_equal(exec("66 e7 60"), EMU_NEXT);
	assert_int_equal(fake_port.value, 0x4321);
	assert_int_equal(exec("ef"), EMU_NEXT);
	assert_int_equal(fake_port.value, 0x87654321);
	setup_done(state);
}

static void test_user(void **state)
{
	setup_64(0);
	vcpu->gpr[REG_RDX] = 0x12345678;
	vcpu->gpr[REG_RAX] = 0x99;
	assert_int_equal(exec("ee"), EMU_EXIT);
	assert_int_equal(vcpu->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(vcpu->run->io.direction, KVM_EXIT_IO_OUT);
	assert_int_equal(vcpu->run->io.port, 0x5678);
	assert_int_equal(vcpu->run->io.size, 1);
	assert_int_equal(vcpu->run->io.count, 1);
	assert_int_equal(vcpu->run->io.data_offset, 4096);
	assert_int_equal(*(u8 *)vcpu->pio_data, 0x99);
	assert_int_equal(vcpu->rip, CODE);	/* until user space has answered */
	assert_int_equal(vcpu->complete(vcpu), 0);
	assert_int_equal(vcpu->rip, CODE + 1);
	vcpu->gpr[REG_RAX] = ~0ull;
	assert_int_equal(exec("ed"), EMU_EXIT);
	assert_int_equal(vcpu->run->io.direction, KVM_EXIT_IO_IN);
	assert_int_equal(vcpu->run->io.size, 4);
	memcpy(vcpu->pio_data, "\x78\x56\x34\x12", 4);
	assert_int_equal(vcpu->complete(vcpu), 0);
	assert_true(vcpu->gpr[REG_RAX] == 0x12345678);
	assert_int_equal(vcpu->rip, CODE + 2);
	setup_done(state);
}

static void test_permission(void **state)
{
	setup_32(3);
	fake_port.mine = true;
	put(TSS + 102, 0xffff, 2);
	exec_faults("e4 60", EXC_GP, 0);		/* no map */
	vcpu->sysflags = 3 << 12;
	assert_int_equal(exec("e4 60"), EMU_NEXT);
	vcpu->sysflags = 2 << 12;
	put(TSS + 102, 0x68, 2);
	memset(low + TSS + 0x68, 0xff, 0x40);
	low[TSS + 0x68 + 0x60 / 8] = 0xfe;
	assert_int_equal(exec("e4 60"), EMU_NEXT);
	exec_faults("e5 60", EXC_GP, 0);		/* 61h.. are closed */
	exec_faults("e4 61", EXC_GP, 0);
	low[TSS + 0x68 + 0x60 / 8] = 0x3f;		/* 66h, 67h open */
	low[TSS + 0x68 + 0x68 / 8] = 0xfc;		/* 68h, 69h open */
	assert_int_equal(exec("e5 66"), EMU_NEXT);	/* across two bytes of the map */
	exec_faults("e5 67", EXC_GP, 0);
	vcpu->gpr[REG_RDX] = 0x3f * 8;
	exec_faults("ec", EXC_GP, 0);			/* the second byte is outside */
	vcpu->seg[SEG_TR].limit = 102;
	exec_faults("e4 60", EXC_GP, 0);
	vcpu->seg[SEG_TR].limit = 0x200;
	vcpu->seg[SEG_TR].attr = SEG_P | 3;		/* a 16-bit TSS has no map */
	exec_faults("e4 60", EXC_GP, 0);
	setup_done(state);

	setup_v86(3);
	fake_port.mine = true;
	memset(low + TSS + 0x68, 0xff, 0x40);
	put(TSS + 102, 0x68, 2);
	exec_faults("e4 60", EXC_GP, 0);		/* IOPL does not count */
	low[TSS + 0x68 + 0x60 / 8] = 0;
	assert_int_equal(exec("e4 60"), EMU_NEXT);
	setup_done(state);
}

static void test_outs(void **state)
{
	u32 i;

	setup_64(0);
	for (i = 0; i < 0x3000; i++)
		low[DATA + i] = (u8)(i * 7 + (i >> 8));
	vcpu->gpr[REG_RDX] = 0x3f8;
	vcpu->gpr[REG_RSI] = DATA + 0xff0;
	vcpu->gpr[REG_RCX] = 0x1800;
	/* Up to the page's end, then a page, then the rest. */
	assert_int_equal(exec("f3 6e"), EMU_EXIT);
	assert_int_equal(vcpu->run->io.count, 0x10);
	assert_memory_equal(vcpu->pio_data, low + DATA + 0xff0, 0x10);
	assert_int_equal(vcpu->rip, CODE);
	assert_int_equal(vcpu->gpr[REG_RCX], 0x17f0);
	assert_int_equal(exec("f3 6e"), EMU_EXIT);
	assert_int_equal(vcpu->run->io.count, 0x1000);
	assert_memory_equal(vcpu->pio_data, low + DATA + 0x1000, 0x1000);
	assert_int_equal(exec("f3 6e"), EMU_EXIT_NEXT);
	assert_int_equal(vcpu->run->io.count, 0x7f0);
	assert_int_equal(vcpu->gpr[REG_RCX], 0);
	assert_int_equal(vcpu->gpr[REG_RSI], DATA + 0xff0 + 0x1800);
	assert_int_equal(vcpu->rip, CODE + 2);
	vcpu->rip = CODE;
	assert_int_equal(exec("f3 6e"), EMU_NEXT);	/* nothing left */
	/* Backwards, one at a time; a word that crosses pages. */
	vcpu->rip = CODE;
	vcpu->sysflags = X86_FL_DF;
	vcpu->gpr[REG_RSI] = DATA + 0xfff;
	vcpu->gpr[REG_RCX] = 2;
	assert_int_equal(exec("f3 66 6f"), EMU_EXIT);
	assert_int_equal(vcpu->run->io.size, 2);
	assert_memory_equal(vcpu->pio_data, low + DATA + 0xfff, 2);
	assert_int_equal(vcpu->gpr[REG_RSI], DATA + 0xffd);
	vcpu->gpr[REG_RSI] = 0x1000000;
	exec_faults("f3 66 6f", EXC_PF, 0);
	setup_done(state);
}

static void test_ins(void **state)
{
	u32 i;

	setup_64(0);
	vcpu->gpr[REG_RDX] = 0x1f0;
	vcpu->gpr[REG_RDI] = DATA;
	vcpu->gpr[REG_RCX] = 0x900;
	assert_int_equal(exec("f3 66 6d"), EMU_EXIT);	/* rep insw */
	assert_int_equal(vcpu->run->io.direction, KVM_EXIT_IO_IN);
	assert_int_equal(vcpu->run->io.count, 0x800);
	assert_int_equal(vcpu->gpr[REG_RCX], 0x900);
	for (i = 0; i < 0x1000; i++)
		((u8 *)vcpu->pio_data)[i] = (u8)(i * 3);
	assert_int_equal(vcpu->complete(vcpu), 0);
	assert_memory_equal(vcpu->pio_data, low + DATA, 0x1000);
	assert_int_equal(vcpu->gpr[REG_RCX], 0x100);
	assert_int_equal(vcpu->gpr[REG_RDI], DATA + 0x1000);
	assert_int_equal(vcpu->rip, CODE);
	assert_int_equal(exec("f3 66 6d"), EMU_EXIT);
	assert_int_equal(vcpu->run->io.count, 0x100);
	assert_int_equal(vcpu->complete(vcpu), 0);
	assert_int_equal(vcpu->rip, CODE + 3);
	assert_int_equal(vcpu->gpr[REG_RCX], 0);
	/* Registers that user space replaced meanwhile are left alone. */
	vcpu->gpr[REG_RCX] = 4;
	assert_int_equal(exec("f3 6c"), EMU_EXIT);
	vcpu->rip = 0x5555;
	assert_int_equal(vcpu->complete(vcpu), 0);
	assert_int_equal(vcpu->rip, 0x5555);
	assert_int_equal(vcpu->gpr[REG_RCX], 4);
	/* Without a prefix; a destination that faults does not reach the port. */
	assert_int_equal(exec("6c"), EMU_EXIT);
	*(u8 *)vcpu->pio_data = 0xab;
	assert_int_equal(vcpu->complete(vcpu), 0);
	assert_int_equal(low[DATA + 0x1200], 0xab);
	assert_int_equal(vcpu->rip, 0x5556);
	vcpu->gpr[REG_RDI] = 0x1000000;
	fake_port.mine = true;
	exec_faults("6c", EXC_PF, PFERR_W);
	assert_int_equal(fake_port.reads, 0);
	setup_done(state);
}

static void test_in_kernel_strings(void **state)
{
	setup_32(0);
	fake_port.mine = true;
	fake_port.value = 0x5a;
	vcpu->gpr[REG_RDI] = DATA;
	vcpu->gpr[REG_RCX] = 2;
	assert_int_equal(exec("f3 6c"), EMU_JUMP);
	assert_int_equal(vcpu->rip, CODE);
	assert_int_equal(exec("f3 6c"), EMU_JUMP);
	assert_int_equal(vcpu->rip, CODE + 2);
	assert_int_equal(get(DATA, 4), 0x5a5a);
	vcpu->gpr[REG_RSI] = DATA + 1;
	assert_int_equal(exec("6e"), EMU_JUMP);
	assert_int_equal(vcpu->rip, CODE + 3);
	assert_int_equal(fake_port.writes, 1);
	setup_done(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_kernel),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_permission),
		cmocka_unit_test(test_outs),
		cmocka_unit_test(test_ins),
		cmocka_unit_test(test_in_kernel_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

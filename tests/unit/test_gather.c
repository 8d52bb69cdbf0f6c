/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gathers, scatters and masked operands where no other CPU can show what is
 * right: elements that are devices, exits between them, faults behind them,
 * stores to translated code. The engine runs one instruction in a 32-bit guest
 * whose vector registers are loaded and stored by the code around it. (What
 * memory alone can show, tests/native compares with this CPU.)
 */
#include <cpuid.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "soft/emulate/emulate.h"

#define RAM_SIZE 0x100000u
#define MMIO 0x200000u		/* nothing is there */
#define ROM 0x300000u
#define GDT 0x2000u
#define IDT 0x3000u
#define HANDLERS 0x3800u
#define CODE 0x5000u
#define STACK 0x7000u
#define IN 0x8000u
#define OUT 0x8200u
#define DATA 0x10000u

struct state {
	u8 dest[64], index[64], signs[64];	/* zmm0, zmm1, zmm2 */
	u64 k;					/* k1 */
	u32 base;				/* ebx */
	u32 vector;				/* out: of the exception, or 0 */
	u32 eax;				/* out */
};

__asm__(".section .rodata\n"
	".code32\n"
	"before:\n"
	"	vmovdqu64 0x8000, %zmm0\n"
	"	vmovdqu64 0x8040, %zmm1\n"
	"	vmovdqu64 0x8080, %zmm2\n"
	"	kmovq 0x80c0, %k1\n"
	"	mov 0x80c8, %ebx\n"
	"	xor %edx, %edx\n"
	"before_end:\n"
	"after:\n"
	"	vmovdqu64 %zmm0, 0x8200\n"
	"	vmovdqu64 %zmm1, 0x8240\n"
	"	vmovdqu64 %zmm2, 0x8280\n"
	"	kmovq %k1, 0x82c0\n"
	"	mov %ebx, 0x82c8\n"
	"	mov %edx, 0x82cc\n"
	"	mov %eax, 0x82d0\n"
	"	hlt\n"
	"after_end:\n"
	".code64\n"
	".text\n");
extern const u8 before[], before_end[], after[], after_end[];

_Static_assert(offsetof(struct state, k) == 0xc0 && offsetof(struct state, vector) == 0xcc, "asm");

static struct vm *vm;
static struct vcpu *vcpu;
static u8 *ram, *rom;
static struct state *in, *out;

static struct {
	u64 gpa;
	u32 len;
	bool write;
	u8 data[8];
} seen[256];
static u32 count;

static bool have_avx512(void)
{
	u32 a, b = 0, c, d, lo = 0, hi;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & 0xc0030020) != 0xc0030020)
		return false;
	__asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & 0xe6) == 0xe6;
}

static u8 device_byte(u64 gpa)
{
	return (u8)(gpa * 7 + 3);
}

static void add_slot(u32 slot, u32 gpa, u32 size, u8 **mem, u32 flags)
{
	struct kvm_userspace_memory_region r = { .slot = slot, .guest_phys_addr = gpa,
						 .memory_size = size, .flags = flags };

	*mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(*mem != MAP_FAILED);
	r.userspace_addr = (u64)(uintptr_t)*mem;
	assert_int_equal(vm_set_memory_region(vm, &r), 0);
}

static void put64(u32 gpa, u64 val)
{
	memcpy(ram + gpa, &val, 8);
}

static u32 get32(const void *at)
{
	u32 val;

	memcpy(&val, at, 4);
	return val;
}

static void set32(void *at, u32 val)
{
	memcpy(at, &val, 4);
}

/* Handlers: mov edx, vector; jmp to what follows the instruction. */
static void write_tables(u32 resume)
{
	u32 v, at;

	put64(GDT + 8, 0x00cf9b000000ffff);
	put64(GDT + 16, 0x00cf93000000ffff);
	for (v = 0; v < 32; v++) {
		at = HANDLERS + v * 16;
		put64(IDT + v * 8, (at & 0xffff) | 8ull << 16 | 0x8e00ull << 32);
		ram[at] = 0xba;
		set32(ram + at + 1, v);
		ram[at + 5] = 0xe9;
		set32(ram + at + 6, resume - (at + 10));
	}
}

static void set_registers(void)
{
	for (int i = 0; i < 6; i++) {
		struct seg *s = &vcpu->seg[i];

		s->selector = i == SEG_CS ? 8 : 16;
		s->base = 0;
		s->limit = 0xffffffff;
		s->attr = SEG_P | SEG_S | SEG_W | SEG_A | SEG_DB | SEG_GRAN |
			  (i == SEG_CS ? SEG_CODE : 0);
	}
	vcpu->gdt.base = GDT;
	vcpu->gdt.limit = 23;
	vcpu->idt.base = IDT;
	vcpu->idt.limit = 255;
	vcpu->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	vcpu->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
	vcpu->xcr0 = 0xe7;
	vcpu->gpr[REG_RSP] = STACK;
	vcpu->rip = CODE;
	vcpu->mode_stale = true;
}

static int setup(void **state)
{
	(void)state;
	if (!have_avx512())
		return 0;
	vm = vm_create(NULL);
	assert_non_null(vm);
	add_slot(0, 0, RAM_SIZE, &ram, 0);
	add_slot(1, ROM, 0x1000, &rom, KVM_MEM_READONLY);
	assert_int_equal(vm_create_vcpu(vm, 0, &vcpu), 0);
	set_registers();
	in = (struct state *)(ram + IN);
	out = (struct state *)(ram + OUT);
	memset(in, 0xdd, sizeof(*in));
	count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!vm)
		return 0;
	host_close(vcpu->fd);
	vm_put(vm);
	vm_put(vm);	/* the vCPU's own reference */
	munmap(ram, RAM_SIZE);
	munmap(rom, 0x1000);
	vm = NULL;
	return 0;
}

/* Where the instruction given to run() begins. */
static u32 insn_at(void)
{
	return CODE + (u32)(before_end - before);
}

static u32 place(const char *hex)
{
	u32 at = insn_at();
	unsigned b;
	int used;

	memcpy(ram + CODE, before, (size_t)(before_end - before));
	while (sscanf(hex, " %2x%n", &b, &used) == 1) {
		ram[at++] = (u8)b;
		hex += used;
	}
	memcpy(ram + at, after, (size_t)(after_end - after));
	write_tables(at);
	return at;
}

static void answer(void)
{
	struct kvm_run *r = vcpu->run;

	assert_in_range(count, 0, 255);
	seen[count].gpa = r->mmio.phys_addr;
	seen[count].len = r->mmio.len;
	seen[count].write = r->mmio.is_write;
	memcpy(seen[count].data, r->mmio.data, 8);
	for (u32 i = 0; i < r->mmio.len && !r->mmio.is_write; i++)
		r->mmio.data[i] = device_byte(r->mmio.phys_addr + i);
	count++;
}

/* Runs the instruction between the loads and stores of in and out. */
static void run(const char *hex)
{
	if (hex)
		place(hex);
	for (;;) {
		assert_int_equal(vcpu_run(vcpu), 0);
		if (vcpu->run->exit_reason != KVM_EXIT_MMIO)
			break;
		answer();
	}
	assert_int_equal(vcpu->run->exit_reason, KVM_EXIT_HLT);
}

/* The n-th access to a device. */
static void expect(u32 n, bool write, u32 gpa, u32 len)
{
	assert_true(n < count);
	assert_int_equal(seen[n].write, write);
	assert_int_equal(seen[n].gpa, gpa);
	assert_int_equal(seen[n].len, len);
}

static void expect_device(const u8 *value, u32 gpa, u32 len)
{
	for (u32 i = 0; i < len; i++)
		assert_int_equal(value[i], device_byte(gpa + i));
}

#define NEEDS_AVX512() \
	do { \
		if (!vm) \
			skip(); \
	} while (0)

#define GATHER_VEX "c4 e2 6d 90 04 0b"		/* vpgatherdd ymm0, [ebx + ymm1], ymm2 */
#define GATHER_EVEX "62 f2 7d 49 90 04 0b"	/* vpgatherdd zmm0{k1}, [ebx + zmm1] */
#define SCATTER "62 f2 7d 49 a0 04 0b"		/* vpscatterdd [ebx + zmm1]{k1}, zmm0 */

/* Element i at i * 4 in RAM, or on the device. */
static void spread(u32 device_mask)
{
	in->base = DATA;
	for (u32 i = 0; i < 16; i++) {
		set32(in->index + i * 4, (device_mask >> i & 1 ? MMIO - DATA : 0) + i * 4);
		set32(ram + DATA + i * 4, 0x1000 + i);
	}
}

static void gathers_from_ram(void **state)
{
	(void)state;
	NEEDS_AVX512();
	spread(0);
	in->k = 0xffff0000fffful;
	run(GATHER_EVEX);
	for (u32 i = 0; i < 16; i++)
		assert_int_equal(get32(out->dest + i * 4), 0x1000 + i);
	assert_int_equal(out->k, 0);
	assert_int_equal(out->vector, 0);
}

static void gathers_from_a_device(void **state)
{
	(void)state;
	NEEDS_AVX512();
	spread(0x8009);
	in->k = 0xf00f;
	run(GATHER_EVEX);
	assert_int_equal(count, 3);
	expect(0, false, MMIO, 4);
	expect(1, false, MMIO + 12, 4);
	expect(2, false, MMIO + 60, 4);
	for (u32 i = 0; i < 16; i++) {
		const u8 *v = out->dest + i * 4;

		if (0x8009 >> i & 1)
			expect_device(v, MMIO + i * 4, 4);
		else
			assert_int_equal(get32(v), 0xf00f >> i & 1 ? 0x1000 + i : 0xdddddddd);
	}
	assert_int_equal(out->k, 0);
}

static void vex_gather_clears_its_mask(void **state)
{
	(void)state;
	NEEDS_AVX512();
	spread(0x2);
	memset(in->signs, 0x7f, 64);
	for (u32 i = 0; i < 3; i++)
		in->signs[i * 4 + 3] = 0x80;
	run(GATHER_VEX);
	assert_int_equal(count, 1);
	assert_int_equal(get32(out->dest), 0x1000);
	expect_device(out->dest + 4, MMIO + 4, 4);
	assert_int_equal(get32(out->dest + 12), 0xdddddddd);
	for (u32 i = 0; i < 64; i++)
		assert_int_equal(out->signs[i], 0);
	for (u32 i = 32; i < 64; i++)
		assert_int_equal(out->dest[i], 0);
}

/* What was gathered before a fault is kept, and its mask bits are clear. */
static void a_fault_keeps_what_is_done(void **state)
{
	(void)state;
	NEEDS_AVX512();
	spread(0x3);
	in->k = 0xffff;
	set32(in->index + 5 * 4, 0x80000000 - DATA);
	vcpu->seg[SEG_DS].limit = 0x7fffffff;
	run(GATHER_EVEX);
	assert_int_equal(out->vector, EXC_GP);
	assert_int_equal(count, 2);
	assert_int_equal(out->k, 0xffe0);
	expect_device(out->dest + 4, MMIO + 4, 4);
	assert_int_equal(get32(out->dest + 16), 0x1004);
	assert_int_equal(get32(out->dest + 20), 0xdddddddd);
}

static void vex_gather_faults(void **state)
{
	(void)state;
	NEEDS_AVX512();
	spread(0);
	memset(in->signs, 0xff, 64);
	set32(in->index + 2 * 4, 0x80000000 - DATA);
	vcpu->seg[SEG_DS].limit = 0x7fffffff;
	run(GATHER_VEX);
	assert_int_equal(out->vector, EXC_GP);
	assert_int_equal(get32(out->dest + 4), 0x1001);
	assert_int_equal(get32(out->dest + 8), 0xdddddddd);
	assert_int_equal(get32(out->signs + 4), 0);
	assert_int_equal(get32(out->signs + 8), 0xffffffff);
}

static void gathers_across_the_end_of_memory(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = 0;
	in->k = 1;
	set32(in->index, RAM_SIZE - 2);
	ram[RAM_SIZE - 2] = 0x11;
	ram[RAM_SIZE - 1] = 0x22;
	run(GATHER_EVEX);
	assert_int_equal(count, 1);
	expect(0, false, RAM_SIZE, 2);
	assert_int_equal(out->dest[0] | out->dest[1] << 8, 0x2211);
	expect_device(out->dest + 2, RAM_SIZE, 2);
}

static void scatters_to_a_device(void **state)
{
	(void)state;
	NEEDS_AVX512();
	spread(0xc002);
	in->k = 0xe00f;
	for (u32 i = 0; i < 16; i++)
		set32(in->dest + i * 4, 0xa0 + i);
	run(SCATTER);
	assert_int_equal(count, 3);
	expect(0, true, MMIO + 4, 4);
	expect(1, true, MMIO + 56, 4);
	expect(2, true, MMIO + 60, 4);
	assert_int_equal(get32(seen[2].data), 0xaf);
	for (u32 i = 0; i < 16; i++)
		assert_int_equal(get32(ram + DATA + i * 4),
				 (0xe00f & ~0xc002) >> i & 1 ? 0xa0 + i : 0x1000 + i);
	assert_int_equal(out->k, 0);
}

/* A write to a device is not lost when a later element faults. */
static void scatter_faults_behind_a_device(void **state)
{
	(void)state;
	NEEDS_AVX512();
	spread(0x1);
	in->k = 0xf;
	set32(in->index + 2 * 4, 0x80000000 - DATA);
	vcpu->seg[SEG_DS].limit = 0x7fffffff;
	run(SCATTER);
	assert_int_equal(out->vector, EXC_GP);
	assert_int_equal(count, 1);
	expect(0, true, MMIO, 4);
	assert_int_equal(out->k, 0xc);
	assert_int_equal(get32(ram + DATA + 4), 0xdddddddd);
	assert_int_equal(get32(ram + DATA + 12), 0x1003);
}

static void overlapping_elements_end_with_the_last(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = DATA;
	in->k = 0xffff;
	memset(in->index, 0, 64);
	for (u32 i = 0; i < 16; i++)
		set32(in->dest + i * 4, i);
	run(SCATTER);
	assert_int_equal(get32(ram + DATA), 15);
}

/* The next instruction is the one that was just written. */
static void scatters_into_code(void **state)
{
	(void)state;
	NEEDS_AVX512();
	place(SCATTER " b8 11 11 11 11");
	in->base = insn_at() + 7 + 1;
	in->k = 1;
	memset(in->index, 0, 64);
	set32(in->dest, 0x22222222);
	run(NULL);
	assert_int_equal(out->eax, 0x22222222);
}

static void masked_store_into_code(void **state)
{
	(void)state;
	NEEDS_AVX512();
	place("62 f1 7e 49 7f 03 b8 11 11 11 11");	/* vmovdqu32 [ebx]{k1}, zmm0 */
	in->base = insn_at() + 6 + 1 - 8;
	in->k = 4;
	memset(in->dest, 0x33, 64);
	run(NULL);
	assert_int_equal(out->eax, 0x33333333);
	assert_int_equal(ram[insn_at()], 0x62);
	assert_int_equal(ram[insn_at() + 6], 0xb8);
}

/* --- masked operands ------------------------------------------------------------ */

static void masked_load_from_a_device(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = MMIO;
	in->k = 0x8001;
	run("62 f1 7e 49 6f 03");	/* vmovdqu32 zmm0{k1}, [ebx] */
	assert_int_equal(count, 2);
	expect(0, false, MMIO, 4);
	expect(1, false, MMIO + 60, 4);
	expect_device(out->dest, MMIO, 4);
	assert_int_equal(get32(out->dest + 4), 0xdddddddd);
	expect_device(out->dest + 60, MMIO + 60, 4);
}

static void nothing_active_reads_nothing(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = MMIO;
	in->k = 0xffff0000;
	run("62 f1 7e c9 6f 03");	/* vmovdqu32 zmm0{k1}{z}, [ebx] */
	assert_int_equal(count, 0);
	for (u32 i = 0; i < 64; i++)
		assert_int_equal(out->dest[i], 0);
}

static void masked_arithmetic_on_a_device(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = MMIO;
	in->k = 0x10;
	memset(in->index, 0, 64);
	run("62 f1 75 59 fe 03");	/* vpaddd zmm0{k1}, zmm1, [ebx]{1to16} */
	assert_int_equal(count, 1);
	expect(0, false, MMIO, 4);
	expect_device(out->dest + 16, MMIO, 4);
	assert_int_equal(get32(out->dest), 0xdddddddd);
}

static void masked_store_to_a_device(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->k = 0x8421000000000001;
	for (u32 i = 0; i < 64; i++)
		in->dest[i] = (u8)i;
	in->base = MMIO;
	run("62 f1 7f 49 7f 03");	/* vmovdqu8 [ebx]{k1}, zmm0 */
	assert_int_equal(count, 5);
	expect(0, true, MMIO, 1);
	expect(1, true, MMIO + 48, 1);
	expect(4, true, MMIO + 63, 1);
	assert_int_equal(seen[4].data[0], 63);
}

static void masked_store_to_rom(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = ROM;
	in->k = 2;
	run("62 f1 7e 49 7f 03");
	assert_int_equal(count, 1);
	expect(0, true, ROM + 4, 4);
	assert_int_equal(get32(rom + 4), 0);
}

static void compressed_store_to_a_device(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = MMIO;
	in->k = 0xa010;
	for (u32 i = 0; i < 16; i++)
		set32(in->dest + i * 4, i);
	run("62 f2 7d 49 8b 03");	/* vpcompressd [ebx]{k1}, zmm0 */
	assert_int_equal(count, 3);
	for (u32 i = 0; i < 3; i++)
		expect(i, true, MMIO + i * 4, 4);
	assert_int_equal(get32(seen[0].data), 4);
	assert_int_equal(get32(seen[1].data), 13);
	assert_int_equal(get32(seen[2].data), 15);
}

static void narrowing_store_to_a_device(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = MMIO;
	in->k = 0x81;
	run("62 f2 7e 49 32 03");	/* vpmovqb [ebx]{k1}, zmm0 */
	assert_int_equal(count, 2);
	expect(0, true, MMIO, 1);
	expect(1, true, MMIO + 7, 1);
}

static void vmaskmov_half_on_a_device(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = RAM_SIZE - 16;
	memset(in->signs, 0, 64);
	in->signs[3] = in->signs[19] = 0x80;
	set32(ram + RAM_SIZE - 16, 0x12345678);
	run("c4 e2 6d 2c 03");		/* vmaskmovps ymm0, ymm2, [ebx] */
	assert_int_equal(count, 1);
	expect(0, false, RAM_SIZE, 4);
	assert_int_equal(get32(out->dest), 0x12345678);
	assert_int_equal(get32(out->dest + 4), 0);
	expect_device(out->dest + 16, RAM_SIZE, 4);
}

static void maskmovdqu_to_a_device(void **state)
{
	(void)state;
	NEEDS_AVX512();
	memset(in->signs, 0, 64);
	in->signs[1] = in->signs[2] = in->signs[15] = 0x80;
	in->base = MMIO;
	run("89 df 66 0f f7 c2");	/* mov edi, ebx; maskmovdqu xmm0, xmm2 */
	assert_int_equal(count, 2);
	expect(0, true, MMIO + 1, 2);
	expect(1, true, MMIO + 15, 1);
}

/* A masked access to what is not there, again and again, and once with an active element. */
static void masked_operand_in_a_loop(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = 0x80000000;
	in->k = 0;
	vcpu->seg[SEG_DS].limit = 0x7fffffff;
	run("b9 10 00 00 00 62 f1 7e 49 6f 03 49 75 f7 62 f1 7e 49 7f 03");
	assert_int_equal(out->vector, 0);
	assert_int_equal(count, 0);
}

static void an_active_element_faults(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = 0x80000000 - 8;
	in->k = 7;
	vcpu->seg[SEG_DS].limit = 0x7fffffff;
	run("62 f1 7e 49 6f 03");
	assert_int_equal(out->vector, EXC_GP);
}

/* --- modes ----------------------------------------------------------------------- */

static int refused(const char *hex)
{
	struct insn insn;
	u8 b[16] = { 0 };
	unsigned v;
	u32 n = 0;
	int used;

	while (sscanf(hex, " %2x%n", &v, &used) == 1) {
		b[n++] = (u8)v;
		hex += used;
	}
	assert_int_equal(insn_decode(&insn, b, n, 32), 0);
	vcpu->exc.pending = false;
	assert_int_equal(emu_lookup(&insn, 32)(vcpu, &insn), EMU_FAULT);
	assert_true(vcpu->exc.pending);
	return vcpu->exc.vector;
}

static void control_registers_forbid(void **state)
{
	static const char *const all[] = { GATHER_VEX, GATHER_EVEX, SCATTER };

	(void)state;
	NEEDS_AVX512();
	for (u32 i = 0; i < ARRAY_SIZE(all); i++) {
		set_registers();
		vcpu->cr0 |= X86_CR0_TS;
		assert_int_equal(refused(all[i]), EXC_NM);
		vcpu->cr4 &= ~X86_CR4_OSXSAVE;
		assert_int_equal(refused(all[i]), EXC_UD);
		set_registers();
		vcpu->xcr0 = 3;
		assert_int_equal(refused(all[i]), EXC_UD);
		set_registers();
		vcpu->cr0 &= ~X86_CR0_PE;
		assert_int_equal(refused(all[i]), EXC_UD);
	}
	set_registers();
	vcpu->cr0 |= X86_CR0_TS;
	vcpu->xcr0 = 7;
	assert_int_equal(refused(GATHER_EVEX), EXC_UD);
	assert_int_equal(refused(GATHER_VEX), EXC_NM);
}

static void pending_x87_exception_comes_first(void **state)
{
	(void)state;
	NEEDS_AVX512();
	in->base = DATA;
	/* fninit; unmask; 0 / 0; mov edi, ebx; maskmovq mm0, mm1 */
	run("db e3 6a 00 d9 2c 24 58 d9 ee d9 ee de f1 89 df 0f f7 c1");
	assert_int_equal(out->vector, EXC_MF);
}

/* --- decoding --------------------------------------------------------------------- */

struct sample {
	const char *hex;
	u8 mask, reg, bits, elem, elems;
};

static const struct sample samples[] = {
	{ "62 f1 7e 49 6f 03", MASK_BITS, 1, 16, 4, 16 },	/* vmovdqu32 zmm0{k1}, [ebx] */
	{ "62 f1 7e 48 6f 03", MASK_NONE, 0, 0, 4, 16 },
	{ "62 f1 7f 4a 7f 03", MASK_BITS, 2, 64, 1, 64 },	/* vmovdqu8 [ebx]{k2}, zmm0 */
	{ "62 f1 75 5b fe 03", MASK_BITS, 3, 16, 4, 1 },	/* vpaddd zmm0{k3}, .., {1to16} */
	{ "62 f2 7d 2c 1a 03", MASK_BITS, 4, 8, 4, 4 },		/* vbroadcastf32x4 ymm0{k4} */
	{ "62 f2 7d 4d 89 03", MASK_PACKED, 5, 16, 4, 16 },	/* vpexpandd zmm0{k5} */
	{ "62 f2 7d 4e 8b 03", MASK_PACKED, 6, 16, 4, 16 },	/* vpcompressd [ebx]{k6} */
	{ "62 f2 7e 4f 32 03", MASK_BITS, 7, 8, 1, 8 },		/* vpmovqb [ebx]{k7} */
	{ "62 f1 7c 09 5a 03", MASK_BITS, 1, 2, 4, 2 },		/* vcvtps2pd xmm0{k1} */
	{ "62 f1 7e 09 10 03", MASK_BITS, 1, 1, 4, 1 },		/* vmovss xmm0{k1} */
	{ "62 f2 75 49 00 03", MASK_NONE, 1, 64, 1, 64 },	/* vpshufb: no suppression */
	{ "62 f3 7d 49 3b 03 01", MASK_WRITE, 1, 8, 4, 8 },	/* vextracti32x8 [ebx]{k1} */
	{ "c4 e2 65 2c 03", MASK_SIGNS, 3, 8, 4, 8 },		/* vmaskmovps ymm0, ymm3, [ebx] */
	{ "c4 e2 e1 8e 03", MASK_SIGNS, 3, 2, 8, 2 },		/* vpmaskmovq [ebx], xmm3, xmm0 */
	{ "8b 03", MASK_NONE, 0, 0, 0, 0 },
};

static void decodes_masks(void **state)
{
	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *s = &samples[i];
		const char *hex = s->hex;
		struct insn insn;
		u8 b[16] = { 0 };
		unsigned v;
		u32 n = 0;
		int used;

		for (; sscanf(hex, " %2x%n", &v, &used) == 1; hex += used)
			b[n++] = (u8)v;
		assert_int_equal(insn_decode(&insn, b, n, 32), 0);
		assert_int_equal(insn.mask, s->mask);
		assert_int_equal(insn.elem, s->elem);
		assert_int_equal(insn.elems, s->elems);
		if (s->mask) {
			assert_int_equal(insn.mask_reg, s->reg);
			assert_int_equal(insn.mask_bits, s->bits);
		}
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_masks),
		TEST(gathers_from_ram),
		TEST(gathers_from_a_device),
		TEST(vex_gather_clears_its_mask),
		TEST(a_fault_keeps_what_is_done),
		TEST(vex_gather_faults),
		TEST(gathers_across_the_end_of_memory),
		TEST(scatters_to_a_device),
		TEST(scatter_faults_behind_a_device),
		TEST(overlapping_elements_end_with_the_last),
		TEST(scatters_into_code),
		TEST(masked_store_into_code),
		TEST(masked_load_from_a_device),
		TEST(nothing_active_reads_nothing),
		TEST(masked_arithmetic_on_a_device),
		TEST(masked_store_to_a_device),
		TEST(masked_store_to_rom),
		TEST(compressed_store_to_a_device),
		TEST(narrowing_store_to_a_device),
		TEST(vmaskmov_half_on_a_device),
		TEST(maskmovdqu_to_a_device),
		TEST(masked_operand_in_a_loop),
		TEST(an_active_element_faults),
		TEST(control_registers_forbid),
		TEST(pending_x87_exception_comes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

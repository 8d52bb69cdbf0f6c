/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest for the tests of hv/soft/emulate: the memory of fake_vm.h, real
 * decoding and page walks, noted exceptions, ports that are a table, and
 * helpers to build descriptors and to run one instruction given in hex.
 */
#ifndef TESTS_UNIT_EMU_FAKE_H
#define TESTS_UNIT_EMU_FAKE_H

#include "fake_bus.h"
#include "soft/emulate/emulate.h"

#define GDT 0x1000u
#define IDT 0x2000u
#define TSS 0x3000u
#define LDT 0x4000u
#define CODE 0x10000u		/* where RIP starts */
#define STACK 0x20000u		/* where RSP starts */
#define DATA 0x30000u
#define ROOT 0x8000u		/* page tables of long mode: ROOT .. ROOT + 0x3000 */

/* Selectors of the GDT that setup_*() make. */
enum {
	K_CODE = 0x08, K_DATA = 0x10, U_CODE = 0x18, U_DATA = 0x20, K_CODE16 = 0x28,
	K_DATA16 = 0x30, TSS_SEL = 0x38, LDT_SEL = 0x48, K_CONF = 0x58, K_ABSENT = 0x60,
	K_CODE64 = 0x68, U_CODE64 = 0x70, GATE = 0x80, TSS2_SEL = 0x90, U_ROCODE = 0xa0,
	K_RODATA = 0xa8, GDT_END = 0x100,
};

#define A_CODE (SEG_P | SEG_S | SEG_CODE | SEG_W)
#define A_DATA (SEG_P | SEG_S | SEG_W)
#define A_DPL(n) ((u32)(n) << SEG_DPL_SHIFT)
#define A_32 (SEG_DB | SEG_GRAN)

static struct {
	bool mine;		/* an in-kernel device takes the port */
	u32 value;
	u32 reads, writes;
} fake_port;
static u32 flushes, page_flushes;
static u64 flushed_page;

void vcpu_raise(struct vcpu *v, u8 vector)
{
	vcpu_raise_error(v, vector, 0);
	exc.has_error = false;
}

void vcpu_raise_db(struct vcpu *v, u64 dr6)
{
	vcpu_raise(v, EXC_DB);
	exc.cr2 = dr6;
}

int bus_pio(struct vm *vm, struct vcpu *v, u16 port, u32 size, void *data, bool write)
{
	(void)vm;
	(void)v;
	(void)port;
	if (!fake_port.mine)
		return -EOPNOTSUPP;
	if (write) {
		fake_port.writes++;
		fake_port.value = 0;
		memcpy(&fake_port.value, data, size);
	} else {
		fake_port.reads++;
		memcpy(data, &fake_port.value, size);
	}
	return 0;
}

void vcpu_cpuid(struct vcpu *v, u32 leaf, u32 subleaf, u32 out[4])
{
	(void)v;
	(void)subleaf;
	host_memset(out, 0xff, 16);	/* the guest's vector registers may be live */
	if (leaf == 0)
		out[1] = 0x68747541;	/* AuthenticAMD */
}

void vcpu_request(struct vcpu *v, u32 bits)
{
	v->request |= bits;
}

void vcpu_leave_to_user(struct vcpu *v, int (*complete)(struct vcpu *), u64 next_rip)
{
	v->complete = complete;
	v->exit_rip = v->rip;
	v->next_rip = next_rip;
}

bool vcpu_exit_stands(const struct vcpu *v)
{
	return v->rip == v->exit_rip;
}

int vcpu_skip(struct vcpu *v)
{
	if (vcpu_exit_stands(v))
		v->rip = v->next_rip;
	return 0;
}

int vcpu_hypercall(struct vcpu *v, u64 next_rip)
{
	(void)next_rip;
	v->gpr[REG_RAX] = 0;
	return 0;
}

bool smm_leave(struct vcpu *v)
{
	v->smm = false;
	return true;
}

struct vcpu *vm_vcpu_by_id(struct vm *vm, u32 id)
{
	(void)vm;
	(void)id;
	return NULL;
}

u64 vcpu_guest_tsc(struct vcpu *v)
{
	(void)v;
	return 0x1122334455667788ull;
}

int vcpu_get_msr(struct vcpu *v, u32 index, u64 *val, bool host)
{
	(void)v;
	(void)host;
	*val = 0xaabbccdd00000000ull | index;
	return index == 0x666;
}

int vcpu_set_msr(struct vcpu *v, u32 index, u64 val, bool host)
{
	(void)host;
	v->lstar = val;
	return index == 0x666;
}

int vcpu_guest_rdmsr(struct vcpu *v, u32 index, u64 *val, u64 next_rip)
{
	(void)next_rip;
	return vcpu_get_msr(v, index, val, false);
}

int vcpu_guest_wrmsr(struct vcpu *v, u32 index, u64 val, u64 next_rip)
{
	(void)next_rip;
	return vcpu_set_msr(v, index, val, false);
}

int vcpu_set_cr0(struct vcpu *v, u64 val)
{
	v->cr0 = val;
	return 0;
}

int vcpu_set_cr3(struct vcpu *v, u64 val)
{
	v->cr3 = val;
	return 0;
}

int vcpu_set_cr4(struct vcpu *v, u64 val)
{
	if (val >> 32)
		return EXC_GP;
	v->cr4 = val;
	return 0;
}

int vcpu_set_cr8(struct vcpu *v, u64 val)
{
	v->cr8 = val;
	return 0;
}

u64 vcpu_get_cr8(struct vcpu *v)
{
	return v->cr8;
}

int vcpu_set_xcr0(struct vcpu *v, u64 val)
{
	v->xcr0 = val;
	return val & 1 ? 0 : EXC_GP;
}

void soft_fpu_load(struct vcpu *v)
{
	v->fpu_loaded = true;
}

/* Every access goes the long way. */
void *soft_tlb_miss(struct vcpu *v, u64 linear, u32 info, s32 site)
{
	(void)linear;
	(void)info;
	(void)site;
	v->scratch[0] = SOFT_ODD;
	return NULL;
}

static void count_flush(struct vcpu *v, bool keep_global)
{
	(void)v;
	(void)keep_global;
	flushes++;
}

static void count_page_flush(struct vcpu *v, u64 linear)
{
	(void)v;
	page_flushes++;
	flushed_page = linear;
}

static void count_switch(struct vcpu *v, u64 from, u64 to, bool keep)
{
	(void)from;
	(void)to;
	(void)keep;
	count_flush(v, v->cr4 & X86_CR4_PGE);
}

static const struct engine_ops fake_engine = {
	.flush_tlb = count_flush,
	.switch_space = count_switch,
	.flush_tlb_page = count_page_flush,
};

/* --- memory and descriptors --------------------------------------------------- */

static inline void put(u32 gpa, u64 val, u32 size)
{
	memcpy(low + gpa, &val, size);
}

static inline u64 get(u32 gpa, u32 size)
{
	u64 val = 0;

	memcpy(&val, low + gpa, size);
	return val;
}

static inline void put_desc(u32 sel, u32 base, u32 limit, u32 attr)
{
	u64 d = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attr & 0xf0ff) << 40 |
		(u64)(limit >> 16 & 15) << 48 | (u64)(base >> 24) << 56;

	put(GDT + sel, d, 8);
}

/* A gate of 8 bytes; type 4..7, 12, 14, 15. */
static inline void put_gate(u32 addr, u16 sel, u32 offset, u32 type, u32 dpl, u32 params)
{
	put(addr, (offset & 0xffff) | (u64)sel << 16 | (u64)(params | (type | dpl << 5 | 0x80) << 8)
	    << 32 | (u64)(offset >> 16) << 48, 8);
}

static inline void put_gate64(u32 addr, u16 sel, u64 offset, u32 type, u32 dpl, u32 ist)
{
	put_gate(addr, sel, (u32)offset, type, dpl, ist);
	put(addr + 8, offset >> 32, 8);
}

static inline u32 desc_attr(u32 sel)
{
	return (u32)(get(GDT + sel, 8) >> 40) & 0xf0ff;
}

/* Loads a segment register from the GDT without checks. */
static inline void force_seg(u8 seg, u16 sel)
{
	struct emu_desc d = { .lo = (u32)get(GDT + (sel & ~7u), 4),
			      .hi = (u32)get(GDT + (sel & ~7u) + 4, 4) };

	emu_desc_to_seg(&d, sel, &vcpu->seg[seg]);
}

static inline void build_gdt(void)
{
	put_desc(K_CODE, 0, 0xfffff, A_CODE | A_32);
	put_desc(K_DATA, 0, 0xfffff, A_DATA | A_32);
	put_desc(U_CODE, 0, 0xfffff, A_CODE | A_32 | A_DPL(3));
	put_desc(U_DATA, 0, 0xfffff, A_DATA | A_32 | A_DPL(3));
	put_desc(K_CODE16, 0, 0xffff, A_CODE);
	put_desc(K_DATA16, 0, 0xffff, A_DATA);
	put_desc(TSS_SEL, TSS, 0x67 + 0x40, SEG_P | 9);
	put_desc(LDT_SEL, LDT, 0x1f, SEG_P | 2);
	put_desc(K_CONF, 0, 0xfffff, A_CODE | SEG_E | A_32);
	put_desc(K_ABSENT, 0, 0xfffff, (A_DATA | A_32) & ~SEG_P);
	put_desc(K_CODE64, 0, 0xfffff, A_CODE | SEG_L | SEG_GRAN);
	put_desc(U_CODE64, 0, 0xfffff, A_CODE | SEG_L | SEG_GRAN | A_DPL(3));
	put_desc(U_ROCODE, 0, 0xfffff, (A_CODE & ~SEG_W) | A_32 | A_DPL(3));
	put_desc(K_RODATA, 0, 0xfffff, (A_DATA & ~SEG_W) | A_32);
	vcpu->gdt.base = GDT;
	vcpu->gdt.limit = GDT_END - 1;
	vcpu->idt.base = IDT;
	vcpu->idt.limit = 0xfff;
	vcpu->seg[SEG_TR] = (struct seg){ .base = TSS, .limit = 0x67 + 0x40, .attr = SEG_P | 11,
					  .selector = TSS_SEL };
}

static inline void setup_common(void)
{
	fake_vm_setup(NULL);
	fake_vm.engine = &fake_engine;
	memset(&fake_port, 0, sizeof(fake_port));
	flushes = page_flushes = 0;
	vcpu->pio_data = calloc(1, PAGE_SIZE);
	vcpu->arith = arith_from_rflags(0);
	vcpu->rip = CODE;
	vcpu->gpr[REG_RSP] = STACK;
	vcpu->xcr0 = 1;
	vcpu->dr6 = 0xffff0ff0;
	vcpu->dr7 = 0x400;
	vcpu->fpu_loaded = true;
	build_gdt();
}

/* Flat 32-bit protected mode without paging, at cpl 0 or 3. */
static inline int setup_32(u8 cpl)
{
	int i;

	setup_common();
	vcpu->cr0 = X86_CR0_PE;
	for (i = SEG_ES; i <= SEG_GS; i++)
		force_seg((u8)i, cpl ? U_DATA | 3 : K_DATA);
	force_seg(SEG_CS, cpl ? U_CODE | 3 : K_CODE);
	vcpu->cpl = cpl;
	return 0;
}

static inline int setup_real(void)
{
	int i;

	setup_common();
	vcpu->idt.base = 0;
	vcpu->idt.limit = 0x3ff;
	for (i = SEG_ES; i <= SEG_GS; i++)
		vcpu->seg[i] = (struct seg){ .limit = 0xffff, .attr = 0x93 };
	vcpu->seg[SEG_CS].selector = CODE >> 4;
	vcpu->seg[SEG_CS].base = CODE;
	vcpu->seg[SEG_SS].selector = STACK >> 4;
	vcpu->seg[SEG_SS].base = STACK;
	vcpu->rip = 0x100;
	vcpu->gpr[REG_RSP] = 0x1000;
	return 0;
}

/* Virtual-8086 mode on top of a 32-bit protected-mode GDT, IDT and TSS. */
static inline int setup_v86(u8 iopl)
{
	int i;

	setup_real();
	vcpu->idt.base = IDT;
	vcpu->idt.limit = 0xfff;
	vcpu->cr0 = X86_CR0_PE;
	vcpu->cpl = 3;
	vcpu->sysflags = X86_FL_VM | (u32)iopl << 12;
	for (i = SEG_ES; i <= SEG_GS; i++)
		vcpu->seg[i].attr = 0xf3;
	return 0;
}

/* 64-bit mode: the first 16 MB identity-mapped with large pages, for users too. */
static inline int setup_64(u8 cpl)
{
	u32 i;

	setup_32(cpl);
	put(ROOT, (ROOT + 0x1000) | 7, 8);
	put(ROOT + 0x1000, (ROOT + 0x2000) | 7, 8);
	for (i = 0; i < 8; i++)
		put(ROOT + 0x2000 + i * 8, i << 21 | 0xe7, 8);
	put_desc(TSS_SEL, TSS, 0x67 + 0x40, SEG_P | 9);
	put(GDT + TSS_SEL + 8, 0, 8);
	fake_long_mode(ROOT);
	force_seg(SEG_CS, cpl ? U_CODE64 | 3 : K_CODE64);
	return 0;
}

static inline int setup_done(void **state)
{
	free(vcpu->pio_data);
	return fake_vm_teardown(state);
}

/* --- running an instruction ------------------------------------------------------ */

static inline u32 code_bits(void)
{
	if (vcpu_64bit(vcpu))
		return 64;
	return vcpu->seg[SEG_CS].attr & SEG_DB ? 32 : 16;
}

static inline enum emu exec(const char *hex)
{
	struct insn in;
	u8 bytes[16];
	unsigned int b;
	u32 n = 0;
	int used;
	emu_fn fn;
	enum emu e;

	while (n < sizeof(bytes) && sscanf(hex, "%2x%n", &b, &used) == 1) {
		bytes[n++] = (u8)b;
		hex += used;
	}
	exc.raised = vcpu->exc.pending = false;
	assert_int_equal(insn_decode(&in, bytes, n, code_bits()), 0);
	assert_int_equal(in.len, n);
	fn = emu_lookup(&in, code_bits());
	assert_non_null(fn);
	e = fn(vcpu, &in);
	assert_true((e == EMU_FAULT) == exc.raised);
	if (e == EMU_NEXT)
		vcpu->rip += n;
	return e;
}

/* Runs an instruction that must raise vector(error) and change no register. */
static inline void exec_faults(const char *hex, u8 vector, u32 error)
{
	struct vcpu *before = malloc(sizeof(*before));

	memcpy(before, vcpu, sizeof(*before));
	assert_int_equal(exec(hex), EMU_FAULT);
	assert_int_equal(exc.vector, vector);
	assert_int_equal(exc.error, error);
	assert_memory_equal(before->gpr, vcpu->gpr, sizeof(vcpu->gpr));
	assert_memory_equal(before->seg, vcpu->seg, sizeof(vcpu->seg));
	assert_true(before->rip == vcpu->rip);
	assert_true(vcpu_rflags(before) == vcpu_rflags(vcpu));
	assert_int_equal(before->cpl, vcpu->cpl);
	free(before);
}

#endif

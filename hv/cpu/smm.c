/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System management mode: what an SMI saves, the state in which the handler
 * starts, and RSM (AMD64 APM vol. 2 chapter 10).
 *
 * The state is saved in AMD's formats whatever the vendor, as KVM does: the
 * 64-bit one (table 10-1, revision 20064h) when the guest's CPUID has long
 * mode, else the 32-bit one of the processors before (revision 20000h). There
 * is neither a restart of I/O instructions nor of HLT: a halted CPU goes on
 * behind it.
 *
 * The handler sees address space 1 of the memory slots (KVM API 4.35).
 */
#include "run.h"
#include "state.h"

#define SAVE_OFFSET 0xfe00u		/* from SMBASE */
#define ENTRY_OFFSET 0x8000u
#define AREA_FIRST 0x7e00u		/* offsets below count from SMBASE + 8000h */
#define AREA_SIZE 512u
#define REVISION 0x7efcu
#define DR7_INIT 0x400u

struct area {
	u8 bytes[AREA_SIZE];
};

static void put(struct area *a, u32 offset, u64 val, u32 size)
{
	host_memcpy(a->bytes + (offset - AREA_FIRST), &val, size);
}

static u64 get(const struct area *a, u32 offset, u32 size)
{
	u64 val = 0;

	host_memcpy(&val, a->bytes + (offset - AREA_FIRST), size);
	return val;
}

/* The order in which the formats list segments is ours: ES, CS, SS, DS, FS, GS. */
static u32 segment_attr(const struct vcpu *v, int i)
{
	u32 attr = v->seg[i].attr;

	if (i == SEG_SS)
		attr = (attr & ~(3u << SEG_DPL_SHIFT)) | (u32)v->cpl << SEG_DPL_SHIFT;
	if (i == SEG_TR)
		attr |= 2;
	return attr;
}

/* --- the 64-bit format ------------------------------------------------------------ */

static u32 offset64(int i)
{
	return i == SEG_TR ? 0x7e90 : i == SEG_LDTR ? 0x7e70 : 0x7e00 + (u32)i * 16;
}

static void save64(struct vcpu *v, struct area *a)
{
	u32 i;

	for (i = 0; i < 16; i++)
		put(a, 0x7ff8 - i * 8, v->gpr[i], 8);
	put(a, 0x7f78, v->rip, 8);
	put(a, 0x7f70, vcpu_rflags(v), 4);
	put(a, 0x7f68, v->dr6, 8);
	put(a, 0x7f60, v->dr7, 8);
	put(a, 0x7f58, v->cr0, 8);
	put(a, 0x7f50, v->cr3, 8);
	put(a, 0x7f48, v->cr4, 8);
	put(a, 0x7f00, v->smbase, 4);
	put(a, REVISION, 0x20064, 4);
	put(a, 0x7ed0, v->efer, 8);
	put(a, 0x7e84, v->idt.limit, 4);
	put(a, 0x7e88, v->idt.base, 8);
	put(a, 0x7e64, v->gdt.limit, 4);
	put(a, 0x7e68, v->gdt.base, 8);
	for (i = 0; i < SEG_COUNT; i++) {
		u32 at = offset64((int)i);

		put(a, at, v->seg[i].selector, 2);
		put(a, at + 2, segment_attr(v, (int)i), 2);
		put(a, at + 4, v->seg[i].limit, 4);
		put(a, at + 8, v->seg[i].base, 8);
	}
}

static void load_segment64(struct vcpu *v, const struct area *a, int i)
{
	u32 at = offset64(i);

	v->seg[i].selector = (u16)get(a, at, 2);
	v->seg[i].attr = (u32)get(a, at + 2, 2) & 0xf0ff;
	v->seg[i].limit = (u32)get(a, at + 4, 4);
	v->seg[i].base = get(a, at + 8, 8);
}

/* --- the 32-bit format ------------------------------------------------------------- */

static u32 offset32(int i)
{
	if (i == SEG_TR)
		return 0x7f5c;
	if (i == SEG_LDTR)
		return 0x7f78;
	return i < SEG_DS ? 0x7f84 + (u32)i * 12 : 0x7f2c + (u32)(i - SEG_DS) * 12;
}

static u32 selector32(int i)
{
	return i == SEG_TR ? 0x7fc4 : i == SEG_LDTR ? 0x7fc0 : 0x7fa8 + (u32)i * 4;
}

static void save32(struct vcpu *v, struct area *a)
{
	u32 i;

	put(a, 0x7ffc, v->cr0, 4);
	put(a, 0x7ff8, v->cr3, 4);
	put(a, 0x7ff4, vcpu_rflags(v), 4);
	put(a, 0x7ff0, v->rip, 4);
	for (i = 0; i < 8; i++)
		put(a, 0x7fd0 + i * 4, v->gpr[i], 4);
	put(a, 0x7fcc, v->dr6, 4);
	put(a, 0x7fc8, v->dr7, 4);
	put(a, 0x7f74, v->gdt.base, 4);
	put(a, 0x7f70, v->gdt.limit, 4);
	put(a, 0x7f58, v->idt.base, 4);
	put(a, 0x7f54, v->idt.limit, 4);
	put(a, 0x7f14, v->cr4, 4);
	put(a, REVISION, 0x20000, 4);
	put(a, 0x7ef8, v->smbase, 4);
	for (i = 0; i < SEG_COUNT; i++) {
		u32 at = offset32((int)i);

		put(a, selector32((int)i), v->seg[i].selector, 4);
		put(a, at, (u64)segment_attr(v, (int)i) << 8, 4);
		put(a, at + 4, v->seg[i].limit, 4);
		put(a, at + 8, v->seg[i].base, 4);
	}
}

static void load_segment32(struct vcpu *v, const struct area *a, int i)
{
	u32 at = offset32(i);

	v->seg[i].selector = (u16)get(a, selector32(i), 4);
	v->seg[i].attr = (u32)get(a, at, 4) >> 8 & 0xf0ff;
	v->seg[i].limit = (u32)get(a, at + 4, 4);
	v->seg[i].base = get(a, at + 8, 4);
}

/* --- entry --------------------------------------------------------------------------- */

void smm_changed(struct vcpu *v, bool smm)
{
	v->smm = smm;
	if (!smm)
		v->smm_inside_nmi = false;
	/* A latched INIT or another SMI may be due; all memory may be other memory. */
	vcpu_request(v, REQ_EVENT);
	vcpu_flush(v);
	v->vm->engine->state_changed(v);
}

static void handler_segments(struct vcpu *v)
{
	int i;

	for (i = SEG_ES; i <= SEG_GS; i++) {
		host_memset(&v->seg[i], 0, sizeof(v->seg[i]));
		v->seg[i].limit = 0xffffffff;
		v->seg[i].attr = SEG_P | SEG_S | SEG_W | SEG_A | SEG_GRAN;
	}
	v->seg[SEG_CS].selector = (u16)(v->smbase >> 4);
	v->seg[SEG_CS].base = (u32)v->smbase;
}

void smm_enter(struct vcpu *v)
{
	struct area a;

	host_memset(&a, 0, sizeof(a));
	if (vcpu_has(v, FEAT_LM))
		save64(v, &a);
	else
		save32(v, &a);
	smm_changed(v, true);
	vcpu_phys_write(v, (u32)v->smbase + (u64)SAVE_OFFSET, &a, sizeof(a));
	v->smm_inside_nmi = v->nmi.masked;
	v->nmi.masked = true;
	vcpu_set_rflags(v, X86_FL_FIXED);
	v->rip = ENTRY_OFFSET;
	v->cpl = 0;
	v->cr0 &= ~(X86_CR0_PE | X86_CR0_EM | X86_CR0_TS | X86_CR0_PG);
	v->cr4 = 0;
	v->efer = 0;
	v->idt.base = v->idt.limit = 0;
	v->dr7 = DR7_INIT;
	handler_segments(v);
	vcpu_cpuid_update(v);
	v->mode_stale = true;
}

/* --- RSM ------------------------------------------------------------------------------- */

/* In the order in which the processor lets one change these registers. */
static bool load_control(struct vcpu *v, u64 cr0, u64 cr3, u64 cr4)
{
	u64 pcid = cr4 & X86_CR4_PCIDE ? cr3 & 0xfff : 0;

	if (vcpu_set_cr3(v, cr3 & ~pcid) || vcpu_set_cr4(v, cr4 & ~X86_CR4_PCIDE) ||
	    vcpu_set_cr0(v, cr0))
		return false;
	if (!(cr4 & X86_CR4_PCIDE))
		return true;
	return !vcpu_set_cr4(v, cr4) && (!pcid || !vcpu_set_cr3(v, cr3));
}

static bool load64(struct vcpu *v, const struct area *a)
{
	u64 dr6 = get(a, 0x7f68, 8), dr7 = get(a, 0x7f60, 8);
	u32 i;

	if (dr6 >> 32 || dr7 >> 32)
		return false;
	for (i = 0; i < 16; i++)
		v->gpr[i] = get(a, 0x7ff8 - i * 8, 8);
	v->rip = get(a, 0x7f78, 8);
	v->dr6 = (dr6 & 0xe00f) | 0xffff0ff0;
	v->dr7 = (dr7 & 0xffff2bff) | DR7_INIT;
	v->smbase = get(a, 0x7f00, 4);
	v->idt.limit = (u16)get(a, 0x7e84, 4);
	v->idt.base = get(a, 0x7e88, 8);
	v->gdt.limit = (u16)get(a, 0x7e64, 4);
	v->gdt.base = get(a, 0x7e68, 8);
	if (vcpu_set_efer(v, get(a, 0x7ed0, 8) & ~X86_EFER_LMA) ||
	    !load_control(v, get(a, 0x7f58, 8), get(a, 0x7f50, 8), get(a, 0x7f48, 8)))
		return false;
	for (i = 0; i < SEG_COUNT; i++)
		load_segment64(v, a, (int)i);
	vcpu_set_rflags(v, get(a, 0x7f70, 4) | X86_FL_FIXED);
	return true;
}

static bool load32(struct vcpu *v, const struct area *a)
{
	u32 i;

	for (i = 0; i < 8; i++)
		v->gpr[i] = get(a, 0x7fd0 + i * 4, 4);
	v->rip = get(a, 0x7ff0, 4);
	v->dr6 = (get(a, 0x7fcc, 4) & 0xe00f) | 0xffff0ff0;
	v->dr7 = (get(a, 0x7fc8, 4) & 0xffff2bff) | DR7_INIT;
	v->gdt.base = get(a, 0x7f74, 4);
	v->gdt.limit = (u16)get(a, 0x7f70, 4);
	v->idt.base = get(a, 0x7f58, 4);
	v->idt.limit = (u16)get(a, 0x7f54, 4);
	v->smbase = get(a, 0x7ef8, 4);
	if (!load_control(v, get(a, 0x7ffc, 4), get(a, 0x7ff8, 4), get(a, 0x7f14, 4)))
		return false;
	for (i = 0; i < SEG_COUNT; i++)
		load_segment32(v, a, (int)i);
	vcpu_set_rflags(v, get(a, 0x7ff4, 4) | X86_FL_FIXED);
	return true;
}

bool smm_leave(struct vcpu *v)
{
	struct area a;
	bool ok;

	if (vcpu_phys_read(v, (u32)v->smbase + (u64)SAVE_OFFSET, &a, sizeof(a)))
		return false;
	if (!v->smm_inside_nmi)
		v->nmi.masked = false;
	smm_changed(v, false);
	/* From real mode, as the loads below check. */
	v->cr0 &= ~(X86_CR0_PE | X86_CR0_PG);
	v->cr4 &= ~(X86_CR4_PCIDE | X86_CR4_PAE);
	v->efer = 0;
	v->seg[SEG_CS].attr &= ~SEG_L;
	v->sysflags &= ~X86_FL_VM;
	v->cpl = 0;
	ok = vcpu_has(v, FEAT_LM) ? load64(v, &a) : load32(v, &a);
	vcpu_update_cpl(v);
	vcpu_cpuid_update(v);
	v->mode_stale = true;
	v->vm->engine->flush_tlb(v, false);
	return ok;
}

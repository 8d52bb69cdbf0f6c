/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtual CPU: its architectural state, its pending events and what ties it
 * to its VM, its descriptor and its engine.
 *
 * The state is x86's as in the AMD64 Architecture Programmer's Manual vol. 2
 * and the Intel SDM vol. 3. Two pieces are kept the way the software engine
 * computes with them, and read and written through the functions below:
 * RFLAGS, split into arithmetic flags, IF and the rest; and the segments,
 * whose descriptor caches hold bytes-exact limits.
 */
#ifndef HV_CPU_VCPU_H
#define HV_CPU_VCPU_H

#include <linux/kvm.h>

#include "../host/host.h"

struct vm;
struct lapic;
struct stats;
struct memslot;
struct dirty_ring;

enum { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8 };
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

#define X86_FL_CF BIT(0)
#define X86_FL_FIXED BIT(1)
#define X86_FL_PF BIT(2)
#define X86_FL_AF BIT(4)
#define X86_FL_ZF BIT(6)
#define X86_FL_SF BIT(7)
#define X86_FL_TF BIT(8)
#define X86_FL_IF BIT(9)
#define X86_FL_DF BIT(10)
#define X86_FL_OF BIT(11)
#define X86_FL_IOPL (3u << 12)
#define X86_FL_NT BIT(14)
#define X86_FL_RF BIT(16)
#define X86_FL_VM BIT(17)
#define X86_FL_AC BIT(18)
#define X86_FL_VIF BIT(19)
#define X86_FL_VIP BIT(20)
#define X86_FL_ID BIT(21)
#define X86_FL_ARITH (X86_FL_CF | X86_FL_PF | X86_FL_AF | X86_FL_ZF | X86_FL_SF | X86_FL_OF)
#define X86_FL_ALL (X86_FL_ARITH | 0x3f7700u)

#define X86_CR0_PE BIT64(0)
#define X86_CR0_MP BIT64(1)
#define X86_CR0_EM BIT64(2)
#define X86_CR0_TS BIT64(3)
#define X86_CR0_ET BIT64(4)
#define X86_CR0_NE BIT64(5)
#define X86_CR0_WP BIT64(16)
#define X86_CR0_AM BIT64(18)
#define X86_CR0_NW BIT64(29)
#define X86_CR0_CD BIT64(30)
#define X86_CR0_PG BIT64(31)
#define X86_CR4_VME BIT64(0)
#define X86_CR4_PVI BIT64(1)
#define X86_CR4_TSD BIT64(2)
#define X86_CR4_DE BIT64(3)
#define X86_CR4_PSE BIT64(4)
#define X86_CR4_PAE BIT64(5)
#define X86_CR4_MCE BIT64(6)
#define X86_CR4_PGE BIT64(7)
#define X86_CR4_PCE BIT64(8)
#define X86_CR4_OSFXSR BIT64(9)
#define X86_CR4_OSXMMEXCPT BIT64(10)
#define X86_CR4_UMIP BIT64(11)
#define X86_CR4_FSGSBASE BIT64(16)
#define X86_CR4_PCIDE BIT64(17)
#define X86_CR4_OSXSAVE BIT64(18)
#define X86_CR4_SMEP BIT64(20)
#define X86_CR4_SMAP BIT64(21)
#define X86_EFER_SCE BIT64(0)
#define X86_EFER_LME BIT64(8)
#define X86_EFER_LMA BIT64(10)
#define X86_EFER_NX BIT64(11)

enum {
	EXC_DE, EXC_DB, EXC_NMI, EXC_BP, EXC_OF, EXC_BR, EXC_UD, EXC_NM, EXC_DF,
	EXC_TS = 10, EXC_NP, EXC_SS, EXC_GP, EXC_PF, EXC_MF = 16, EXC_AC, EXC_MC, EXC_XM,
};

/* Segment attributes: descriptor bits 40..55 with the limit nibble left out. */
#define SEG_A BIT(0)		/* accessed (code or data) */
#define SEG_W BIT(1)		/* data: writable; code: readable */
#define SEG_E BIT(2)		/* data: expand down; code: conforming */
#define SEG_CODE BIT(3)
#define SEG_S BIT(4)		/* code or data, not a system segment */
#define SEG_DPL_SHIFT 5
#define SEG_P BIT(7)
#define SEG_AVL BIT(12)
#define SEG_L BIT(13)
#define SEG_DB BIT(14)
#define SEG_GRAN BIT(15)
#define SEG_TYPE(attr) ((attr) & 15)
#define SEG_DPL(attr) ((attr) >> SEG_DPL_SHIFT & 3)

struct seg {
	u64 base;
	u32 limit;	/* highest offset, in bytes (granularity applied) */
	u32 attr;	/* SEG_*; SEG_P clear also stands for "unusable" (null) */
	u16 selector;
	u16 rsvd[3];
};

struct dtable {
	u64 base;
	u16 limit;
};

/* Requests that other threads make of a vCPU (struct vcpu's request word). */
#define REQ_EVENT BIT(0)	/* an interrupt, NMI, INIT or SIPI may be deliverable */
#define REQ_TLB_FLUSH BIT(1)	/* forget all address translations */
#define REQ_EXIT BIT(2)		/* leave KVM_RUN with EINTR (signal, immediate_exit) */
#define REQ_MODE BIT(3)		/* the engine's own: the CPU's mode changed */
#define REQ_ENGINE BIT(4)	/* the engine's own work */
#define REQ_CLOCK BIT(5)	/* kvmclock must be written anew */
#define REQ_UNHALT BIT(6)	/* another vCPU's kick out of HLT (KVM_HC_KICK_CPU) */
#define REQ_SMI BIT(7)
#define REQ_ASYNC_PF BIT(8)	/* the guest may be told that pages are there */

/* Exits to user space that the instruction under way asks for, when it has retired. */
#define WANT_IOAPIC_EOI BIT(0)	/* of v->eoi_vector */
#define WANT_TPR_ACCESS BIT(1)	/* v->tpr_rip, v->tpr_write */
#define WANT_SET_TPR BIT(2)

struct pending_exception {
	bool pending;		/* raised by the current instruction or by user space */
	bool injected;		/* its delivery through the IDT has begun (KVM_GET_VCPU_EVENTS) */
	bool has_error;
	u8 vector;
	u32 error;
	bool has_payload;
	u64 payload;		/* CR2 of a #PF, DR6 bits of a #DB, not yet in the register */
};

/* A piece of an MMIO access that user space must perform. */
struct mmio_fragment {
	u64 gpa;
	u32 len;
	u8 data[8];
};
#define MMIO_FRAGMENTS 64

struct vcpu {
	/*
	 * The software engine's translated code addresses this first part
	 * with short displacements; offsets are asserted in soft/.
	 */
	u64 code_delta;		/* engine: linear RIP minus the low 32 bits of its gpa */
	u32 request;		/* atomic: REQ_* */
	u16 arith;		/* arithmetic flags, in the form of ARITH_* below */
	u8 irq_enable;		/* RFLAGS.IF: 0 or 1 */
	u8 irq_shadow;		/* KVM_X86_SHADOW_INT_*: blocks events for one instruction */
	u32 ret_top[2];		/* engine: the tops of its stacks of calls */
	u64 gpr[16];
	struct seg seg[SEG_COUNT];

	u64 rip;
	u32 sysflags;		/* RFLAGS without arithmetic flags, IF and the fixed bit */
	u8 cpl;
	bool mode_stale;	/* CRx, EFER, CS, SS.. changed: the engine must look anew */
	u64 site_save[2];	/* engine */
	u64 scratch[2];		/* engine */
	u32 ret_top_last;	/* engine */
	s32 pauses;		/* engine: PAUSEs until others may run */
	void *data_tlb;		/* engine: its TLB of the present mode */
	u32 data_rights;	/* engine: mmu_rights() of that mode */
	u64 share[16];		/* engine: what checks for several accesses found */

	u64 cr0, cr2, cr3, cr4, cr8, efer, xcr0;
	u64 dr[4], dr6, dr7;
	struct dtable gdt, idt;
	u64 pdpte[4];		/* PAE: the loaded page-directory pointers */

	/* MSRs */
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 apic_base, pat, misc_enable, tsc_aux, tsc_adjust, xss;
	u64 mtrr_def, mtrr_fixed[11], mtrr_var[16];
	u64 mcg_cap, mcg_status, mcg_ctl, mce_banks[32 * 4];
	u64 debugctl, spec_ctrl, smbase;
	u64 kvm_wall_clock, kvm_system_time, kvm_steal_time, kvm_pv_eoi, kvm_async_pf,
		kvm_async_pf_int, kvm_poll_control;
	/* Guest TSC = (host TSC * tsc_scale >> 48) + tsc_offset. */
	u64 tsc_offset, tsc_scale;
	u32 tsc_khz;

	/* x87, SSE and extended state, in the standard (uncompacted) format. */
	u8 xsave[4096] __attribute__((aligned(64)));
	bool fpu_loaded;	/* it is in the host's registers instead */

	struct pending_exception exc;
	struct {
		bool injected, soft;	/* delivery begun, must be retried */
		u8 vector;
	} intr;
	struct {
		u8 pending;	/* 0..2, atomic */
		bool injected, masked;
	} nmi;
	bool triple_fault;
	u8 user_irq;		/* KVM_INTERRUPT's vector for the LAPIC's ExtINT: split irqchip */
	bool user_irq_pending;

	u32 mp_state;		/* KVM_MP_STATE_* */
	u32 sipi_vector;
	u32 halt_word;		/* futex: raised by whoever wakes a halted vCPU */
	u32 sleeping;		/* atomic: it waits there */

	/*
	 * MMIO and port I/O under way in user space (cpu/exit.c). mmio holds
	 * the reads that this instruction made so far, mmio_write its writes.
	 */
	struct mmio_fragment mmio[MMIO_FRAGMENTS];
	struct mmio_fragment mmio_write[MMIO_FRAGMENTS];
	u32 mmio_reads;		/* reads answered so far for this instruction */
	u32 mmio_read_next;	/* next answered read to consume when it restarts */
	u32 mmio_writes;	/* writes waiting to be told to user space */
	u32 mmio_write_next;	/* the first of them not told yet */
	int (*complete)(struct vcpu *v);	/* runs at the next KVM_RUN */
	struct {
		u16 port;
		u8 size;
		bool in, rep;
		u32 count;
		/* INS, to go on with when user space has answered: its form and place */
		u8 addrsize, len;
		u64 rip;
	} pio;

	/* ties */
	struct vm *vm;
	u32 id;			/* KVM_CREATE_VCPU's argument, the APIC id */
	u32 index;		/* 0.. in order of creation */
	struct lapic *lapic;	/* NULL without an in-kernel irqchip */
	struct kvm_run *run;	/* page 0 of the descriptor's memory; page 1: PIO data */
	void *pio_data;
	int fd;
	struct host_mutex lock;	/* held over every vCPU ioctl */
	u32 running;		/* atomic: 1 while the thread is inside the engine */
	bool irq_window_open;
	bool irq_blocked;	/* an event waits for RFLAGS.IF or the shadow's end */
	void *system_tlb;	/* engine: its TLB for implicit accesses at any CPL, NULL: none */
	bool irq_inside;	/* the interrupt taken last was from a CPU or its timer, no device */
	u64 debug_dr6;		/* ENGINE_DEBUG: what KVM_EXIT_DEBUG reports */
	bool fault_stack;	/* the access under way is to the stack segment */
	/* soft/mmu: the slots that page tables and data were last found in. */
	struct {
		const void *slots;
		struct memslot *slot;
	} mmu_hint[2];

	struct kvm_cpuid_entry2 *cpuid;
	u32 cpuid_count;
	u64 cpuid_maxphyaddr;	/* bits */
	struct kvm_guest_debug guest_debug;
	u64 sigmask;
	bool sigmask_set;

	struct {
		u64 exits, io_exits, mmio_exits, irq_injections, halt_exits, hypercalls,
			insn_emulation, signal_exits, nmi_injections, request_irq_exits,
			halt_wait_ns, page_walks;
	} stat;

	/* MSRs that only cpu/msr.c knows. */
	u64 ucode_rev, arch_capabilities, platform_info, misc_features, power_ctl, hwcr;
	u64 osvw_length, osvw_status, smi_count, feature_control, de_cfg, mci_ctl2[32];
	u64 mcg_ext_ctl;
	bool cpuid_set;		/* KVM_SET_CPUID2 was called: CPUID limits what may be set */
	bool has_run;		/* KVM_RUN was called: CPUID is settled */
	bool clock_stopped;	/* KVM_KVMCLOCK_CTRL: tell the guest that it was paused */
	bool tpr_reporting;
	u64 vapic_addr;
	bool pv_enforce;	/* KVM_CAP_ENFORCE_PV_FEATURE_CPUID */
	/* The instruction that user space completes, and where it goes on: vcpu_skip(). */
	u64 exit_rip, next_rip;
	u64 steal_seen, steal_tsc;	/* the thread's run delay (ns) when it was last told */
	bool apf_wake, apf_told;	/* the guest's tasks are to be woken; it has not acknowledged yet */
	bool steal_stopped;	/* the guest's memory says that it does not run */
	bool pv_eoi_pending;	/* irq/pv.c: the guest may end its interrupt in memory */
	struct stats *stats;	/* vm/stats.c */

	u8 wants;		/* WANT_*; with REQ_EVENT */
	u8 eoi_vector;
	bool tpr_write;
	u64 tpr_rip;
	bool pv_unhalted;	/* kicked: the next HLT, or the present one, ends at once */
	bool halted_inside;	/* in a HLT that user space does not see (KVM_CAP_X86_DISABLE_EXITS) */
	bool smm, smm_inside_nmi, smi_pending;	/* cpu/smm.c */
	struct dirty_ring *dirty_ring;	/* vm/dirty_ring.c; NULL: none */
};

/* Arithmetic flags as SETO AL; LAHF leave them in AX: OF in bit 0, the rest in bits 8..15. */
static inline u16 arith_from_rflags(u64 fl)
{
	return (u16)((fl & 0xd5) << 8 | (fl >> 11 & 1) | 0x200);
}

static inline u64 arith_to_rflags(u16 a)
{
	return (a >> 8 & 0xd5) | (u64)(a & 1) << 11;
}

static inline u64 vcpu_rflags(const struct vcpu *v)
{
	return arith_to_rflags(v->arith) | v->sysflags | (v->irq_enable ? X86_FL_IF : 0) |
	       X86_FL_FIXED;
}

/* Takes all defined bits of fl. Bits that select the CPU's mode mark it stale. */
static inline void vcpu_set_rflags(struct vcpu *v, u64 fl)
{
	u32 sys = (u32)fl & X86_FL_ALL & ~(X86_FL_ARITH | X86_FL_IF);

	if ((sys ^ v->sysflags) & (X86_FL_TF | X86_FL_VM | X86_FL_AC | X86_FL_IOPL | X86_FL_RF))
		v->mode_stale = true;
	v->sysflags = sys;
	v->arith = arith_from_rflags(fl);
	v->irq_enable = !!(fl & X86_FL_IF);
}

/* The debug registers in force: the guest's, or those of KVM_SET_GUEST_DEBUG. */
static inline u64 vcpu_dr7(const struct vcpu *v)
{
	return v->guest_debug.control & KVM_GUESTDBG_USE_HW_BP ? v->guest_debug.arch.debugreg[7] :
								 v->dr7;
}

static inline u64 vcpu_dr(const struct vcpu *v, int i)
{
	return v->guest_debug.control & KVM_GUESTDBG_USE_HW_BP ? v->guest_debug.arch.debugreg[i] :
								 v->dr[i];
}

static inline bool vcpu_long_mode(const struct vcpu *v)
{
	return v->efer & X86_EFER_LMA;
}

/* 64-bit mode proper (not compatibility mode). */
static inline bool vcpu_64bit(const struct vcpu *v)
{
	return (v->efer & X86_EFER_LMA) && (v->seg[SEG_CS].attr & SEG_L);
}

static inline bool vcpu_protected(const struct vcpu *v)
{
	return v->cr0 & X86_CR0_PE;
}

static inline bool vcpu_v86(const struct vcpu *v)
{
	return v->sysflags & X86_FL_VM;
}

static inline bool vcpu_real_or_v86(const struct vcpu *v)
{
	return !vcpu_protected(v) || vcpu_v86(v);
}

/* Asks bits of v, from any thread, and gets its attention wherever it is. */
void vcpu_request(struct vcpu *v, u32 bits);

/*
 * Raises an exception at the current instruction (v->rip); it is delivered
 * when the instruction's emulation returns EMU_FAULT. A second exception
 * during delivery becomes #DF or a triple fault as the manuals' table says.
 */
void vcpu_raise(struct vcpu *v, u8 vector);
void vcpu_raise_error(struct vcpu *v, u8 vector, u32 error);
void vcpu_raise_pf(struct vcpu *v, u64 addr, u32 error);
/* #DB with the given DR6 bits. */
void vcpu_raise_db(struct vcpu *v, u64 dr6);

/*
 * The control registers as their instructions set them, with every check and
 * side effect (TLB, mode, PDPTE load). 0, or the exception vector to raise
 * (#GP(0) or #UD). Callers: emulation and KVM_SET_SREGS.
 */
int vcpu_set_cr0(struct vcpu *v, u64 val);
int vcpu_set_cr3(struct vcpu *v, u64 val);
int vcpu_set_cr4(struct vcpu *v, u64 val);
int vcpu_set_cr8(struct vcpu *v, u64 val);
int vcpu_set_efer(struct vcpu *v, u64 val);
int vcpu_set_xcr0(struct vcpu *v, u64 val);
u64 vcpu_get_cr8(struct vcpu *v);

/*
 * MSRs. 0, 1 (a bad value, or not for this caller) or 2 (no such MSR): #GP for
 * a guest, a short count for KVM_GET/SET_MSRS. host: the access comes from
 * user space.
 */
int vcpu_get_msr(struct vcpu *v, u32 index, u64 *val, bool host);
int vcpu_set_msr(struct vcpu *v, u32 index, u64 val, bool host);
/*
 * The guest's own RDMSR and WRMSR at v->rip, with user space's filter and
 * exits. 0: done; 1: #GP(0) is due; -1: user space must act before the guest
 * goes on at next_rip (v->run and v->complete are set).
 */
int vcpu_guest_rdmsr(struct vcpu *v, u32 index, u64 *val, u64 next_rip);
int vcpu_guest_wrmsr(struct vcpu *v, u32 index, u64 val, u64 next_rip);

/* The CPUID leaf that the guest sees; zeroes when the caller set none. */
void vcpu_cpuid(struct vcpu *v, u32 leaf, u32 subleaf, u32 out[4]);
const struct kvm_cpuid_entry2 *vcpu_cpuid_entry(struct vcpu *v, u32 leaf, u32 subleaf);
/* Recomputes what depends on CPUID, CR4 or XCR0 (OSXSAVE, APIC bits, leaf 0xd). */
void vcpu_cpuid_update(struct vcpu *v);

/* Power-up or INIT state (SDM vol. 3, table 10-1). */
void vcpu_reset(struct vcpu *v, bool init);

/* The guest's time stamp counter now, and the host's at a guest value. */
u64 vcpu_guest_tsc(struct vcpu *v);
u64 vcpu_guest_to_host_tsc(struct vcpu *v, u64 guest);

/* The hypercall that the registers hold: 0: answered; 1: v->run is filled for user space. */
int vcpu_hypercall(struct vcpu *v, u64 next_rip);

/*
 * kvmclock (cpu/pvclock.c). v writes its page, and those of others that wait for it: a
 * program may read the page of CPU 0 wherever it runs, as Linux's vDSO does, and must not
 * see what was there before a KVM_SET_CLOCK.
 */
void pvclock_update(struct vcpu *v);
void pvclock_write_wall_clock(struct vcpu *v, u64 gpa);

/*
 * Leaves an instruction at v->rip to user space: complete runs at the next
 * KVM_RUN, when user space has answered, and ends it with vcpu_skip(). Until
 * then rip stays.
 */
void vcpu_leave_to_user(struct vcpu *v, int (*complete)(struct vcpu *), u64 next_rip);
/*
 * Retires that instruction, with its single-step trap. Does nothing when user
 * space has moved rip. For v->complete to return: 0, or 1 for an exit.
 */
int vcpu_skip(struct vcpu *v);
/* True when rip is still that instruction. */
bool vcpu_exit_stands(const struct vcpu *v);

/*
 * System management mode (cpu/smm.c): entry, RSM (false: shutdown), and what
 * follows a change of v->smm.
 */
void smm_enter(struct vcpu *v);
bool smm_leave(struct vcpu *v);
void smm_changed(struct vcpu *v, bool smm);

/*
 * KVM_RUN: 0, or -EINTR and the like. The caller holds v->lock.
 */
int vcpu_run(struct vcpu *v);

#endif

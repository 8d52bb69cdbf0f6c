/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a vCPU engine must provide, as KVM's x86_ops: common code decides
 * what to run and which event to deliver, the engine runs it. There is one
 * today (soft/), and an AMD-V one is planned.
 */
#ifndef HV_CPU_ENGINE_H
#define HV_CPU_ENGINE_H

#include "vcpu.h"

struct memslot;

/* Why engine->run came back. */
enum engine_exit {
	ENGINE_REQUEST,		/* a request is waiting, or an event may be due */
	ENGINE_HALT,		/* HLT retired */
	ENGINE_USER,		/* v->run is filled, or MMIO fragments wait for user space */
	ENGINE_TRIPLE_FAULT,
	ENGINE_DEBUG,		/* a breakpoint of KVM_SET_GUEST_DEBUG; v->debug_dr6 */
	ENGINE_EFAULT,		/* a slot's memory is not there: KVM_RUN fails with EFAULT */
	ENGINE_INTERNAL,	/* v->run holds KVM_EXIT_INTERNAL_ERROR */
};

#define ENGINE_STAT_NAME 48

enum engine_stat {
	ENGINE_STAT_COUNT,
	ENGINE_STAT_NS,		/* nanoseconds in all */
	ENGINE_STAT_PEAK,	/* the greatest value that there was */
};

struct engine_ops {
	const char *name;
	int (*vm_init)(struct vm *vm);
	void (*vm_destroy)(struct vm *vm);
	/* Memory for what the engine makes of guest code, in bytes; there are no vCPUs. */
	int (*code_cache)(struct vm *vm, u64 size);
	/* A zeroed vCPU with the engine's state behind it. */
	struct vcpu *(*vcpu_alloc)(struct vm *vm);
	void (*vcpu_free)(struct vcpu *v);
	/* A KVM_RUN begins: user space may have written guest memory since the last. */
	void (*entered)(struct vcpu *v);
	/* Runs until something must be decided. */
	enum engine_exit (*run)(struct vcpu *v);
	/*
	 * Delivers an event through the IDT at v->rip: an exception, NMI,
	 * external or software interrupt. Returns an EMU_* code: EMU_JUMP when
	 * done, EMU_FAULT when the delivery itself raised one.
	 */
	int (*deliver)(struct vcpu *v, u8 vector, bool soft_int, bool has_error, u32 error);
	/* Brings x87/vector state into v->xsave; the next run loads it again. */
	void (*fpu_put)(struct vcpu *v);
	/* Forget translations of addresses: all, all but global ones, or one page's. */
	void (*flush_tlb)(struct vcpu *v, bool keep_global);
	/*
	 * CR3 was from and is to, with its PCID; keep: translations of that PCID
	 * are still right. Those of global pages stay.
	 */
	void (*switch_space)(struct vcpu *v, u64 from, u64 to, bool keep);
	void (*flush_tlb_page)(struct vcpu *v, u64 linear);
	/*
	 * KVM_TRANSLATE: fills all but linear_address. The caller holds v->lock and
	 * keeps the slots (vm_slots_begin); v does not run. NULL: not offered.
	 */
	int (*translate)(struct vcpu *v, struct kvm_translation *tr);
	/* The guest asks user space for something without an exit: memory may be written for it. */
	void (*asked)(struct vm *vm);
	/* User space may have written guest memory or registers behind our back. */
	void (*state_changed)(struct vcpu *v);
	/* A slot comes: 0 or -ENOMEM. It went, or changed; no vCPU uses the old one any more. */
	int (*slot_added)(struct vm *vm, struct memslot *s);
	void (*slot_removed)(struct vm *vm, struct memslot *s);
	/* The hypervisor itself wrote guest-physical memory, which is in s. */
	void (*memory_written)(struct vm *vm, struct memslot *s, u64 gpa, u64 len);
	/*
	 * The engine's own counters of a vCPU, for KVM_GET_STATS_FD: the name of the
	 * i-th (ENGINE_STAT_NAME bytes), and what kind it is; false when there are no
	 * more. Then all values, in that order, of a vCPU that does not
	 * run.
	 */
	bool (*stat_name)(u32 i, char *name, enum engine_stat *kind);
	void (*stat_values)(struct vcpu *v, u64 *out);
};

extern const struct engine_ops soft_engine;

#endif

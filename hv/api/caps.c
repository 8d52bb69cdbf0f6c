/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM_CHECK_EXTENSION and KVM_ENABLE_CAP of a VM (KVM API sections 4.4, 4.37,
 * 7, 8). What is not in the list is not there and answers 0.
 */
#include <anykvm.h>
#include <errno.h>
#include <linux/kvm_para.h>

#include "api.h"

/* The oddities that KVM keeps for old callers, and that can be switched off. */
#define QUIRKS (KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_CD_NW_CLEARED | \
		KVM_X86_QUIRK_LAPIC_MMIO_HOLE | KVM_X86_QUIRK_OUT_7E_INC_RIP | \
		KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | KVM_X86_QUIRK_FIX_HYPERCALL_INSN | \
		KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)
/* MWAIT of guests never idles the host's CPU: there is no such exit to disable. */
#define DISABLE_EXITS (KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE | \
		       KVM_X86_DISABLE_EXITS_CSTATE)
#define EXIT_HYPERCALLS BIT(KVM_HC_MAP_GPA_RANGE)
#define MSR_REASONS (KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
		     KVM_MSR_EXIT_REASON_FILTER)

static const struct {
	u32 cap, answer;
} caps[] = {
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_HLT, 1 },
	{ KVM_CAP_MMU_SHADOW_CACHE_CONTROL, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_EXT_CPUID, 1 },
	{ KVM_CAP_EXT_EMUL_CPUID, 1 },
	{ KVM_CAP_CLOCKSOURCE, 1 },
	{ KVM_CAP_NR_MEMSLOTS, VM_MAX_SLOTS },
	{ KVM_CAP_PIT, 1 },
	{ KVM_CAP_NOP_IO_DELAY, 1 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_COALESCED_MMIO, KVM_COALESCED_MMIO_PAGE_OFFSET },
	{ KVM_CAP_COALESCED_PIO, 1 },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_USER_NMI, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG2, GUESTDBG_VALID },
	{ KVM_CAP_REINJECT_CONTROL, 1 },
	{ KVM_CAP_IRQ_ROUTING, VM_MAX_GSI },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1 },
	{ KVM_CAP_MCE, MCE_BANKS },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_PIT2, 1 },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1 },
	{ KVM_CAP_SPLIT_IRQCHIP, 1 },
	{ KVM_CAP_VAPIC, 1 },
	{ KVM_CAP_PIT_STATE2, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	{ KVM_CAP_ADJUST_CLOCK,
	  KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_DEBUGREGS, 1 },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1 },
	{ KVM_CAP_ENABLE_CAP, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_XSAVE, 1 },
	{ KVM_CAP_XSAVE2, sizeof(struct kvm_xsave) },
	{ KVM_CAP_XCRS, 1 },
	{ KVM_CAP_GET_TSC_KHZ, 1 },
	{ KVM_CAP_ASYNC_PF, 1 },
	{ KVM_CAP_ASYNC_PF_INT, 1 },
	{ KVM_CAP_TSC_CONTROL, 1 },
	{ KVM_CAP_VM_TSC_CONTROL, 1 },
	{ KVM_CAP_MAX_VCPUS, VM_MAX_VCPUS },
	{ KVM_CAP_MAX_VCPU_ID, VM_MAX_VCPU_ID },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1 },
	{ KVM_CAP_KVMCLOCK_CTRL, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_MULTI_ADDRESS_SPACE, VM_ADDRESS_SPACES },
	{ KVM_CAP_X86_SMM, 1 },
	{ KVM_CAP_IOAPIC_POLARITY_IGNORED, 1 },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_SYNC_REGS, KVM_SYNC_FIELDS },
	{ KVM_CAP_X2APIC_API,
	  KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_GET_MSR_FEATURES, 1 },
	{ KVM_CAP_MSR_PLATFORM_INFO, 1 },
	{ KVM_CAP_EXCEPTION_PAYLOAD, 1 },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
	  KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET },
	{ KVM_CAP_DIRTY_LOG_RING, DIRTY_RING_MAX },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, DIRTY_RING_MAX },
	{ KVM_CAP_SREGS2, 1 },
	{ KVM_CAP_X86_USER_SPACE_MSR, 1 },
	{ KVM_CAP_X86_MSR_FILTER, 1 },
	{ KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1 },
	{ KVM_CAP_DISABLE_QUIRKS, 1 },
	{ KVM_CAP_DISABLE_QUIRKS2, QUIRKS },
	{ KVM_CAP_X86_DISABLE_EXITS, DISABLE_EXITS },
	{ KVM_CAP_HALT_POLL, 1 },
	{ KVM_CAP_EXIT_HYPERCALL, EXIT_HYPERCALLS },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1 },
	{ KVM_CAP_BINARY_STATS_FD, 1 },
	{ KVM_CAP_VCPU_ATTRIBUTES, 1 },
	{ KVM_CAP_SYS_ATTRIBUTES, 1 },
	{ ANYKVM_CAP_CODE_CACHE, ANYKVM_CODE_CACHE_MAX },
};

long api_check_extension(u64 cap)
{
	u64 delay;
	u32 i;

	if (cap == KVM_CAP_STEAL_TIME)
		return host_run_delay(&delay);
	if (cap == KVM_CAP_NR_VCPUS)
		return MIN(host_cpu_count(), (u32)VM_MAX_VCPUS);
	for (i = 0; i < ARRAY_SIZE(caps); i++)
		if (caps[i].cap == cap)
			return caps[i].answer;
	return 0;
}

static long x2apic_api(struct vm *vm, u64 flags)
{
	if (flags & ~(u64)(KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK))
		return -EINVAL;
	if (flags & KVM_X2APIC_API_USE_32BIT_IDS)
		vm->x2apic_api_32bit = true;
	if (flags & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		vm->x2apic_no_broadcast_quirk = true;
	return 0;
}

static long manual_dirty_log(struct vm *vm, u64 flags)
{
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	if (flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		allowed |= KVM_DIRTY_LOG_INITIALLY_SET;
	if (flags & ~allowed)
		return -EINVAL;
	vm->manual_dirty_log = flags;
	return 0;
}

/* May be set once, and not after the first vCPU has set it to the maximum. */
static long max_vcpu_id(struct vm *vm, u64 id)
{
	long r = -EINVAL;

	if (id > VM_MAX_VCPU_ID)
		return -EINVAL;
	host_mutex_lock(&vm->lock);
	if (!vm->max_vcpu_id || vm->max_vcpu_id == id) {
		vm->max_vcpu_id = (u32)id;
		r = 0;
	}
	host_mutex_unlock(&vm->lock);
	return r;
}

static long split_irqchip(struct vm *vm, u64 pins)
{
	long r = vm_start_poller(vm);

	if (r)
		return r;
	host_mutex_lock(&vm->lock);
	r = irqchip_create_split(vm, pins);
	host_mutex_unlock(&vm->lock);
	return r;
}

static long code_cache(struct vm *vm, u64 size)
{
	long r = -EEXIST;

	host_mutex_lock(&vm->lock);
	if (!vm->vcpu_count)
		r = vm->engine->code_cache(vm, size);
	host_mutex_unlock(&vm->lock);
	return r;
}

static long halt_poll(struct vm *vm, u64 ns)
{
	if (ns >> 32)
		return -EINVAL;
	vm->max_halt_poll_ns = ns;
	__atomic_store_n(&vm->halt_poll_set, true, __ATOMIC_RELEASE);
	return 0;
}

/* Takes val when it has no other bits than those of valid. */
static long take_bits(u64 *field, u64 val, u64 valid)
{
	if (val & ~valid)
		return -EINVAL;
	*field = val;
	return 0;
}

long api_vm_enable_cap(struct vm *vm, const struct kvm_enable_cap *c)
{
	if (c->flags && c->cap != KVM_CAP_DIRTY_LOG_RING &&
	    c->cap != KVM_CAP_DIRTY_LOG_RING_ACQ_REL)
		return -EINVAL;
	switch (c->cap) {
	case ANYKVM_CAP_CODE_CACHE:
		return code_cache(vm, c->args[0]);
	case KVM_CAP_SPLIT_IRQCHIP:
		return split_irqchip(vm, c->args[0]);
	case KVM_CAP_HALT_POLL:
		return halt_poll(vm, c->args[0]);
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return dirty_ring_enable(vm, c->args[0]);
	case KVM_CAP_X86_DISABLE_EXITS:
		if (c->args[0] & ~(u64)KVM_X86_DISABLE_VALID_EXITS)
			return -EINVAL;
		vm->disabled_exits |= c->args[0] & DISABLE_EXITS;
		return 0;
	case KVM_CAP_EXIT_HYPERCALL:
		return take_bits(&vm->exit_hypercalls, c->args[0], EXIT_HYPERCALLS);
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
		if (c->args[0] & ~1ull)
			return -EINVAL;
		vm->exit_on_emulation_error = c->args[0];
		return 0;
	case KVM_CAP_DISABLE_QUIRKS:
		return take_bits(&vm->disabled_quirks, c->args[0], ~0ull);
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return manual_dirty_log(vm, c->args[0]);
	case KVM_CAP_X2APIC_API:
		return x2apic_api(vm, c->args[0]);
	case KVM_CAP_MAX_VCPU_ID:
		return max_vcpu_id(vm, c->args[0]);
	case KVM_CAP_X86_USER_SPACE_MSR:
		if (c->args[0] & ~(u64)MSR_REASONS)
			return -EINVAL;
		vm->user_space_msr = (u32)c->args[0];
		return 0;
	case KVM_CAP_DISABLE_QUIRKS2:
		return take_bits(&vm->disabled_quirks, c->args[0], QUIRKS);
	case KVM_CAP_MSR_PLATFORM_INFO:
		vm->platform_info_hidden = !c->args[0];
		return 0;
	case KVM_CAP_EXCEPTION_PAYLOAD:
		vm->exception_payload = c->args[0];
		return 0;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		vm->triple_fault_event = c->args[0];
		return 0;
	}
	return -EINVAL;
}

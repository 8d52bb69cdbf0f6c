/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hypervisor around hv/irq/, as irq_fake.h tells. Descriptors are real
 * ones (hv/host/fd.c), for eventfds are part of what is tested.
 */
#include <stdlib.h>

#include "irq_fake.h"

u64 fake_now;
u32 fake_resets, fake_timers_rung;

static struct host_timer *timers[256];
static u32 timer_count;

static struct {
	int fd;
	void (*fn)(void *);
	void *arg;
} watched[64];
static u32 watched_count;

/* --- host.h ------------------------------------------------------------------ */

void *host_zalloc(size_t size)
{
	return calloc(1, size);
}

void host_free(void *p)
{
	free(p);
}

void host_mutex_lock(struct host_mutex *m)
{
	assert_int_equal(m->state, 0);
	m->state = 1;
}

void host_mutex_unlock(struct host_mutex *m)
{
	assert_int_equal(m->state, 1);
	m->state = 0;
}

u64 host_monotonic_ns(void)
{
	return fake_now;
}

u32 host_tsc_khz(void)
{
	return 1000000;
}

void host_timer_init(struct host_timer *t, struct host_poller *p, void (*fn)(void *), void *arg)
{
	t->poller = p;
	t->fn = fn;
	t->arg = arg;
	t->deadline_ns = 0;
}

static void forget(struct host_timer *t)
{
	u32 i;

	for (i = 0; i < timer_count; i++)
		if (timers[i] == t)
			timers[i--] = timers[--timer_count];
}

void host_timer_set(struct host_timer *t, u64 deadline_ns)
{
	forget(t);
	assert_true(timer_count < ARRAY_SIZE(timers));
	t->deadline_ns = deadline_ns;
	timers[timer_count++] = t;
}

void host_timer_cancel(struct host_timer *t)
{
	forget(t);
}

void fake_advance(u64 ns)
{
	u64 end = fake_now + ns;
	struct host_timer *next;
	u32 i;

	for (;;) {
		next = NULL;
		for (i = 0; i < timer_count; i++)
			if (timers[i]->deadline_ns <= end &&
			    (!next || timers[i]->deadline_ns < next->deadline_ns))
				next = timers[i];
		if (!next)
			break;
		forget(next);
		fake_now = MAX(fake_now, next->deadline_ns);
		fake_timers_rung++;
		next->fn(next->arg);
	}
	fake_now = end;
}

int host_poller_add(struct host_poller *p, int fd, void (*fn)(void *), void *arg)
{
	(void)p;
	assert_true(watched_count < ARRAY_SIZE(watched));
	watched[watched_count].fd = fd;
	watched[watched_count].fn = fn;
	watched[watched_count++].arg = arg;
	return 0;
}

void host_poller_del(struct host_poller *p, int fd)
{
	u32 i;

	(void)p;
	for (i = 0; i < watched_count; i++)
		if (watched[i].fd == fd)
			watched[i] = watched[--watched_count];
}

void fake_ring_fd(int fd)
{
	u32 i;

	for (i = 0; i < watched_count; i++)
		if (host_same_eventfd(watched[i].fd, fd)) {
			watched[i].fn(watched[i].arg);
			return;
		}
}

u32 fake_watched(void)
{
	return watched_count;
}

/* --- vcpu.h -------------------------------------------------------------------- */

void vcpu_request(struct vcpu *v, u32 bits)
{
	__atomic_fetch_or(&v->request, bits, __ATOMIC_SEQ_CST);
}

void vcpu_reset(struct vcpu *v, bool init)
{
	fake_resets++;
	lapic_reset(v, init);
}

void vcpu_cpuid_update(struct vcpu *v)
{
	(void)v;
}

const struct kvm_cpuid_entry2 *vcpu_cpuid_entry(struct vcpu *v, u32 leaf, u32 subleaf)
{
	static const struct kvm_cpuid_entry2 leaf1 = { .function = 1, .ecx = BIT(21) | BIT(24) };

	(void)v;
	(void)subleaf;
	return leaf == 1 ? &leaf1 : NULL;
}

void pv_eoi_from_guest(struct vcpu *v)
{
	(void)v;
}

void vapic_to_guest(struct vcpu *v)
{
	(void)v;
}

u64 vcpu_guest_tsc(struct vcpu *v)
{
	return fake_now + v->tsc_offset;
}

u64 vcpu_guest_to_host_tsc(struct vcpu *v, u64 guest)
{
	return host_rdtsc() + (guest - v->tsc_offset - fake_now);
}

/* --- the VM --------------------------------------------------------------------- */

struct vcpu *fake_add_vcpu(struct vm *vm, u32 id)
{
	struct vcpu *v = calloc(1, sizeof(*v));

	v->vm = vm;
	v->id = id;
	v->index = vm->vcpu_count;
	v->cpuid_maxphyaddr = 48;
	v->mp_state = id == vm->boot_cpu_id ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
	if (vm->irqchip || vm->split_irqchip)
		assert_int_equal(lapic_create(v), 0);
	vm->vcpus[vm->vcpu_count++] = v;
	return v;
}

struct vm *fake_vm(u32 n)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	u32 i;

	fake_now = 1000000;
	vm->vcpus = calloc(VM_MAX_VCPUS, sizeof(*vm->vcpus));
	assert_int_equal(irqchip_create(vm), 0);
	for (i = 0; i < n; i++)
		fake_add_vcpu(vm, i);
	return vm;
}

void fake_vm_free(struct vm *vm)
{
	u32 i;

	for (i = 0; i < vm->vcpu_count; i++) {
		lapic_destroy(vm->vcpus[i]);
		free(vm->vcpus[i]);
	}
	vm->vcpu_count = 0;
	irqchip_destroy(vm);
	ioeventfds_destroy(vm);
	assert_int_equal(timer_count, 0);
	assert_int_equal(watched_count, 0);
	free(vm->vcpus);
	free(vm);
}

u32 fake_requests(struct vcpu *v)
{
	return __atomic_exchange_n(&v->request, 0, __ATOMIC_SEQ_CST);
}

/* --- the guest's hands --------------------------------------------------------------- */

u32 apic_read(struct vcpu *v, u32 off)
{
	u32 val = 0;

	assert_int_equal(lapic_mmio(v, APIC_DEFAULT_BASE + off, 4, &val, false), 0);
	return val;
}

void apic_write(struct vcpu *v, u32 off, u32 val)
{
	assert_int_equal(lapic_mmio(v, APIC_DEFAULT_BASE + off, 4, &val, true), 0);
}

void apic_enable(struct vcpu *v)
{
	apic_write(v, APIC_SPIV, 0x1ff);
}

void apic_enter_x2(struct vcpu *v)
{
	assert_int_equal(lapic_set_base(v, v->apic_base | APIC_BASE_X2APIC, false), 0);
}

static u32 ioapic_access(struct vm *vm, u32 off, u32 val, bool write)
{
	host_mutex_lock(&vm->irq_lock);
	assert_int_equal(ioapic_mmio(vm->ioapic, IOAPIC_BASE + off, 4, &val, write), 0);
	host_mutex_unlock(&vm->irq_lock);
	return val;
}

u32 ioapic_read_reg(struct vm *vm, u32 index)
{
	ioapic_access(vm, 0, index, true);
	return ioapic_access(vm, 0x10, 0, false);
}

void ioapic_write_reg(struct vm *vm, u32 index, u32 val)
{
	ioapic_access(vm, 0, index, true);
	ioapic_access(vm, 0x10, val, true);
}

void ioapic_write_pin(struct vm *vm, u32 pin, u64 entry)
{
	ioapic_write_reg(vm, 0x10 + pin * 2 + 1, entry >> 32);
	ioapic_write_reg(vm, 0x10 + pin * 2, (u32)entry);
}

static bool is_pit(u16 port)
{
	return port == 0x61 || (port & ~3) == 0x40;
}

static void port_access(struct vm *vm, u16 port, u8 *val, bool write)
{
	if (is_pit(port)) {
		assert_int_equal(pit_io(vm->pit, port, 1, val, write), 0);
		return;
	}
	host_mutex_lock(&vm->irq_lock);
	assert_int_equal(pic_io(vm->pic, port, 1, val, write), 0);
	host_mutex_unlock(&vm->irq_lock);
}

u8 port_in(struct vm *vm, u16 port)
{
	u8 val = 0;

	port_access(vm, port, &val, false);
	return val;
}

void port_out(struct vm *vm, u16 port, u8 val)
{
	port_access(vm, port, &val, true);
}

void pic_init_pc(struct vm *vm)
{
	port_out(vm, 0x20, 0x11);
	port_out(vm, 0x21, 0x20);
	port_out(vm, 0x21, 0x04);
	port_out(vm, 0x21, 0x01);
	port_out(vm, 0xa0, 0x11);
	port_out(vm, 0xa1, 0x28);
	port_out(vm, 0xa1, 0x02);
	port_out(vm, 0xa1, 0x01);
	port_out(vm, 0x21, 0);
	port_out(vm, 0xa1, 0);
}

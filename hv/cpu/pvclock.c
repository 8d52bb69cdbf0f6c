/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvmclock: the guest reads the time as a function of its TSC, whose
 * parameters we write into a page of its memory (KVM documentation, x86/msr:
 * MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_WALL_CLOCK_NEW; struct
 * pvclock_vcpu_time_info).
 *
 * All vCPUs of a VM share one origin (clock_tsc, clock_ns), which only
 * KVM_SET_CLOCK moves. So what they read is one clock, and
 * PVCLOCK_TSC_STABLE_BIT may be set.
 */
#include <errno.h>

#include "state.h"

#define NSEC 1000000000ull
#define TSC_STABLE BIT(0)
#define GUEST_STOPPED BIT(1)

struct time_info {
	u32 version, pad0;
	u64 tsc_timestamp, system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags;
	u8 pad[2];
};

struct wall_clock {
	u32 version, sec, nsec;
};

_Static_assert(sizeof(struct time_info) == 32, "the guest's layout");

/* ns = (ticks << shift) * mul >> 32, with mul in [2^31, 2^32). */
static void time_scale(u32 khz, u32 *mul, s8 *shift)
{
	u64 hz = (u64)khz * 1000, m;
	s8 s = 0;

	while (hz > 2 * NSEC) {
		hz >>= 1;
		s--;
	}
	while (hz <= NSEC) {
		hz <<= 1;
		s++;
	}
	/* NSEC < hz <= 2 * NSEC: NSEC / hz as a fraction of 2^32. */
	m = (NSEC << 32) / hz;
	*mul = (u32)MIN(m, 0xffffffffull);
	*shift = s;
}

static u64 scale_delta(u64 delta, u32 mul, s8 shift)
{
	if (shift < 0)
		delta >>= -shift;
	else
		delta <<= shift;
	return (u64)((u128)delta * mul >> 32);
}

u64 pvclock_now(struct vm *vm)
{
	u32 mul;
	s8 shift;
	u64 ns;

	time_scale(host_tsc_khz(), &mul, &shift);
	host_mutex_lock(&vm->clock_lock);
	ns = vm->clock_ns + scale_delta(host_rdtsc() - vm->clock_tsc, mul, shift);
	host_mutex_unlock(&vm->clock_lock);
	return ns;
}

void pvclock_set(struct vm *vm, u64 ns)
{
	host_mutex_lock(&vm->clock_lock);
	vm->clock_tsc = host_rdtsc();
	vm->clock_ns = ns;
	vm->kvmclock_offset = (s64)(ns - host_monotonic_ns());
	host_mutex_unlock(&vm->clock_lock);
	vm_request_all(vm, REQ_CLOCK);
}

void pvclock_get(struct vm *vm, struct kvm_clock_data *c)
{
	host_memset(c, 0, sizeof(*c));
	c->clock = pvclock_now(vm);
	c->realtime = host_realtime_ns();
	c->host_tsc = host_rdtsc();
	c->flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
}

int pvclock_set_data(struct vm *vm, const struct kvm_clock_data *c)
{
	u64 ns = c->clock, now;

	if (c->flags & ~(u32)(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC))
		return -EINVAL;
	if (c->flags & KVM_CLOCK_REALTIME) {
		now = host_realtime_ns();
		if (now > c->realtime)
			ns += now - c->realtime;
	}
	pvclock_set(vm, ns);
	return 0;
}

static u64 clock_gpa(const struct vcpu *v)
{
	return v->kvm_system_time & ~1ull;
}

/* What v's page is to say, but for its version. */
static struct time_info time_of(const struct vcpu *v)
{
	struct vm *vm = v->vm;
	struct time_info t;

	host_memset(&t, 0, sizeof(t));
	time_scale(v->tsc_khz, &t.tsc_to_system_mul, &t.tsc_shift);
	host_mutex_lock(&vm->clock_lock);
	t.tsc_timestamp = tsc_scale(vm->clock_tsc, v->tsc_scale) + v->tsc_offset;
	t.system_time = vm->clock_ns;
	host_mutex_unlock(&vm->clock_lock);
	t.flags = TSC_STABLE;
	return t;
}

/* v writes the page of one, which may be another. The version is odd while the rest changes. */
static void write_page(struct vcpu *v, struct vcpu *of)
{
	struct vm *vm = v->vm;
	u64 gpa = clock_gpa(of);
	struct time_info t, old;

	if (!(of->kvm_system_time & 1) || vm_read(vm, gpa, &old, sizeof(old)))
		return;
	t = time_of(of);
	t.flags |= old.flags & GUEST_STOPPED;
	if (v == of && v->clock_stopped) {
		t.flags |= GUEST_STOPPED;
		v->clock_stopped = false;
	}
	t.version = (old.version + 1) | 1;
	if (vcpu_write(v, gpa, &t.version, sizeof(t.version)))
		return;
	vcpu_write(v, gpa + 8, (u8 *)&t + 8, sizeof(t) - 8);
	t.version++;
	vcpu_write(v, gpa, &t.version, sizeof(t.version));
}

void pvclock_update(struct vcpu *v)
{
	struct vm *vm = v->vm;
	u32 n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);

	host_mutex_lock(&vm->clock_pages_lock);
	write_page(v, v);
	for (u32 i = 0; i < n; i++) {
		struct vcpu *other = __atomic_load_n(&vm->vcpus[i], __ATOMIC_ACQUIRE);

		if (other && other != v &&
		    __atomic_load_n(&other->request, __ATOMIC_SEQ_CST) & REQ_CLOCK)
			write_page(v, other);
	}
	host_mutex_unlock(&vm->clock_pages_lock);
}

/* What to add to kvmclock to get the time of day. */
void pvclock_write_wall_clock(struct vcpu *v, u64 gpa)
{
	struct vm *vm = v->vm;
	struct wall_clock w;
	u64 ns;

	if (!gpa || vm_read(vm, gpa, &w.version, sizeof(w.version)))
		return;
	w.version = (w.version + 1) | 1;
	if (vcpu_write(v, gpa, &w.version, sizeof(w.version)))
		return;
	ns = host_realtime_ns() - pvclock_now(vm);
	w.sec = (u32)(ns / NSEC);
	w.nsec = (u32)(ns % NSEC);
	vcpu_write(v, gpa + 4, &w.sec, 8);
	w.version++;
	vcpu_write(v, gpa, &w.version, sizeof(w.version));
}

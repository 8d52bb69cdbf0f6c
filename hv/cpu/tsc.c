/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's time stamp counter: the host's, scaled and offset.
 *
 * vCPUs must agree about it, yet user space sets them one after another. So a
 * write that lies within a second of where the last one should be by now is
 * taken for an attempt to give all the same value, and gets the same offset
 * (what KVM does, arch/x86/kvm/x86.c).
 */
#include <errno.h>

#include "../irq/irq.h"
#include "state.h"

#define TOLERANCE_PPM 250

u64 tsc_scale(u64 tsc, u64 scale)
{
	return (u64)((u128)tsc * scale >> 48);
}

u64 vcpu_guest_tsc(struct vcpu *v)
{
	return tsc_scale(host_rdtsc(), v->tsc_scale) + v->tsc_offset;
}

/* (x << 48) / scale, all ones when that does not fit. */
static u64 unscale(u64 x, u64 scale)
{
	u64 high = x >> 16, low = x << 48;

	if (high >= scale)
		return ~0ull;
	__asm__("divq %2" : "+a"(low), "+d"(high) : "r"(scale) : "cc");
	return low;
}

u64 vcpu_guest_to_host_tsc(struct vcpu *v, u64 guest)
{
	u64 x = guest - v->tsc_offset;

	return v->tsc_scale == TSC_SCALE_ONE ? x : unscale(x, v->tsc_scale);
}

static bool within_tolerance(u32 khz, u32 host)
{
	u64 slack = (u64)host * TOLERANCE_PPM / 1000000;

	return khz >= host - slack && khz <= host + slack;
}

/* The ratio stays below 256, so that the scale is below 2^56. */
bool tsc_khz_valid(u32 khz)
{
	return khz < MIN(host_tsc_khz() * 256ull, 0x7fffffffull);
}

int vcpu_set_tsc_khz(struct vcpu *v, u32 khz)
{
	u32 host = host_tsc_khz();
	u64 now = vcpu_guest_tsc(v);

	if (!khz)
		khz = host;
	if (!tsc_khz_valid(khz))
		return -EINVAL;
	v->tsc_khz = khz;
	if (within_tolerance(khz, host))
		v->tsc_scale = TSC_SCALE_ONE;
	else
		v->tsc_scale = ((u64)khz << 32) / host << 16;
	/* The count goes on from where it is, at the new rate. */
	v->tsc_offset = now - tsc_scale(host_rdtsc(), v->tsc_scale);
	v->mode_stale = true;
	vcpu_request(v, REQ_CLOCK);
	return 0;
}

void vcpu_set_tsc_offset(struct vcpu *v, u64 offset)
{
	v->tsc_offset = offset;
	v->mode_stale = true;
	vcpu_request(v, REQ_CLOCK);
}

void vcpu_write_tsc_host(struct vcpu *v, u64 tsc)
{
	struct vm *vm = v->vm;
	u64 hz = (u64)v->tsc_khz * 1000, ns, expected, offset;
	bool match = tsc == 0;

	host_mutex_lock(&vm->clock_lock);
	offset = tsc - tsc_scale(host_rdtsc(), v->tsc_scale);
	ns = host_monotonic_ns();
	expected = vm->tsc_write + (ns - vm->tsc_write_ns) / 1000 * v->tsc_khz / 1000;
	if (tsc)
		match = tsc < expected + hz && tsc + hz > expected;
	if (match && vm->tsc_write_khz == v->tsc_khz)
		offset = vm->tsc_offset;
	vm->tsc_offset = offset;
	vm->tsc_write = tsc;
	vm->tsc_write_ns = ns;
	vm->tsc_write_khz = v->tsc_khz;
	host_mutex_unlock(&vm->clock_lock);
	vcpu_set_tsc_offset(v, offset);
}

/* The change shows in IA32_TSC_ADJUST (SDM vol. 3 section 18.17.3). */
void vcpu_write_tsc_guest(struct vcpu *v, u64 tsc)
{
	u64 offset = tsc - tsc_scale(host_rdtsc(), v->tsc_scale);

	v->tsc_adjust += offset - v->tsc_offset;
	vcpu_set_tsc_offset(v, offset);
}

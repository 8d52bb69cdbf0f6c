/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests: each of the API's with an argument that is nearly right, any
 * number with an argument that is not, and KVM_RUN.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <anykvm.h>

#include "fuzz.h"

/* --- arguments that are nearly right --------------------------------------------------- */

static struct session *now;	/* fill functions run on the session's first thread */

static uint32_t slot_number(void)
{
	return percent(80) ? below(6) : (uint32_t)number();
}

static uint64_t gpa(void)
{
	return percent(70) ? below(ARENA_PAGES) * PAGE : number();
}

static int some_event(void)
{
	switch (below(8)) {
	case 0:
		return (int)number();
	case 1:
		return now->other;
	case 2:
		return now->vm;
	default:
		return now->event[below(MAX_EVENTS)];
	}
}

static void fill_region(void *p)
{
	struct kvm_userspace_memory_region *r = p;

	r->slot = slot_number();
	r->flags = percent(80) ? below(4) : (uint32_t)number();
	r->guest_phys_addr = gpa() & (percent(90) ? ~(PAGE - 1) : ~0ull);
	r->memory_size = percent(80) ? below(ARENA_PAGES + 1) * PAGE : number();
	r->userspace_addr = slot_address();
	/* Nothing behind the arena and its holes is ever a guest's. */
	if (r->memory_size > ARENA_PAGES * PAGE && r->userspace_addr - (uint64_t)arena < 1 << 30)
		r->userspace_addr = 0;
	if (r->userspace_addr < (uint64_t)arena && r->memory_size > PAGE &&
	    r->userspace_addr + r->memory_size > (uint64_t)arena)
		r->memory_size = PAGE;
}

static void fill_dirty_log(void *p)
{
	struct kvm_dirty_log *l = p;

	l->slot = slot_number();
	l->dirty_bitmap = (void *)pointer(16);
}

static void fill_clear_log(void *p)
{
	struct kvm_clear_dirty_log *l = p;

	l->slot = slot_number();
	l->num_pages = (uint32_t)number();
	l->first_page = percent(70) ? below(2) * 64 : number();
	l->dirty_bitmap = (void *)pointer(16);
}

static void fill_cap(void *p)
{
	static const uint32_t caps[] = {
		KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X2APIC_API, KVM_CAP_X86_DISABLE_EXITS,
		KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_HALT_POLL, KVM_CAP_X86_USER_SPACE_MSR,
		KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_EXIT_HYPERCALL,
		KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_MAX_VCPU_ID,
		KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_CAP_EXIT_ON_EMULATION_FAILURE,
		KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_CAP_MSR_PLATFORM_INFO,
	};
	struct kvm_enable_cap *c = p;

	memset(c, 0, sizeof(*c));
	c->cap = percent(80) ? caps[below(ARRAY_SIZE(caps))] : (uint32_t)number();
	c->flags = percent(95) ? 0 : (uint32_t)number();
	c->args[0] = number();
}

static void fill_irqfd(void *p)
{
	struct kvm_irqfd *i = p;

	memset(i, 0, sizeof(*i));
	i->fd = (uint32_t)some_event();
	i->gsi = percent(90) ? below(26) : (uint32_t)number();
	i->flags = percent(90) ? below(4) : (uint32_t)number();
	i->resamplefd = (uint32_t)some_event();
}

static void fill_ioeventfd(void *p)
{
	struct kvm_ioeventfd *e = p;

	memset(e, 0, sizeof(*e));
	e->datamatch = number();
	e->addr = percent(50) ? below(256) : gpa();
	e->len = percent(80) ? 1u << below(4) : (uint32_t)number();
	e->fd = some_event();
	e->flags = percent(95) ? below(8) : (uint32_t)number();
}

static void fill_zone(void *p)
{
	struct kvm_coalesced_mmio_zone *z = p;

	z->addr = percent(50) ? below(256) : gpa();
	z->size = percent(80) ? below(8192) : (uint32_t)number();
	z->pio = percent(95) ? below(2) : (uint32_t)number();
}

static void fill_msi(void *p)
{
	struct kvm_msi *m = p;

	memset(m, 0, sizeof(*m));
	m->address_lo = 0xfee00000 | (uint32_t)(rnd() & 0xfffff);
	m->address_hi = percent(90) ? 0 : (uint32_t)number();
	m->data = (uint32_t)(rnd() & 0xffff);
	m->flags = percent(95) ? 0 : (uint32_t)number();
}

static void fill_routing(void *p)
{
	struct kvm_irq_routing *r = p;
	uint32_t i, n = below(40);

	random_bytes(p, sizeof(*r) + n * sizeof(r->entries[0]));
	r->nr = percent(95) ? n : (uint32_t)number();
	r->flags = percent(95) ? 0 : (uint32_t)number();
	for (i = 0; i < n; i++) {
		struct kvm_irq_routing_entry *e = &r->entries[i];

		e->gsi = percent(95) ? below(30) : (uint32_t)number();
		e->type = percent(95) ? 1 + below(2) : (uint32_t)number();
		e->flags = percent(95) ? 0 : (uint32_t)number();
		e->u.irqchip.irqchip = percent(95) ? below(3) : (uint32_t)number();
		e->u.irqchip.pin = percent(95) ? below(24) : (uint32_t)number();
	}
}

static void fill_filter(void *p)
{
	struct kvm_msr_filter *f = p;
	uint32_t i;

	memset(f, 0, sizeof(*f));
	f->flags = percent(95) ? below(2) : (uint32_t)number();
	for (i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		struct kvm_msr_filter_range *r = &f->ranges[i];

		if (percent(70))
			continue;
		r->flags = percent(90) ? 1 + below(3) : (uint32_t)number();
		r->nmsrs = percent(90) ? below(1024) : (uint32_t)number();
		r->base = percent(50) ? 0xc0000080 : (uint32_t)number();
		r->bitmap = (void *)pointer(128);
	}
}

static void fill_attr(void *p)
{
	struct kvm_device_attr *a = p;

	memset(a, 0, sizeof(*a));
	a->flags = percent(90) ? 0 : (uint32_t)number();
	a->group = percent(80) ? 0 : (uint32_t)number();
	a->attr = percent(80) ? 0 : number();
	a->addr = pointer(8);
}

static void fill_irq_line(void *p)
{
	struct kvm_irq_level *l = p;

	l->irq = percent(90) ? below(26) : (uint32_t)number();
	l->level = percent(90) ? below(2) : (uint32_t)number();
}

static void fill_chip(void *p)
{
	struct kvm_irqchip *c = p;

	random_bytes(p, sizeof(*c));
	c->chip_id = percent(95) ? below(3) : (uint32_t)number();
}

static void fill_clock(void *p)
{
	struct kvm_clock_data *c = p;

	random_bytes(p, sizeof(*c));
	c->clock = number();
	c->flags = below(16);
	c->realtime = number();
}

static void fill_pit(void *p)
{
	random_bytes(p, sizeof(struct kvm_pit_state2));
}

/* --- the table ---------------------------------------------------------------------------- */

enum to { TO_SYS, TO_VM, TO_CPU };

static const struct {
	uint64_t nr;
	enum to to;
	void (*fill)(void *p);	/* NULL: random bytes */
	bool plain;		/* the argument is a number */
} table[] = {
	{ KVM_GET_API_VERSION, TO_SYS, NULL, true },
	{ KVM_CREATE_VM, TO_SYS, NULL, true },
	{ KVM_CHECK_EXTENSION, TO_SYS, NULL, true },
	{ KVM_GET_VCPU_MMAP_SIZE, TO_SYS, NULL, true },
	{ KVM_GET_MSR_INDEX_LIST, TO_SYS, NULL, false },
	{ KVM_GET_MSR_FEATURE_INDEX_LIST, TO_SYS, NULL, false },
	{ KVM_GET_MSRS, TO_SYS, NULL, false },
	{ KVM_GET_SUPPORTED_CPUID, TO_SYS, NULL, false },
	{ KVM_GET_EMULATED_CPUID, TO_SYS, NULL, false },
	{ KVM_X86_GET_MCE_CAP_SUPPORTED, TO_SYS, NULL, false },
	{ KVM_GET_DEVICE_ATTR, TO_SYS, fill_attr, false },
	{ KVM_CHECK_EXTENSION, TO_VM, NULL, true },
	{ KVM_CREATE_VCPU, TO_VM, NULL, true },
	{ KVM_CREATE_VCPU, TO_VM, NULL, true },
	{ KVM_SET_USER_MEMORY_REGION, TO_VM, fill_region, false },
	{ KVM_SET_USER_MEMORY_REGION, TO_VM, fill_region, false },
	{ KVM_SET_USER_MEMORY_REGION, TO_VM, fill_region, false },
	{ KVM_GET_DIRTY_LOG, TO_VM, fill_dirty_log, false },
	{ KVM_CLEAR_DIRTY_LOG, TO_VM, fill_clear_log, false },
	{ KVM_RESET_DIRTY_RINGS, TO_VM, NULL, true },
	{ KVM_ENABLE_CAP, TO_VM, fill_cap, false },
	{ KVM_CREATE_IRQCHIP, TO_VM, NULL, true },
	{ KVM_GET_IRQCHIP, TO_VM, fill_chip, false },
	{ KVM_SET_IRQCHIP, TO_VM, fill_chip, false },
	{ KVM_IRQ_LINE, TO_VM, fill_irq_line, false },
	{ KVM_IRQ_LINE_STATUS, TO_VM, fill_irq_line, false },
	{ KVM_SIGNAL_MSI, TO_VM, fill_msi, false },
	{ KVM_SET_GSI_ROUTING, TO_VM, fill_routing, false },
	{ KVM_IRQFD, TO_VM, fill_irqfd, false },
	{ KVM_IRQFD, TO_VM, fill_irqfd, false },
	{ KVM_IOEVENTFD, TO_VM, fill_ioeventfd, false },
	{ KVM_IOEVENTFD, TO_VM, fill_ioeventfd, false },
	{ KVM_REGISTER_COALESCED_MMIO, TO_VM, fill_zone, false },
	{ KVM_UNREGISTER_COALESCED_MMIO, TO_VM, fill_zone, false },
	{ KVM_CREATE_PIT, TO_VM, NULL, true },
	{ KVM_CREATE_PIT2, TO_VM, NULL, false },
	{ KVM_GET_PIT, TO_VM, NULL, false },
	{ KVM_SET_PIT, TO_VM, fill_pit, false },
	{ KVM_GET_PIT2, TO_VM, NULL, false },
	{ KVM_SET_PIT2, TO_VM, fill_pit, false },
	{ KVM_REINJECT_CONTROL, TO_VM, NULL, false },
	{ KVM_SET_BOOT_CPU_ID, TO_VM, NULL, true },
	{ KVM_SET_TSS_ADDR, TO_VM, NULL, true },
	{ KVM_SET_IDENTITY_MAP_ADDR, TO_VM, NULL, false },
	{ KVM_SET_NR_MMU_PAGES, TO_VM, NULL, true },
	{ KVM_GET_NR_MMU_PAGES, TO_VM, NULL, true },
	{ KVM_GET_CLOCK, TO_VM, NULL, false },
	{ KVM_SET_CLOCK, TO_VM, fill_clock, false },
	{ KVM_SET_TSC_KHZ, TO_VM, NULL, true },
	{ KVM_GET_TSC_KHZ, TO_VM, NULL, true },
	{ KVM_X86_SET_MSR_FILTER, TO_VM, fill_filter, false },
	{ KVM_CREATE_DEVICE, TO_VM, NULL, false },
	{ KVM_GET_STATS_FD, TO_VM, NULL, true },
	{ KVM_SET_DEVICE_ATTR, TO_VM, fill_attr, false },
	{ KVM_GET_STATS_FD, TO_CPU, NULL, true },
	{ KVM_ENABLE_CAP, TO_CPU, fill_cap, false },
	{ KVM_INTERRUPT, TO_CPU, NULL, false },
	{ KVM_NMI, TO_CPU, NULL, true },
	{ KVM_SMI, TO_CPU, NULL, true },
	{ KVM_TRANSLATE, TO_CPU, NULL, false },
	{ KVM_GET_CPUID2, TO_CPU, NULL, false },
	{ KVM_GET_MSRS, TO_CPU, NULL, false },
	{ KVM_TPR_ACCESS_REPORTING, TO_CPU, NULL, false },
	{ KVM_SET_VAPIC_ADDR, TO_CPU, NULL, false },
	{ KVM_SET_TSC_KHZ, TO_CPU, NULL, true },
	{ KVM_GET_TSC_KHZ, TO_CPU, NULL, true },
	{ KVM_KVMCLOCK_CTRL, TO_CPU, NULL, true },
	{ KVM_SET_DEVICE_ATTR, TO_CPU, fill_attr, false },
	{ KVM_GET_DEVICE_ATTR, TO_CPU, fill_attr, false },
	{ KVM_HAS_DEVICE_ATTR, TO_CPU, fill_attr, false },
};

/* --- sending --------------------------------------------------------------------------------- */

static void new_cpu(struct session *s, int fd)
{
	uint32_t n = s->cpus;
	void *run = mmap(NULL, s->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (n == MAX_CPUS || run == MAP_FAILED) {
		if (run != MAP_FAILED)
			munmap(run, s->run_size);
		anykvm_close(fd);
		return;
	}
	s->cpu[n] = fd;
	s->run[n] = run;
	__atomic_store_n(&s->cpus, n + 1, __ATOMIC_RELEASE);
}

static void read_stats(int fd)
{
	uint8_t buf[4096];

	if (pread(fd, buf, sizeof(buf), percent(50) ? 0 : (off_t)below(8192)) < 0)
		errno = 0;
	close(fd);
}

long request(struct session *s, int fd, uint64_t nr, uint64_t arg)
{
	long r;

	if ((uint32_t)nr == KVM_CREATE_VCPU && fd == s->vm &&
	    __atomic_load_n(&s->cpus, __ATOMIC_RELAXED) == MAX_CPUS)
		return -1;
	errno = 0;
	r = anykvm_ioctl(fd, nr, arg);
	if ((uint32_t)nr == KVM_GET_NR_MMU_PAGES && fd == s->vm)
		return r;	/* whatever number was set */
	if (r == -1 && (errno <= 0 || errno > 133))
		complain("request %#lx failed with the error %d", (unsigned long)nr, errno);
	if (r < -1)
		complain("request %#lx returned %ld", (unsigned long)nr, r);
	if (r < 0)
		return r;
	if ((uint32_t)nr == KVM_CREATE_VM && fd == s->sys)
		anykvm_close((int)r);
	else if ((uint32_t)nr == KVM_CREATE_VCPU && fd == s->vm)
		new_cpu(s, (int)r);
	else if ((uint32_t)nr == KVM_GET_STATS_FD && fd != s->sys)
		read_stats((int)r);
	return r;
}

static int some_descriptor(struct session *s)
{
	switch (below(8)) {
	case 0:
		return s->sys;
	case 1:
		return s->vm;
	case 2:
		return percent(50) ? s->other : (int)number();
	default:
		return s->cpus ? s->cpu[below(s->cpus)] : s->vm;
	}
}

/* An argument of size bytes at its place: what the pointer's memory held may show, too. */
static uint64_t argument(void (*fill)(void *), size_t size)
{
	uint8_t *at = args_buffer() + ARGS_SIZE - size;

	if (fill)
		fill(at);
	else
		random_bytes(at, size);
	if (percent(20))
		mutate(at, size);
	return percent(85) ? (uint64_t)at : pointer(size);
}

static void any_number(struct session *s)
{
	uint64_t nr = percent(70) ? _IOC(below(4), KVMIO, below(256), below(64) * 8) : number();

	if (percent(20))
		nr = table[below(ARRAY_SIZE(table))].nr;
	if ((uint32_t)nr == KVM_RUN || (uint32_t)nr == KVM_SET_SIGNAL_MASK)
		return;		/* those have to leave the alarm alone */
	request(s, some_descriptor(s), nr,
		percent(50) ? number() : argument(NULL, below(ARGS_SIZE)));
}

void random_request(struct session *s)
{
	uint32_t i = below(ARRAY_SIZE(table));
	uint64_t arg;
	size_t size = _IOC_SIZE(table[i].nr);
	int fd;

	now = s;
	if (percent(10)) {
		any_number(s);
		return;
	}
	if (table[i].to == TO_CPU && !s->cpus)
		return;
	if (!size || table[i].fill == fill_routing)
		size = table[i].fill == fill_routing ? 8 + 40 * sizeof(struct kvm_irq_routing_entry) : 8;
	if (table[i].fill == fill_pit && size < sizeof(struct kvm_pit_state2))
		size = sizeof(struct kvm_pit_state2);
	fd = table[i].to == TO_SYS ? s->sys : table[i].to == TO_VM ? s->vm :
								     s->cpu[below(s->cpus)];
	if (!table[i].plain)
		arg = argument(table[i].fill, size);
	else if (table[i].nr == KVM_CREATE_VCPU)
		arg = percent(90) ? below(8) : number();
	else
		arg = percent(50) ? below(256) : number();
	request(s, fd, table[i].nr, arg);
}

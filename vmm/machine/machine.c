/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Putting the machine together and taking it apart: the VM with its memory
 * slots, the in-kernel interrupt controllers and timer (KVM_CREATE_IRQCHIP,
 * KVM_CREATE_PIT2), the devices of vmm/devices, the kernel and the CPUs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../devices/debug/debug_port.h"
#include "../devices/input/i8042.h"
#include "../devices/power/power.h"
#include "../devices/rtc/mc146818.h"
#include "../devices/serial/uart16550.h"
#include "../error.h"
#include "machine.h"
#include "vcpu.h"

/* Four pages that Intel processors without unrestricted guest mode need. */
#define IDENTITY_MAP_ADDR 0xfffbc000ULL
#define TSS_ADDR 0xfffbd000ULL

#define ISA_IRQS 16
#define IOAPIC_PINS 24
#define PIT_PIN 2		/* the IOAPIC pin of IRQ 0; the MADT tells */

#define STOP_NS (5 * NSEC)	/* an engine that keeps a CPU longer is broken */

/* What the KVM API must offer for this machine. */
static const struct {
	int cap;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "user memory" },
	{ KVM_CAP_IRQCHIP, "an irqchip" },
	{ KVM_CAP_PIT2, "a PIT" },
	{ KVM_CAP_IRQ_ROUTING, "IRQ routing" },
	{ KVM_CAP_EXT_CPUID, "extended CPUID" },
	{ KVM_CAP_MP_STATE, "MP states" },
	{ KVM_CAP_SET_TSS_ADDR, "a TSS address" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exits" },
};

static int failed(const char *what, int err)
{
	return error("cannot %s: %s", what, strerror(-err));
}

void machine_set_end(struct machine *m, enum machine_end why)
{
	int running = MACHINE_RUNNING;

	__atomic_compare_exchange_n(&m->end, &running, why, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_ACQUIRE);
	loop_stop(m->loop);
}

enum machine_end machine_get_end(const struct machine *m)
{
	return (enum machine_end)__atomic_load_n(&m->end, __ATOMIC_ACQUIRE);
}

/* --- the VM ------------------------------------------------------------------ */

static int check_limits(struct machine *m)
{
	int max = kvm_check_extension(m->kvm, m->kvm->fd, KVM_CAP_MAX_VCPUS);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(needed); i++)
		if (!kvm_check_extension(m->kvm, m->kvm->fd, needed[i].cap))
			return error("the %s engine does not offer %s",
				     kvm_engine_name(m->kvm->engine), needed[i].name);
	if (max > 0 && m->config->boot.cpus > (unsigned int)max)
		return error("%u CPUs are too many: the %s engine takes at most %d",
			     m->config->boot.cpus, kvm_engine_name(m->kvm->engine), max);
	return 0;
}

static int add_slot(struct machine *m, u32 slot, u64 gpa, u64 size, u8 *host)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};
	int err;

	if (!size)
		return 0;
	err = kvm_ioctl(m->kvm, m->vm, KVM_SET_USER_MEMORY_REGION, &r);
	return err < 0 ? failed("give the guest its memory", err) : 0;
}

static int create_memory(struct machine *m)
{
	if (memory_create(&m->mem, m->config->memory) < 0)
		return -1;
	if (add_slot(m, 0, 0, m->mem.low, m->mem.host) < 0)
		return -1;
	return add_slot(m, 1, MEMORY_HIGH_BASE, m->mem.high, m->mem.host + m->mem.low);
}

static void route(struct kvm_irq_routing *r, u32 gsi, u32 chip, u32 pin)
{
	struct kvm_irq_routing_entry *e = &r->entries[r->nr++];

	e->gsi = gsi;
	e->type = KVM_IRQ_ROUTING_IRQCHIP;
	e->u.irqchip.irqchip = chip;
	e->u.irqchip.pin = pin;
}

/* ISA interrupts reach both PICs and the IOAPIC, where IRQ 0 has pin 2. */
static int set_routing(struct machine *m)
{
	struct kvm_irq_routing *r;
	u32 i;
	int err;

	r = calloc(1, sizeof(*r) + (ISA_IRQS + IOAPIC_PINS) * sizeof(r->entries[0]));
	if (!r)
		return error("out of memory");
	for (i = 0; i < ISA_IRQS; i++)
		if (i != 2)	/* the cascade of the PICs */
			route(r, i, i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, i & 7);
	for (i = 0; i < IOAPIC_PINS; i++)
		if (i != PIT_PIN)
			route(r, i, KVM_IRQCHIP_IOAPIC, i == 0 ? PIT_PIN : i);
	err = kvm_ioctl(m->kvm, m->vm, KVM_SET_GSI_ROUTING, r);
	free(r);
	return err < 0 ? failed("route the interrupts", err) : 0;
}

static int create_irqchip(struct machine *m)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	u64 identity = IDENTITY_MAP_ADDR;
	int err;

	err = kvm_ioctl(m->kvm, m->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (err < 0)
		return failed("set the identity map's address", err);
	err = kvm_ioctl(m->kvm, m->vm, KVM_SET_TSS_ADDR, TSS_ADDR);
	if (err < 0)
		return failed("set the TSS address", err);
	err = kvm_ioctl(m->kvm, m->vm, KVM_CREATE_IRQCHIP, 0);
	if (err < 0)
		return failed("create the interrupt controllers", err);
	err = kvm_ioctl(m->kvm, m->vm, KVM_CREATE_PIT2, &pit);
	if (err < 0)
		return failed("create the timer", err);
	return set_routing(m);
}

static int create_vm(struct machine *m)
{
	int size;

	if (check_limits(m) < 0)
		return -1;
	m->vm = kvm_ioctl(m->kvm, m->kvm->fd, KVM_CREATE_VM, 0);
	if (m->vm < 0)
		return failed("create a virtual machine", m->vm);
	size = kvm_ioctl(m->kvm, m->kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return failed("learn the size of the run structure", size < 0 ? size : -EPROTO);
	m->run_size = (size_t)size;
	if (create_memory(m) < 0)
		return -1;
	return create_irqchip(m);
}

/* --- devices ------------------------------------------------------------------ */

static void line_set(void *ctx, unsigned int gsi, bool level)
{
	struct machine *m = ctx;
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	kvm_ioctl(m->kvm, m->vm, KVM_IRQ_LINE, &irq);
}

static void power_off(void *ctx)
{
	machine_set_end(ctx, MACHINE_OFF);
}

static void power_reset(void *ctx)
{
	machine_set_end(ctx, MACHINE_RESET);
}

static int create_devices(struct machine *m, struct chardev *console)
{
	const struct power_ops power = { power_off, power_reset, m };
	const struct irq_line serial = { line_set, m, UART_COM1_IRQ };
	const struct irq_line clock = { line_set, m, RTC_IRQ };

	m->uart = uart_new(&m->ports, UART_COM1_PORT, &serial, console);
	m->rtc = rtc_new(&m->ports, &clock, m->loop, m->mem.low, m->mem.high);
	m->i8042 = i8042_new(&m->ports, &power);
	m->acpi_pm = acpi_pm_new(&m->ports, &power);
	m->reset_ports = reset_ports_new(&m->ports, &power);
	if (!m->uart || !m->rtc || !m->i8042 || !m->acpi_pm || !m->reset_ports)
		return error("cannot create the devices: %s", strerror(errno ? errno : ENOMEM));
	if (m->config->debug_port && debug_port_add(&m->ports, STDERR_FILENO) < 0)
		return error("cannot add the debug ports");
	return 0;
}

/* --- life ---------------------------------------------------------------------- */

static int create_cpus(struct machine *m)
{
	unsigned int i;

	m->vcpus = calloc(m->config->boot.cpus, sizeof(*m->vcpus));
	if (!m->vcpus)
		return error("out of memory");
	for (i = 0; i < m->config->boot.cpus; i++) {
		m->cpus = i + 1;
		if (cpu_create(&m->vcpus[i], m, i) < 0)
			return -1;
	}
	return 0;
}

struct machine *machine_new(const struct kvm *kvm, const struct machine_config *config,
			    struct loop *loop, struct chardev *console)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m) {
		error("out of memory");
		return NULL;
	}
	m->kvm = kvm;
	m->config = config;
	m->loop = loop;
	m->vm = -1;
	if (create_vm(m) < 0 || create_devices(m, console) < 0 ||
	    boot_load(&m->mem, &config->boot, &m->entry) < 0 || create_cpus(m) < 0) {
		machine_free(m);
		return NULL;
	}
	return m;
}

int machine_start(struct machine *m)
{
	unsigned int i;

	for (i = 0; i < m->cpus; i++)
		if (cpu_start(&m->vcpus[i]) < 0)
			return -1;
	return 0;
}

static void request_all(struct machine *m, u32 what)
{
	unsigned int i;

	for (i = 0; i < m->cpus; i++)
		cpu_request(&m->vcpus[i], what);
}

int machine_stop(struct machine *m)
{
	u64 deadline = monotonic_ns() + STOP_NS;
	unsigned int i;

	request_all(m, VCPU_STOP);
	for (i = 0; i < m->cpus; i++) {
		if (!cpu_join(&m->vcpus[i], deadline))
			return error("CPU %u does not leave the guest", i);
		cpu_open_stats(&m->vcpus[i]);
	}
	return 0;
}

void machine_info(struct machine *m)
{
	request_all(m, VCPU_INFO);
}

void machine_refresh(struct machine *m)
{
	request_all(m, VCPU_STATS);
}

void machine_sample(struct machine *m)
{
	request_all(m, VCPU_SAMPLE);
}

void machine_free(struct machine *m)
{
	unsigned int i;

	if (!m)
		return;
	for (i = 0; i < m->cpus; i++)
		cpu_destroy(&m->vcpus[i]);
	free(m->vcpus);
	uart_free(m->uart);
	rtc_free(m->rtc);
	i8042_free(m->i8042);
	acpi_pm_free(m->acpi_pm);
	reset_ports_free(m->reset_ports);
	kvm_close_fd(m->kvm, m->vm);
	memory_destroy(&m->mem);
	free(m);
}

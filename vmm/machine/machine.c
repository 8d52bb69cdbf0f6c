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
#include "../devices/pci/pci.h"
#include "../devices/power/power.h"
#include "../devices/rtc/mc146818.h"
#include "../devices/serial/uart16550.h"
#include "../devices/timer/hpet.h"
#include "../error.h"
#include "machine.h"
#include "start.h"
#include "vcpu.h"

#define TSS_ADDR (MACHINE_KVM_PAGES + 0x1000)

#define LOW_END 0xa0000		/* of RAM below 1 MiB, where the rest is shadowed */

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
	{ KVM_CAP_SIGNAL_MSI, "MSIs" },
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

static int add_memory(struct machine *m, u64 gpa, u64 size)
{
	void *host = size ? memory_ptr(&m->mem, gpa, size) : NULL;
	int err = size ? vm_map(&m->vm, gpa, size, host, 0) : 0;

	return err < 0 ? failed("give the guest its memory", err) : 0;
}

/* Without a chipset that shadows it, the first megabyte is all RAM. */
static int create_memory(struct machine *m)
{
	const struct machine_type *t = m->config->type;
	u64 start = 0;

	if (memory_create(&m->mem, m->config->memory, t->low_max) < 0)
		return -1;
	if (t->shadow) {
		if (add_memory(m, 0, LOW_END) < 0)
			return -1;
		start = MIB;
	}
	if (add_memory(m, start, m->mem.low - start) < 0)
		return -1;
	return add_memory(m, MEMORY_HIGH_BASE, m->mem.high);
}

static int create_irqchip(struct machine *m)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	u64 identity = MACHINE_KVM_PAGES;
	int err;

	err = kvm_ioctl(m->kvm, m->vm.fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (err < 0)
		return failed("set the identity map's address", err);
	err = kvm_ioctl(m->kvm, m->vm.fd, KVM_SET_TSS_ADDR, TSS_ADDR);
	if (err < 0)
		return failed("set the TSS address", err);
	err = kvm_ioctl(m->kvm, m->vm.fd, KVM_CREATE_IRQCHIP, 0);
	if (err < 0)
		return failed("create the interrupt controllers", err);
	err = kvm_ioctl(m->kvm, m->vm.fd, KVM_CREATE_PIT2, &pit);
	if (err < 0)
		return failed("create the timer", err);
	err = vm_route_lines(&m->vm);
	return err < 0 ? failed("route the interrupts", err) : 0;
}

static int create_vm(struct machine *m)
{
	int size, err;

	if (check_limits(m) < 0)
		return -1;
	err = vm_open(&m->vm, m->kvm);
	if (err < 0)
		return failed("create a virtual machine", err);
	err = vm_code_cache(&m->vm);
	if (err < 0)
		return failed("get memory for translated code", err);
	size = kvm_ioctl(m->kvm, m->kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return failed("learn the size of the run structure", size < 0 ? size : -EPROTO);
	m->run_size = (size_t)size;
	if (create_memory(m) < 0)
		return -1;
	return create_irqchip(m);
}

/* --- devices ------------------------------------------------------------------ */

static void power_off(void *ctx)
{
	machine_set_end(ctx, MACHINE_OFF);
}

static void power_reset(void *ctx)
{
	machine_set_end(ctx, MACHINE_RESET);
}

static void watchdog(struct board *b, const char *action)
{
	const struct machine_config *c = ((struct machine *)b->machine)->config;

	if (c->on_watchdog)
		c->on_watchdog(c->on_watchdog_ctx, action);
}

/* What every machine has. */
static int create_parts(struct machine *m, struct chardev *console)
{
	const struct irq_line serial = board_line(&m->board, UART_COM1_IRQ);
	struct irq_line clock = board_line(&m->board, RTC_IRQ);
	const struct i8042_config keyboard = {
		.power = m->board.power,
		.keyboard = board_line(&m->board, I8042_KEYBOARD_IRQ),
		.mouse = board_line(&m->board, I8042_MOUSE_IRQ),
		.in = m->config->type->keyboard ? m->config->input : NULL,
	};

	if (m->config->type->hpet) {
		m->hpet = hpet_new(&m->board);
		if (!m->hpet)
			return -1;
		clock = hpet_rtc_line(m->hpet, RTC_IRQ);
	}
	m->uart = uart_new(&m->ports, UART_COM1_PORT, &serial, console);
	m->rtc = rtc_new(&m->ports, &clock, m->loop, m->mem.low, m->mem.high);
	m->i8042 = i8042_new(&m->ports, &keyboard);
	m->reset_ports = reset_ports_new(&m->ports, &m->board.power);
	if (!m->uart || !m->rtc || !m->i8042 || !m->reset_ports)
		return error("cannot create the devices: %s", strerror(errno ? errno : ENOMEM));
	if (m->config->debug_port && debug_port_add(&m->ports, STDERR_FILENO) < 0)
		return error("cannot add the debug ports");
	return 0;
}

static int create_devices(struct machine *m, struct chardev *console)
{
	unsigned int i;

	m->board = (struct board){
		.vm = &m->vm,
		.mem = &m->mem,
		.ports = &m->ports,
		.mmio = &m->mmio,
		.loop = m->loop,
		.backends = m->config->backends,
		.input = m->config->input,
		.display = m->config->display,
		.power = { power_off, power_reset, m },
		.cpus = m->config->boot.cpus,
		.remove = machine_remove_device,
		.watchdog = watchdog,
		.machine = m,
	};
	if (create_parts(m, console) < 0 || start_prepare(m) < 0 || m->config->type->create(m) < 0)
		return -1;
	for (i = 0; i < m->config->ndevices; i++)
		if (!device_create_text(&m->devices, &m->board, m->config->devices[i]))
			return -1;
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
	m->vm.fd = -1;
	pthread_mutex_init(&m->pause_lock, NULL);
	pthread_cond_init(&m->resumed, NULL);
	if (create_vm(m) < 0 || create_devices(m, console) < 0 || start_load(m) < 0 ||
	    create_cpus(m) < 0) {
		machine_free(m);
		return NULL;
	}
	return m;
}

int machine_start(struct machine *m)
{
	unsigned int i;

	if (m->board.pci)
		m->board.pci->running = true;
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

/* --- ending ---------------------------------------------------------------------- */

int machine_stop(struct machine *m)
{
	u64 deadline = monotonic_ns() + STOP_NS;
	unsigned int i;

	request_all(m, VCPU_STOP);
	machine_unpause(m);
	for (i = 0; i < m->cpus; i++) {
		if (!cpu_join(&m->vcpus[i], deadline))
			return error("CPU %u does not leave the guest", i);
		cpu_open_stats(&m->vcpus[i]);
	}
	return 0;
}

void machine_power_button(struct machine *m)
{
	acpi_pm_power_button(m->acpi_pm);
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
	loop_forget(m->loop, m);
	for (i = 0; i < m->cpus; i++)
		cpu_destroy(&m->vcpus[i]);
	free(m->vcpus);
	devices_destroy(&m->devices);
	if (m->chipset)
		m->config->type->destroy(m);
	uart_free(m->uart);
	rtc_free(m->rtc);
	hpet_free(m->hpet);
	i8042_free(m->i8042);
	reset_ports_free(m->reset_ports);
	start_free(m);
	vm_close(&m->vm);
	memory_destroy(&m->mem);
	free(m);
}

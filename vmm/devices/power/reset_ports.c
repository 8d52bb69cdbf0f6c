/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The chipset's ways to reset: the reset control register at port 0xcf9 (bit 1
 * chooses a hard reset, the rise of bit 2 makes it) and system control port A
 * at 0x92 (the rise of bit 0 is a fast reset; bit 1 is the A20 gate, which is
 * always open here). 0xcf9 lies among the ports of PCI configuration, whose
 * owner passes byte accesses on. Where there is no PCI all those ports are
 * taken here, so that a system looking for it by wider ones makes no reset.
 */
#include <pthread.h>
#include <stdlib.h>

#include "../../boot/acpi.h"
#include "power.h"

#define PORT_A 0x92
#define PORT_A_RESET (1 << 0)
#define PORT_A_A20 (1 << 1)

#define CONFIG_PORTS 0xcf8
#define CONFIG_PORTS_SIZE 8

#define RCR_HARD (1 << 1)
#define RCR_CPU (1 << 2)

struct reset_ports {
	pthread_mutex_t lock;
	struct power_ops ops;
	struct bus *ports;
	struct bus_region control;
	u8 port_a, rcr;
};

static u64 port_a_read(void *dev, u64 offset, unsigned int size)
{
	struct reset_ports *r = dev;

	(void)offset, (void)size;
	return __atomic_load_n(&r->port_a, __ATOMIC_RELAXED);
}

static void port_a_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct reset_ports *r = dev;

	(void)offset, (void)size;
	pthread_mutex_lock(&r->lock);
	if (value & ~(u64)r->port_a & PORT_A_RESET)
		r->ops.reset(r->ops.ctx);
	r->port_a = (u8)value | PORT_A_A20;
	pthread_mutex_unlock(&r->lock);
}

static u64 control_read(void *dev, u64 offset, unsigned int size)
{
	struct reset_ports *r = dev;

	(void)offset, (void)size;
	return __atomic_load_n(&r->rcr, __ATOMIC_RELAXED);
}

static void control_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct reset_ports *r = dev;

	(void)offset, (void)size;
	pthread_mutex_lock(&r->lock);
	if (value & ~(u64)r->rcr & RCR_CPU)
		r->ops.reset(r->ops.ctx);
	r->rcr = (u8)value & (RCR_HARD | RCR_CPU);
	pthread_mutex_unlock(&r->lock);
}

/* The ports around it, without PCI. */
static u64 alone_read(void *dev, u64 offset, unsigned int size)
{
	if (offset == ACPI_RESET_PORT - CONFIG_PORTS && size == 1)
		return control_read(dev, 0, 1);
	return ~0ULL;
}

static void alone_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	if (offset == ACPI_RESET_PORT - CONFIG_PORTS && size == 1)
		control_write(dev, 0, value, 1);
}

const struct bus_region *reset_ports_control(const struct reset_ports *r)
{
	return &r->control;
}

int reset_ports_add_control(struct reset_ports *r)
{
	const struct bus_region alone = {
		"reset-control", CONFIG_PORTS, CONFIG_PORTS_SIZE, 4, alone_read, alone_write, r,
	};

	return bus_add(r->ports, &alone);
}

struct reset_ports *reset_ports_new(struct bus *ports, const struct power_ops *ops)
{
	struct reset_ports *r = calloc(1, sizeof(*r));
	const struct bus_region port_a = { "port-a", PORT_A, 1, 1, port_a_read, port_a_write, r };

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	r->ops = *ops;
	r->ports = ports;
	r->port_a = PORT_A_A20;
	r->control = (struct bus_region){
		"reset-control", ACPI_RESET_PORT, 1, 1, control_read, control_write, r,
	};
	if (bus_add(ports, &port_a) < 0) {
		reset_ports_free(r);
		return NULL;
	}
	return r;
}

void reset_ports_free(struct reset_ports *r)
{
	free(r);
}

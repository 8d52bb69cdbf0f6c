/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The chipset's ways to reset: the reset control register at port 0xcf9 (bit 1
 * chooses a hard reset, the rise of bit 2 makes it) and system control port A
 * at 0x92 (the rise of bit 0 is a fast reset; bit 1 is the A20 gate, which is
 * always open here). Only a byte access to 0xcf9 reaches the register; the
 * wider ones around it are those of PCI configuration, which is not there.
 */
#include <pthread.h>
#include <stdlib.h>

#include "../../boot/acpi.h"
#include "power.h"

#define PORT_A 0x92
#define PORT_A_RESET (1 << 0)
#define PORT_A_A20 (1 << 1)

#define CONFIG_PORTS 0xcf8
#define RCR_OFFSET (ACPI_RESET_PORT - CONFIG_PORTS)
#define RCR_HARD (1 << 1)
#define RCR_CPU (1 << 2)

struct reset_ports {
	pthread_mutex_t lock;
	struct power_ops ops;
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

/* The eight ports from 0xcf8 on. */
static u64 config_read(void *dev, u64 offset, unsigned int size)
{
	struct reset_ports *r = dev;

	if (offset == RCR_OFFSET && size == 1)
		return __atomic_load_n(&r->rcr, __ATOMIC_RELAXED);
	return ~0ULL;
}

static void config_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct reset_ports *r = dev;

	if (offset != RCR_OFFSET || size != 1)
		return;
	pthread_mutex_lock(&r->lock);
	if (value & ~(u64)r->rcr & RCR_CPU)
		r->ops.reset(r->ops.ctx);
	r->rcr = (u8)value & (RCR_HARD | RCR_CPU);
	pthread_mutex_unlock(&r->lock);
}

struct reset_ports *reset_ports_new(struct bus *ports, const struct power_ops *ops)
{
	struct reset_ports *r = calloc(1, sizeof(*r));
	const struct bus_region regions[] = {
		{ "port-a", PORT_A, 1, 1, port_a_read, port_a_write, r },
		{ "reset-control", CONFIG_PORTS, 8, 4, config_read, config_write, r },
	};
	unsigned int i;

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	r->ops = *ops;
	r->port_a = PORT_A_A20;
	for (i = 0; i < ARRAY_SIZE(regions); i++)
		if (bus_add(ports, &regions[i]) < 0) {
			reset_ports_free(r);
			return NULL;
		}
	return r;
}

void reset_ports_free(struct reset_ports *r)
{
	free(r);
}

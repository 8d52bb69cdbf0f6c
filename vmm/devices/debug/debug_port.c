/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The debug console that Bochs and QEMU made common: a byte written to port
 * 0x402 (firmware) or 0xe9 (small kernels) is printed. A read gives 0xe9,
 * by which programs find it.
 */
#include <stdint.h>
#include <unistd.h>

#include "debug_port.h"

#define PORT_FIRMWARE 0x402
#define PORT_BOCHS 0xe9
#define SIGNATURE 0xe9

static u64 debug_read(void *dev, u64 offset, unsigned int size)
{
	(void)dev, (void)offset, (void)size;
	return SIGNATURE;
}

static void debug_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	u8 c = (u8)value;

	(void)offset, (void)size;
	if (write((int)(intptr_t)dev, &c, 1) < 0)
		return;		/* nobody listens */
}

int debug_port_add(struct bus *ports, int fd)
{
	static const u16 port[] = { PORT_FIRMWARE, PORT_BOCHS };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(port); i++) {
		const struct bus_region r = {
			"debug", port[i], 1, 1, debug_read, debug_write, (void *)(intptr_t)fd,
		};
		int err = bus_add(ports, &r);

		if (err)
			return err;
	}
	return 0;
}

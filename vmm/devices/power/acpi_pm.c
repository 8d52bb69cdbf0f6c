/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ACPI's fixed hardware (ACPI specification, 4.8.3) as chipsets have it: the
 * PM1a event and control registers and the power management timer in a block
 * of ports that the chipset maps, and a general purpose event block. The
 * machine is always in ACPI mode. Events are the power button, the general
 * purpose ones, and the timer's carry, whose status a guest can poll; that one
 * raises no interrupt: systems count the timer by reading it more often than
 * it wraps (every 20 minutes).
 */
#include <pthread.h>
#include <stdlib.h>

#include "../../backends/loop.h"
#include "../../boot/acpi.h"
#include "power.h"

#define PM_TIMER_HZ 3579545ULL

#define PM1_STS_TMR (1 << 0)
#define PM1_STS_PWRBTN (1 << 8)
#define PM1_EN_MASK 0x721			/* timer, global lock, buttons, RTC */

#define PM1_CNT_SCI_EN (1 << 0)
#define PM1_CNT_BM_RLD (1 << 1)
#define PM1_CNT_SLP_TYP_SHIFT 10
#define PM1_CNT_SLP_TYP (7 << PM1_CNT_SLP_TYP_SHIFT)
#define PM1_CNT_SLP_EN (1 << 13)

#define BLOCK_SIZE_MIN 12			/* events, control, timer */

struct acpi_pm {
	pthread_mutex_t lock;
	struct power_ops ops;
	struct irq_line sci;
	struct bus *ports;
	struct acpi_pm_layout layout;
	u16 base;		/* where the block is; 0: nowhere */
	u64 start_ns;
	u64 carry;		/* half periods of the timer at the last clearing of the status */
	u16 status, enable, control;
	u32 gpe_status, gpe_enable;
	u8 scratch[ACPI_PM_BLOCK_MAX];	/* registers of the block without effect here */
	bool level;
};

/* The timer's count since the machine started, before it is cut to 32 bits. */
static u64 timer_count(const struct acpi_pm *pm)
{
	return (u64)((unsigned __int128)(monotonic_ns() - pm->start_ns) * PM_TIMER_HZ / NSEC);
}

/* The status tells that the highest bit of the timer has changed. */
static u16 read_status(const struct acpi_pm *pm)
{
	return pm->status | (timer_count(pm) >> 31 != pm->carry ? PM1_STS_TMR : 0);
}

static void update_sci(struct acpi_pm *pm)
{
	bool level = pm->status & pm->enable || pm->gpe_status & pm->gpe_enable;

	if (level == pm->level)
		return;
	pm->level = level;
	irq_set(&pm->sci, level);
}

/* --- the registers: under the lock ----------------------------------------------- */

static void write_control(struct acpi_pm *pm, u16 v, u16 mask)
{
	pm->control = (u16)((pm->control & ~mask) | (v & mask)) &
		      (PM1_CNT_BM_RLD | PM1_CNT_SLP_TYP);
	if ((v & mask & PM1_CNT_SLP_EN) &&
	    (pm->control & PM1_CNT_SLP_TYP) >> PM1_CNT_SLP_TYP_SHIFT == ACPI_SLP_TYP_S5)
		pm->ops.off(pm->ops.ctx);
}

/* An aligned word of the block. */
static u32 read_word(const struct acpi_pm *pm, unsigned int at)
{
	u32 v;

	switch (at) {
	case ACPI_PM_EVT_OFFSET:
		return read_status(pm) | (u32)pm->enable << 16;
	case ACPI_PM_CNT_OFFSET:
		return pm->control | PM1_CNT_SCI_EN;
	case ACPI_PM_TMR_OFFSET:
		return (u32)timer_count(pm);
	}
	if (pm->layout.gpe && at == pm->layout.gpe)
		return pm->gpe_status;
	if (pm->layout.gpe && at == pm->layout.gpe + pm->layout.gpe_len / 2u)
		return pm->gpe_enable;
	v = 0;
	for (unsigned int i = 0; i < 4; i++)
		v |= (u32)pm->scratch[at + i] << (i * 8);
	return v;
}

static void write_word(struct acpi_pm *pm, unsigned int at, u32 v, u32 mask)
{
	if (at == ACPI_PM_EVT_OFFSET) {
		if (v & mask & PM1_STS_TMR)
			pm->carry = timer_count(pm) >> 31;
		pm->status &= (u16)~(v & mask);
		pm->enable = (u16)((pm->enable & ~(mask >> 16)) | (v & mask) >> 16) & PM1_EN_MASK;
	} else if (at == ACPI_PM_CNT_OFFSET) {
		write_control(pm, (u16)v, (u16)mask);
	} else if (pm->layout.gpe && at == pm->layout.gpe) {
		pm->gpe_status &= ~(v & mask);
	} else if (pm->layout.gpe && at == pm->layout.gpe + pm->layout.gpe_len / 2u) {
		pm->gpe_enable = (pm->gpe_enable & ~mask) | (v & mask);
	} else if (at != ACPI_PM_TMR_OFFSET) {
		for (unsigned int i = 0; i < 4; i++)
			if (mask >> (i * 8) & 0xff)
				pm->scratch[at + i] = (u8)(v >> (i * 8));
	}
	update_sci(pm);
}

/* --- the block ---------------------------------------------------------------------- */

static u64 block_read(void *dev, u64 offset, unsigned int size)
{
	struct acpi_pm *pm = dev;
	u64 v;

	(void)size;
	pthread_mutex_lock(&pm->lock);
	v = read_word(pm, (unsigned int)offset & ~3u) >> (offset & 3) * 8;
	pthread_mutex_unlock(&pm->lock);
	return v;
}

static void block_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct acpi_pm *pm = dev;
	unsigned int shift = (unsigned int)(offset & 3) * 8;

	pthread_mutex_lock(&pm->lock);
	write_word(pm, (unsigned int)offset & ~3u, (u32)value << shift,
		   (u32)((1ULL << size * 8) - 1) << shift);
	pthread_mutex_unlock(&pm->lock);
}

/* Accesses across two words come as bytes. */
static u64 ports_read(void *dev, u64 offset, unsigned int size)
{
	u64 v = 0;

	if ((offset & 3) + size <= 4)
		return block_read(dev, offset, size);
	for (unsigned int i = 0; i < size; i++)
		v |= (block_read(dev, offset + i, 1) & 0xff) << (i * 8);
	return v;
}

static void ports_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	if ((offset & 3) + size <= 4) {
		block_write(dev, offset, value, size);
		return;
	}
	for (unsigned int i = 0; i < size; i++)
		block_write(dev, offset + i, value >> (i * 8) & 0xff, 1);
}

/* A general purpose event block of its own: status, then enable, two bytes each. */
static u64 gpe_read(void *dev, u64 offset, unsigned int size)
{
	struct acpi_pm *pm = dev;
	u64 v;

	(void)size;
	pthread_mutex_lock(&pm->lock);
	v = ((pm->gpe_status & 0xffff) | pm->gpe_enable << 16) >> offset * 8;
	pthread_mutex_unlock(&pm->lock);
	return v;
}

static void gpe_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct acpi_pm *pm = dev;
	u32 mask = (u32)((1ULL << size * 8) - 1) << offset * 8;
	u32 v = (u32)value << offset * 8 & mask;

	pthread_mutex_lock(&pm->lock);
	pm->gpe_status &= ~(v & 0xffff);
	pm->gpe_enable = (pm->gpe_enable & ~(mask >> 16)) | v >> 16;
	update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
}

/* --- what the chipset and the machine do ------------------------------------------------ */

void acpi_pm_map(struct acpi_pm *pm, u16 base)
{
	const struct bus_region r = {
		"acpi-pm", base, pm->layout.size, 4, ports_read, ports_write, pm,
	};

	if (base == pm->base)
		return;
	if (pm->base)
		bus_remove(pm->ports, pm->base, pm);
	pm->base = base && bus_add(pm->ports, &r) == 0 ? base : 0;
}

u16 acpi_pm_base(const struct acpi_pm *pm)
{
	return pm->base;
}

void acpi_pm_set(struct acpi_pm *pm, unsigned int offset, u8 value)
{
	pm->scratch[offset % ACPI_PM_BLOCK_MAX] = value;
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	pm->status |= PM1_STS_PWRBTN;
	update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
}

void acpi_pm_gpe(struct acpi_pm *pm, unsigned int event)
{
	pthread_mutex_lock(&pm->lock);
	pm->gpe_status |= 1u << (event & 31);
	update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
}

struct acpi_pm *acpi_pm_new(struct bus *ports, const struct power_ops *ops,
			    const struct irq_line *sci, const struct acpi_pm_layout *layout)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));
	const struct bus_region gpe = {
		"acpi-gpe", layout->gpe_port, 4, 4, gpe_read, gpe_write, pm,
	};

	if (!pm)
		return NULL;
	pthread_mutex_init(&pm->lock, NULL);
	pm->ops = *ops;
	pm->sci = *sci;
	pm->ports = ports;
	pm->layout = *layout;
	pm->start_ns = monotonic_ns();
	if (layout->size < BLOCK_SIZE_MIN || layout->size > ACPI_PM_BLOCK_MAX ||
	    (layout->gpe_port && bus_add(ports, &gpe) < 0)) {
		acpi_pm_free(pm);
		return NULL;
	}
	return pm;
}

void acpi_pm_free(struct acpi_pm *pm)
{
	free(pm);
}

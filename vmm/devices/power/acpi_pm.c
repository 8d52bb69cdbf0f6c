/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ACPI's fixed hardware (ACPI specification, 4.8.3): the PM1a event and control
 * registers and the power management timer. The machine is always in ACPI
 * mode. There are no fixed buttons; the only event is the timer's carry, whose
 * status a guest can poll. Its interrupt is not raised: systems count the
 * timer by reading it more often than it wraps (every 20 minutes).
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "../../boot/acpi.h"
#include "power.h"

#define PM_TIMER_HZ 3579545ULL

#define PM1_STS_TMR (1 << 0)
#define PM1_EN_MASK 0x721			/* timer, global lock, buttons, RTC */

#define PM1_CNT_SCI_EN (1 << 0)
#define PM1_CNT_BM_RLD (1 << 1)
#define PM1_CNT_SLP_TYP_SHIFT 10
#define PM1_CNT_SLP_TYP (7 << PM1_CNT_SLP_TYP_SHIFT)
#define PM1_CNT_SLP_EN (1 << 13)

struct acpi_pm {
	pthread_mutex_t lock;
	struct power_ops ops;
	u64 start_ns;
	u64 carry;	/* half periods of the timer at the last clearing of the status */
	u16 enable;
	u16 control;
};

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NSEC + (u64)ts.tv_nsec;
}

/* The timer's count since the machine started, before it is cut to 32 bits. */
static u64 timer_count(const struct acpi_pm *pm)
{
	return (u64)((unsigned __int128)(now_ns() - pm->start_ns) * PM_TIMER_HZ / NSEC);
}

/* The status tells that the highest bit of the timer has changed. */
static u16 read_status(const struct acpi_pm *pm)
{
	return timer_count(pm) >> 31 != pm->carry ? PM1_STS_TMR : 0;
}

static u64 pick(u32 value, u64 offset)
{
	return value >> (offset * 8);
}

static u64 event_read(void *dev, u64 offset, unsigned int size)
{
	struct acpi_pm *pm = dev;
	u64 v;

	(void)size;
	pthread_mutex_lock(&pm->lock);
	v = pick(read_status(pm) | (u32)pm->enable << 16, offset);
	pthread_mutex_unlock(&pm->lock);
	return v;
}

static void event_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct acpi_pm *pm = dev;
	u32 mask = (u32)((1ULL << size * 8) - 1) << (offset * 8);
	u32 v = (u32)value << (offset * 8);

	pthread_mutex_lock(&pm->lock);
	if (v & mask & PM1_STS_TMR)
		pm->carry = timer_count(pm) >> 31;
	if (mask >> 16)
		pm->enable = (u16)((pm->enable & ~(mask >> 16)) | (v >> 16)) & PM1_EN_MASK;
	pthread_mutex_unlock(&pm->lock);
}

static u64 control_read(void *dev, u64 offset, unsigned int size)
{
	struct acpi_pm *pm = dev;

	(void)size;
	return pick(__atomic_load_n(&pm->control, __ATOMIC_RELAXED) | PM1_CNT_SCI_EN, offset);
}

static void control_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct acpi_pm *pm = dev;
	u16 mask = (u16)(((1u << size * 8) - 1) << (offset * 8));
	u16 v = (u16)(value << (offset * 8));

	pthread_mutex_lock(&pm->lock);
	pm->control = (u16)((pm->control & ~mask) | (v & mask)) &
		      (PM1_CNT_BM_RLD | PM1_CNT_SLP_TYP);
	if ((v & mask & PM1_CNT_SLP_EN) &&
	    (pm->control & PM1_CNT_SLP_TYP) >> PM1_CNT_SLP_TYP_SHIFT == ACPI_SLP_TYP_S5)
		pm->ops.off(pm->ops.ctx);
	pthread_mutex_unlock(&pm->lock);
}

static u64 timer_read(void *dev, u64 offset, unsigned int size)
{
	(void)size;
	return pick((u32)timer_count(dev), offset);
}

static void timer_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	(void)dev, (void)offset, (void)value, (void)size;	/* read-only */
}

struct acpi_pm *acpi_pm_new(struct bus *ports, const struct power_ops *ops)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));
	const struct bus_region regions[] = {
		{ "acpi-event", ACPI_PM1_EVT, 4, 4, event_read, event_write, pm },
		{ "acpi-control", ACPI_PM1_CNT, 2, 2, control_read, control_write, pm },
		{ "acpi-timer", ACPI_PM_TMR, 4, 4, timer_read, timer_write, pm },
	};
	unsigned int i;

	if (!pm)
		return NULL;
	pthread_mutex_init(&pm->lock, NULL);
	pm->ops = *ops;
	pm->start_ns = now_ns();
	for (i = 0; i < ARRAY_SIZE(regions); i++)
		if (bus_add(ports, &regions[i]) < 0) {
			acpi_pm_free(pm);
			return NULL;
		}
	return pm;
}

void acpi_pm_free(struct acpi_pm *pm)
{
	free(pm);
}

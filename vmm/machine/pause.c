/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking all CPUs out of the guest, for the user, or for a moment in which
 * something is done that no handler of a device may see. All but
 * machine_all_paused is called on the main thread, and the flags and the list
 * are that thread's; the CPUs look at `pausing` and count themselves.
 */
#include <errno.h>

#include "vcpu.h"

static void begin(struct machine *m)
{
	unsigned int i;

	if (m->pausing)
		return;
	pthread_mutex_lock(&m->pause_lock);
	m->pausing = true;
	m->paused = 0;
	m->pauses++;
	pthread_mutex_unlock(&m->pause_lock);
	for (i = 0; i < m->cpus; i++)
		cpu_request(&m->vcpus[i], VCPU_PAUSE);
}

static void end(struct machine *m)
{
	pthread_mutex_lock(&m->pause_lock);
	m->pausing = false;
	pthread_cond_broadcast(&m->resumed);
	pthread_mutex_unlock(&m->pause_lock);
}

bool machine_is_paused(struct machine *m)
{
	bool paused;

	pthread_mutex_lock(&m->pause_lock);
	paused = m->pausing && m->paused == m->cpus;
	pthread_mutex_unlock(&m->pause_lock);
	return paused;
}

/* Does what waits for the pause; a function may ask for more. */
static void run_jobs(struct machine *m)
{
	while (m->pause_jobs) {
		struct pause_job j = m->pause_job[0];
		unsigned int i;

		m->pause_jobs--;
		for (i = 0; i < m->pause_jobs; i++)
			m->pause_job[i] = m->pause_job[i + 1];
		j.fn(j.ctx);
	}
	if (!m->user_pause)
		end(m);
}

static void all_paused(void *arg)
{
	struct machine *m = arg;

	if (machine_is_paused(m))
		run_jobs(m);
}

void machine_all_paused(struct machine *m)
{
	loop_call(m->loop, all_paused, m);
}

int machine_when_paused(struct machine *m, void (*fn)(void *ctx), void *ctx)
{
	if (m->pause_jobs == PAUSE_JOBS_MAX)
		return -EBUSY;
	m->pause_job[m->pause_jobs++] = (struct pause_job){ fn, ctx };
	if (machine_is_paused(m))
		machine_all_paused(m);
	else
		begin(m);
	return 0;
}

void machine_pause(struct machine *m, bool on)
{
	m->user_pause = on;
	if (on)
		begin(m);
	else if (!m->pause_jobs)	/* else it ends after them */
		end(m);
}

void machine_unpause(struct machine *m)
{
	m->user_pause = false;
	m->pause_jobs = 0;
	end(m);
}

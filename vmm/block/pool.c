/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread pool. A thread is started when a job comes and all threads have
 * work, up to a bound; it stays until the process ends. They take no signals,
 * which are the main thread's.
 */
#include <pthread.h>
#include <signal.h>

#include "pool.h"

#define THREADS_MAX 16

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct pool_job *first, **last;
	unsigned int threads, idle, queued;
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.work = PTHREAD_COND_INITIALIZER,
	.last = &pool.first,
};

/* The next job; waits for it. */
static struct pool_job *take(void)
{
	struct pool_job *j;

	pthread_mutex_lock(&pool.lock);
	pool.idle++;
	while (!pool.first)
		pthread_cond_wait(&pool.work, &pool.lock);
	pool.idle--;
	j = pool.first;
	pool.first = j->next;
	if (!pool.first)
		pool.last = &pool.first;
	pool.queued--;
	pthread_mutex_unlock(&pool.lock);
	return j;
}

static void *work(void *arg)
{
	(void)arg;
	for (;;) {
		struct pool_job *j = take();

		j->fn(j);
	}
	return NULL;
}

static bool start_thread(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	bool ok;

	sigfillset(&all);
	sigdelset(&all, SIGSYS);	/* seccomp(2): a trapped system call, for this thread */
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ok = pthread_create(&thread, &attr, work, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return ok;
}

void pool_run(struct pool_job *j)
{
	bool none = false;

	pthread_mutex_lock(&pool.lock);
	if (pool.queued >= pool.idle && pool.threads < THREADS_MAX) {
		if (start_thread())
			pool.threads++;
		else
			none = !pool.threads;
	}
	if (!none) {
		j->next = NULL;
		*pool.last = j;
		pool.last = &j->next;
		pool.queued++;
		pthread_cond_signal(&pool.work);
	}
	pthread_mutex_unlock(&pool.lock);
	if (none)
		j->fn(j);	/* no thread can be had: the caller waits */
}

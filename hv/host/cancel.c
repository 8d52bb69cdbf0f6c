/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pthread_cancel() of a thread that is in one of our calls.
 *
 * In the kernel an asynchronous cancellation ends KVM_RUN as any signal does
 * and strikes when the call is over. Here it would unwind through translated
 * code and held locks. So it is put off until the call is over
 * (host_cancel_hold and _release around each), and pthread_cancel() is defined
 * here in place of the C library's, to make a thread in KVM_RUN come out.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "cancel.h"
#include "host.h"
#include "syscall.h"

/* The C library's signal for it: its handler does nothing while it is put off. */
#define SIGCANCEL 32

struct runner {
	struct runner *next;
	pthread_t id;
	u32 tid;
	struct host_mutex lock;		/* kick is called, or changed */
	void (*kick)(void *);		/* NULL outside KVM_RUN */
	void *arg;
	bool async;			/* in a call that puts off asynchronous cancellation */
	bool cancelled;
};

static struct host_mutex list_lock;
static struct runner *runners;		/* every thread that was ever in KVM_RUN and lives */
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread struct runner *me __attribute__((tls_model("initial-exec")));

static void forget(void *p)
{
	struct runner *r = p, **at = &runners;

	host_mutex_lock(&list_lock);
	while (*at && *at != r)
		at = &(*at)->next;
	if (*at)
		*at = r->next;
	host_mutex_unlock(&list_lock);
	me = NULL;
	host_free(r);
}

static void make_key(void)
{
	pthread_key_create(&key, forget);
}

static struct runner *get_runner(void)
{
	struct runner *r = me;

	if (likely(r))
		return r;
	pthread_once(&once, make_key);
	r = host_zalloc(sizeof(*r));
	if (!r || pthread_setspecific(key, r)) {
		host_free(r);
		return NULL;
	}
	r->id = pthread_self();
	r->tid = host_gettid();
	host_mutex_lock(&list_lock);
	r->next = runners;
	runners = r;
	host_mutex_unlock(&list_lock);
	me = r;
	return r;
}

void cancel_enter(void (*kick)(void *), void *arg)
{
	struct runner *r = get_runner();

	if (!r)
		return;
	host_mutex_lock(&r->lock);
	r->kick = kick;
	r->arg = arg;
	/* It came since the call began. */
	if (r->async && r->cancelled)
		kick(arg);
	host_mutex_unlock(&r->lock);
}

void cancel_leave(void)
{
	if (!me)
		return;
	host_mutex_lock(&me->lock);
	me->kick = NULL;
	host_mutex_unlock(&me->lock);
}

int host_cancel_hold(void)
{
	int old = PTHREAD_CANCEL_DEFERRED;

	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old);
	if (likely(old == PTHREAD_CANCEL_DEFERRED))
		return old;
	if (!me && get_runner()) {
		/* One that came while nobody could find us strikes here. */
		pthread_setcanceltype(old, &old);
		pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old);
	}
	if (me)
		me->async = true;
	return old;
}

void host_cancel_release(int old)
{
	if (likely(old == PTHREAD_CANCEL_DEFERRED))
		return;
	if (me)
		me->async = false;
	pthread_setcanceltype(old, &old);
}

/* The list stays locked, so that the thread does not end meanwhile. */
static void kick_thread(pthread_t id)
{
	struct runner *r;

	host_mutex_lock(&list_lock);
	for (r = runners; r && !pthread_equal(r->id, id); r = r->next)
		;
	if (r) {
		host_mutex_lock(&r->lock);
		r->cancelled = true;
		if (r->kick) {
			r->kick(r->arg);
			/* Out of a sleep. */
			SYS3(SYS_tgkill, host_getpid(), r->tid, SIGCANCEL);
		}
		host_mutex_unlock(&r->lock);
	}
	host_mutex_unlock(&list_lock);
}

int pthread_cancel(pthread_t id)
{
	static int (*next)(pthread_t);
	int r;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "pthread_cancel");
	if (!next)
		return ENOSYS;
	r = next(id);
	if (!r && !pthread_equal(id, pthread_self()))
		kick_thread(id);
	return r;
}

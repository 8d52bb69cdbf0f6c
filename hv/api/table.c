/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which object a descriptor stands for.
 *
 * A table by descriptor number answers without a lock or a system call, as
 * KVM_RUN needs. Objects are never given back to the heap, only used again:
 * so a thread may try to take a reference to one that another is closing, and
 * look afterwards whether the table still says so.
 *
 * The C library's dup and close go past us. A number that we do not know is
 * identified by its file (fstat), and so is one that we think we know, unless
 * the caller is in a hurry.
 *
 * In a child made by fork the table is a copy, whose objects lack the threads
 * that worked for them: there they are forgotten instead of destroyed.
 */
#include <errno.h>

#include "api.h"

#define LEAF_BITS 10
#define LEAF_SIZE BIT(LEAF_BITS)
#define ROOT_SIZE 1024u
#define BUCKETS 256

struct leaf {
	struct api_object *slot[LEAF_SIZE];
};

static struct leaf *root[ROOT_SIZE];		/* atomic pointers */
static struct host_mutex lock;			/* everything below, and changes of slots */
static struct api_object *by_ino[BUCKETS];
static struct api_object *unused;
static u64 file_system;				/* st_dev of all our files */

static struct api_object **slot_of(int fd, bool make)
{
	u32 i = (u32)fd >> LEAF_BITS;
	struct leaf *l;

	if (fd < 0 || i >= ROOT_SIZE)
		return NULL;
	l = __atomic_load_n(&root[i], __ATOMIC_ACQUIRE);
	if (!l && make) {
		l = host_map(sizeof(*l));
		__atomic_store_n(&root[i], l, __ATOMIC_RELEASE);
	}
	return l ? &l->slot[fd & (LEAF_SIZE - 1)] : NULL;
}

/* --- references ------------------------------------------------------------------ */

static bool try_hold(struct api_object *o)
{
	u32 n = __atomic_load_n(&o->refs, __ATOMIC_RELAXED);

	while (n)
		if (__atomic_compare_exchange_n(&o->refs, &n, n + 1, true, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

static void forget(struct api_object *o)
{
	struct api_object **at = &by_ino[o->ino % BUCKETS];

	while (*at && *at != o)
		at = &(*at)->next;
	if (*at)
		*at = o->next;
	o->next = unused;
	unused = o;
}

void api_put(struct api_object *o)
{
	enum api_kind kind = o->kind;
	void *ptr = o->ptr;

	bool ours = o->forks == host_fork_count();

	if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL))
		return;
	host_mutex_lock(&lock);
	forget(o);
	host_mutex_unlock(&lock);
	if (!ours)
		return;
	if (kind == API_VM)
		vm_put(ptr);
	else if (kind == API_VCPU)
		vm_put(((struct vcpu *)ptr)->vm);
}

/* --- the table ------------------------------------------------------------------- */

/* Under the lock: what stood in the slot, whose reference the caller now owns. */
static struct api_object *exchange(struct api_object **slot, struct api_object *o)
{
	return __atomic_exchange_n(slot, o, __ATOMIC_SEQ_CST);
}

static void before_fork(void)
{
	host_mutex_lock(&lock);
}

static void after_fork(void)
{
	host_mutex_unlock(&lock);
}

static void watch_forks(void)
{
	static u32 watching;

	if (!__atomic_exchange_n(&watching, 1, __ATOMIC_RELAXED))
		host_at_fork(before_fork, after_fork);
}

int api_install(int fd, enum api_kind kind, void *ptr)
{
	struct api_object *o, *old = NULL, **slot;
	u64 dev, ino;
	int r = host_fd_identity(fd, &dev, &ino);

	if (r)
		return r;
	watch_forks();
	host_mutex_lock(&lock);
	slot = slot_of(fd, true);
	o = unused ? unused : host_zalloc(sizeof(*o));
	if (!slot || !o) {
		if (o != unused)
			host_free(o);
		host_mutex_unlock(&lock);
		return slot ? -ENOMEM : -EMFILE;
	}
	if (o == unused)
		unused = o->next;
	o->kind = kind;
	o->ptr = ptr;
	o->forks = host_fork_count();
	o->dev = file_system = dev;
	o->ino = ino;
	o->next = by_ino[ino % BUCKETS];
	by_ino[ino % BUCKETS] = o;
	__atomic_store_n(&o->refs, 1, __ATOMIC_RELEASE);
	old = exchange(slot, o);
	host_mutex_unlock(&lock);
	if (old)
		api_put(old);
	return 0;
}

static struct api_object *find_file(u64 dev, u64 ino)
{
	struct api_object *o = by_ino[ino % BUCKETS];

	while (o && (o->dev != dev || o->ino != ino))
		o = o->next;
	return o;
}

/*
 * A descriptor made or replaced without us: looks at its file and corrects the
 * table. Under the lock, so that api_close() does not close it meanwhile.
 */
static struct api_object *identify(int fd)
{
	struct api_object *o = NULL, *old, **slot;
	u64 dev, ino;

	host_mutex_lock(&lock);
	if (!host_fd_identity(fd, &dev, &ino) && dev == file_system)
		o = find_file(dev, ino);
	slot = slot_of(fd, o != NULL);
	/* One reference for the slot, one for the caller. */
	if (!slot || (o && !try_hold(o)))
		o = NULL;
	if (o)
		try_hold(o);
	old = slot ? exchange(slot, o) : NULL;
	host_mutex_unlock(&lock);
	if (old)
		api_put(old);
	return o;
}

struct api_object *api_get(int fd, bool quick)
{
	struct api_object **slot = slot_of(fd, false), *o;
	u64 dev = 0, ino = 0;

	o = slot ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) : NULL;
	if (o && try_hold(o)) {
		if (__atomic_load_n(slot, __ATOMIC_ACQUIRE) != o) {
			api_put(o);
			return api_get(fd, quick);
		}
		if (quick)
			return o;
		host_fd_identity(fd, &dev, &ino);
		if (o->dev == dev && o->ino == ino)
			return o;
		api_put(o);
	} else if (fd < 0 || host_fd_identity(fd, &dev, &ino)) {
		return NULL;
	}
	/* The common case of a descriptor that is none of ours ends here. */
	if (!o && dev != __atomic_load_n(&file_system, __ATOMIC_RELAXED))
		return NULL;
	return identify(fd);
}

int api_close(int fd)
{
	struct api_object *o = api_get(fd, false), *old;

	if (!o)
		return -EBADF;
	host_mutex_lock(&lock);
	old = exchange(slot_of(fd, false), NULL);
	host_close(fd);
	host_mutex_unlock(&lock);
	if (old)
		api_put(old);
	api_put(o);
	return 0;
}

int api_dup(int fd)
{
	struct api_object *o = api_get(fd, false), *copy;
	int new;

	if (!o)
		return -EBADF;
	new = host_dup(fd);
	if (new >= 0) {
		copy = identify(new);
		if (copy) {
			api_put(copy);
		} else {
			host_close(new);
			new = -EMFILE;
		}
	}
	api_put(o);
	return new;
}

bool api_known(int fd)
{
	struct api_object **slot = slot_of(fd, false);

	return slot && __atomic_load_n(slot, __ATOMIC_RELAXED);
}

int api_next(int fd)
{
	u32 n = fd < 0 ? 0 : (u32)fd;

	while (n < ROOT_SIZE << LEAF_BITS) {
		if (!__atomic_load_n(&root[n >> LEAF_BITS], __ATOMIC_RELAXED))
			n = (n | (LEAF_SIZE - 1)) + 1;
		else if (api_known((int)n))
			return (int)n;
		else
			n++;
	}
	return -1;
}

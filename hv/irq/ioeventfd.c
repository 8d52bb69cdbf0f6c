/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ioeventfd: a guest's write to a port or address that signals an eventfd
 * instead of stopping the vCPU.
 *
 * Specification: virt/kvm/api.rst, KVM_IOEVENTFD. Length 0 matches a write of
 * any length; KVM_IOEVENTFD_FLAG_DATAMATCH asks for one value. The flag for
 * virtio-ccw is s390's and refused.
 *
 * An array sorted by bus and address, under a lock of its own: lookups are
 * short and come from all vCPUs.
 */
#include "internal.h"

struct ioeventfd {
	u64 addr;
	u64 match;
	u32 len;
	int fd;
	bool pio, any;
};

struct ioeventfds {
	struct host_mutex lock;
	struct ioeventfd *list;
	u32 count, room;	/* count is read without the lock */
};

static bool before(const struct ioeventfd *a, bool pio, u64 addr)
{
	return a->pio != pio ? a->pio < pio : a->addr < addr;
}

/* The first of that address, or where it would be. */
static u32 lower_bound(const struct ioeventfds *t, bool pio, u64 addr)
{
	u32 lo = 0, hi = t->count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (before(&t->list[mid], pio, addr))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool same_place(const struct ioeventfd *a, bool pio, u64 addr)
{
	return a->pio == pio && a->addr == addr;
}

static bool hit(const struct ioeventfd *a, u32 size, u64 val)
{
	return !a->len || (a->len == size && (a->any || a->match == val));
}

bool ioeventfd_write(struct vm *vm, bool pio, u64 addr, u32 size, const void *data)
{
	struct ioeventfds *t = __atomic_load_n(&vm->ioeventfds, __ATOMIC_SEQ_CST);
	bool found = false;
	u64 val = 0;
	u32 i;

	if (!t || !__atomic_load_n(&t->count, __ATOMIC_SEQ_CST))
		return false;
	host_memcpy(&val, data, MIN(size, sizeof(val)));
	host_mutex_lock(&t->lock);
	for (i = lower_bound(t, pio, addr); i < t->count; i++) {
		if (!same_place(&t->list[i], pio, addr))
			break;
		found = hit(&t->list[i], size, val);
		if (found) {
			host_eventfd_signal(t->list[i].fd);
			break;
		}
	}
	host_mutex_unlock(&t->lock);
	return found;
}

/* Two that one write could hit. */
static bool collides(const struct ioeventfd *a, const struct ioeventfd *b)
{
	if (!same_place(a, b->pio, b->addr))
		return false;
	return !a->len || !b->len ||
	       (a->len == b->len && (a->any || b->any || a->match == b->match));
}

static int make_room(struct ioeventfds *t)
{
	u32 room = t->room ? t->room * 2 : 16;
	struct ioeventfd *list;

	if (t->count < t->room)
		return 0;
	list = host_zalloc(room * sizeof(*list));
	if (!list)
		return -ENOMEM;
	host_memcpy(list, t->list, t->count * sizeof(*list));
	host_free(t->list);
	t->list = list;
	t->room = room;
	return 0;
}

static int insert(struct ioeventfds *t, const struct ioeventfd *e)
{
	u32 at = lower_bound(t, e->pio, e->addr), i;
	int err;

	for (i = at; i < t->count && same_place(&t->list[i], e->pio, e->addr); i++)
		if (collides(&t->list[i], e))
			return -EEXIST;
	err = make_room(t);
	if (err)
		return err;
	for (i = t->count; i > at; i--)
		host_memcpy(&t->list[i], &t->list[i - 1], sizeof(*e));
	host_memcpy(&t->list[at], e, sizeof(*e));
	__atomic_store_n(&t->count, t->count + 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int remove_entry(struct ioeventfds *t, const struct ioeventfd *e)
{
	u32 i = lower_bound(t, e->pio, e->addr);
	struct ioeventfd *a;

	for (; i < t->count && same_place(&t->list[i], e->pio, e->addr); i++) {
		a = &t->list[i];
		if (a->len != e->len || a->any != e->any || (!a->any && a->match != e->match) ||
		    !host_same_eventfd(a->fd, e->fd))
			continue;
		host_close(a->fd);
		for (; i + 1 < t->count; i++)
			host_memcpy(&t->list[i], &t->list[i + 1], sizeof(*e));
		__atomic_store_n(&t->count, t->count - 1, __ATOMIC_SEQ_CST);
		return 0;
	}
	return -ENOENT;
}

static bool args_valid(const struct kvm_ioeventfd *a)
{
	u32 known = KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO |
		    KVM_IOEVENTFD_FLAG_DEASSIGN;

	switch (a->len) {
	case 0: case 1: case 2: case 4: case 8:
		break;
	default:
		return false;
	}
	if (a->addr + a->len < a->addr || (a->flags & ~known))
		return false;
	return a->len || !(a->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
}

static struct ioeventfds *table(struct vm *vm)
{
	struct ioeventfds *t = __atomic_load_n(&vm->ioeventfds, __ATOMIC_SEQ_CST), *none = NULL;

	if (t)
		return t;
	t = host_zalloc(sizeof(*t));
	if (t && !__atomic_compare_exchange_n(&vm->ioeventfds, &none, t, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST)) {
		host_free(t);
		t = none;
	}
	return t;
}

int ioeventfd_assign(struct vm *vm, const struct kvm_ioeventfd *a)
{
	struct ioeventfds *t;
	struct ioeventfd e;
	bool remove = a->flags & KVM_IOEVENTFD_FLAG_DEASSIGN;
	int err;

	if (!remove && !args_valid(a))
		return -EINVAL;
	host_memset(&e, 0, sizeof(e));
	e.addr = a->addr;
	e.match = a->datamatch;
	e.len = a->len;
	e.pio = !!(a->flags & KVM_IOEVENTFD_FLAG_PIO);
	e.any = !(a->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	e.fd = host_eventfd_copy(a->fd);
	if (e.fd < 0)
		return e.fd;
	t = table(vm);
	err = t ? 0 : -ENOMEM;
	if (!err) {
		host_mutex_lock(&t->lock);
		err = remove ? remove_entry(t, &e) : insert(t, &e);
		host_mutex_unlock(&t->lock);
	}
	if (err || remove)
		host_close(e.fd);
	return err;
}

void ioeventfds_destroy(struct vm *vm)
{
	struct ioeventfds *t = vm->ioeventfds;
	u32 i;

	if (!t)
		return;
	for (i = 0; i < t->count; i++)
		host_close(t->list[i].fd);
	host_free(t->list);
	host_free(t);
	vm->ioeventfds = NULL;
}

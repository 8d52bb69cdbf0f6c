/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory slots: which guest-physical pages are whose memory
 * (KVM_SET_USER_MEMORY_REGION, KVM API section 4.35).
 *
 * The slots are a sorted array that is replaced whole. A vCPU inside the
 * engine may use what it found until it takes note of REQ_TLB_FLUSH; other
 * threads bracket their use with vm_slots_begin and vm_slots_end. The writer
 * publishes the new array, waits for both, and only then frees the old. There
 * are two arrays: that of address space 1 is what vCPUs in system management
 * mode see.
 */
#include <errno.h>

#include "vm.h"

#define USER_SPACE_END 0x7ffffffff000ull
#define MAX_PAGES ((1ull << 31) - 1)

/* --- looking up ------------------------------------------------------------- */

struct memslot *slot_array_find(const struct slot_array *a, u64 gfn)
{
	u32 low = 0, high = a ? a->count : 0;

	while (low < high) {
		u32 mid = low + (high - low) / 2;
		struct memslot *s = a->slot[mid];

		if (gfn < s->gfn)
			high = mid;
		else if (gfn - s->gfn >= s->npages)
			low = mid + 1;
		else
			return s;
	}
	return NULL;
}

/* The array that slot id belongs to. */
static struct slot_array **array_of(struct vm *vm, u32 id)
{
	return id >> 16 ? &vm->smm_slots : &vm->slots;
}

struct memslot *vm_slot_by_id(struct vm *vm, u32 id)
{
	const struct slot_array *a = *array_of(vm, id);
	u32 i;

	for (i = 0; a && i < a->count; i++)
		if (a->slot[i]->id == id)
			return a->slot[i];
	return NULL;
}

/* --- readers outside the engine ----------------------------------------------- */

u32 vm_slots_begin(struct vm *vm)
{
	u32 parity = __atomic_load_n(&vm->slot_epoch, __ATOMIC_SEQ_CST) & 1;

	__atomic_fetch_add(&vm->slot_readers[parity], 1, __ATOMIC_SEQ_CST);
	return parity;
}

void vm_slots_end(struct vm *vm, u32 parity)
{
	__atomic_fetch_sub(&vm->slot_readers[parity], 1, __ATOMIC_SEQ_CST);
}

/*
 * Twice, because a reader may have read the epoch long before it is counted:
 * it is then counted under the parity of the next epoch.
 */
static void wait_readers(struct vm *vm)
{
	int i;

	for (i = 0; i < 2; i++) {
		u32 parity = __atomic_fetch_add(&vm->slot_epoch, 1, __ATOMIC_SEQ_CST) & 1;

		while (__atomic_load_n(&vm->slot_readers[parity], __ATOMIC_SEQ_CST))
			host_yield();
	}
}

/* --- replacing the array -------------------------------------------------------- */

static struct slot_array *array_alloc(u32 count)
{
	return host_zalloc(sizeof(struct slot_array) + count * sizeof(struct memslot *));
}

/* dst = src without minus and with plus (either may be NULL), sorted. */
static void array_build(struct slot_array *dst, const struct slot_array *src,
			const struct memslot *minus, struct memslot *plus)
{
	u32 i;

	dst->count = 0;
	for (i = 0; src && i < src->count; i++) {
		struct memslot *s = src->slot[i];

		if (plus && plus->gfn < s->gfn) {
			dst->slot[dst->count++] = plus;
			plus = NULL;
		}
		if (s != minus)
			dst->slot[dst->count++] = s;
	}
	if (plus)
		dst->slot[dst->count++] = plus;
}

/* Makes a the array that everybody uses, and frees the one before. */
static void publish(struct vm *vm, struct slot_array **slots, struct slot_array *a)
{
	struct slot_array *old = *slots;

	__atomic_store_n(slots, a, __ATOMIC_SEQ_CST);
	vm_request_sync(vm, REQ_TLB_FLUSH, NULL);
	wait_readers(vm);
	host_free(old);
}

/* --- one slot ------------------------------------------------------------------- */

static u64 bitmap_bytes(const struct memslot *s)
{
	return ALIGN_UP(s->npages, 64) / 8;
}

static void slot_free(struct memslot *s)
{
	if (s && s->dirty)
		host_unmap(s->dirty, bitmap_bytes(s));
	host_free(s);
}

/* The bitmap of a slot with logging: its predecessor's, or a new one. */
static int slot_bitmap(struct vm *vm, struct memslot *s, const struct memslot *old)
{
	u64 i;

	if (!(s->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	if (old && old->dirty) {
		s->dirty = old->dirty;
		return 0;
	}
	s->dirty = host_map(bitmap_bytes(s));
	if (!s->dirty)
		return -ENOMEM;
	if (vm->manual_dirty_log & KVM_DIRTY_LOG_INITIALLY_SET && !s->ring) {
		for (i = 0; i < s->npages / 64; i++)
			s->dirty[i] = ~0ull;
		if (s->npages % 64)
			s->dirty[i] = BIT64(s->npages % 64) - 1;
	}
	return 0;
}

static struct memslot *slot_new(struct vm *vm, const struct kvm_userspace_memory_region *r,
				const struct memslot *old)
{
	struct memslot *s = host_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->id = r->slot;
	s->flags = r->flags;
	s->gfn = r->guest_phys_addr >> PAGE_SHIFT;
	s->npages = r->memory_size >> PAGE_SHIFT;
	s->hva = r->userspace_addr;
	s->ring = vm->dirty_ring_size != 0;
	if (slot_bitmap(vm, s, old)) {
		host_free(s);
		return NULL;
	}
	return s;
}

/* The old slot is out of use: its bitmap may have passed to the new one. */
static void slot_retire(struct vm *vm, struct memslot *old, const struct memslot *new)
{
	vm->engine->slot_removed(vm, old);
	vm->slot_pages -= old->npages;
	if (new && new->dirty == old->dirty)
		old->dirty = NULL;
	slot_free(old);
}

/*
 * Puts new in the place of old (either may be NULL). A slot that moves, or
 * goes, is gone everywhere before the new one appears.
 */
static int slot_replace(struct vm *vm, struct memslot *old, struct memslot *new)
{
	struct slot_array **slots = array_of(vm, old ? old->id : new->id);
	u32 count = (*slots ? (*slots)->count : 0) + 1;
	bool move = old && new && old->gfn != new->gfn;
	struct slot_array *a = array_alloc(count), *without = NULL;

	if (move)
		without = array_alloc(count);
	if (!a || (move && !without) || (new && vm->engine->slot_added(vm, new))) {
		host_free(a);
		host_free(without);
		return -ENOMEM;
	}
	array_build(a, *slots, old, new);
	if (move) {
		array_build(without, *slots, old, NULL);
		publish(vm, slots, without);
		slot_retire(vm, old, new);
		old = NULL;
	}
	if (new)
		vm->slot_pages += new->npages;
	publish(vm, slots, a);
	if (old)
		slot_retire(vm, old, new);
	return 0;
}

static bool overlaps(struct vm *vm, u32 id, u64 gfn, u64 npages)
{
	const struct slot_array *a = *array_of(vm, id);
	u32 i;

	for (i = 0; a && i < a->count; i++) {
		struct memslot *s = a->slot[i];

		if (s->id != id && gfn < s->gfn + s->npages && s->gfn < gfn + npages)
			return true;
	}
	return false;
}

/* --- KVM_SET_USER_MEMORY_REGION ---------------------------------------------------- */

static int check_region(const struct kvm_userspace_memory_region *r)
{
	const u64 page = PAGE_SIZE - 1;

	if (r->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		return -EINVAL;
	if ((r->memory_size | r->guest_phys_addr | r->userspace_addr) & page)
		return -EINVAL;
	if (r->userspace_addr > USER_SPACE_END ||
	    r->memory_size > USER_SPACE_END - r->userspace_addr)
		return -EINVAL;
	if ((u16)r->slot >= VM_MAX_SLOTS || r->slot >> 16 >= VM_ADDRESS_SPACES)
		return -EINVAL;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return -EINVAL;
	if (r->memory_size >> PAGE_SHIFT > MAX_PAGES)
		return -EINVAL;
	return 0;
}

static int set_region(struct vm *vm, const struct kvm_userspace_memory_region *r)
{
	struct memslot *old = vm_slot_by_id(vm, r->slot), *new;
	u64 gfn = r->guest_phys_addr >> PAGE_SHIFT, npages = r->memory_size >> PAGE_SHIFT;
	int err;

	if (!npages)
		return old ? slot_replace(vm, old, NULL) : -EINVAL;
	if (old) {
		if (r->userspace_addr != old->hva || npages != old->npages ||
		    (r->flags ^ old->flags) & KVM_MEM_READONLY)
			return -EINVAL;
		if (gfn == old->gfn && r->flags == old->flags)
			return 0;
	}
	if ((!old || gfn != old->gfn) && overlaps(vm, r->slot, gfn, npages))
		return -EEXIST;
	if (gfn + npages > BIT64(VM_PHYS_BITS - PAGE_SHIFT))
		return -EINVAL;
	new = slot_new(vm, r, old);
	if (!new)
		return -ENOMEM;
	err = slot_replace(vm, old, new);
	if (err) {
		if (old && new->dirty == old->dirty)
			new->dirty = NULL;
		slot_free(new);
	}
	return err;
}

int vm_set_memory_region(struct vm *vm, const struct kvm_userspace_memory_region *r)
{
	int err = check_region(r);

	if (err)
		return err;
	host_mutex_lock(&vm->lock);
	err = set_region(vm, r);
	host_mutex_unlock(&vm->lock);
	return err;
}

static void free_array(struct vm *vm, struct slot_array **slots)
{
	struct slot_array *a = *slots;
	u32 i;

	*slots = NULL;
	for (i = 0; a && i < a->count; i++)
		slot_retire(vm, a->slot[i], NULL);
	host_free(a);
}

void vm_free_slots(struct vm *vm)
{
	free_array(vm, &vm->slots);
	free_array(vm, &vm->smm_slots);
}

/* --- the dirty log -------------------------------------------------------------------- */

void memslot_set_dirty(struct vcpu *v, struct memslot *s, u64 page)
{
	u64 bit = BIT64(page % 64);

	if (s->ring && !v)	/* there is no ring for it */
		return;
	if (__atomic_fetch_or(&s->dirty[page / 64], bit, __ATOMIC_RELAXED) & bit)
		return;
	if (s->ring)
		dirty_ring_push(v, s, page);
}

static int dirty_slot(struct vm *vm, u32 id, struct memslot **out)
{
	if (vm->dirty_ring_size)
		return -ENXIO;
	if ((u16)id >= VM_MAX_SLOTS || id >> 16 >= VM_ADDRESS_SPACES)
		return -EINVAL;
	*out = vm_slot_by_id(vm, id);
	return *out && (*out)->dirty ? 0 : -ENOENT;
}

/*
 * Bits are taken first and the vCPUs told to forget their right to write
 * after: what they write in between is in pages that this answer names.
 */
static int get_log(struct vm *vm, const struct kvm_dirty_log *log)
{
	struct memslot *s;
	u64 i, bytes, *copy;
	bool any = false;
	int r = dirty_slot(vm, log->slot, &s);

	if (r)
		return r;
	bytes = bitmap_bytes(s);
	if (vm->manual_dirty_log)
		return host_copy_to_user((u64)log->dirty_bitmap, s->dirty, bytes);
	copy = host_map(bytes);
	if (!copy)
		return -ENOMEM;
	for (i = 0; i < bytes / 8; i++) {
		if (!__atomic_load_n(&s->dirty[i], __ATOMIC_RELAXED))
			continue;
		copy[i] = __atomic_exchange_n(&s->dirty[i], 0, __ATOMIC_SEQ_CST);
		any = true;
	}
	if (any)
		vm_request_sync(vm, REQ_TLB_FLUSH, NULL);
	r = host_copy_to_user((u64)log->dirty_bitmap, copy, bytes);
	host_unmap(copy, bytes);
	return r;
}

int vm_get_dirty_log(struct vm *vm, const struct kvm_dirty_log *log)
{
	int r;

	host_mutex_lock(&vm->lock);
	r = get_log(vm, log);
	host_mutex_unlock(&vm->lock);
	return r;
}

static int clear_log(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	struct memslot *s;
	u64 i, words = ALIGN_UP((u64)log->num_pages, 64) / 64, *mask;
	bool any = false;
	int r;

	if (log->first_page & 63)
		return -EINVAL;
	r = dirty_slot(vm, log->slot, &s);
	if (r)
		return r;
	if (log->first_page > s->npages || log->num_pages > s->npages - log->first_page ||
	    (log->num_pages < s->npages - log->first_page && log->num_pages & 63))
		return -EINVAL;
	if (!words)
		return 0;
	mask = host_map(words * 8);
	if (!mask)
		return -ENOMEM;
	r = host_copy_from_user(mask, (u64)log->dirty_bitmap, words * 8);
	for (i = 0; !r && i < words; i++) {
		u64 *p = &s->dirty[log->first_page / 64 + i];

		if (mask[i] && __atomic_fetch_and(p, ~mask[i], __ATOMIC_SEQ_CST) & mask[i])
			any = true;
	}
	host_unmap(mask, words * 8);
	if (any)
		vm_request_sync(vm, REQ_TLB_FLUSH, NULL);
	return r;
}

int vm_clear_dirty_log(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	int r;

	host_mutex_lock(&vm->lock);
	r = clear_log(vm, log);
	host_mutex_unlock(&vm->lock);
	return r;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest-physical memory as the hypervisor itself reads and writes it. The
 * caller's mapping may have gone from under a slot, so the bytes are copied by
 * the kernel, which says so (-EFAULT).
 */
#include <errno.h>

#include "vm.h"

static struct memslot *slot_at(struct slot_array *const *slots, u64 gpa, u64 *hva)
{
	struct memslot *s = slot_array_find(__atomic_load_n(slots, __ATOMIC_ACQUIRE),
					    gpa >> PAGE_SHIFT);

	if (s)
		*hva = s->hva + (gpa - (s->gfn << PAGE_SHIFT));
	return s;
}

void *vm_gpa_read_ptr(struct vm *vm, u64 gpa)
{
	u64 hva;

	return slot_at(&vm->slots, gpa, &hva) ? (void *)hva : NULL;
}

/* How much of [gpa, gpa + len) the slot still holds. */
static u64 piece_of(const struct memslot *s, u64 gpa, u64 len)
{
	u64 left = ((s->gfn + s->npages) << PAGE_SHIFT) - gpa;

	return MIN(left, len);
}

static int read_from(struct vm *vm, struct slot_array *const *slots, u64 gpa, void *dst, u64 len)
{
	u32 token = vm_slots_begin(vm);
	int r = 0;

	while (len && !r) {
		u64 hva, n;
		struct memslot *s = slot_at(slots, gpa, &hva);

		if (!s) {
			r = -EFAULT;
			break;
		}
		n = piece_of(s, gpa, len);
		r = host_copy_from_guest(dst, hva, n);
		dst = (u8 *)dst + n;
		gpa += n;
		len -= n;
	}
	vm_slots_end(vm, token);
	return r;
}

static int write_piece(struct vm *vm, struct vcpu *v, struct memslot *s, u64 gpa, u64 hva,
		       const void *src, u64 n)
{
	u64 gfn, last = (gpa + n - 1) >> PAGE_SHIFT;

	if (s->flags & KVM_MEM_READONLY || host_copy_to_guest(hva, src, n))
		return -EFAULT;
	for (gfn = gpa >> PAGE_SHIFT; gfn <= last; gfn++)
		memslot_mark_dirty(v, s, gfn);
	vm->engine->memory_written(vm, s, gpa, n);
	return 0;
}

static int write_to(struct vm *vm, struct slot_array *const *slots, struct vcpu *v, u64 gpa,
		    const void *src, u64 len)
{
	u32 token = vm_slots_begin(vm);
	int r = 0;

	while (len && !r) {
		u64 hva, n;
		struct memslot *s = slot_at(slots, gpa, &hva);

		if (!s) {
			r = -EFAULT;
			break;
		}
		n = piece_of(s, gpa, len);
		r = write_piece(vm, v, s, gpa, hva, src, n);
		src = (const u8 *)src + n;
		gpa += n;
		len -= n;
	}
	vm_slots_end(vm, token);
	return r;
}

static struct slot_array *const *slots_of(struct vcpu *v)
{
	return v->smm ? &v->vm->smm_slots : &v->vm->slots;
}

int vm_read(struct vm *vm, u64 gpa, void *dst, u64 len)
{
	return read_from(vm, &vm->slots, gpa, dst, len);
}

int vm_write(struct vm *vm, u64 gpa, const void *src, u64 len)
{
	return write_to(vm, &vm->slots, NULL, gpa, src, len);
}

int vcpu_write(struct vcpu *v, u64 gpa, const void *src, u64 len)
{
	return write_to(v->vm, &v->vm->slots, v, gpa, src, len);
}

int vcpu_phys_read(struct vcpu *v, u64 gpa, void *dst, u64 len)
{
	return read_from(v->vm, slots_of(v), gpa, dst, len);
}

int vcpu_phys_write(struct vcpu *v, u64 gpa, const void *src, u64 len)
{
	return write_to(v->vm, slots_of(v), v, gpa, src, len);
}

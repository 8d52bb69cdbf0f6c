/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM made of nothing but memory, for the tests of hv/soft/mmu: three slots,
 * one vCPU, exceptions that are noted instead of delivered, and a device page.
 * The program that includes this defines the symbols which the code under
 * test takes from elsewhere in the hypervisor.
 */
#ifndef TESTS_UNIT_FAKE_VM_H
#define TESTS_UNIT_FAKE_VM_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "soft/mmu/mmu.h"
#include "soft/soft.h"

#define LOW_SIZE 0x1000000ull		/* RAM at 0 */
#define HIGH_GPA 0x100000000ull		/* RAM at 4G */
#define HIGH_SIZE 0x10000ull
#define ROM_GPA 0x10000000ull
#define ROM_SIZE 0x10000ull
#define HOLE_GPA 0x20000000ull
#define DEVICE_GPA 0xfee00000ull	/* a page that bus_mmio takes */

static struct vm fake_vm;
static struct kvm_run fake_run;
static struct vcpu *vcpu;
static struct memslot slot_low, slot_high, slot_rom;
static u64 dirty_low[LOW_SIZE / PAGE_SIZE / 64];
static u8 *low, *high, *rom;
static u8 device[PAGE_SIZE];
static u32 device_accesses;
static u64 code_gfn = ~0ull;		/* the page that "holds translated code" */
static u32 written_calls;
static u64 written_gpa;
static u32 written_len;
static u32 find_calls;
static struct {
	bool raised, has_error;
	u8 vector;
	u32 error;
	u64 cr2;
} exc;

struct memslot *slot_array_find(const struct slot_array *a, u64 gfn)
{
	u32 i;

	find_calls++;
	for (i = 0; i < a->count; i++)
		if (gfn - a->slot[i]->gfn < a->slot[i]->npages)
			return a->slot[i];
	return NULL;
}

void memslot_set_dirty(struct vcpu *v, struct memslot *s, u64 page)
{
	(void)v;
	s->dirty[page / 64] |= BIT64(page % 64);
}

bool dirty_ring_full(const struct vcpu *v)
{
	(void)v;
	return false;
}

/* There is no TLB here. */
void soft_tlb_note(struct vcpu *v, const struct tlb *t, u64 linear, const struct xlate *x,
		   struct memslot *s, bool write)
{
	(void)v;
	(void)t;
	(void)linear;
	(void)x;
	(void)s;
	(void)write;
	fail();
}

void soft_page_written(struct vm *vm, struct memslot *s, u64 gpa, u32 len)
{
	(void)vm;
	(void)s;
	written_calls++;
	written_gpa = gpa;
	written_len = len;
}

bool soft_page_has_code(struct memslot *s, u64 gfn)
{
	(void)s;
	return gfn == code_gfn;
}

static inline void fake_slot(struct memslot *s, u64 gpa, u64 size, u8 **mem, u32 flags)
{
	*mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(*mem != MAP_FAILED);
	memset(s, 0, sizeof(*s));
	s->gfn = gpa >> PAGE_SHIFT;
	s->npages = size >> PAGE_SHIFT;
	s->hva = (u64)(uintptr_t)*mem;
	s->flags = flags;
}

static inline int fake_vm_setup(void **state)
{
	(void)state;
	memset(&fake_vm, 0, sizeof(fake_vm));
	fake_slot(&slot_low, 0, LOW_SIZE, &low, 0);
	fake_slot(&slot_high, HIGH_GPA, HIGH_SIZE, &high, 0);
	fake_slot(&slot_rom, ROM_GPA, ROM_SIZE, &rom, KVM_MEM_READONLY);
	memset(dirty_low, 0, sizeof(dirty_low));
	slot_low.dirty = dirty_low;
	fake_vm.slots = calloc(1, sizeof(*fake_vm.slots) + 3 * sizeof(struct memslot *));
	fake_vm.slots->count = 3;
	fake_vm.slots->slot[0] = &slot_low;
	fake_vm.slots->slot[1] = &slot_rom;
	fake_vm.slots->slot[2] = &slot_high;
	vcpu = aligned_alloc(64, ALIGN_UP(sizeof(*vcpu), 64ul));
	memset(vcpu, 0, sizeof(*vcpu));
	memset(&fake_run, 0, sizeof(fake_run));
	vcpu->vm = &fake_vm;
	vcpu->run = &fake_run;
	vcpu->cpuid_maxphyaddr = 48;
	memset(device, 0, sizeof(device));
	memset(&exc, 0, sizeof(exc));
	device_accesses = written_calls = find_calls = 0;
	code_gfn = ~0ull;
	return 0;
}

static inline int fake_vm_teardown(void **state)
{
	(void)state;
	munmap(low, LOW_SIZE);
	munmap(high, HIGH_SIZE);
	munmap(rom, ROM_SIZE);
	free(fake_vm.slots);
	free(vcpu);
	return 0;
}

static inline bool is_dirty(u64 gpa)
{
	return dirty_low[gpa >> 18] >> (gpa >> 12 & 63) & 1;
}

/* A flat 4-level mode with the root table at cr3. */
static inline void fake_long_mode(u64 cr3)
{
	vcpu->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP;
	vcpu->cr4 = X86_CR4_PAE;
	vcpu->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NX;
	vcpu->cr3 = cr3;
	vcpu->seg[SEG_CS].attr = SEG_P | SEG_S | SEG_CODE | SEG_W | SEG_L;
	mmu_cache_flush(vcpu);
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling where a CPU is, for a guest that crashed or hangs: its registers and
 * the bytes around its instruction pointer, found through KVM_TRANSLATE. The
 * text is put together first and written at once, so that the texts of several
 * CPUs do not mix.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vcpu.h"

#define CODE_BEFORE 16
#define CODE_AFTER 16

static void print_segment(FILE *f, const char *name, const struct kvm_segment *s)
{
	fprintf(f, "  %-3s %04x base %016llx limit %08x type %x dpl %u%s%s%s%s\n", name,
		s->selector, (unsigned long long)s->base, s->limit, s->type, s->dpl,
		s->l ? " 64-bit" : s->db ? " 32-bit" : "", s->s ? "" : " system",
		s->present ? "" : " not-present", s->unusable ? " unusable" : "");
}

static void print_general(FILE *f, const struct kvm_regs *r)
{
	const struct {
		const char *name;
		u64 v;
	} all[] = {
		{ "rax", r->rax }, { "rbx", r->rbx }, { "rcx", r->rcx }, { "rdx", r->rdx },
		{ "rsi", r->rsi }, { "rdi", r->rdi }, { "rbp", r->rbp }, { "rsp", r->rsp },
		{ "r8", r->r8 }, { "r9", r->r9 }, { "r10", r->r10 }, { "r11", r->r11 },
		{ "r12", r->r12 }, { "r13", r->r13 }, { "r14", r->r14 }, { "r15", r->r15 },
		{ "rip", r->rip }, { "rfl", r->rflags },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		fprintf(f, "  %-3s %016llx%s", all[i].name, (unsigned long long)all[i].v,
			i % 4 == 3 ? "\n" : "");
	fprintf(f, "\n");
}

static void print_system(FILE *f, const struct kvm_sregs *s)
{
	print_segment(f, "cs", &s->cs);
	print_segment(f, "ss", &s->ss);
	print_segment(f, "ds", &s->ds);
	print_segment(f, "es", &s->es);
	print_segment(f, "fs", &s->fs);
	print_segment(f, "gs", &s->gs);
	print_segment(f, "tr", &s->tr);
	print_segment(f, "ldt", &s->ldt);
	fprintf(f, "  gdt base %016llx limit %04x  idt base %016llx limit %04x\n",
		(unsigned long long)s->gdt.base, s->gdt.limit,
		(unsigned long long)s->idt.base, s->idt.limit);
	fprintf(f, "  cr0 %llx  cr2 %llx  cr3 %llx  cr4 %llx  cr8 %llx  efer %llx  apic %llx\n",
		(unsigned long long)s->cr0, (unsigned long long)s->cr2,
		(unsigned long long)s->cr3, (unsigned long long)s->cr4,
		(unsigned long long)s->cr8, (unsigned long long)s->efer,
		(unsigned long long)s->apic_base);
}

/* The byte at a linear address, or -1. */
static int code_byte(const struct vcpu *v, u64 linear)
{
	struct kvm_translation t = { .linear_address = linear };
	const u8 *p;

	if (kvm_ioctl(v->m->kvm, v->fd, KVM_TRANSLATE, &t) < 0 || !t.valid)
		return -1;
	p = memory_ptr(&v->m->mem, t.physical_address, 1);
	return p ? *p : -1;
}

static void print_code(FILE *f, const struct vcpu *v, const struct kvm_regs *r,
		       const struct kvm_sregs *s)
{
	u64 rip = r->rip + (s->cs.l ? 0 : s->cs.base);
	u64 at = rip > CODE_BEFORE ? rip - CODE_BEFORE : 0;

	fprintf(f, "  code");
	for (; at < rip + CODE_AFTER; at++) {
		int b = code_byte(v, s->cs.l ? at : at & 0xffffffff);

		if (b < 0)
			fprintf(f, at == rip ? " <-->" : " --");
		else
			fprintf(f, at == rip ? " <%02x>" : " %02x", (unsigned int)b);
	}
	fprintf(f, "\n");
}

static const char *state_name(const struct vcpu *v)
{
	struct kvm_mp_state mp;

	if (kvm_ioctl(v->m->kvm, v->fd, KVM_GET_MP_STATE, &mp) < 0)
		return "";
	switch (mp.mp_state) {
	case KVM_MP_STATE_HALTED:
		return " (halted)";
	case KVM_MP_STATE_UNINITIALIZED:
		return " (not started)";
	case KVM_MP_STATE_INIT_RECEIVED:
		return " (waits for SIPI)";
	}
	return "";
}

void registers_print(const struct vcpu *v, const char *title)
{
	char *text = NULL;
	size_t len = 0;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	fprintf(f, "anykvm: %s%s\n", title, state_name(v));
	if (kvm_ioctl(v->m->kvm, v->fd, KVM_GET_REGS, &regs) < 0 ||
	    kvm_ioctl(v->m->kvm, v->fd, KVM_GET_SREGS, &sregs) < 0) {
		fprintf(f, "  its registers cannot be read\n");
	} else {
		print_general(f, &regs);
		print_system(f, &sregs);
		print_code(f, v, &regs, &sregs);
	}
	fclose(f);
	if (write(STDERR_FILENO, text, len) < 0)
		len = 0;	/* nobody listens */
	free(text);
}

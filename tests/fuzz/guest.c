/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the guests are: random code with a leaning to instructions that the
 * hypervisor emulates, tables that almost make sense, and the states in which
 * to start. The page tables at TABLES_GPA map the first GiB to itself.
 */
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"

#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
#define PTE_PS 0x80u

/* --- code -------------------------------------------------------------------------- */

struct bytes {
	uint8_t n;
	uint8_t b[7];
};

/* Beginnings of instructions; what follows is random. */
static const struct bytes openings[] = {
	{ 1, { 0xf4 } },				/* hlt */
	{ 1, { 0xec } }, { 1, { 0xed } }, { 1, { 0xee } }, { 1, { 0xef } },	/* in, out */
	{ 1, { 0xe4 } }, { 1, { 0xe6 } },
	{ 2, { 0xf3, 0x6c } }, { 2, { 0xf3, 0x6f } },	/* rep ins, outs */
	{ 2, { 0xf3, 0xa4 } }, { 3, { 0xf3, 0x48, 0xab } }, { 2, { 0xf2, 0xae } },
	{ 2, { 0x0f, 0x30 } }, { 2, { 0x0f, 0x32 } }, { 2, { 0x0f, 0x31 } },	/* wrmsr, rdmsr, rdtsc */
	{ 2, { 0x0f, 0xa2 } },				/* cpuid */
	{ 2, { 0x0f, 0x20 } }, { 2, { 0x0f, 0x22 } }, { 2, { 0x0f, 0x21 } }, { 2, { 0x0f, 0x23 } },
	{ 2, { 0x0f, 0x01 } }, { 3, { 0x0f, 0x01, 0xd0 } }, { 3, { 0x0f, 0x01, 0xd1 } },
	{ 3, { 0x0f, 0x01, 0xc1 } }, { 3, { 0x0f, 0x01, 0xd9 } },	/* vmcall, vmmcall */
	{ 3, { 0x0f, 0x01, 0xf8 } }, { 3, { 0x0f, 0x01, 0xc8 } }, { 3, { 0x0f, 0x01, 0xc9 } },
	{ 2, { 0x0f, 0x00 } },				/* lldt, ltr, verr... */
	{ 2, { 0x0f, 0x05 } }, { 2, { 0x0f, 0x07 } }, { 2, { 0x0f, 0x34 } }, { 2, { 0x0f, 0x35 } },
	{ 2, { 0x0f, 0xae } }, { 2, { 0x0f, 0xc7 } }, { 2, { 0x0f, 0xaa } },	/* xsave, cmpxchg, rsm */
	{ 1, { 0xcd } }, { 1, { 0xcc } }, { 1, { 0xcf } }, { 2, { 0x48, 0xcf } },	/* int, iret */
	{ 1, { 0x9a } }, { 1, { 0xea } }, { 1, { 0xcb } }, { 1, { 0xff } },	/* far transfers */
	{ 1, { 0x8e } }, { 1, { 0x17 } }, { 1, { 0x9d } }, { 1, { 0xfa } }, { 1, { 0xfb } },
	{ 2, { 0x0f, 0xb2 } }, { 1, { 0xc8 } }, { 1, { 0x62 } }, { 1, { 0x63 } },
	{ 1, { 0xc4 } }, { 1, { 0xc5 } }, { 3, { 0x66, 0x0f, 0x38 } }, { 3, { 0xf2, 0x0f, 0x38 } },
	{ 1, { 0xd9 } }, { 1, { 0xdb } }, { 1, { 0xdd } }, { 1, { 0xdf } },
	{ 1, { 0xf0 } }, { 1, { 0x67 } }, { 1, { 0x66 } }, { 1, { 0x65 } }, { 1, { 0x48 } },
	{ 2, { 0xeb, 0xfe } }, { 1, { 0xe2 } }, { 1, { 0x74 } }, { 1, { 0xe9 } }, { 1, { 0xc3 } },
	{ 2, { 0x0f, 0x09 } }, { 2, { 0x0f, 0x08 } }, { 2, { 0x0f, 0x37 } }, { 2, { 0x0f, 0x06 } },
	{ 1, { 0xa2 } }, { 1, { 0xa3 } }, { 1, { 0x88 } }, { 1, { 0x89 } }, { 1, { 0x8b } },
};

/* MSRs that do something. */
static const uint32_t msrs[] = {
	0x10, 0x1b, 0x3b, 0x48, 0x8b, 0x174, 0x175, 0x176, 0x17a, 0x1a0, 0x1d9, 0x200, 0x277, 0x2ff,
	0x400, 0x401, 0x6e0, 0x802, 0x808, 0x80b, 0x80d, 0x80f, 0x828, 0x830, 0x832, 0x838, 0x83e,
	0x83f, 0x40000000, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d05,
	0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100, 0xc0000102, 0xc0000103,
};

static const uint16_t ports[] = {
	0x20, 0x21, 0xa0, 0xa1, 0x40, 0x42, 0x43, 0x61, 0x70, 0x80, 0x3f8, 0x4d0, 0x4d1, 0xcf8, 0xffff,
};

static size_t put_immediate(uint8_t *p, uint8_t opcode, uint32_t value)
{
	*p = opcode;
	memcpy(p + 1, &value, 4);
	return 5;
}

/* Interesting registers, then an instruction that may use them. At most 32 bytes. */
static size_t put_instruction(uint8_t *p)
{
	const struct bytes *o = &openings[below(ARRAY_SIZE(openings))];
	size_t n = 0;

	if (percent(20))
		n += put_immediate(p, 0xb9, msrs[below(ARRAY_SIZE(msrs))]);	/* mov ecx */
	if (percent(15))
		n += put_immediate(p + n, 0xba, ports[below(ARRAY_SIZE(ports))]);
	if (percent(20))
		n += put_immediate(p + n, 0xb8 + (uint8_t)below(8), (uint32_t)number());
	memcpy(p + n, o->b, o->n);
	n += o->n;
	if (percent(60)) {
		size_t more = below(6);

		random_bytes(p + n, more);
		n += more;
	}
	return n;
}

void fill_code(void)
{
	uint8_t *p = arena + CODE_GPA, *end = p + PAGE - 32;

	mprotect(arena, GUEST_PAGES * PAGE, PROT_READ | PROT_WRITE);
	while (p < end)
		p += put_instruction(p);
}

/* --- memory --------------------------------------------------------------------------- */

static void fill_tables(uint64_t *t)
{
	uint32_t i;

	for (i = 0; i < PAGE / 8; i++) {
		t[i] = (uint64_t)below(GUEST_PAGES) << 12 | (percent(90) ? 7 : rnd() & 0xfff);
		if (percent(5))
			t[i] = number();
	}
}

static void fill_descriptors(uint64_t *t)
{
	uint32_t i;

	/* Flat ones with random attributes. */
	for (i = 0; i < PAGE / 8; i++)
		t[i] = 0x000f00000000ffffull | (rnd() & 0x00f0ff0000ff0000ull) | 1ull << 47;
}

static void fill_page(uint8_t *p)
{
	switch (below(5)) {
	case 0:
		fill_tables((uint64_t *)p);
		break;
	case 1:
		fill_descriptors((uint64_t *)p);
		break;
	case 2:
		random_bytes(p, PAGE);
		break;
	case 3:
		for (uint8_t *at = p; at < p + PAGE - 32; )
			at += put_instruction(at);
		break;
	default:
		memset(p, 0, PAGE);
	}
}

static void identity_map(void)
{
	uint64_t *pml4 = (uint64_t *)(arena + TABLES_GPA), *pdpt = pml4 + 512, *pd = pdpt + 512;
	uint64_t *pae = pd + 512;
	uint32_t i;

	memset(pml4, 0, 2 * PAGE);
	memset(pae, 0, PAGE);
	for (i = 0; i < 4; i++)
		pae[i] = (TABLES_GPA + 2 * PAGE) | PTE_P;
	pml4[0] = pml4[511] = (TABLES_GPA + PAGE) | PTE_P | PTE_W | PTE_U;
	pdpt[0] = pdpt[3] = pdpt[511] = (TABLES_GPA + 2 * PAGE) | PTE_P | PTE_W | PTE_U;
	for (i = 0; i < 512; i++)
		pd[i] = (uint64_t)i << 21 | PTE_P | PTE_W | PTE_U | PTE_PS;
}

void fill_guest(void)
{
	uint32_t i;

	mprotect(arena, GUEST_PAGES * PAGE, PROT_READ | PROT_WRITE);
	for (i = 0; i < GUEST_PAGES; i++)
		fill_page(arena + i * PAGE);
	identity_map();
	fill_code();
}

/* --- states ------------------------------------------------------------------------------ */

static void flat(struct kvm_segment *s, uint8_t type, bool big, bool lng)
{
	*s = (struct kvm_segment) {
		.limit = big || lng ? 0xffffffff : 0xffff, .selector = type & 8 ? 8 : 16, .type = type,
		.present = 1, .s = 1, .db = big, .l = lng, .g = big || lng,
	};
}

/* mode: 0 real, 1 protected of 32 bits, 2 the same of 16 bits, 3 PAE, 4 and 5 long. */
void plain_state(struct kvm_sregs *s, struct kvm_regs *r)
{
	uint32_t mode = below(6);
	bool lng = mode >= 4, big = mode == 1 || mode == 3;

	memset(r, 0, sizeof(*r));
	random_bytes(r, offsetof(struct kvm_regs, rip));
	r->rip = CODE_GPA + (percent(80) ? 0 : below(PAGE));
	r->rsp = (uint64_t)below(GUEST_PAGES) * PAGE + 0xff0;
	r->rflags = 2 | (percent(50) ? 0x200 : 0) | (percent(5) ? 0x100 : 0);
	r->rdi = below(GUEST_PAGES * PAGE);
	r->rsi = below(GUEST_PAGES * PAGE);
	r->rcx = below(300);
	flat(&s->cs, 11, big, lng);
	flat(&s->ds, 3, big || lng, false);
	s->es = s->fs = s->gs = s->ss = s->ds;
	s->gdt.base = (uint64_t)below(GUEST_PAGES) * PAGE;
	s->idt.base = (uint64_t)below(GUEST_PAGES) * PAGE;
	s->gdt.limit = s->idt.limit = 0xfff;
	s->cr0 = mode ? 0x11 : 0x10;
	s->cr4 = percent(50) ? 0x600 : 0;
	s->efer = 0;
	if (mode >= 3) {
		s->cr0 |= 0x80000000 | (percent(50) ? 0x10000 : 0);
		s->cr4 |= 0x20;
		s->cr3 = TABLES_GPA + (lng ? 0 : 3 * PAGE);
		s->efer = lng ? 0xd01 : 0x800;
	}
	if (lng && percent(30)) {	/* user mode */
		s->cs.dpl = s->ss.dpl = 3;
		s->cs.selector |= 3;
		s->ss.selector |= 3;
	}
}

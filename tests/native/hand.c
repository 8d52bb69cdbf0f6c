/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sequences written by hand, for what random ones seldom combine, and
 * encodings that mean nothing and must raise #UD.
 */
#include "program.h"

struct hand {
	u8 bits;	/* 64, or 0 for all */
	u8 len;
	const char *bytes;
};

#define ALL(s) { 0, sizeof(s) - 1, s }
#define ONLY64(s) { 64, sizeof(s) - 1, s }

static const struct hand hand[] = {
	ALL("\x9c\x58"),				/* pushf; pop eax */
	ALL("\x50\x9d\x9c\x5a"),			/* push eax; popf; pushf; pop edx */
	ALL("\x54\x58"),				/* push esp; pop eax */
	ALL("\x5c"),					/* pop esp */
	ALL("\x55\x8b\xec\x5d"),			/* push ebp; mov ebp, esp; pop ebp */
	ALL("\xc8\x10\x00\x00\xc9"),			/* enter 16, 0; leave */
	ALL("\xc8\x10\x00\x01\xc9"),			/* enter 16, 1; leave */
	ALL("\xc8\x20\x00\x03\xc9"),			/* enter 32, 3; leave */
	ALL("\xc8\x00\x00\x1f"),			/* enter 0, 31 */
	ALL("\x66\xc8\x10\x00\x02\x66\xc9"),		/* data16 enter 16, 2; data16 leave */
	ALL("\x86\xe0\x86\xc4"),			/* xchg al, ah, twice */
	ALL("\x88\xe3\x00\xfc\x28\xe9"),		/* mov bl, ah; add ah, bh; sub cl, ch */
	ALL("\xf6\xe4\xf6\xec"),			/* mul ah; imul ah */
	ALL("\xf6\xf4"),				/* div ah */
	ALL("\xf7\xf8"),				/* idiv eax */
	ALL("\x31\xd2\xf7\xf1"),			/* xor edx, edx; div ecx */
	ALL("\x99\xf7\xf9"),				/* cdq; idiv ecx */
	ALL("\x0f\xc1\xc0"),				/* xadd eax, eax */
	ALL("\x0f\xb1\xc0"),				/* cmpxchg eax, eax */
	ALL("\x0f\xb1\xd1"),				/* cmpxchg ecx, edx */
	ALL("\x0f\xc8\x66\x0f\xc8"),			/* bswap eax; bswap ax */
	ALL("\xd3\xd2\x9c"),				/* rcl edx, cl; pushf */
	ALL("\xc0\xd2\x09"),				/* rcl dl, 9 */
	ALL("\x66\xc1\xda\x11"),			/* rcr dx, 17 */
	ALL("\x0f\xa5\xc2\x0f\xad\xd0"),		/* shld edx, eax, cl; shrd eax, edx, cl */
	ALL("\x66\x0f\xa4\xc2\x14"),			/* shld dx, ax, 20 */
	ALL("\xf3\xa4"),				/* rep movsb */
	ALL("\xf3\xa5"),				/* rep movsd */
	ALL("\xf3\xaa\xf3\xab"),			/* rep stosb; rep stosd */
	ALL("\xf3\xa6"),				/* repe cmpsb */
	ALL("\xf2\xae"),				/* repne scasb */
	ALL("\xfd\xf3\xa4\xfc"),			/* std; rep movsb; cld */
	ALL("\xfd\xf3\xab\xfc"),			/* std; rep stosd; cld */
	ALL("\x67\xf3\xa4"),				/* rep movsb with the other address size */
	ALL("\x31\xc9\xf3\xa4\xf3\xa6"),		/* xor ecx, ecx; rep movsb; repe cmpsb */
	ALL("\xe3\x00\x90"),				/* jecxz $+2 */
	ALL("\xd7"),					/* xlat */
	ALL("\x9e\x9f\xf5\x9f"),			/* sahf; lahf; cmc; lahf */
	ALL("\x0f\x90\xc0\x0f\x4c\xc2"),		/* seto al; cmovl eax, edx */
	ALL("\xd9\xee\xd9\xe8\xde\xf9\xdb\xe2"),	/* fldz; fld1; fdivp; fnclex */
	ALL("\xdb\xe3\xd9\xeb\xd9\xff\xd9\xf2"),	/* fninit; fldpi; fcos; fptan */
	ALL("\xdb\xe3\xd9\xe8\xd9\xf0\xdf\xe0"),	/* fninit; fld1; f2xm1; fnstsw ax */
	ALL("\xdb\xe3\xdb\x2b\xdf\x33\xdd\x1b"),	/* fninit; fld m80; fbstp; fstp m64 */
	ALL("\xdb\xe3\xd9\x6c\x24\x00\x9b"),		/* fninit; fldcw [esp]; fwait */
	ALL("\x0f\x77\xd9\xe8"),			/* emms; fld1 */
	ALL("\x0f\x6f\xc1\x0f\xef\xd2\xd9\xe8"),	/* movq mm0, mm1; pxor mm2, mm2; fld1 */
	ALL("\x8c\xc8\x8c\xda"),			/* mov eax, cs; mov edx, ds */
	ALL("\x0f\x18\x0b\x0f\x0d\x0b\x0f\x1f\x03"),	/* prefetches; nop [ebx] */
	ALL("\xcc"),					/* int3 */
	ALL("\xf1"),					/* int1 */
	ALL("\xcd\x03"),				/* int 3 */
	ALL("\xcd\x21"),				/* int 21h */
	ALL("\xf4"),					/* hlt */
	ALL("\x0f\x0b"),				/* ud2 */
	ALL("\xfa\xfb"),				/* cli; sti */
	ALL("\xe4\x10\xec"),				/* in al, 10h; in al, dx */
	ALL("\xf3\x6c\xf3\x6e"),			/* rep insb; rep outsb */
	ALL("\x0f\x20\xc0"),				/* mov eax, cr0 */
	ALL("\x0f\x21\xf8"),				/* mov eax, dr7 */
	ONLY64("\x48\x87\x24\x24"),			/* xchg [rsp], rsp */
	ONLY64("\x8f\x44\x24\x08\xff\x34\x24"),		/* pop [rsp+8]; push [rsp] */
	ONLY64("\x8f\x04\x24\xff\x74\x24\xf8"),		/* pop [rsp]; push [rsp-8] */
	ONLY64("\x66\x54\x66\x5a"),			/* push sp; pop dx */
	ONLY64("\x66\x9c\x66\x9d"),			/* pushfw; popfw */
	ONLY64("\x48\x99\x48\xf7\xf9"),			/* cqo; idiv rcx */
	ONLY64("\x48\x63\xc1\x48\x98"),			/* movsxd rax, ecx; cdqe */
	ONLY64("\xf0\x48\x0f\xc7\x0b"),			/* lock cmpxchg16b [rbx] */
	ONLY64("\x48\x0f\xc7\x0b\x0f\xc7\x0b"),		/* cmpxchg16b; cmpxchg8b [rbx] */
	ONLY64("\xf0\x48\x0f\xc1\x03\xf0\x48\x0f\xb1\x13"), /* lock xadd; lock cmpxchg */
	ONLY64("\x48\x0f\xa3\x03\x48\x0f\xab\x0b"),	/* bt [rbx], rax; bts [rbx], rcx */
	ONLY64("\x40\x88\xf7\x40\x0f\xb6\xc5"),		/* mov dil, sil; movzx eax, bpl */
	ONLY64("\x48\x8d\x44\x24\xf0\x67\x8d\x14\x0b"),	/* lea rax, [rsp-16]; lea edx, [ebx+ecx] */
	ONLY64("\xc5\xf8\x77\xc5\xfc\x77"),		/* vzeroupper; vzeroall */
	ONLY64("\x0f\x29\x03\x0f\x28\x4b\x10\x0f\x10\x53\x01"), /* movaps; movaps; movups */
	ONLY64("\x66\x0f\xf7\xca"),			/* maskmovdqu xmm1, xmm2 */
	ONLY64("\xf3\x48\xab\xf3\x48\xa7"),		/* rep stosq; repe cmpsq */
};

void program_hand(struct maker *m)
{
	const struct hand *h = &hand[rng_below(&m->r, ARRAY_SIZE(hand))];
	ZydisDecodedInstruction d;
	int at = 0;

	while (h->bits && h->bits != opt.bits)
		h = &hand[rng_below(&m->r, ARRAY_SIZE(hand))];
	while (at < h->len && ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
				      &decoder, NULL, h->bytes + at, (size_t)(h->len - at), &d))) {
		maker_add_raw(m, h->bytes + at, d.length);
		at += d.length;
	}
}

/* --- what is no instruction ------------------------------------------------------------- */

void program_ud(struct maker *m)
{
	static const struct hand all[] = {
		ALL("\x0f\x0b"), ALL("\x0f\xb9\xc0"), ALL("\x0f\x04"), ALL("\x0f\x0a"),
		ALL("\x0f\x0c"), ALL("\xf0\x90"), ALL("\xf0\x89\xc8"), ALL("\xf0\x39\x03"),
		ALL("\xf0\x0f\xa3\x03"), ALL("\x0f\xc7\xc8"), ALL("\xfe\xd0"), ALL("\xff\xf8"),
		ALL("\x8d\xc0"), ALL("\x8f\xc8"), ALL("\xc6\xc8\x01"), ALL("\x0f\xba\xc0\x01"),
		ALL("\x0f\x13\xc0"), ALL("\x0f\x71\xc0\x01"), ALL("\x0f\x24\xc0"),
		ALL("\x0f\x36"), ALL("\xd9\xd1"), ALL("\x66\x0f\x38\x80\x03"),
		ALL("\xf0\x0f\xb1\xc8"), ALL("\xf2\xf0\x01\xc8"), ALL("\x8e\xc8"),
		ALL("\x0f\x20\xc8"), ALL("\x0f\x22\xe8"), ALL("\xc5\xf8\xff\xc0"),
		ONLY64("\x06"), ONLY64("\x0e"), ONLY64("\x16"), ONLY64("\x1f"), ONLY64("\x27"),
		ONLY64("\x2f"), ONLY64("\x37"), ONLY64("\x3f"), ONLY64("\x60"), ONLY64("\x61"),
		ONLY64("\x82\xc0\x01"), ONLY64("\xce"), ONLY64("\xd4\x0a"), ONLY64("\xd5\x0a"),
		ONLY64("\xd6"), ONLY64("\x9a\0\0\0\0\x33\0"), ONLY64("\xea\0\0\0\0\x33\0"),
		ONLY64("\xf0\xc5\xf8\x58\xc1"), ONLY64("\x66\xc5\xf8\x58\xc1"),
		ONLY64("\x48\xc5\xf8\x58\xc1"), ONLY64("\xc4\xe1\x78\x77\xc0"),
	};
	const struct hand *h;

	program_body(m, (int)rng_below(&m->r, 3));
	do
		h = &all[rng_below(&m->r, ARRAY_SIZE(all))];
	while (h->bits && h->bits != opt.bits);
	maker_add_raw(m, h->bytes, h->len);
	RAW(m, "\x90");
}

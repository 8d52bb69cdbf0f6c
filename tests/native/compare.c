/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Comparing two outcomes of one test, and telling people about it: the
 * disassembly, the inputs, and every field that differs. What the manuals
 * leave undefined is not compared.
 */
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include "gen.h"

#define KERNEL_HALF 0x00007ffffffff000ull	/* TASK_SIZE_MAX */

static const char *const reg_name[16] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

struct diff {
	FILE *out;
	int count;
};

static void __attribute__((format(printf, 2, 3))) differ(struct diff *d, const char *fmt, ...)
{
	va_list ap;

	if (d->count++ > 40 || !d->out)
		return;
	va_start(ap, fmt);
	fputs("  ", d->out);
	vfprintf(d->out, fmt, ap);
	fputc('\n', d->out);
	va_end(ap);
}

static void field(struct diff *d, const char *name, u64 want, u64 got)
{
	if (want != got)
		differ(d, "%-12s want %#llx got %#llx", name, (long long)want, (long long)got);
}

static void bytes(struct diff *d, const char *name, int n, const u8 *want, const u8 *got, int len)
{
	char w[140], g[140];
	int i;

	if (!memcmp(want, got, (size_t)len))
		return;
	for (i = 0; i < len && i < 64; i++) {
		snprintf(w + i * 2, 3, "%02x", want[len - 1 - i]);
		snprintf(g + i * 2, 3, "%02x", got[len - 1 - i]);
	}
	differ(d, "%s%d\n    want %s\n    got  %s", name, n, w, g);
}

/* The instruction at rip, or -1: none, t->count: the end. */
static int insn_at(const struct test *t, u64 rip)
{
	int i;

	for (i = 0; i <= t->count; i++)
		if (rip == t->at[i] || (opt.bits == 16 && rip == (t->at[i] & 0xffff)))
			return i;
	return -1;
}

static u64 flags_compared(const struct test *t, const struct outcome *want)
{
	u64 mask = FL_ARITH | FL_DF | FL_TF | FL_NT | FL_AC | FL_ID | FL_IF | 2;
	int i;

	if (want->kind == OUT_END)
		return mask & ~(u64)t->undef_end;
	i = insn_at(t, want->rip);
	mask |= FL_RF;
	if (i < 0 || !opt.fault_flags || (i < t->count && t->insn[i].rep))
		return mask & ~FL_ARITH;
	return mask & ~(u64)(i < t->count ? t->insn[i].undef : t->undef_end);
}

/* rip is that of an INT1, or lies within it. */
static bool is_int1(const struct test *t, u64 rip)
{
	u64 off = rip - (opt.bits == 16 ? t->at[0] & 0xffff : t->at[0]);
	int i;

	for (i = 0; i < t->count; i++)
		if (off >= t->at[i] - t->at[0] && off < t->at[i + 1] - t->at[0])
			return t->insn[i].bytes[t->insn[i].len - 1] == 0xf1;
	return false;
}

static bool decode_at(const struct test *t, u64 rip, ZydisDecodedInstruction *in)
{
	int i = insn_at(t, rip);

	return i >= 0 && i < t->count &&
	       ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, t->insn[i].bytes,
							  t->insn[i].len, in));
}

/* Memory of this process outside the arenas. */
static bool is_ours(u64 addr)
{
	u64 page = addr & ~0xfffull, low = page - LOW_BASE, high = page - HIGH_BASE;
	unsigned char c;

	return low >= DATA_OFFSET + 0x100000 && high >= DATA_OFFSET + 0x100000 &&
	       page < KERNEL_HALF && mincore((void *)page, 1, &c) == 0;
}

/*
 * Outcomes that the manuals leave to the implementation: faults of bytes that
 * a mask leaves out at MASKMOVQ and MASKMOVDQU (VMASKMOV and EVEX promise
 * more), and whether single steps split a gather. Nor does it mean anything
 * when a stray address happens to be this process's own.
 */
static bool unspecified(const struct test *t, const struct outcome *want,
			const struct outcome *got)
{
	ZydisDecodedInstruction in;

	if (got->kind == OUT_FAULT && got->vector == 14 && is_ours(got->cr2))
		return true;
	if (want->kind != OUT_FAULT || !decode_at(t, want->rip, &in))
		return false;
	switch (in.mnemonic) {
	case ZYDIS_MNEMONIC_MASKMOVQ: case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
		return true;
	default:
		return want->vector == 1 && t->rflags & FL_TF &&
		       (in.meta.category == ZYDIS_CATEGORY_GATHER ||
			in.meta.category == ZYDIS_CATEGORY_AVX2GATHER ||
			in.meta.category == ZYDIS_CATEGORY_SCATTER);
	}
}

/* An instruction of several stores that faulted: which of them were done is nobody's promise. */
static bool stores_partly(const struct test *t, const struct outcome *want)
{
	ZydisDecodedInstruction in;

	if (want->kind != OUT_FAULT || !decode_at(t, want->rip, &in))
		return false;
	switch (in.mnemonic) {
	case ZYDIS_MNEMONIC_ENTER: case ZYDIS_MNEMONIC_PUSHA: case ZYDIS_MNEMONIC_PUSHAD:
	case ZYDIS_MNEMONIC_FNSAVE: case ZYDIS_MNEMONIC_FNSTENV: case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64: case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64: case ZYDIS_MNEMONIC_FRSTOR:
	case ZYDIS_MNEMONIC_FLDENV:
		return true;
	default:
		return in.meta.category == ZYDIS_CATEGORY_SCATTER ||
		       in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	}
}

static void compare_fault(struct diff *d, const struct test *t, const struct outcome *want,
			  const struct outcome *got)
{
	u32 ignore = 0;

	/* INT1 is a trap; some hypervisors below this test make it a fault. */
	if (want->vector != 1 || !is_int1(t, want->rip))
		field(d, "rip", want->rip, got->rip);
	field(d, "vector", want->vector, got->vector);
	/* Linux hides whether kernel pages are present. */
	if (want->vector == 14 && want->cr2 >= KERNEL_HALF)
		ignore = 1;
	field(d, "error", want->error & ~ignore, got->error & ~ignore);
	if (want->vector == 14 && stores_partly(t, want))
		field(d, "cr2's page", want->cr2 & ~0xfffull, got->cr2 & ~0xfffull);
	else if (want->vector == 14)
		field(d, "cr2", want->cr2, got->cr2);
}

static void compare_registers(struct diff *d, const struct test *t, const struct outcome *want,
			      const struct outcome *got)
{
	static const char *const sel[] = { "es", "cs", "ss", "ds", "fs", "gs" };
	u64 mask = flags_compared(t, want);
	u64 width = opt.bits == 64 ? ~0ull : 0xffffffff;
	int i;

	/* Leaving 64-bit mode loses the upper halves of registers, here RSP's. */
	if (opt.bits == 64 && want->kind == OUT_FAULT && want->sel[1] == SEL_USER32)
		width = 0xffffffff;
	for (i = 0; i < (opt.bits == 64 ? 16 : 8); i++)
		field(d, reg_name[i], want->gpr[i] & width, got->gpr[i] & width);
	field(d, "rflags", want->rflags & mask, got->rflags & mask);
	if (opt.bits == 64) {
		field(d, "fs_base", want->fs_base, got->fs_base);
		field(d, "gs_base", want->gs_base, got->gs_base);
	}
	/* Returning through the kernel clears the RPL of a null selector. */
	for (i = 0; i < 6; i++)
		if ((i != 1 || want->kind == OUT_FAULT) && (want->sel[i] | got->sel[i]) > 3)
			field(d, sel[i], want->sel[i], got->sel[i]);
}

static void compare_fp(struct diff *d, const struct fpstate *want, const struct fpstate *got)
{
	int i;

	field(d, "fcw", want->fcw, got->fcw);
	field(d, "fsw", want->fsw, got->fsw);
	field(d, "ftw", want->ftw, got->ftw);
	field(d, "mxcsr", want->mxcsr, got->mxcsr);
	if (opt.fpu_pointers) {
		field(d, "fop", want->fop, got->fop);
		field(d, "fip", want->fip, got->fip);
		field(d, "fdp", want->fdp, got->fdp);
	}
	for (i = 0; i < 8; i++) {
		bytes(d, "st", i, want->st[i], got->st[i], 10);
		field(d, "k", want->k[i], got->k[i]);
	}
	for (i = 0; i < 32; i++)
		bytes(d, "zmm", i, want->vec[i], got->vec[i], 64);
}

static void compare_memory(struct diff *d, const struct test *t, const struct outcome *want,
			   const struct outcome *got)
{
	u32 i, off;

	if (t->loose_memory || stores_partly(t, want))
		return;
	for (i = 0; i < 2; i++) {
		if (!memcmp(want->mem[i], got->mem[i], DATA_SIZE))
			continue;
		for (off = 0; off < DATA_SIZE; off++)
			if (want->mem[i][off] != got->mem[i][off])
				differ(d, "[%#llx]  want %02x got %02x",
				       (i ? HIGH_BASE : LOW_BASE) + DATA_OFFSET + (long long)off,
				       want->mem[i][off], got->mem[i][off]);
	}
}

static const char *kind_name(const struct outcome *o)
{
	static const char *const name[] = { "end", "fault", "timeout", "system call", "error" };

	return name[o->kind];
}

bool outcomes_agree(const struct test *t, const struct outcome *want, const struct outcome *got,
		    FILE *out)
{
	struct diff d = { out, 0 };

	/* Nothing was learned. */
	if (want->kind == OUT_SYSCALL || (want->kind == OUT_TIMEOUT && got->kind == OUT_TIMEOUT) ||
	    unspecified(t, want, got))
		return true;
	if (want->kind != got->kind)
		differ(&d, "%-12s want %s got %s %s", "outcome", kind_name(want), kind_name(got),
		       got->kind == OUT_ERROR ? got->text : "");
	if (got->kind == OUT_ERROR || got->kind == OUT_TIMEOUT || want->kind == OUT_TIMEOUT)
		return d.count == 0;
	if (want->kind == OUT_FAULT && got->kind == OUT_FAULT)
		compare_fault(&d, t, want, got);
	else if (want->kind == OUT_FAULT || got->kind == OUT_FAULT)
		differ(&d, "fault of %s: vector %d error %#x rip %#llx cr2 %#llx",
		       want->kind == OUT_FAULT ? "want" : "got",
		       want->kind == OUT_FAULT ? want->vector : got->vector,
		       want->kind == OUT_FAULT ? want->error : got->error,
		       (long long)(want->kind == OUT_FAULT ? want->rip : got->rip),
		       (long long)(want->kind == OUT_FAULT ? want->cr2 : got->cr2));
	compare_registers(&d, t, want, got);
	compare_fp(&d, &want->fp, &got->fp);
	compare_memory(&d, t, want, got);
	if (memcmp(want->code, got->code, t->code_len))
		differ(&d, "the code itself differs afterwards");
	return d.count == 0;
}

static void print_code(const struct test *t, FILE *out)
{
	ZydisDecodedInstruction in;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisFormatter f;
	char text[160];
	const u8 *p;
	int i, j;

	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	for (i = 0; i < t->count; i++) {
		p = t->code + (t->at[i] - t->at[0]);
		fprintf(out, "  %#14llx  ", (long long)t->at[i]);
		for (j = 0; j < 15; j++)
			fprintf(out, j < t->insn[i].len ? "%02x" : "  ", p[j]);
		strcpy(text, "(bad)");
		if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, p, t->insn[i].len, &in, op)))
			ZydisFormatterFormatInstruction(&f, &in, op, in.operand_count_visible, text,
							sizeof(text), t->at[i], NULL);
		fprintf(out, "  %s\n", text);
	}
}

static void print_vector(FILE *out, const char *name, int n, const u8 *p, int len)
{
	fprintf(out, "  %s%d=", name, n);
	while (len--)
		fprintf(out, "%02x", p[len]);
	fputc('\n', out);
}

void test_print(const struct test *t, FILE *out)
{
	int i;

	fprintf(out, "%s:%#llx  code at %#llx (--replay %s:%#llx)\n", group_name[t->group],
		(long long)t->seed, (long long)t->at[0], group_name[t->group],
		(long long)t->seed);
	print_code(t, out);
	for (i = 0; i < (opt.bits == 64 ? 16 : 8); i++)
		fprintf(out, "  %s=%#llx%s", reg_name[i], (long long)t->gpr[i],
			i % 4 == 3 ? "\n" : "");
	fprintf(out, "  rflags=%#llx fs_base=%#llx gs_base=%#llx", (long long)t->rflags,
		(long long)t->fs_base, (long long)t->gs_base);
	fprintf(out, " fcw=%#x fsw=%#x ftw=%#x mxcsr=%#x\n", t->fp.fcw, t->fp.fsw, t->fp.ftw,
		t->fp.mxcsr);
	if (!opt.verbose)
		return;
	for (i = 0; i < 8; i++)
		print_vector(out, "st", i, t->fp.st[i], 10);
	for (i = 0; i < 32; i++)
		print_vector(out, "zmm", i, t->fp.vec[i], 64);
	for (i = 0; i < 8; i++)
		fprintf(out, "  k%d=%#llx\n", i, (long long)t->fp.k[i]);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What may run in a test: which CPUID bit an instruction needs, which group
 * it belongs to, and which instructions never run natively here, because they
 * would reach the system (SYSCALL, INT 80h, a hypercall) or because two runs
 * of them need not agree (RDTSC, RDRAND).
 */
#include <cpuid.h>
#include <string.h>

#include "gen.h"

struct cpuid_view cpu;

const char *const group_name[G_COUNT] = {
	[G_ALU] = "alu", [G_SHIFT] = "shift", [G_MULDIV] = "muldiv", [G_BIT] = "bit",
	[G_MOVE] = "move", [G_STRING] = "string", [G_STACK] = "stack", [G_FLAGS] = "flags",
	[G_ATOMIC] = "atomic", [G_BMI] = "bmi", [G_X87] = "x87", [G_MMX] = "mmx",
	[G_SSE] = "sse", [G_CRYPTO] = "crypto", [G_AVX] = "avx", [G_FMA] = "fma",
	[G_AVX512] = "avx512", [G_GATHER] = "gather", [G_HINT] = "hint", [G_FSGS] = "fsgs",
	[G_PRIV] = "priv", [G_DECIMAL] = "decimal", [G_SEGMENT] = "segment",
	[G_FPENV] = "fpenv", [G_MIXED] = "mixed", [G_BYTES] = "bytes", [G_FLOW] = "flow",
	[G_SMC] = "smc", [G_HAND] = "hand", [G_AC] = "ac", [G_TF] = "tf", [G_UD] = "ud",
	[G_FAR] = "far", [G_XSAVE] = "xsave", [G_MASKED] = "masked",
};

int group_find(const char *name)
{
	int i;

	for (i = 0; i < G_COUNT; i++)
		if (!strcmp(group_name[i], name))
			return i;
	return -1;
}

static u32 *leaf_of(u32 leaf, u32 subleaf)
{
	if (leaf == 1)
		return cpu.leaf1;
	if (leaf == 7)
		return subleaf == 0 ? cpu.leaf7 : subleaf == 1 ? cpu.leaf7_1 : NULL;
	if (leaf == 0x80000001)
		return cpu.ext1;
	if (leaf == 0x80000008)
		return cpu.ext8;
	if (leaf == 0xd && subleaf == 1)
		return cpu.leafd1;
	return NULL;
}

void features_from_host(void)
{
	static const u32 leaf[][2] = {
		{ 1, 0 }, { 7, 0 }, { 7, 1 }, { 0x80000001, 0 }, { 0x80000008, 0 }, { 0xd, 1 },
	};
	u32 i, *p, lo, hi;

	for (i = 0; i < ARRAY_SIZE(leaf); i++) {
		p = leaf_of(leaf[i][0], leaf[i][1]);
		__cpuid_count(leaf[i][0], leaf[i][1], p[0], p[1], p[2], p[3]);
	}
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	(void)hi;
	xmask = lo & 0xe7;
}

void features_limit(u32 leaf, u32 subleaf, const u32 r[4])
{
	u32 i, *p = leaf_of(leaf, subleaf);

	for (i = 0; p && i < 4; i++)
		p[i] &= r[i];
	if (leaf == 0xd && subleaf == 0)
		xmask &= r[0];
}

enum { EAX, EBX, ECX, EDX };
#define F1(reg, bit) (cpu.leaf1[reg] >> (bit) & 1)
#define F7(reg, bit) (cpu.leaf7[reg] >> (bit) & 1)
#define FE(reg, bit) (cpu.ext1[reg] >> (bit) & 1)

static bool have_avx512_set(ZydisISASet s)
{
	bool vl = F7(EBX, 31);

#define SET3(x) case ZYDIS_ISA_SET_AVX512##x##_128: case ZYDIS_ISA_SET_AVX512##x##_256: \
		if (!vl) return false; /* fall through */ \
		case ZYDIS_ISA_SET_AVX512##x##_512
	if (!have_avx512() || !F7(EBX, 16))
		return false;
	switch (s) {
	SET3(F):
	case ZYDIS_ISA_SET_AVX512F_128N:
	case ZYDIS_ISA_SET_AVX512F_SCALAR:
	case ZYDIS_ISA_SET_AVX512F_KOP:
		return true;
	SET3(BW):
	case ZYDIS_ISA_SET_AVX512BW_128N:
	case ZYDIS_ISA_SET_AVX512BW_KOP:
		return F7(EBX, 30);
	SET3(DQ):
	case ZYDIS_ISA_SET_AVX512DQ_128N:
	case ZYDIS_ISA_SET_AVX512DQ_SCALAR:
	case ZYDIS_ISA_SET_AVX512DQ_KOP:
		return F7(EBX, 17);
	SET3(CD):
		return F7(EBX, 28);
	SET3(_BF16):
		return cpu.leaf7_1[EAX] >> 5 & 1;
	SET3(_BITALG):
		return F7(ECX, 12);
	SET3(_GFNI):
		return F7(ECX, 8);
	SET3(_IFMA):
		return F7(EBX, 21);
	SET3(_VAES):
		return F7(ECX, 9);
	SET3(_VBMI2):
		return F7(ECX, 6);
	SET3(_VBMI):
		return F7(ECX, 1);
	SET3(_VNNI):
		return F7(ECX, 11);
	SET3(_VP2INTERSECT):
		return F7(EDX, 8);
	SET3(_VPCLMULQDQ):
		return F7(ECX, 10);
	SET3(_VPOPCNTDQ):
		return F7(ECX, 14);
	default:
		return false;
	}
#undef SET3
}

static bool have_vector_set(ZydisISASet s, const ZydisDecodedInstruction *in)
{
	bool avx = have_avx() && F1(ECX, 28);

	switch (s) {
	case ZYDIS_ISA_SET_AES: return F1(ECX, 25);
	case ZYDIS_ISA_SET_PCLMULQDQ:
		return F1(ECX, 1) && (in->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY || avx);
	case ZYDIS_ISA_SET_SHA: return F7(EBX, 29);
	case ZYDIS_ISA_SET_GFNI: return F7(ECX, 8);
	case ZYDIS_ISA_SET_AVX: return avx;
	case ZYDIS_ISA_SET_AVX2:
	case ZYDIS_ISA_SET_AVX2GATHER: return avx && F7(EBX, 5);
	case ZYDIS_ISA_SET_AVXAES: return avx && F1(ECX, 25);
	case ZYDIS_ISA_SET_AVX_GFNI: return avx && F7(ECX, 8);
	case ZYDIS_ISA_SET_AVX_VNNI: return avx && (cpu.leaf7_1[EAX] >> 4 & 1);
	case ZYDIS_ISA_SET_FMA: return avx && F1(ECX, 12);
	case ZYDIS_ISA_SET_F16C: return avx && F1(ECX, 29);
	case ZYDIS_ISA_SET_VAES: return avx && F7(ECX, 9);
	case ZYDIS_ISA_SET_VPCLMULQDQ: return avx && F7(ECX, 10);
	case ZYDIS_ISA_SET_SSE4A: return FE(ECX, 6);
	default: return have_avx512_set(s);
	}
}

static bool have_isa_set(const ZydisDecodedInstruction *in)
{
	ZydisISASet s = in->meta.isa_set;

	switch (s) {
	case ZYDIS_ISA_SET_I86: case ZYDIS_ISA_SET_I186: case ZYDIS_ISA_SET_I286PROTECTED:
	case ZYDIS_ISA_SET_I286REAL: case ZYDIS_ISA_SET_I386: case ZYDIS_ISA_SET_I486:
	case ZYDIS_ISA_SET_I486REAL: case ZYDIS_ISA_SET_PENTIUMREAL: case ZYDIS_ISA_SET_PPRO:
	case ZYDIS_ISA_SET_LONGMODE: case ZYDIS_ISA_SET_FAT_NOP: case ZYDIS_ISA_SET_PAUSE:
	case ZYDIS_ISA_SET_X87: case ZYDIS_ISA_SET_PENTIUMMMX: case ZYDIS_ISA_SET_SSE:
	case ZYDIS_ISA_SET_SSE2: case ZYDIS_ISA_SET_SSE2MMX: case ZYDIS_ISA_SET_SSEMXCSR:
	case ZYDIS_ISA_SET_SSE_PREFETCH: case ZYDIS_ISA_SET_FXSAVE:
	case ZYDIS_ISA_SET_FXSAVE64: case ZYDIS_ISA_SET_CMOV: case ZYDIS_ISA_SET_FCMOV:
	case ZYDIS_ISA_SET_AMD: case ZYDIS_ISA_SET_RDPMC:
		return true;
	case ZYDIS_ISA_SET_SSE3: case ZYDIS_ISA_SET_SSE3X87: return F1(ECX, 0);
	case ZYDIS_ISA_SET_SSSE3: case ZYDIS_ISA_SET_SSSE3MMX: return F1(ECX, 9);
	case ZYDIS_ISA_SET_SSE4: return F1(ECX, 19);
	case ZYDIS_ISA_SET_SSE42: return F1(ECX, 20);
	case ZYDIS_ISA_SET_POPCNT: return F1(ECX, 23);
	case ZYDIS_ISA_SET_MOVBE: return F1(ECX, 22);
	case ZYDIS_ISA_SET_CMPXCHG16B: return F1(ECX, 13);
	case ZYDIS_ISA_SET_LAHF: return opt.bits != 64 || FE(ECX, 0);
	case ZYDIS_ISA_SET_LZCNT: return FE(ECX, 5);
	case ZYDIS_ISA_SET_BMI1: return F7(EBX, 3);
	case ZYDIS_ISA_SET_BMI2: return F7(EBX, 8);
	case ZYDIS_ISA_SET_ADOX_ADCX: return F7(EBX, 19);
	case ZYDIS_ISA_SET_CLFSH: return F1(EDX, 19);
	case ZYDIS_ISA_SET_CLFLUSHOPT: return F7(EBX, 23);
	case ZYDIS_ISA_SET_CLWB: return F7(EBX, 24);
	case ZYDIS_ISA_SET_CLZERO: return cpu.ext8[EBX] & 1;
	case ZYDIS_ISA_SET_PREFETCH_NOP: return FE(ECX, 8);
	case ZYDIS_ISA_SET_RDWRFSGS: return F7(EBX, 0);
	case ZYDIS_ISA_SET_MOVDIR: return F7(ECX, 27) && F7(ECX, 28);
	case ZYDIS_ISA_SET_INVPCID: return F7(EBX, 10);
	case ZYDIS_ISA_SET_SMAP: return F7(EBX, 20);
	case ZYDIS_ISA_SET_XSAVE: return F1(ECX, 27);
	default: return have_vector_set(s, in);
	}
}

/* Never natively, or not with one certain outcome. */
static bool forbidden(const ZydisDecodedInstruction *in)
{
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_SYSCALL: case ZYDIS_MNEMONIC_SYSENTER: case ZYDIS_MNEMONIC_VMMCALL:
	case ZYDIS_MNEMONIC_VMCALL: case ZYDIS_MNEMONIC_CPUID: case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_RDTSCP: case ZYDIS_MNEMONIC_RDPMC: case ZYDIS_MNEMONIC_RDPRU:
	case ZYDIS_MNEMONIC_RDRAND: case ZYDIS_MNEMONIC_RDSEED: case ZYDIS_MNEMONIC_RDPID:
	case ZYDIS_MNEMONIC_SGDT: case ZYDIS_MNEMONIC_SIDT: case ZYDIS_MNEMONIC_SLDT:
	case ZYDIS_MNEMONIC_STR: case ZYDIS_MNEMONIC_SMSW: case ZYDIS_MNEMONIC_XGETBV:
	case ZYDIS_MNEMONIC_MONITOR: case ZYDIS_MNEMONIC_MWAIT: case ZYDIS_MNEMONIC_MONITORX:
	case ZYDIS_MNEMONIC_MWAITX: case ZYDIS_MNEMONIC_MCOMMIT: case ZYDIS_MNEMONIC_GETSEC:
	case ZYDIS_MNEMONIC_UD0: case ZYDIS_MNEMONIC_FEMMS: case ZYDIS_MNEMONIC_LAR:
	case ZYDIS_MNEMONIC_LSL:
		return true;
	case ZYDIS_MNEMONIC_INT:
		return in->raw.imm[0].value.u == 0x80;
	default:
		return in->meta.category == ZYDIS_CATEGORY_XSAVE ||
		       in->meta.category == ZYDIS_CATEGORY_XSAVEOPT ||
		       in->meta.isa_ext == ZYDIS_ISA_EXT_SVM ||
		       in->meta.isa_ext == ZYDIS_ISA_EXT_VTX ||
		       in->meta.isa_ext == ZYDIS_ISA_EXT_RTM;
	}
}

/* Environments and state images carry the addresses of the last instruction and operand. */
static bool is_fpenv(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_FNSTENV: case ZYDIS_MNEMONIC_FNSAVE: case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64: case ZYDIS_MNEMONIC_FLDENV: case ZYDIS_MNEMONIC_FRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR: case ZYDIS_MNEMONIC_FXRSTOR64:
		return true;
	default:
		return false;
	}
}

static int group_of_privileged(const ZydisDecodedInstruction *in)
{
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_HLT: case ZYDIS_MNEMONIC_CLTS: case ZYDIS_MNEMONIC_LGDT:
	case ZYDIS_MNEMONIC_LIDT: case ZYDIS_MNEMONIC_LLDT: case ZYDIS_MNEMONIC_LTR:
	case ZYDIS_MNEMONIC_LMSW: case ZYDIS_MNEMONIC_INVD: case ZYDIS_MNEMONIC_INVLPG:
	case ZYDIS_MNEMONIC_WBINVD: case ZYDIS_MNEMONIC_RDMSR: case ZYDIS_MNEMONIC_WRMSR:
	case ZYDIS_MNEMONIC_SWAPGS: case ZYDIS_MNEMONIC_INVPCID: case ZYDIS_MNEMONIC_CLAC:
	case ZYDIS_MNEMONIC_STAC: case ZYDIS_MNEMONIC_SYSRET: case ZYDIS_MNEMONIC_SYSEXIT:
	case ZYDIS_MNEMONIC_CLI: case ZYDIS_MNEMONIC_STI: case ZYDIS_MNEMONIC_INT:
	case ZYDIS_MNEMONIC_INT1: case ZYDIS_MNEMONIC_INT3: case ZYDIS_MNEMONIC_INTO:
	case ZYDIS_MNEMONIC_BOUND: case ZYDIS_MNEMONIC_UD1: case ZYDIS_MNEMONIC_UD2:
		return G_PRIV;
	case ZYDIS_MNEMONIC_VERR: case ZYDIS_MNEMONIC_VERW: case ZYDIS_MNEMONIC_ARPL:
		return G_SEGMENT;
	default:
		return -1;
	}
}

static int group_of_base(const ZydisDecodedInstruction *in)
{
	switch (in->meta.category) {
	case ZYDIS_CATEGORY_BINARY:
		switch (in->mnemonic) {
		case ZYDIS_MNEMONIC_MUL: case ZYDIS_MNEMONIC_IMUL:
		case ZYDIS_MNEMONIC_DIV: case ZYDIS_MNEMONIC_IDIV:
			return G_MULDIV;
		default:
			return G_ALU;
		}
	case ZYDIS_CATEGORY_LOGICAL: case ZYDIS_CATEGORY_CONVERT:
		return G_ALU;
	case ZYDIS_CATEGORY_SHIFT: case ZYDIS_CATEGORY_ROTATE:
		return G_SHIFT;
	case ZYDIS_CATEGORY_BITBYTE: case ZYDIS_CATEGORY_CMOV: case ZYDIS_CATEGORY_SETCC:
		return G_BIT;
	case ZYDIS_CATEGORY_DATAXFER: case ZYDIS_CATEGORY_MISC:
		if (in->mnemonic == ZYDIS_MNEMONIC_ENTER || in->mnemonic == ZYDIS_MNEMONIC_LEAVE)
			return G_STACK;
		if (in->mnemonic == ZYDIS_MNEMONIC_UD1 || in->mnemonic == ZYDIS_MNEMONIC_UD2)
			return G_PRIV;
		return G_MOVE;
	case ZYDIS_CATEGORY_STRINGOP:
		return G_STRING;
	case ZYDIS_CATEGORY_PUSH: case ZYDIS_CATEGORY_POP: case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_RET: case ZYDIS_CATEGORY_UNCOND_BR: case ZYDIS_CATEGORY_COND_BR:
		return G_STACK;
	case ZYDIS_CATEGORY_FLAGOP:
		return G_FLAGS;
	case ZYDIS_CATEGORY_SEMAPHORE:
		return G_ATOMIC;
	case ZYDIS_CATEGORY_DECIMAL:
		return G_DECIMAL;
	case ZYDIS_CATEGORY_SEGOP:
		return G_SEGMENT;
	case ZYDIS_CATEGORY_IO: case ZYDIS_CATEGORY_IOSTRINGOP:
		return G_PRIV;
	case ZYDIS_CATEGORY_NOP: case ZYDIS_CATEGORY_WIDENOP:
		return G_HINT;
	default:
		return -1;
	}
}

static int group_of_ext(const ZydisDecodedInstruction *in)
{
	switch (in->meta.isa_ext) {
	case ZYDIS_ISA_EXT_X87: return G_X87;
	case ZYDIS_ISA_EXT_MMX: return G_MMX;
	case ZYDIS_ISA_EXT_SSE: case ZYDIS_ISA_EXT_SSE2: case ZYDIS_ISA_EXT_SSE3:
	case ZYDIS_ISA_EXT_SSSE3: case ZYDIS_ISA_EXT_SSE4: case ZYDIS_ISA_EXT_SSE4A:
		return in->mnemonic == ZYDIS_MNEMONIC_FISTTP ? G_X87 : G_SSE;
	case ZYDIS_ISA_EXT_AES: case ZYDIS_ISA_EXT_PCLMULQDQ: case ZYDIS_ISA_EXT_SHA:
	case ZYDIS_ISA_EXT_GFNI: case ZYDIS_ISA_EXT_AVXAES: case ZYDIS_ISA_EXT_VAES:
	case ZYDIS_ISA_EXT_VPCLMULQDQ:
		return G_CRYPTO;
	case ZYDIS_ISA_EXT_AVX: case ZYDIS_ISA_EXT_AVX2: case ZYDIS_ISA_EXT_F16C:
	case ZYDIS_ISA_EXT_AVX_VNNI:
		return G_AVX;
	case ZYDIS_ISA_EXT_AVX2GATHER: return G_GATHER;
	case ZYDIS_ISA_EXT_FMA: return G_FMA;
	case ZYDIS_ISA_EXT_AVX512EVEX: case ZYDIS_ISA_EXT_AVX512VEX:
		return in->meta.category == ZYDIS_CATEGORY_GATHER ||
		       in->meta.category == ZYDIS_CATEGORY_SCATTER ? G_GATHER : G_AVX512;
	case ZYDIS_ISA_EXT_BMI1: case ZYDIS_ISA_EXT_BMI2: case ZYDIS_ISA_EXT_LZCNT:
	case ZYDIS_ISA_EXT_ADOX_ADCX: case ZYDIS_ISA_EXT_MOVBE:
		return G_BMI;
	case ZYDIS_ISA_EXT_RDWRFSGS: return G_FSGS;
	case ZYDIS_ISA_EXT_CLFSH: case ZYDIS_ISA_EXT_CLFLUSHOPT: case ZYDIS_ISA_EXT_CLWB:
	case ZYDIS_ISA_EXT_CLZERO: case ZYDIS_ISA_EXT_PAUSE: case ZYDIS_ISA_EXT_MOVDIR:
	case ZYDIS_ISA_EXT_AMD3DNOW_PREFETCH:
		return G_HINT;
	default: return -1;
	}
}

/* MOV and POP by their opcodes: those with control, debug or segment registers. */
static int group_of_special_move(const ZydisDecodedInstruction *in)
{
	bool two = in->opcode_map == ZYDIS_OPCODE_MAP_0F;

	if (in->mnemonic == ZYDIS_MNEMONIC_MOV) {
		if (two && in->opcode >= 0x20 && in->opcode <= 0x26)
			return G_PRIV;
		if (!two && in->opcode == 0x8e)
			return G_SEGMENT;
	}
	if (in->mnemonic == ZYDIS_MNEMONIC_POP) {
		if (two || in->opcode == 0x07 || in->opcode == 0x17 || in->opcode == 0x1f)
			return G_SEGMENT;
	}
	return -1;
}

int policy_group(const ZydisDecodedInstruction *in)
{
	int g;

	if (forbidden(in) || !have_isa_set(in))
		return -1;
	if (is_fpenv(in->mnemonic))
		return G_FPENV;
	g = group_of_privileged(in);
	if (g < 0)
		g = group_of_special_move(in);
	if (g >= 0)
		return g;
	if (in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || in->mnemonic == ZYDIS_MNEMONIC_IRET ||
	    in->mnemonic == ZYDIS_MNEMONIC_IRETD || in->mnemonic == ZYDIS_MNEMONIC_IRETQ)
		return G_SEGMENT;
	if (in->meta.isa_ext == ZYDIS_ISA_EXT_BASE || in->meta.isa_ext == ZYDIS_ISA_EXT_LONGMODE)
		return group_of_base(in);
	return group_of_ext(in);
}

bool policy_relative(const ZydisDecodedInstruction *in)
{
	return in->raw.imm[0].is_relative && in->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR;
}

bool policy_repeated(const ZydisDecodedInstruction *in)
{
	return in->meta.category == ZYDIS_CATEGORY_STRINGOP &&
	       (in->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
				  ZYDIS_ATTRIB_HAS_REPNE));
}

bool policy_may_keep_flags(const ZydisDecodedInstruction *in)
{
	return in->meta.category == ZYDIS_CATEGORY_SHIFT ||
	       in->meta.category == ZYDIS_CATEGORY_ROTATE || policy_repeated(in);
}

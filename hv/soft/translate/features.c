/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which instruction set extensions may be copied: those that the host has. An
 * instruction of any other is #UD to the guest, as it would be on this CPU.
 */
#include <cpuid.h>

#include "emit.h"

static u8 supported[ZYDIS_ISA_SET_MAX_VALUE + 1];

enum leaf { LEAF_1, LEAF_7, LEAF_7_1, LEAF_EXTENDED, LEAVES };

struct feature {
	u32 leaf, reg, bit;	/* reg: 0 EAX .. 3 EDX */
};

struct named_set {
	const char *prefix;	/* of Zydis' name of the set */
	struct feature f;
};

#define L1C(b) { LEAF_1, 2, b }
#define L1D(b) { LEAF_1, 3, b }
#define L7B(b) { LEAF_7, 1, b }
#define L7C(b) { LEAF_7, 2, b }
#define L7D(b) { LEAF_7, 3, b }
#define L71A(b) { LEAF_7_1, 0, b }
#define XC(b) { LEAF_EXTENDED, 2, b }

/* Longest prefixes first where one is the start of another. */
static const struct named_set sets[] = {
	{ "ADOX_ADCX", L7B(19) },
	{ "AES", L1C(25) },
	{ "AVX2", L7B(5) },
	{ "AVX512BW", L7B(30) },
	{ "AVX512CD", L7B(28) },
	{ "AVX512DQ", L7B(17) },
	{ "AVX512ER", L7B(27) },
	{ "AVX512F", L7B(16) },
	{ "AVX512PF", L7B(26) },
	{ "AVX512_4FMAPS", L7D(3) },
	{ "AVX512_4VNNIW", L7D(2) },
	{ "AVX512_BF16", L71A(5) },
	{ "AVX512_BITALG", L7C(12) },
	{ "AVX512_GFNI", L7C(8) },
	{ "AVX512_IFMA", L7B(21) },
	{ "AVX512_VAES", L7C(9) },
	{ "AVX512_VBMI2", L7C(6) },
	{ "AVX512_VBMI_", L7C(1) },
	{ "AVX512_VNNI", L7C(11) },
	{ "AVX512_VP2INTERSECT", L7D(8) },
	{ "AVX512_VPCLMULQDQ", L7C(10) },
	{ "AVX512_VPOPCNTDQ", L7C(14) },
	{ "AVX512_FP16", L7D(23) },
	{ "AVXAES", L1C(28) },
	{ "AVX_GFNI", L7C(8) },
	{ "AVX_VNNI", L71A(4) },
	{ "BMI1", L7B(3) },
	{ "BMI2", L7B(8) },
	{ "CLFLUSHOPT", L7B(23) },
	{ "CLFSH", L1D(19) },
	{ "CLWB", L7B(24) },
	{ "CMOV", L1D(15) },
	{ "CMPXCHG16B", L1C(13) },
	{ "F16C", L1C(29) },
	{ "FCMOV", L1D(15) },
	{ "FMA4", XC(16) },
	{ "FMA", L1C(12) },
	{ "GFNI", L7C(8) },
	{ "LAHF", XC(0) },
	{ "LZCNT", XC(5) },
	{ "MOVBE", L1C(22) },
	{ "PCLMULQDQ", L1C(1) },
	{ "PENTIUMMMX", L1D(23) },
	{ "POPCNT", L1C(23) },
	{ "RDRAND", L1C(30) },
	{ "RDSEED", L7B(18) },
	{ "SHA", L7B(29) },
	{ "SSE2", L1D(26) },
	{ "SSE3", L1C(0) },
	{ "SSE42", L1C(20) },
	{ "SSE4A", XC(6) },
	{ "SSE4", L1C(19) },
	{ "SSEMXCSR", L1D(25) },
	{ "SSE_PREFETCH", L1D(25) },
	{ "SSE", L1D(25) },
	{ "SSSE3", L1C(9) },
	{ "TBM", XC(21) },
	{ "VAES", L7C(9) },
	{ "VPCLMULQDQ", L7C(10) },
	{ "XOP", XC(11) },
	{ "AVX", L1C(28) },
};

/* Always there on an x86-64 host. */
static const char *const base_sets[] = {
	"I186", "I286PROTECTED", "I286REAL", "I386", "I486", "I486REAL", "I86", "LONGMODE",
	"PAUSE", "PENTIUMREAL", "PPRO", "X87", "FAT_NOP", "PREFETCH_NOP", "PREFETCHWT1",
	"CLDEMOTE", "AMD3DNOW",
};

static bool starts(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return false;
	return true;
}

static bool equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* Each leaf once: CPUID is dear where the host is a guest itself. */
static void read_leaves(u32 r[LEAVES][4])
{
	static const u32 leaves[LEAVES][2] = {
		[LEAF_1] = { 1, 0 }, [LEAF_7] = { 7, 0 }, [LEAF_7_1] = { 7, 1 },
		[LEAF_EXTENDED] = { 0x80000001, 0 },
	};

	for (u32 i = 0; i < LEAVES; i++)
		if (!__get_cpuid_count(leaves[i][0], leaves[i][1], &r[i][0], &r[i][1], &r[i][2],
				       &r[i][3]))
			host_memset(r[i], 0, sizeof(r[i]));
}

static bool has(u32 r[LEAVES][4], struct feature f)
{
	return r[f.leaf][f.reg] >> f.bit & 1;
}

void soft_features_init(void)
{
	static u32 done;
	u32 r[LEAVES][4];

	if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		return;
	read_leaves(r);
	for (u32 i = 1; i <= ZYDIS_ISA_SET_MAX_VALUE; i++) {
		const char *name = ZydisISASetGetString((ZydisISASet)i);

		for (u32 k = 0; k < ARRAY_SIZE(base_sets); k++)
			if (equal(name, base_sets[k]))
				supported[i] = 1;
		for (u32 k = 0; k < ARRAY_SIZE(sets); k++)
			if (starts(name, sets[k].prefix)) {
				supported[i] |= has(r, sets[k].f);
				break;
			}
	}
	/* Two first VMs at once write the same twice. */
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
}

bool x_isa_supported(const struct xinsn *xi)
{
	return supported[xi->zi.meta.isa_set];
}

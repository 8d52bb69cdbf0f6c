/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engine tells of its work: counters and times by name, for
 * KVM_GET_STATS_FD, and the addresses of blocks, for perf. A name with a dot
 * is one of a family: time.KIND, exit.REASON, helper.INSTRUCTION.
 */
#include <Zydis/Zydis.h>

#include "emulate/emulate.h"

struct counter {
	const char *name;
	u32 offset;
	enum engine_stat kind;
};

#define COUNT(text, field) { text, offsetof(struct soft_cpu, stats.field), ENGINE_STAT_COUNT }
#define TIME(text, field) { text, offsetof(struct soft_cpu, stats.field), ENGINE_STAT_NS }
#define PEAK(text, field) { text, offsetof(struct soft_cpu, stats.field), ENGINE_STAT_PEAK }
#define FILL(text, field) { text, offsetof(struct soft_cpu, fills.field), ENGINE_STAT_COUNT }
#define EXIT(text, reason) COUNT(text, exits[reason])

static const struct counter counters[] = {
	COUNT("blocks_translated", translations),
	COUNT("instructions_translated", translated_insns),
	COUNT("guest_bytes_translated", translated_bytes),
	COUNT("code_bytes", code_bytes),
	COUNT("cache_resets", cache_turns),
	COUNT("evictions", evictions),
	PEAK("eviction_pause_longest_us", evict_longest),
	COUNT("code_writes", code_writes),
	COUNT("code_pages_dropped", dropped_pages),
	COUNT("links", links),
	COUNT("tlb_misses", tlb_misses),
	COUNT("tlb_fills", tlb_fills),
	FILL("victim_hits", victims),
	FILL("site_fills", sites),
	FILL("group_failures", groups),
	COUNT("split_stacks", splits),
	COUNT("fetch_tlb_misses", itlb_misses),
	COUNT("tlb_flushes", tlb_flushes),
	COUNT("tlb_flushes_keeping_global", tlb_flushes_local),
	COUNT("tlb_flushes_of_page", tlb_flushes_page),
	COUNT("jump_cache_flushes", jc_flushes),
	COUNT("block_lookups", lookups),
	COUNT("odd_instructions", odd),
	COUNT("events_delivered", deliveries),
	COUNT("entries", enters),
	EXIT("exit.poll", SOFT_POLL),
	EXIT("exit.step", SOFT_NEXT),
	EXIT("exit.far_jump", SOFT_FAR),
	EXIT("exit.odd", SOFT_ODD),
	EXIT("exit.fault", SOFT_FAULT),
	EXIT("exit.link", SOFT_LINK),
	EXIT("exit.jump_cache_miss", SOFT_LOOKUP),
	EXIT("exit.helper", SOFT_HELPER),
	EXIT("exit.divide", SOFT_DIVIDE),
	EXIT("exit.no_fpu", SOFT_NM),
	EXIT("exit.undefined", SOFT_UD),
	EXIT("exit.unhandled", SOFT_UNHANDLED),
	EXIT("exit.refetch", SOFT_REFETCH),
	EXIT("exit.host_fault", SOFT_HOST_FAULT),
	EXIT("exit.protection", SOFT_GP),
	TIME("time.run", run_time),
	TIME("time.lookup", lookup_time),
	TIME("time.translate", translate_time),
	TIME("time.tlb_miss", tlb_time),
	TIME("time.helper", helper_time),
	TIME("time.deliver", deliver_time),
	TIME("time.evict", evict_time),
};

/* Mnemonics that a C function may emulate. */
static u16 helpers[ZYDIS_MNEMONIC_MAX_VALUE + 1];
static u32 helper_count;

static bool is_helper(u16 mnemonic)
{
	struct insn in = { .mnemonic = mnemonic };
	emu_fn fn = emu_lookup(&in, 64);

	/* These have one by their opcode. */
	if (mnemonic == ZYDIS_MNEMONIC_MOV || mnemonic == ZYDIS_MNEMONIC_MOVSD ||
	    mnemonic == ZYDIS_MNEMONIC_CMPSD)
		return true;
	return fn && fn != emu_ud;
}

void soft_stats_init(struct soft_vm *s)
{
	u32 n = 0;

	for (u32 m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
		if (is_helper((u16)m))
			helpers[n++] = (u16)m;
	helper_count = n;
	s->perf_map = soft_switch.perf_map && host_perf_map_start();
}

static u32 append(char *name, u32 at, const char *text)
{
	while (text && *text && at < ENGINE_STAT_NAME - 1)
		name[at++] = *text++;
	name[at] = 0;
	return at;
}

bool soft_stat_name(u32 i, char *name, enum engine_stat *kind)
{
	*kind = ENGINE_STAT_COUNT;
	if (i < ARRAY_SIZE(counters)) {
		*kind = counters[i].kind;
		append(name, 0, counters[i].name);
		return true;
	}
	i -= ARRAY_SIZE(counters);
	if (i >= helper_count)
		return false;
	append(name, append(name, 0, "helper."), ZydisMnemonicGetString(helpers[i]));
	return true;
}

static u64 to_ns(u64 cycles)
{
	return (u64)((u128)cycles * 1000000 / host_tsc_khz());
}

void soft_stat_values(struct vcpu *v, u64 *out)
{
	const struct soft_cpu *c = soft_cpu(v);

	for (u32 i = 0; i < ARRAY_SIZE(counters); i++) {
		u64 val = *(const u64 *)((const u8 *)c + counters[i].offset);

		if (counters[i].kind != ENGINE_STAT_COUNT)
			val = to_ns(val);
		*out++ = counters[i].kind == ENGINE_STAT_PEAK ? val / 1000 : val;
	}
	for (u32 i = 0; i < helper_count; i++)
		*out++ = c->stats.helpers[helpers[i]];
}

void soft_stats_block(struct vcpu *v, const struct block *b)
{
	struct soft_stats *st = &soft_cpu(v)->stats;

	st->translations++;
	st->translated_insns += b->insns;
	st->translated_bytes += b->size;
	st->code_bytes += b->code_size;
	if (unlikely(soft_vm(v->vm)->perf_map))
		host_perf_map_add(soft_block_code(b), b->code_size, v->cpl ? "guest_user" : "guest_kernel",
				  v->rip + soft_cpu(v)->cs_base);
}

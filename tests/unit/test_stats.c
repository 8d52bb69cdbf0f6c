/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM_GET_STATS_FD: the file's layout (KVM API, section 4.133), and counters
 * that must say what a small guest did.
 */
#include <stdio.h>

#include "guest16.h"
#include "stats.h"

/* Three CPUIDs, a store and a port: 1 block or more, 5 instructions. */
CODE16(work, "cpuid\n\tcpuid\n\tcpuid\n\tmovw %ax, 0x10\n\toutb %al, $0x80\n\thlt");

static uint64_t now(const char *name)
{
	return counter(cpu_fd, name);
}

static void check_layout(const struct stats_file *f)
{
	uint32_t next = 0;

	assert_true(f->head.num_desc > 0);
	for (uint32_t i = 0; i < f->head.num_desc; i++) {
		const struct kvm_stats_desc *d = stats_desc(f, i);
		size_t len = strnlen(d->name, f->head.name_size);

		assert_true((const unsigned char *)d < f->bytes + f->size);
		assert_true(len > 0 && len < f->head.name_size);
		assert_int_equal(d->size, 1);
		assert_int_equal(d->offset, next);
		assert_true(f->head.data_offset + d->offset + 8 <= f->size);
		next = d->offset + 8;
		for (uint32_t k = 0; k < i; k++)
			assert_string_not_equal(d->name, stats_desc(f, k)->name);
	}
}

/* A guest about to do the work, with its data in memory. */
static void start(void)
{
	struct kvm_sregs s;

	guest16(CHIPS_NONE, NULL);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.ds.base = 0x4000;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), 0);
	PUT(ENTRY, work);
}

static void test_layout(void **state)
{
	struct stats_file f;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	read_stats(cpu_fd, &f);
	check_layout(&f);
	free(f.bytes);
	read_stats(vm_fd, &f);
	check_layout(&f);
	free(f.bytes);
	guest16_end();
}

static void test_counts(void **state)
{
	(void)state;
	start();
	assert_int_equal(now("helper.cpuid"), 0);
	assert_int_equal(now("blocks_translated"), 0);

	run_to_out(0x80);
	assert_int_equal(now("helper.cpuid"), 3);
	assert_int_equal(now("io_exits"), 1);
	assert_true(now("blocks_translated") >= 1);
	assert_true(now("instructions_translated") >= 5);
	assert_true(now("guest_bytes_translated") >= (uint64_t)(work_end - work) - 1);
	assert_true(now("code_bytes") > 0);
	assert_true(now("entries") >= 1);
	assert_true(now("tlb_misses") >= 1 && now("tlb_fills") >= 1);
	assert_true(now("exit.helper") >= 1);

	assert_int_equal(run_once(), KVM_EXIT_HLT);
	assert_int_equal(now("helper.hlt"), 1);
	guest16_end();
}

/* What has been translated once is not again; what is overwritten is. */
static void test_translations(void **state)
{
	uint64_t before;

	(void)state;
	start();
	run_to_out(0x80);
	before = now("blocks_translated");
	set_regs(ENTRY, 0);
	run_to_out(0x80);
	assert_int_equal(now("blocks_translated"), before);
	assert_int_equal(now("code_pages_dropped"), 0);

	memory[ENTRY + 1] = 0x09;	/* wbinvd in place of the first cpuid */
	set_regs(ENTRY, 0);
	run_to_out(0x80);
	assert_int_equal(now("code_pages_dropped"), 1);
	assert_true(now("blocks_translated") > before);
	assert_int_equal(now("helper.wbinvd"), 1);
	guest16_end();
}

/* Times are measured by option only, and a descriptor says that they are times. */
static void test_times(void **state)
{
	struct stats_file f;

	(void)state;
	setenv("ANYKVM_SOFT", "stats-time", 1);
	start();
	run_to_out(0x80);
	read_stats(cpu_fd, &f);
	for (uint32_t i = 0; i < f.head.num_desc; i++)
		if (!strncmp(stats_desc(&f, i)->name, "time.", 5)) {
			assert_int_equal(stats_desc(&f, i)->flags & KVM_STATS_UNIT_MASK,
					 KVM_STATS_UNIT_SECONDS);
			assert_int_equal(stats_desc(&f, i)->exponent, -9);
		}
	assert_true(stats_value(&f, "time.translate") > 0);
	assert_true(stats_value(&f, "time.helper") > 0);
	assert_true(stats_value(&f, "time.run") > stats_value(&f, "time.translate"));
	free(f.bytes);
	guest16_end();

	unsetenv("ANYKVM_SOFT");
	start();
	run_to_out(0x80);
	assert_int_equal(now("time.run"), 0);
	guest16_end();
}

/* perf's map names the blocks by guest address. */
static void test_perf_map(void **state)
{
	char path[64], line[256];
	bool found = false;
	FILE *f;

	(void)state;
	setenv("ANYKVM_SOFT", "perf-map", 1);
	start();
	run_to_out(0x80);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long at, size, rip;

		assert_int_equal(sscanf(line, "%lx %lx guest_kernel:%lx", &at, &size, &rip), 3);
		assert_true(at && size && size < 4096);
		found |= rip == ENTRY;
	}
	assert_true(found);
	fclose(f);
	unlink(path);
	unsetenv("ANYKVM_SOFT");
	guest16_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_translations),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_perf_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

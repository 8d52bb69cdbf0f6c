/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line and the loop: generate, run on the host, run in the
 * guest, compare; on a difference shrink the sequence and tell. Both programs
 * (native for 64-bit code, modes for 32- and 16-bit code) start here.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "native.h"

struct options opt = {
	.count = 100000,
	.jobs = 2,
	.max_report = 20,
};

struct result {
	u64 run, failed, faults, unknown, unrepeated, twice;
	u64 by_group[G_COUNT], failed_by_group[G_COUNT];
	u64 native_ns, guest_ns;
};

static int usable[G_COUNT], usable_count;
static struct test test, shrunk;
static struct outcome want, got;

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

/* Runs both sides. -1: the test has no place. */
static int run_both(struct test *t, struct result *r)
{
	u64 a, b, c;

	if (test_place(t))
		return -1;
	if (place_wrapped() && !opt.self)
		guest_forget_code();
	a = now_ns();
	host_run(t, &want);
	b = now_ns();
	if (opt.self)
		host_run(t, &got);
	else
		guest_run(t, &got);
	c = now_ns();
	if (r) {
		r->native_ns += b - a;
		r->guest_ns += c - b;
	}
	return 0;
}

/* An instruction of the same length that does nothing. */
static void make_nop(struct insn *in)
{
	memset(in->bytes, 0x90, in->len);
	in->fix = FIX_NONE;
}

/* What any instruction that is left leaves undefined may now be seen at the end. */
static void widen_undefined(struct test *t)
{
	u32 all = test_undefined(t);
	int i;

	for (i = 0; i < t->count; i++)
		t->insn[i].undef = all;
	t->undef_end = all;
}

/* Takes away what the difference does not need. False: it did not show again. */
static bool shrink(const struct test *t)
{
	struct insn saved;
	int i;

	shrunk = *t;
	run_both(&shrunk, NULL);
	if (outcomes_agree(&shrunk, &want, &got, NULL))
		return false;
	for (i = shrunk.count - 1; i >= 0; i--) {
		saved = shrunk.insn[i];
		make_nop(&shrunk.insn[i]);
		widen_undefined(&shrunk);
		run_both(&shrunk, NULL);
		if (outcomes_agree(&shrunk, &want, &got, NULL))
			shrunk.insn[i] = saved;
	}
	widen_undefined(&shrunk);
	run_both(&shrunk, NULL);
	return true;
}

static void report(struct result *r)
{
	if (r->failed > opt.max_report)
		return;
	printf("\nMISMATCH %s:%#llx\n", group_name[test.group], (long long)test.seed);
	if (opt.verbose)
		test_print(&test, stdout);
	outcomes_agree(&test, &want, &got, stdout);
	if (shrink(&test)) {
		printf("shrunk:\n");
		test_print(&shrunk, stdout);
		outcomes_agree(&shrunk, &want, &got, stdout);
	} else {
		r->unrepeated++;
		printf("  (it does not happen again)\n");
		if (!opt.verbose)
			test_print(&test, stdout);
	}
	fflush(stdout);
}

/* Some tests run a second time at the same place: the engine has met their code before. */
static bool again(struct result *r)
{
	if (opt.self || test.smc || (test.seed >> 32 & 3) != 0)
		return true;
	guest_run(&test, &got);
	r->twice++;
	return outcomes_agree(&test, &want, &got, NULL);
}

static void run_one(struct result *r)
{
	int group = test.group;

	if (run_both(&test, r)) {
		if (test.count)
			fprintf(stderr, "native: %s:%#llx is too long\n", group_name[group],
				(long long)test.seed);
		return;
	}
	r->run++;
	r->by_group[group]++;
	r->faults += want.kind == OUT_FAULT;
	r->unknown += want.kind == OUT_TIMEOUT || want.kind == OUT_SYSCALL;
	if (outcomes_agree(&test, &want, &got, NULL) && again(r))
		return;
	r->failed++;
	r->failed_by_group[group]++;
	report(r);
}

static u64 mix(u64 a, u64 b)
{
	struct rng r = { a ^ b * 0x9e3779b97f4a7c15ull };

	return rng64(&r);
}

static void run_range(u64 from, u64 step, struct result *r)
{
	u64 i, seed;

	for (i = opt.start + from; i < opt.start + opt.count; i += step) {
		seed = mix(opt.seed, i);
		test_generate(&test, usable[seed % (u64)usable_count], seed);
		run_one(r);
	}
}

static int run_replay(struct result *r)
{
	const char *colon = strchr(opt.replay, ':');
	char name[32] = "";
	int g;

	if (colon && colon - opt.replay < (int)sizeof(name))
		memcpy(name, opt.replay, (size_t)(colon - opt.replay));
	g = group_find(name);
	if (g < 0) {
		fprintf(stderr, "native: --replay takes GROUP:SEED\n");
		return 2;
	}
	test_generate(&test, g, strtoull(colon + 1, NULL, 0));
	if (test_place(&test) == 0)
		test_print(&test, stdout);
	run_one(r);
	return 0;
}

static int run_hex(struct result *r)
{
	u64 i;

	for (i = 0; i < opt.count; i++) {
		if (test_from_hex(&test, opt.hex, mix(opt.seed, i))) {
			fprintf(stderr, "native: --hex takes the bytes of instructions\n");
			return 2;
		}
		run_one(r);
	}
	return 0;
}

static int choose_groups(void)
{
	char *list = strdup(opt.groups ? opt.groups : ""), *name, *save = NULL;
	int g;

	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		g = group_find(name);
		if (g < 0) {
			fprintf(stderr, "native: no group %s; --list tells them\n", name);
			return -1;
		}
		if (group_usable(g))
			usable[usable_count++] = g;
	}
	free(list);
	for (g = 0; g < G_COUNT && !opt.groups; g++)
		if (group_usable(g) && g != G_FPENV)
			usable[usable_count++] = g;
	if (!usable_count)
		fprintf(stderr, "native: this host has none of the groups\n");
	return usable_count ? 0 : -1;
}

static void print_result(const struct result *r, double seconds)
{
	int g;

	for (g = 0; g < G_COUNT; g++)
		if (r->by_group[g] && (r->failed_by_group[g] || opt.verbose))
			printf("%-8s %8llu run, %llu differ\n", group_name[g],
			       (long long)r->by_group[g], (long long)r->failed_by_group[g]);
	printf("%d-bit%s: %llu sequences (%llu ended in faults, %llu without result), "
	       "%llu differ; seed %#llx, %.1f s\n",
	       opt.bits, opt.legacy ? " legacy" : "", (long long)r->run, (long long)r->faults,
	       (long long)r->unknown, (long long)r->failed, (long long)opt.seed, seconds);
	if (r->run)
		printf("a run: host %.1f us, guest %.1f us\n",
		       (double)r->native_ns / 1000 / (double)r->run,
		       (double)r->guest_ns / 1000 / (double)r->run);
}

/* One worker's share, in this process. */
static int work(u64 from, u64 step, struct result *r)
{
	int err = 0;

	host_init();
	if (!opt.self && guest_init())
		return 2;
	encodings_init();
	values_init();
	if (choose_groups())
		return 2;
	if (opt.list)
		encodings_list();
	else if (opt.replay)
		err = run_replay(r);
	else if (opt.hex)
		err = run_hex(r);
	else
		run_range(from, step, r);
	return err;
}

static void add_result(struct result *sum, const struct result *r)
{
	u64 *a = (u64 *)sum;
	const u64 *b = (const u64 *)r;
	size_t i;

	for (i = 0; i < sizeof(*r) / 8; i++)
		a[i] += b[i];
}

/* Workers are processes: the arena's addresses are the same in each. */
static int run_jobs(struct result *sum)
{
	int fd[2], i, status, err = 0;
	struct result r;

	if (pipe(fd))
		return 2;
	for (i = 0; i < opt.jobs; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 2;
		if (pid == 0) {
			memset(&r, 0, sizeof(r));
			err = work((u64)i, (u64)opt.jobs, &r);
			fflush(stdout);
			if (write(fd[1], &r, sizeof(r)) != sizeof(r))
				err = 2;
			_exit(err);
		}
	}
	close(fd[1]);
	while (read(fd[0], &r, sizeof(r)) == sizeof(r))
		add_result(sum, &r);
	while (wait(&status) > 0) {
		if (WIFSIGNALED(status)) {
			fprintf(stderr, "native: a worker died of signal %d\n", WTERMSIG(status));
			err = 3;
		} else if (WEXITSTATUS(status)) {
			err = WEXITSTATUS(status);
		}
	}
	return err;
}

static const char usage[] =
	"usage: %s [options]\n"
	"Runs random instruction sequences on this CPU and in a guest of the software\n"
	"engine, and compares registers, flags, memory and faults.\n"
	"  --count N         sequences (100000)\n"
	"  --seed N          of the random numbers (the time)\n"
	"  --start N         number of the first sequence (0)\n"
	"  --group A,B       only these groups (--list-groups)\n"
	"  --replay G:SEED   one sequence, as a mismatch told it\n"
	"  --hex \"0f a2 ..\"  these bytes, --count times with random inputs\n"
	"  --jobs N          processes (2)\n"
	"  --self            the host against itself, without a guest\n"
	"  --kvm DEVICE      the kernel's KVM instead of the software engine\n"
	"  --bits N          modes only: 32 or 16\n"
	"  --legacy          modes only: a guest without long mode\n"
	"  --fault-flags     compare arithmetic flags at faults too\n"
	"  --undefined       compare undefined flags too\n"
	"  --fpu-pointers    compare x87's last instruction and operand too\n"
	"  --singlestep      with KVM_GUESTDBG_SINGLESTEP\n"
	"  --overwrite       put every sequence at the same address\n"
	"  --reports N       tell at most N mismatches (20)\n"
	"  --list, --list-groups, --verbose, --help\n";

enum { O_COUNT = 1, O_SEED, O_START, O_GROUP, O_REPLAY, O_HEX, O_JOBS, O_SELF, O_KVM, O_BITS,
       O_LEGACY, O_FFLAGS, O_UNDEF, O_FPTR, O_OVER, O_STEP, O_REPORTS, O_LIST, O_LISTG, O_VERB,
       O_HELP };

static const struct option longopts[] = {
	{ "count", 1, NULL, O_COUNT }, { "seed", 1, NULL, O_SEED }, { "start", 1, NULL, O_START },
	{ "group", 1, NULL, O_GROUP }, { "replay", 1, NULL, O_REPLAY }, { "hex", 1, NULL, O_HEX },
	{ "jobs", 1, NULL, O_JOBS }, { "self", 0, NULL, O_SELF }, { "kvm", 1, NULL, O_KVM },
	{ "bits", 1, NULL, O_BITS }, { "legacy", 0, NULL, O_LEGACY },
	{ "fault-flags", 0, NULL, O_FFLAGS }, { "undefined", 0, NULL, O_UNDEF },
	{ "fpu-pointers", 0, NULL, O_FPTR }, { "overwrite", 0, NULL, O_OVER },
	{ "singlestep", 0, NULL, O_STEP }, { "reports", 1, NULL, O_REPORTS },
	{ "list", 0, NULL, O_LIST },
	{ "list-groups", 0, NULL, O_LISTG }, { "verbose", 0, NULL, O_VERB },
	{ "help", 0, NULL, O_HELP }, { 0 },
};

static void list_groups(void)
{
	int g;

	for (g = 0; g < G_COUNT; g++)
		puts(group_name[g]);
	exit(0);
}

static void take_option(int c, const char *prog)
{
	switch (c) {
	case O_COUNT: opt.count = strtoull(optarg, NULL, 0); break;
	case O_SEED: opt.seed = strtoull(optarg, NULL, 0); break;
	case O_START: opt.start = strtoull(optarg, NULL, 0); break;
	case O_GROUP: opt.groups = optarg; break;
	case O_REPLAY: opt.replay = optarg; break;
	case O_HEX: opt.hex = optarg; break;
	case O_JOBS: opt.jobs = atoi(optarg); break;
	case O_SELF: opt.self = true; break;
	case O_KVM: opt.kvm = optarg; break;
	case O_BITS: opt.bits = atoi(optarg); break;
	case O_LEGACY: opt.legacy = true; break;
	case O_FFLAGS: opt.fault_flags = true; break;
	case O_UNDEF: opt.undefined = true; break;
	case O_FPTR: opt.fpu_pointers = true; break;
	case O_OVER: opt.overwrite = true; break;
	case O_STEP: opt.singlestep = true; break;
	case O_REPORTS: opt.max_report = strtoull(optarg, NULL, 0); break;
	case O_LIST: opt.list = true; break;
	case O_LISTG: list_groups(); break;
	case O_VERB: opt.verbose = true; break;
	case O_HELP: printf(usage, prog); exit(0);
	default: fprintf(stderr, usage, prog); exit(2);
	}
}

int native_main(int argc, char **argv)
{
	struct result sum = { 0 };
	u64 start = now_ns();
	int c, err;

	opt.seed = (u64)time(NULL);
	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1)
		take_option(c, argv[0]);
	if (opt.bits != 64 && opt.bits != 32 && opt.bits != 16) {
		fprintf(stderr, "native: --bits takes 64, 32 or 16\n");
		return 2;
	}
	features_from_host();
	if (opt.replay || opt.hex || opt.list || opt.jobs < 1)
		opt.jobs = 1;
	printf("seed %#llx\n", (long long)opt.seed);
	fflush(stdout);
	err = run_jobs(&sum);
	if (!opt.list)
		print_result(&sum, (double)(now_ns() - start) / 1e9);
	return err ? err : sum.failed ? 1 : 0;
}

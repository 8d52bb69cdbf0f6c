/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that writes to a qcow2 image is killed in the middle of it, a hundred
 * times ($ROUNDS). QEMU must find nothing wrong but leaks, and what was flushed
 * must be there. The image lives on from round to round.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../vmm/backends/loop.h"
#include "block_test.h"

#define DISK (32 * MIB)
#define BLOCK 512U		/* a sector: less is never torn */
#define BLOCKS (unsigned int)(DISK / BLOCK)
#define DEPTH 16
#define RUN_MAX 192U		/* blocks of a request */
#define PAGE 8U			/* blocks; most requests consist of whole ones */

/*
 * What the writer shares with its killer. Of each block, the generation that was
 * submitted last, and the one that a flush covered. Odd ones are zeros, 0 is what
 * the image began with.
 */
static struct shared {
	u32 submitted[BLOCKS], done[BLOCKS], flushed[BLOCKS], next;
	unsigned int writes, flushes;
	bool started;
} *shared;

static u8 *base;		/* the backing file's content, or NULL */

static void content(u8 *p, unsigned int block, u32 gen)
{
	if (!gen && base)
		memcpy(p, base + block * BLOCK, BLOCK);
	else if (!gen || gen & 1)
		memset(p, 0, BLOCK);
	else
		pattern(p, BLOCK, (u64)block * BLOCK, gen);
}

/* --- the writer ---------------------------------------------------------------------- */

struct slot {
	struct block_request r;		/* first */
	struct iovec v;
	unsigned int first, count;
	u32 gen;
	u8 *data;
	u32 *snapshot;			/* of shared->done, when a flush began */
};

static struct block_queue *queue;
static bool busy[BLOCKS];

static void submit(struct slot *s);

static void done(struct block_request *r, int err)
{
	struct slot *s = (struct slot *)r;
	unsigned int i;

	if (err)
		_exit(1);
	if (r->op == BLOCK_OP_FLUSH) {
		memcpy(shared->flushed, s->snapshot, sizeof(shared->flushed));
		shared->flushes++;
	} else {
		shared->writes++;
	}
	for (i = s->first; i < s->first + s->count; i++) {
		shared->done[i] = s->gen;
		busy[i] = false;
	}
	submit(s);
}

static void submit(struct slot *s)
{
	unsigned int i, grain = chance(6) ? PAGE : 1;
	unsigned int want = grain * (1 + (unsigned int)chance(chance(3) ? 3 : RUN_MAX / PAGE));

	s->r = (struct block_request){ .op = BLOCK_OP_FLUSH, .done = done };
	s->first = (unsigned int)align_down(chance(BLOCKS), grain);
	for (i = s->first; i < BLOCKS && i < s->first + want && !busy[i]; i++)
		;
	s->count = i - s->first;
	if (!s->count || chance(60) == 0) {
		s->count = 0;
		memcpy(s->snapshot, shared->done, sizeof(shared->done));
	} else {
		s->gen = shared->next += 2;
		s->r.op = chance(8) ? BLOCK_OP_WRITE : BLOCK_OP_ZERO;
		s->gen += s->r.op == BLOCK_OP_ZERO;
		s->r.flags = chance(2) ? BLOCK_UNMAP : 0;
		s->r.offset = (u64)s->first * BLOCK;
		s->r.length = (u64)s->count * BLOCK;
	}
	for (i = s->first; i < s->first + s->count; i++) {
		busy[i] = true;
		content(s->data + (i - s->first) * BLOCK, i, s->gen);
		__atomic_store_n(&shared->submitted[i], s->gen, __ATOMIC_SEQ_CST);
	}
	s->v = (struct iovec){ s->data, s->count * BLOCK };
	s->r.iov = &s->v;
	s->r.iovcnt = 1;
	block_submit(queue, &s->r);
}

static void writer(unsigned int round)
{
	static struct slot slot[DEPTH];
	const struct block_options o = { .cache = round % 5 == 4 ? BLOCK_NONE : BLOCK_WRITEBACK };
	struct loop *loop = loop_new();
	struct block *b;
	unsigned int i;

	if (round % 3 == 2)
		setenv("ANYKVM_IO_URING", "0", 1);
	b = block_open("disk", &o);
	queue = b ? block_queue_new(b, loop, round % 2 ? BLOCK_QUEUE_INLINE : 0) : NULL;
	if (!queue)
		_exit(1);
	for (i = 0; i < DEPTH; i++) {
		slot[i].data = aligned_alloc(4096, RUN_MAX * BLOCK);
		slot[i].snapshot = malloc(sizeof(shared->done));
		submit(&slot[i]);
	}
	shared->started = true;
	block_commit(queue);
	loop_run(loop);
	_exit(1);
}

/* --- the killer ---------------------------------------------------------------------- */

/* Whether the block holds what a submitted write since the last flush left, or older. */
static void check_block(const u8 *now, unsigned int i)
{
	static u8 expect[BLOCK];
	u32 gen;

	for (gen = shared->flushed[i]; gen <= shared->submitted[i]; gen++) {
		content(expect, i, gen);
		if (!memcmp(now, expect, BLOCK)) {
			shared->submitted[i] = shared->done[i] = shared->flushed[i] = gen;
			return;
		}
	}
	fail_msg("block %u is none of the generations %u to %u", i, shared->flushed[i],
		 shared->submitted[i]);
}

static void check_all(void)
{
	static u8 now[DISK];
	struct block *b = open_ro("disk");
	unsigned int i;

	assert_no_errors("disk");
	assert_int_equal(count_errors("disk", NULL), 0);
	assert_int_equal(block_read(b, 0, now, DISK), 0);
	block_close(b);
	for (i = 0; i < BLOCKS; i++)
		check_block(now + i * BLOCK, i);
}

static void one_round(unsigned int round)
{
	int status;
	pid_t pid;

	shared->started = false;
	fflush(stdout);
	pid = fork();
	if (!pid)
		writer(round);
	while (!__atomic_load_n(&shared->started, __ATOMIC_ACQUIRE) &&
	       !waitpid(pid, &status, WNOHANG))
		usleep(500);
	usleep((useconds_t)chance(chance(3) ? 20000 : 200000));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));	/* and did not end by itself */
	check_all();
}

static const char *const images[] = {
	"qemu-img create -f qcow2 disk 32M",
	"qemu-img create -f qcow2 -o cluster_size=4k,refcount_bits=64 disk 32M",
	"qemu-img create -f qcow2 -b base -F raw disk 32M",
	"qemu-img create -f qcow2 -o cluster_size=512 disk 32M",
	"qemu-img create -f qcow2 -o cluster_size=16k -b base -F raw disk 32M && "
		"qemu-io -c 'write -P 5 0 8M' disk && qemu-img snapshot -c one disk",
};

static void load_base(const char *make)
{
	free(base);
	base = NULL;
	if (!strstr(make, "base"))
		return;
	base = malloc(DISK);
	must("qemu-img convert -O raw disk model");
	FILE *f = fopen("model", "re");
	assert_int_equal(fread(base, 1, DISK, f), DISK);
	fclose(f);
}

static void killed(void **state)
{
	const char *rounds = getenv("ROUNDS");
	unsigned int n = rounds ? (unsigned int)atoi(rounds) : 100, i, writes = 0, flushes = 0;

	(void)state;
	chance_seed();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	must("head -c 32M /dev/urandom >base");
	for (i = 0; i < n; i++) {
		if (i % 20 == 0) {
			must("rm -f disk; %s", images[i / 20 % ARRAY_SIZE(images)]);
			load_base(images[i / 20 % ARRAY_SIZE(images)]);
			memset(shared, 0, sizeof(*shared));
		}
		one_round(i);
		writes += shared->writes;
		flushes += shared->flushes;
		shared->writes = shared->flushes = 0;
	}
	print_message("%u kills, %u writes, %u flushes\n", n, writes, flushes);
	assert_true(writes > 10 * n && flushes > n / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests through queues: many at a time, from several threads that share
 * clusters, by io_uring and by threads, with results that are short or errors.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../../vmm/backends/loop.h"
#include "../../../vmm/block/uring.h"
#include "block_test.h"

#define DISK (4 * MIB)
#define BLOCK 2048U		/* what the model keeps track of */
#define BLOCKS (unsigned int)(DISK / BLOCK)
#define DEPTH 24
#define THREADS 3
#define LEN_MAX (40U * BLOCK)

/* --- results of the ring are falsified ------------------------------------------------- */

static int shorten, fail_with;	/* one in so many; an errno for every one */

struct block_io *__real_uring_result(struct uring *u, int *result);
struct block_io *__wrap_uring_result(struct uring *u, int *result)
{
	struct block_io *io = __real_uring_result(u, result);
	int err = __atomic_load_n(&fail_with, __ATOMIC_ACQUIRE);

	if (io && err)
		*result = -err;
	else if (io && shorten && *result > 1 && rand() % shorten == 0)
		*result = rand() % 4 ? 1 + rand() % (*result - 1) : -EAGAIN;
	return io;
}

/* --- a thread with a queue ----------------------------------------------------------- */

struct slot {
	struct block_request r;		/* first */
	struct worker *w;
	struct iovec v[3];
	unsigned int first, count;	/* blocks */
	u32 generation;
	u8 *data;
};

struct worker {
	struct block *b;
	struct loop *loop;
	struct block_queue *q;
	struct slot slot[DEPTH];
	unsigned int left, running, errors;
	u64 seed;
	unsigned int flags;
	size_t align;
};

static u32 model[BLOCKS];		/* generations; odd ones are zeros */
static u8 busy[BLOCKS];			/* a request is under way, atomic */
static u32 generation;			/* atomic */

static u64 dice(struct worker *w, u64 n)
{
	w->seed = w->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (w->seed >> 33) % n;
}

static void content(u8 *p, unsigned int block, u32 gen)
{
	if (!gen || gen & 1)
		memset(p, 0, BLOCK);
	else
		pattern(p, BLOCK, (u64)block * BLOCK, gen);
}

/* Takes blocks that nobody works on; the first of them is free at least. */
static bool take_blocks(struct worker *w, struct slot *s)
{
	unsigned int want = 1 + (unsigned int)dice(w, dice(w, 4) ? 6 : 40), i;

	s->first = (unsigned int)dice(w, BLOCKS);
	for (i = 0; i < want && s->first + i < BLOCKS; i++)
		if (__atomic_exchange_n(&busy[s->first + i], 1, __ATOMIC_ACQ_REL))
			break;
	s->count = i;
	return i > 0;
}

static void set_vec(struct worker *w, struct slot *s)
{
	size_t len = (size_t)s->count * BLOCK, a, b;

	/* three pieces, of which some may be empty */
	a = align_down(dice(w, len + 1), w->align);
	b = a + align_down(dice(w, len - a + 1), w->align);
	s->v[0] = (struct iovec){ s->data, a };
	s->v[1] = (struct iovec){ s->data + a, b - a };
	s->v[2] = (struct iovec){ s->data + b, len - b };
	s->r.iov = s->v;
	s->r.iovcnt = 3;
}

static void done(struct block_request *r, int err);

static void submit(struct worker *w, struct slot *s)
{
	unsigned int i;

	w->left--;
	w->running++;
	memset(&s->r, 0xa5, sizeof(s->r));	/* nothing may depend on it */
	s->r.flags = dice(w, 30) ? 0 : BLOCK_FUA | BLOCK_UNMAP;
	s->r.done = done;
	s->r.op = BLOCK_OP_FLUSH;
	s->count = 0;
	if (dice(w, 40) && take_blocks(w, s)) {
		const enum block_op ops[] = { BLOCK_OP_READ, BLOCK_OP_READ, BLOCK_OP_READ,
			BLOCK_OP_WRITE, BLOCK_OP_WRITE, BLOCK_OP_WRITE, BLOCK_OP_WRITE,
			BLOCK_OP_ZERO };

		s->r.op = ops[dice(w, ARRAY_SIZE(ops))];
		s->r.offset = (u64)s->first * BLOCK;
		s->r.length = (u64)s->count * BLOCK;
		s->generation = 2 * __atomic_add_fetch(&generation, 1, __ATOMIC_ACQ_REL);
		if (s->r.op == BLOCK_OP_ZERO)
			s->generation++;
		for (i = 0; s->r.op == BLOCK_OP_WRITE && i < s->count; i++)
			content(s->data + i * BLOCK, s->first + i, s->generation);
		set_vec(w, s);
	}
	block_submit(w->q, &s->r);
}

static void done(struct block_request *r, int err)
{
	struct slot *s = (struct slot *)r;
	struct worker *w = s->w;
	u8 expect[BLOCK];
	unsigned int i;

	w->running--;
	w->errors += err != 0;
	for (i = 0; i < s->count; i++) {
		if (r->op == BLOCK_OP_READ && !err) {
			content(expect, s->first + i, model[s->first + i]);
			if (memcmp(s->data + i * BLOCK, expect, BLOCK))
				fail_msg("block %u is not of generation %u", s->first + i,
					 model[s->first + i]);
		} else if (r->op != BLOCK_OP_READ) {
			model[s->first + i] = s->generation;
		}
		__atomic_store_n(&busy[s->first + i], 0, __ATOMIC_RELEASE);
	}
	if (w->left)
		submit(w, s);
	else if (!w->running)
		loop_stop(w->loop);
	if (w->left % 7 == 0)
		block_commit(w->q);	/* also from within */
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned int i;

	for (i = 0; i < DEPTH; i++)
		submit(w, &w->slot[i]);
	block_commit(w->q);
	if (w->running)
		loop_run(w->loop);
	return NULL;
}

static void start_worker(struct worker *w, struct block *b, unsigned int requests,
			 unsigned int flags)
{
	unsigned int i;

	memset(w, 0, sizeof(*w));
	w->b = b;
	w->left = requests;
	w->seed = chance(UINT64_MAX);
	w->align = chance(2) ? 512 : 4;
	w->loop = loop_new();
	w->q = block_queue_new(b, w->loop, flags);
	assert_non_null(w->q);
	for (i = 0; i < DEPTH; i++) {
		w->slot[i].w = w;
		w->slot[i].data = aligned_alloc(4096, LEN_MAX);
	}
}

static void stop_worker(struct worker *w)
{
	unsigned int i;

	block_queue_free(w->q);
	loop_free(w->loop);
	for (i = 0; i < DEPTH; i++)
		free(w->slot[i].data);
}

static void check_all(struct block *b)
{
	static u8 expect[BLOCK], now[BLOCK];
	unsigned int i;

	for (i = 0; i < BLOCKS; i++) {
		assert_int_equal(block_read(b, (u64)i * BLOCK, now, BLOCK), 0);
		content(expect, i, model[i]);
		assert_memory_equal(now, expect, BLOCK);
	}
}

static void run(const char *make, const char *format, enum block_cache cache, unsigned int flags,
		unsigned int requests)
{
	const struct block_options o = { .format = format, .cache = cache };
	static struct worker w[THREADS];
	pthread_t thread[THREADS];
	struct block *b;
	unsigned int i;

	must("rm -f disk; %s", make);
	memset(model, 0, sizeof(model));
	b = block_open("disk", &o);
	assert_non_null(b);
	for (i = 0; i < THREADS; i++)
		start_worker(&w[i], b, requests, flags);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, work, &w[i]);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(w[i].errors, 0);
		stop_worker(&w[i]);
	}
	check_all(b);
	assert_int_equal(block_close(b), 0);
	if (!strcmp(format, "qcow2"))
		assert_clean("disk");
	b = open_ro("disk");
	check_all(b);
	block_close(b);
}

static void run_all(void)
{
	unsigned int i;

	run("qemu-img create -f raw disk 4M", "raw", BLOCK_WRITEBACK, 0, 800);
	run("qemu-img create -f raw disk 4M", "raw", BLOCK_WRITEBACK, BLOCK_QUEUE_INLINE, 800);
	run("qemu-img create -f raw disk 4M", "raw", BLOCK_NONE, BLOCK_QUEUE_INLINE, 80);
	run("qemu-img create -f qcow2 disk 4M", "qcow2", BLOCK_WRITEBACK, 0, 800);
	run("qemu-img create -f qcow2 -o cluster_size=4k disk 4M", "qcow2", BLOCK_WRITEBACK,
	    BLOCK_QUEUE_INLINE, 800);
	run("qemu-img create -f qcow2 -o cluster_size=8k disk 4M", "qcow2", BLOCK_NONE, 0, 80);
	/* many meet in the few clusters of an image that is still empty */
	for (i = 0; i < 8; i++)
		run("qemu-img create -f qcow2 -o cluster_size=256k disk 4M", "qcow2", BLOCK_UNSAFE,
		    i % 2 ? 0 : BLOCK_QUEUE_INLINE, 150);
}

static bool have_uring(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct uring *u = uring_new(fd);

	if (!u)
		print_message("no io_uring here\n");
	uring_free(u);
	close(fd);
	return u;
}

static void by_uring(void **state)
{
	(void)state;
	if (!have_uring())
		skip();
	chance_seed();
	run_all();
}

static void by_uring_in_pieces(void **state)
{
	(void)state;
	shorten = 3;
	run_all();
	shorten = 0;
}

static void by_threads(void **state)
{
	(void)state;
	setenv("ANYKVM_IO_URING", "0", 1);
	run_all();
	unsetenv("ANYKVM_IO_URING");
}

/* --- a full disk --------------------------------------------------------------------- */

static unsigned int stops, ends;
static int stop_error, end_error;

static void on_stop(void *arg, int err)
{
	assert_ptr_equal(arg, &stops);
	stops++;
	stop_error = err;
}

static void on_end(struct block_request *r, int err)
{
	(void)r;
	ends++;
	end_error = err;
}

static void full_disk(void **state)
{
	static u8 data[4096] __attribute__((aligned(4096))), now[4096];
	struct iovec v = { data, sizeof(data) };
	struct block_request r[2], flush = { .op = BLOCK_OP_FLUSH, .done = on_end };
	struct block_queue *q;
	struct block *b;
	unsigned int i;

	(void)state;
	if (!have_uring())
		skip();
	must("rm -f disk; qemu-img create -f raw disk 1M");
	b = open_rw("disk");
	q = block_queue_new(b, NULL, 0);
	memset(data, 0x5a, sizeof(data));
	for (i = 0; i < 2; i++)
		r[i] = (struct block_request){
			.op = BLOCK_OP_WRITE, .offset = 8192 + i * 4096, .length = sizeof(data),
			.iov = &v, .iovcnt = 1, .done = on_end,
		};
	/* nobody cares: the device gets the error */
	fail_with = ENOSPC;
	block_submit(q, &r[0]);
	block_drain(q);
	assert_int_equal(ends, 1);
	assert_int_equal(end_error, -ENOSPC);

	/* somebody does: the requests are held until they can be done */
	block_set_stop(b, on_stop, &stops);
	block_submit(q, &r[0]);
	block_submit(q, &r[1]);
	for (i = 0; i < 200 && stops + ends < 2; i++) {
		block_commit(q);
		usleep(1000);
	}
	assert_int_equal(stops, 1);
	assert_int_equal(stop_error, -ENOSPC);
	assert_int_equal(ends, 1);
	fail_with = 0;
	block_retry(b);
	block_drain(q);
	assert_int_equal(ends, 3);
	assert_int_equal(end_error, 0);
	assert_int_equal(block_read(b, 12288, now, sizeof(now)), 0);
	assert_memory_equal(now, data, sizeof(now));

	/* held to the end: draining gives up on it */
	fail_with = ENOSPC;
	block_submit(q, &r[0]);
	for (i = 0; i < 200 && stops < 2; i++) {
		block_commit(q);
		usleep(1000);
	}
	assert_int_equal(stops, 2);
	block_drain(q);
	assert_int_equal(ends, 4);
	assert_int_equal(end_error, -ENOSPC);
	fail_with = 0;

	/* other errors are the device's */
	fail_with = EIO;
	block_submit(q, &r[0]);
	block_drain(q);
	assert_int_equal(end_error, -EIO);
	fail_with = 0;
	block_submit(q, &flush);
	block_drain(q);
	assert_int_equal(end_error, 0);
	/* a sync that fails is not forgotten */
	fail_with = EIO;
	block_submit(q, &flush);
	block_drain(q);
	assert_int_equal(end_error, -EIO);
	fail_with = 0;
	block_submit(q, &flush);
	block_drain(q);
	assert_int_equal(end_error, -EIO);
	block_queue_free(q);
	assert_int_equal(block_close(b), -EIO);
}

/* A request that never leaves the queue idle: nobody stays with it, but the loop. */
static struct {
	struct block_queue *q;
	u64 until;		/* atomic, as is the next */
	unsigned int ends;
} endless;

static void go_on(struct block_request *r, int err)
{
	assert_int_equal(err, 0);
	__atomic_fetch_add(&endless.ends, 1, __ATOMIC_RELEASE);
	if (monotonic_ns() < __atomic_load_n(&endless.until, __ATOMIC_ACQUIRE))
		block_submit(endless.q, r);
}

static void slices(void **state)
{
	static u8 data[512];
	struct iovec v = { data, sizeof(data) };
	struct block_request r = {
		.op = BLOCK_OP_WRITE, .iov = &v, .iovcnt = 1, .length = 512, .done = go_on,
	};
	struct loop *loop = loop_thread_new("slices");
	struct block *b;
	unsigned int i, before;

	(void)state;
	must("rm -f disk; qemu-img create -f raw disk 1M");
	b = open_rw("disk");
	endless.q = block_queue_new(b, loop, BLOCK_QUEUE_INLINE);
	endless.until = monotonic_ns() + 10 * NSEC;
	block_submit(endless.q, &r);
	block_commit(endless.q);
	before = __atomic_load_n(&endless.ends, __ATOMIC_ACQUIRE);
	assert_true(before > 0 && monotonic_ns() < endless.until);
	for (i = 0; i < 5000 && __atomic_load_n(&endless.ends, __ATOMIC_ACQUIRE) == before; i++)
		usleep(1000);
	assert_true(__atomic_load_n(&endless.ends, __ATOMIC_ACQUIRE) > before);
	__atomic_store_n(&endless.until, 0, __ATOMIC_RELEASE);
	block_drain(endless.q);
	block_queue_free(endless.q);
	loop_thread_free(loop);
	block_close(b);
}

/* What this thread has run for. */
static u64 cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (u64)t.tv_sec * NSEC + (u64)t.tv_nsec;
}

/*
 * A long write is not made by the thread that submits it, but a short one is: it is there
 * at once. The long one may be as well, by another thread, but costs this one little.
 */
static void long_writes(void **state)
{
	const size_t sizes[] = { 4096, 32 * MIB, 33 * MIB };
	u64 took[ARRAY_SIZE(sizes)];
	u8 *data = malloc(sizes[2]);
	struct iovec v = { data, 0 };
	struct block_request r = {
		.op = BLOCK_OP_WRITE, .iov = &v, .iovcnt = 1, .done = on_end,
	};
	struct block_queue *q;
	struct block *b;
	unsigned int i;
	u8 last;
	int fd;

	(void)state;
	if (!have_uring())
		skip();		/* with threads either may come first */
	must("rm -f disk; qemu-img create -f raw disk 64M");
	fd = open("disk", O_RDONLY);
	b = open_rw("disk");
	q = block_queue_new(b, NULL, BLOCK_QUEUE_INLINE);
	memset(data, 'x', sizes[2]);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		r.length = v.iov_len = sizes[i];
		took[i] = cpu_ns();
		block_submit(q, &r);
		took[i] = cpu_ns() - took[i];
		assert_int_equal(pread(fd, &last, 1, (off_t)sizes[i] - 1), 1);
		if (i < 2)
			assert_int_equal(last, 'x');
		block_drain(q);
		assert_int_equal(end_error, 0);
		assert_int_equal(pread(fd, &last, 1, (off_t)sizes[i] - 1), 1);
		assert_int_equal(last, 'x');
	}
	assert_true(took[2] < took[1] / 2);
	close(fd);
	block_queue_free(q);
	block_close(b);
	free(data);
}

static void refusals(void **state)
{
	static u8 data[512];
	struct iovec v = { data, sizeof(data) };
	struct block_request r = { .iov = &v, .iovcnt = 1, .length = 512, .done = on_end };
	struct block_queue *q;
	struct block *b;

	(void)state;
	must("rm -f disk; qemu-img create -f raw disk 1M");
	b = open_ro("disk");
	q = block_queue_new(b, NULL, 0);
	r.op = BLOCK_OP_WRITE;
	block_submit(q, &r);
	block_drain(q);
	assert_int_equal(end_error, -EROFS);
	r.op = BLOCK_OP_READ;
	r.offset = MIB;
	block_submit(q, &r);
	block_drain(q);
	assert_int_equal(end_error, -EINVAL);
	r.offset = UINT64_MAX - 100;
	block_submit(q, &r);
	block_drain(q);
	assert_int_equal(end_error, -EINVAL);
	r.offset = 0;
	r.length = 1024;	/* not the length of its memory */
	block_submit(q, &r);
	block_drain(q);
	assert_int_equal(end_error, -EINVAL);
	block_queue_free(q);
	block_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_uring),
		cmocka_unit_test(by_uring_in_pieces),
		cmocka_unit_test(by_threads),
		cmocka_unit_test(full_disk),
		cmocka_unit_test(slices),
		cmocka_unit_test(long_writes),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzzer of the virtio devices: rings, descriptors, chains and contents at
 * random, as a split or as a packed ring. Nothing may crash or hang, and
 * requests that are right must be answered.
 *
 *	fuzz-virtio DEVICE SECONDS [SEED]
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../../vmm/error.h"
#include "fuzz_virtio.h"

#define HANG_SECONDS 60
#define AREA (FAKE_RAM - FAKE_DATA)
#define QUEUES_USED 24			/* what lies below FAKE_DATA */
#define PARTS 4

void put(struct request *q, u32 at, u64 v, u32 size)
{
	memcpy(q->head + at, &v, size);
	if (q->head_len < at + size)
		q->head_len = at + size;
}

/* --- rings ------------------------------------------------------------------------------ */

struct part {
	u64 addr;
	u32 len;
	u16 flags;
};

static struct {
	/* the position in a packed ring; the next descriptor of a split one */
	u16 next[QUEUES_USED], head[QUEUES_USED];
	bool wrap[QUEUES_USED];
} ring;

static bool is_packed(void)
{
	return fake.v->features & VIRTIO_F_PACKED;
}

static void put_desc(u8 *at, const struct part *p, u16 flags, u16 last)
{
	memcpy(at, &p->addr, 8);
	memcpy(at + 8, &p->len, 4);
	/* a packed descriptor has its id before its flags, a split one what is next after them */
	memcpy(at + (is_packed() ? 14 : 12), &flags, 2);
	memcpy(at + (is_packed() ? 12 : 14), &last, 2);
}

static void add_packed(unsigned int n, const struct part *p, unsigned int count)
{
	u16 size = fake.v->queue[n].size, id = (u16)chance(size);
	unsigned int i;

	for (i = 0; i < count; i++) {
		u16 flags = p[i].flags | (i + 1 < count ? VIRTQ_DESC_NEXT : 0);

		flags |= ring.wrap[n] ? 1 << 7 : 1 << 15;
		put_desc(fake_at(fake_queue(n) + ring.next[n] * 16u), &p[i], flags, id);
		if (++ring.next[n] == size) {
			ring.next[n] = 0;
			ring.wrap[n] = !ring.wrap[n];
		}
	}
}

static void add_split(unsigned int n, const struct part *p, unsigned int count)
{
	u16 size = fake.v->queue[n].size, first = ring.head[n];
	unsigned int i;

	for (i = 0; i < count; i++) {
		u16 at = ring.head[n];

		ring.head[n] = (u16)((at + 1) % size);
		put_desc(fake_at(fake_queue(n) + at * 16u), &p[i],
			 p[i].flags | (i + 1 < count ? VIRTQ_DESC_NEXT : 0), ring.head[n]);
	}
	fake_add_quietly(n, chance(200) ? first : (u16)chance(0));
}

static void add(unsigned int n, const struct part *p, unsigned int count)
{
	struct part table;
	unsigned int i;

	if (fake.v->features & VIRTIO_F_INDIRECT && chance(2)) {
		u64 where = fake_queue(n) + FAKE_INDIRECT + chance(64) * 256;

		for (i = 0; i < count; i++)
			put_desc(fake_at(where + i * 16), &p[i],
				 p[i].flags | (i + 1 < count ? VIRTQ_DESC_NEXT : 0), (u16)(i + 1));
		table = (struct part){ where, count * 16, VIRTQ_DESC_INDIRECT };
		p = &table;
		count = 1;
	}
	if (is_packed())
		add_packed(n, p, count);
	else
		add_split(n, p, count);
}

/* --- requests ----------------------------------------------------------------------------- */

static u64 place(u32 len)
{
	return FAKE_DATA + chance(AREA - len + 1);
}

/* Bytes in one direction, in a few pieces. */
static unsigned int split(struct part *p, const u8 *head, u32 head_len, u32 len, u16 flags)
{
	unsigned int n = 0;

	for (; len && n < PARTS; n++) {
		u32 part = n + 1 == PARTS || chance(2) ? len : 1 + (u32)chance(len);

		p[n] = (struct part){ place(part), part, flags };
		if (head_len) {
			u32 some = head_len < part ? head_len : part;

			memcpy(fake_at(p[n].addr), head, some);
			head += some;
			head_len -= some;
		}
		len -= part;
	}
	return n;
}

static void distort(struct part *p, unsigned int count)
{
	struct part *one = &p[chance(count)];

	switch (chance(5)) {
	case 0:
		one->addr = chance(2) ? chance(0) : FAKE_RAM - chance(64);
		break;
	case 1:
		one->len = chance(2) ? (u32)chance(0) : (u32)chance(3);
		break;
	case 2:
		one->flags ^= VIRTQ_DESC_WRITE;
		break;
	case 3:
		one->flags = (u16)chance(8);
		break;
	default:
		one->addr = fake_queue((unsigned int)chance(3)) + chance(FAKE_QUEUE - 64);
	}
}

static void one_request(const struct fuzzed *f, unsigned int n)
{
	struct request q = { .out_len = 0 };
	struct part p[2 * PARTS];
	unsigned int count;

	f->request(n, &q);
	if (chance(30) == 0 && q.head_len)
		q.head[chance(q.head_len)] = (u8)chance(256);
	if (q.out_len < q.head_len && chance(50))
		q.out_len = q.head_len;
	if (chance(60) == 0)
		q.out_len = (u32)chance(q.out_len + 1);
	if (chance(60) == 0)
		q.in_len = (u32)chance(q.in_len + 1);
	count = split(p, q.head, q.head_len, q.out_len, 0);
	count += split(p + count, NULL, 0, q.in_len, VIRTQ_DESC_WRITE);
	if (!count)
		return;
	if (chance(80) == 0)
		distort(p, count);
	add(n, p, count);
}

/* --- rounds -------------------------------------------------------------------------------- */

static unsigned long answers;

static void noise(unsigned int n)
{
	u64 value = chance(2) ? chance(300) : chance(0);
	u8 *area = fake_at(fake_queue(n));
	unsigned int i;

	switch (chance(40)) {
	case 0:
		virtio_config_set(fake.v, 4 * (unsigned int)chance(9), &value, 4);
		break;
	case 1:
		virtio_config_set(fake.v, (unsigned int)chance(64), &value,
				  1 + (unsigned int)chance(8));
		break;
	case 2:
		virtio_queue_reset(fake.v, n);
		break;
	case 3:
		for (i = 0; i < 16; i++)
			area[chance(FAKE_QUEUE)] = (u8)chance(256);
		break;
	case 4:
		memcpy(area + (chance(2) ? FAKE_AVAIL : FAKE_USED), &value, 4);
		break;
	default:
		break;
	}
}

static void count_answers(unsigned int queues)
{
	unsigned int n;

	for (n = 0; n < queues; n++)
		answers += fake.interrupts[n];
	memset(fake.interrupts, 0, sizeof(fake.interrupts));
}

static void one_round(const struct fuzzed *f)
{
	u16 size = (u16)(chance(8) ? 16 << chance(4) : 1 << chance(7));
	unsigned int k, i, n, queues = fake.v->queues < QUEUES_USED ? fake.v->queues : QUEUES_USED;
	u64 features = chance(3) ? ~0ULL : chance(0);
	bool calm = chance(32) == 0;	/* gives those outside time to do something */

	if (chance(2))
		features &= ~VIRTIO_F_PACKED;
	memset(&ring, 0, sizeof(ring));
	memset(ring.wrap, 1, sizeof(ring.wrap));
	fake_start(features & fake.v->offered, size);
	for (k = 0; k < 24; k++) {
		n = (unsigned int)chance(queues);
		for (i = (unsigned int)chance(5); i; i--)
			one_request(f, n);
		virtio_notified(fake.v, n);
		if (calm)
			usleep((useconds_t)chance(600));
		else
			noise(n);
	}
	count_answers(queues);
}

/* --- life ----------------------------------------------------------------------------------- */

static void on_alarm(int sig)
{
	(void)sig;
	abort();
}

static struct device *make(const struct fuzzed *f, struct registry *r, struct loop *l)
{
	const char *text;
	struct device *d = NULL;
	struct props p;

	if (fake_setup(NULL))
		return NULL;
	fake.board.backends = r;
	fake.board.loop = l;
	fake.board.cpus = 2;
	text = f->prepare(r, l);
	if (text && props_parse(&p, text) == 0) {
		props_add(&p, "packed", "on");
		d = f->class->create(&fake.board, &p);
		props_free(&p);
	}
	if (d)
		d->board = &fake.board;
	return d;
}

static void *run_loop(void *loop)
{
	loop_run(loop);
	return NULL;
}

static int fuzz(const struct fuzzed *f, time_t seconds)
{
	struct registry *r = registry_new();
	struct loop *l = loop_new();
	struct device *d = make(f, r, l);
	time_t end = time(NULL) + seconds;
	unsigned long rounds = 0;
	pthread_t thread;
	bool good;

	if (!d || pthread_create(&thread, NULL, run_loop, l))
		return 2;
	for (; time(NULL) < end; rounds++) {
		alarm(HANG_SECONDS);
		one_round(f);
		alarm(0);
	}
	outside_stop();
	loop_stop(l);
	pthread_join(thread, NULL);
	f->class->destroy(d);
	registry_free(r);
	loop_free(l);
	good = !f->check || f->check();
	fake_teardown(NULL);
	printf("fuzz-virtio %s: %lu rounds, %lu answers%s\n", f->name, rounds, answers,
	       good ? "" : ", WRONG");
	return !good || answers < rounds;
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/anykvm-fuzz-XXXXXX", command[64];
	const struct fuzzed *f = fuzzed_devices;
	int status;

	while (argc > 2 && f->name && strcmp(f->name, argv[1]))
		f++;
	if (argc < 3 || !f->name || !mkdtemp(folder) || chdir(folder) < 0) {
		fprintf(stderr, "usage: fuzz-virtio DEVICE SECONDS [SEED]\n");
		return 2;
	}
	chance_state = chance_seed(argc > 3 ? argv[3] : NULL);
	printf("fuzz-virtio %s: seed %llu, folder %s\n", f->name, (unsigned long long)chance_state,
	       folder);
	fflush(stdout);
	signal(SIGALRM, on_alarm);
	signal(SIGPIPE, SIG_IGN);
	status = fuzz(f, atoi(argv[2]));
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") < 0 || system(command) ? 2 : status;
}

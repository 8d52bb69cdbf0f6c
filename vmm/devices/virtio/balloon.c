/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory balloon (5.5): the guest gives pages to the host, which drops what
 * is in them, and takes them back; reports pages that are free anyway; and
 * tells how its memory is used. A page that is taken back needs nothing: it
 * reads as zeros until the guest writes to it.
 *
 * Which queue is which depends on the features (a queue of a feature that was
 * not agreed on has no number), as drivers in the field have it.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../error.h"
#include "balloon.h"

#define QUEUE_SIZE 128
#define QUEUES 4			/* inflate, deflate, statistics, reporting */
#define BUFFERS_MAX 256			/* in a chain */
#define PAGE 4096ULL
#define PFNS 256			/* looked at together */
#define REQUEST_PFNS 16384		/* in one request; drivers have at most 1024 */
#define STATS_MAX 64			/* in one buffer */
#define INTERVAL_MAX 86400

#define BALLOON_F_MUST_TELL VIRTIO_BIT(0)
#define BALLOON_F_STATS VIRTIO_BIT(1)
#define BALLOON_F_OOM VIRTIO_BIT(2)
#define BALLOON_F_POISON VIRTIO_BIT(4)
#define BALLOON_F_REPORTING VIRTIO_BIT(5)

struct balloon_config {
	u32 pages, actual, hint, poison;
};

struct stat_entry {
	u16 tag;
	u64 value;
} __attribute__((packed));

struct balloon {
	struct virtio_device v;		/* first */
	struct timer *timer;
	int inflate, deflate, statistics, reporting;	/* queues, or -1 */
	u32 actual, poison;		/* atomic; as the driver says */
	pthread_mutex_t lock;		/* of what follows */
	bool holding;			/* the driver's buffer for statistics */
	struct virtq_chain held;
	struct balloon_stats stats;
};

const char *const balloon_stat_names[BALLOON_STATS] = {
	"stat-swap-in", "stat-swap-out", "stat-major-faults", "stat-minor-faults",
	"stat-free-memory", "stat-total-memory", "stat-available-memory", "stat-disk-caches",
	"stat-htlb-pgalloc", "stat-htlb-pgfail",
};

/* What the user wishes, and the device that it is for. */
static struct {
	struct balloon *balloon;
	u64 target;			/* 0: all */
	unsigned int interval;
} state;

static struct balloon *balloon_of(struct virtio_device *v)
{
	return (struct balloon *)v;
}

/* --- giving memory back ------------------------------------------------------------- */

/* Neighbouring pages in one call. Drivers give them in either direction. */
static void drop_pages(struct balloon *b, const u32 *pfn, unsigned int n)
{
	unsigned int i = 0;

	while (i < n) {
		u64 first = pfn[i], last = pfn[i];

		for (i++; i < n && (pfn[i] == last + 1 || pfn[i] + 1ULL == first); i++) {
			first = pfn[i] < first ? pfn[i] : first;
			last = pfn[i] > last ? pfn[i] : last;
		}
		memory_discard(b->v.board->mem, first * PAGE, (last - first + 1) * PAGE);
	}
}

static void inflate(struct balloon *b, const struct virtq_chain *c)
{
	u32 pfn[PFNS];
	u64 at, len = align_down(c->out_len, sizeof(*pfn));

	if (len > REQUEST_PFNS * sizeof(*pfn)) {
		virtio_broken(&b->v, "%llu pages at once", (unsigned long long)len / 4);
		return;
	}
	for (at = 0; at < len; at += sizeof(pfn)) {
		u64 part = len - at < sizeof(pfn) ? len - at : sizeof(pfn);

		virtq_read(c, at, pfn, part);
		drop_pages(b, pfn, (unsigned int)(part / sizeof(*pfn)));
	}
}

/* Whole buffers that are free; what a driver wants to find in them later must be zeros. */
static void report(struct balloon *b, const struct virtq_chain *c)
{
	unsigned int i;

	if (virtio_has(&b->v, BALLOON_F_POISON) && __atomic_load_n(&b->poison, __ATOMIC_ACQUIRE))
		return;
	for (i = c->nout; i < c->nout + c->nin; i++)
		memory_discard_host(b->v.board->mem, c->iov[i].iov_base, c->iov[i].iov_len);
}

/* --- statistics: under the lock -------------------------------------------------------- */

static void take_stats(struct balloon *b, const struct virtq_chain *c)
{
	struct stat_entry e;
	unsigned int i;

	memset(b->stats.value, 0xff, sizeof(b->stats.value));
	for (i = 0; i < STATS_MAX && virtq_read(c, i * sizeof(e), &e, sizeof(e)); i++)
		if (e.tag < BALLOON_STATS)
			b->stats.value[e.tag] = e.value;
	if (i)
		b->stats.when = (u64)time(NULL);
}

/* The driver gets its buffer back when new statistics are wanted. */
static void ask(struct balloon *b)
{
	struct virtqueue *q;

	if (!b->holding)
		return;
	q = &b->v.queue[b->statistics];
	b->holding = false;
	virtqueue_push(q, &b->held, 0);
	virtqueue_signal(q);
}

/* One buffer: false when there is none. */
static bool take_buffer(struct balloon *b, struct virtqueue *q)
{
	struct iovec iov[BUFFERS_MAX];
	struct virtq_chain c = { .iov = iov, .max = BUFFERS_MAX };
	bool got;

	pthread_mutex_lock(&b->lock);
	got = virtqueue_pop(q, &c);
	if (got) {
		ask(b);		/* one that is kept is enough */
		take_stats(b, &c);
		b->held = c;
		b->held.iov = NULL;	/* only its head is needed again */
		b->holding = true;
	}
	pthread_mutex_unlock(&b->lock);
	return got;
}

/* The main thread wants the lock, too, which a driver that never ends must not keep from it. */
static void on_stats(struct balloon *b, struct virtqueue *q)
{
	while (take_buffer(b, q))
		sched_yield();
}

static void arm(struct balloon *b)
{
	timer_set(b->timer, state.interval ? monotonic_ns() + state.interval * NSEC : 0);
}

static void on_timer(void *arg)
{
	struct balloon *b = arg;

	pthread_mutex_lock(&b->lock);
	ask(b);
	pthread_mutex_unlock(&b->lock);
	arm(b);
}

/* --- the driver ------------------------------------------------------------------------ */

static void notify(struct virtio_device *v, unsigned int queue)
{
	struct balloon *b = balloon_of(v);
	struct virtqueue *q = &v->queue[queue];
	struct iovec iov[BUFFERS_MAX];
	struct virtq_chain c = { .iov = iov, .max = BUFFERS_MAX };

	if ((int)queue == b->statistics) {
		on_stats(b, q);
		return;
	}
	while (virtqueue_pop(q, &c)) {
		if ((int)queue == b->inflate)
			inflate(b, &c);
		else if ((int)queue == b->reporting)
			report(b, &c);
		virtqueue_push(q, &c, 0);
	}
	virtqueue_signal(q);
}

static void config_write(struct virtio_device *v, unsigned int offset, const void *data,
			 unsigned int size)
{
	struct balloon *b = balloon_of(v);
	u32 value;

	if (size != sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	if (offset == offsetof(struct balloon_config, actual)) {
		__atomic_store_n(&b->actual, value, __ATOMIC_RELEASE);
		virtio_config_written(v, offset, data, size);
	} else if (offset == offsetof(struct balloon_config, poison)) {
		__atomic_store_n(&b->poison, value, __ATOMIC_RELEASE);
		virtio_config_written(v, offset, data, size);
	}
}

static void start(struct virtio_device *v)
{
	struct balloon *b = balloon_of(v);
	int next = 2;

	pthread_mutex_lock(&b->lock);
	b->inflate = 0;
	b->deflate = 1;
	b->statistics = virtio_has(v, BALLOON_F_STATS) ? next++ : -1;
	b->reporting = virtio_has(v, BALLOON_F_REPORTING) ? next++ : -1;
	pthread_mutex_unlock(&b->lock);
}

static void stop(struct virtio_device *v)
{
	struct balloon *b = balloon_of(v);

	pthread_mutex_lock(&b->lock);
	b->holding = false;
	pthread_mutex_unlock(&b->lock);
	__atomic_store_n(&b->actual, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&b->poison, 0, __ATOMIC_RELEASE);
}

static void queue_stop(struct virtio_device *v, unsigned int queue)
{
	struct balloon *b = balloon_of(v);

	pthread_mutex_lock(&b->lock);
	if ((int)queue == b->statistics)
		b->holding = false;
	pthread_mutex_unlock(&b->lock);
}

static const struct virtio_ops ops = {
	.name = "virtio-balloon",
	.type = VIRTIO_BALLOON,
	.pci_class = 0x00ff00,
	.notify = notify,
	.start = start,
	.stop = stop,
	.queue_stop = queue_stop,
	.config_write = config_write,
};

/* --- for the control of the machine ------------------------------------------------------ */

bool balloon_is_there(void)
{
	return state.balloon;
}

const char *balloon_id(void)
{
	return state.balloon->v.dev.id;
}

static u32 wanted_pages(const struct balloon *b)
{
	u64 all = b->v.board->mem->size;

	return state.target && state.target < all ? (u32)((all - state.target) / PAGE) : 0;
}

void balloon_set_target(u64 bytes)
{
	u32 pages;

	state.target = bytes;
	pages = wanted_pages(state.balloon);
	virtio_config_update(&state.balloon->v, offsetof(struct balloon_config, pages), &pages,
			     sizeof(pages));
}

/* What the driver says is bounded by what there is. */
u64 balloon_actual(void)
{
	u64 all = state.balloon->v.board->mem->size;
	u64 taken = __atomic_load_n(&state.balloon->actual, __ATOMIC_ACQUIRE) * PAGE;

	return taken < all ? all - taken : 0;
}

void balloon_set_interval(unsigned int seconds)
{
	state.interval = seconds < INTERVAL_MAX ? seconds : INTERVAL_MAX;
	if (state.interval)
		on_timer(state.balloon);	/* the first ones at once */
	else
		arm(state.balloon);
}

unsigned int balloon_interval(void)
{
	return state.interval;
}

void balloon_get_stats(struct balloon_stats *stats)
{
	pthread_mutex_lock(&state.balloon->lock);
	*stats = state.balloon->stats;
	pthread_mutex_unlock(&state.balloon->lock);
}

/* --- making it ---------------------------------------------------------------------------- */

static void destroy(struct device *d)
{
	struct balloon *b = balloon_of((struct virtio_device *)d);

	virtio_detach(&b->v);
	timer_free(b->timer);
	if (state.balloon == b)
		state.balloon = NULL;
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static int create_all(struct balloon *b, struct board *board, struct props *p)
{
	unsigned int interval = (unsigned int)props_number(p, "stats-interval", 0, 0, INTERVAL_MAX);
	u64 features = BALLOON_F_STATS | BALLOON_F_POISON;
	struct balloon_config config = { 0 };
	unsigned int i;

	if (props_bool(p, "deflate-on-oom", true))
		features |= BALLOON_F_OOM;
	if (props_bool(p, "free-page-reporting", true))
		features |= BALLOON_F_REPORTING;
	b->v.board = board;
	if (state.balloon)
		return error("%s: a machine has one balloon", p->type);
	state.balloon = b;
	if (!state.interval)
		state.interval = interval;
	config.pages = wanted_pages(b);
	b->timer = timer_new(board->loop, on_timer, b);
	if (!b->timer)
		return error("cannot create a timer");
	if (virtio_init(&b->v, board, &ops, features) < 0 ||
	    virtio_config(&b->v, &config, sizeof(config)) < 0)
		return -1;
	for (i = 0; i < QUEUES; i++)
		if (virtio_add_queue(&b->v, QUEUE_SIZE, NULL) < 0)
			return -1;
	arm(b);
	return virtio_attach(&b->v, p);
}

static struct device *create(struct board *board, struct props *p)
{
	struct balloon *b = calloc(1, sizeof(*b));

	if (!b) {
		error("out of memory");
		return NULL;
	}
	pthread_mutex_init(&b->lock, NULL);
	b->inflate = b->deflate = b->statistics = b->reporting = -1;
	if (create_all(b, board, p) == 0)
		return &b->v.dev;
	b->v.board = board;
	destroy(&b->v.dev);
	return NULL;
}

const struct device_class virtio_balloon_class = {
	.name = "virtio-balloon",
	.summary = "takes memory from the guest and gives it back",
	.usage = "free-page-reporting=off, deflate-on-oom=off, stats-interval=SECONDS",
	.create = create,
	.destroy = destroy,
	.unplug = virtio_unplug,
};

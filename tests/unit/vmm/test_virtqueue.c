/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Virtqueues and the life of a virtio device against a good driver, against
 * one that breaks each rule, and against random rings.
 */
#include "virtio_fake.h"

#define SIZE 8

static struct virtio_device dev;
static unsigned int notified, starts, stops, queue_stops, config_writes;
static void (*handler)(struct virtqueue *q);
static void (*on_queue_stop)(void);

static void notify(struct virtio_device *v, unsigned int queue)
{
	notified++;
	if (handler)
		handler(&v->queue[queue]);
}

static void start(struct virtio_device *v)
{
	(void)v;
	starts++;
}

static void stop(struct virtio_device *v)
{
	(void)v;
	stops++;
}

static void queue_stop(struct virtio_device *v, unsigned int queue)
{
	assert_int_equal(queue, 0);
	assert_false(v->queue[0].live);
	queue_stops++;
	if (on_queue_stop)
		on_queue_stop();
}

static void config_write(struct virtio_device *v, unsigned int offset, const void *data,
			 unsigned int size)
{
	(void)v, (void)offset, (void)data, (void)size;
	config_writes++;
}

static const struct virtio_ops ops = {
	.name = "fake", .type = VIRTIO_RNG, .notify = notify, .start = start, .stop = stop,
	.queue_stop = queue_stop, .config_write = config_write,
};

static int setup(void **state)
{
	struct props p;
	int r = fake_setup(state);

	notified = starts = stops = queue_stops = config_writes = 0;
	handler = NULL;
	on_queue_stop = NULL;
	fake.board.loop = loop_new();
	props_parse(&p, "fake,packed=on");
	virtio_init(&dev, &fake.board, &ops, VIRTIO_BIT(3));
	virtio_config(&dev, "configuration", 13);
	virtio_add_queue(&dev, SIZE, NULL);
	virtio_add_queue(&dev, SIZE, NULL);
	r |= virtio_attach(&dev, &p);
	props_free(&p);
	return r;
}

static int teardown(void **state)
{
	virtio_detach(&dev);
	loop_free(fake.board.loop);
	return fake_teardown(state);
}

static struct iovec iov[16];
static struct virtq_chain chain = { .iov = iov, .max = 16 };

static struct virtqueue *queue(void)
{
	return &dev.queue[0];
}

/* --- a good driver --------------------------------------------------------------- */

static void test_split(void **state)
{
	char text[8] = "";
	u32 id, len;

	(void)state;
	fake_start(0, SIZE);
	assert_int_equal(starts, 1);
	assert_false(virtqueue_pop(queue(), &chain));
	memcpy(fake_at(FAKE_DATA), "abcdefgh", 8);
	fake_desc(0, 3, FAKE_DATA, 3, VIRTQ_DESC_NEXT, 5);
	fake_desc(0, 5, FAKE_DATA + 3, 2, VIRTQ_DESC_NEXT, 1);
	fake_desc(0, 1, FAKE_DATA + 0x1000, 100, VIRTQ_DESC_NEXT | VIRTQ_DESC_WRITE, 2);
	fake_desc(0, 2, FAKE_DATA + 0x2000, 50, VIRTQ_DESC_WRITE, 0);
	fake_add(0, 3);
	assert_int_equal(notified, 1);
	assert_true(virtqueue_ready(queue()));
	assert_true(virtqueue_pop(queue(), &chain));
	assert_int_equal(chain.nout, 2);
	assert_int_equal(chain.nin, 2);
	assert_int_equal(chain.out_len, 5);
	assert_int_equal(chain.in_len, 150);
	assert_true(virtq_read(&chain, 1, text, 4));
	assert_string_equal(text, "bcde");
	assert_false(virtq_read(&chain, 1, text, 5));
	assert_false(virtq_read(&chain, ~0ULL, text, 5));
	assert_true(virtq_write(&chain, 98, "wxyz", 4));
	assert_memory_equal(fake_at(FAKE_DATA + 0x2000), "yz", 2);
	assert_false(virtq_write(&chain, 147, "wxyz", 4));
	virtqueue_push(queue(), &chain, 102);
	virtqueue_signal(queue());
	assert_int_equal(fake_used(0, &id, &len), 1);
	assert_int_equal(id, 3);
	assert_int_equal(len, 102);
	assert_int_equal(fake.interrupts[0], 1);
	assert_int_equal(dev.isr, VIRTIO_ISR_QUEUE);
	virtqueue_push(queue(), &chain, 102);		/* not a second time */
	assert_int_equal(fake_used(0, NULL, NULL), 1);
}

static void test_pieces(void **state)
{
	struct iovec out[4];

	(void)state;
	fake_start(0, SIZE);
	fake_desc(0, 0, FAKE_DATA, 16, VIRTQ_DESC_NEXT, 1);
	fake_desc(0, 1, FAKE_DATA + 0x1000, 16, VIRTQ_DESC_NEXT, 2);
	fake_desc(0, 2, FAKE_DATA + 0x2000, 16, VIRTQ_DESC_WRITE, 0);
	fake_add(0, 0);
	assert_true(virtqueue_pop(queue(), &chain));
	assert_int_equal(virtq_out(&chain, 12, 8, out, 4), 2);
	assert_ptr_equal(out[0].iov_base, fake_at(FAKE_DATA + 12));
	assert_int_equal(out[0].iov_len, 4);
	assert_ptr_equal(out[1].iov_base, fake_at(FAKE_DATA + 0x1000));
	assert_int_equal(out[1].iov_len, 4);
	assert_int_equal(virtq_out(&chain, 12, 8, out, 1), -1);
	assert_int_equal(virtq_out(&chain, 12, 21, out, 4), -1);
	assert_int_equal(virtq_in(&chain, 0, 16, out, 4), 1);
	assert_int_equal(virtq_in(&chain, 16, 0, out, 4), 0);
}

static void test_indirect(void **state)
{
	u8 *table;
	u64 addr = FAKE_DATA;
	const u32 tail[2] = { 64, VIRTQ_DESC_WRITE | VIRTQ_DESC_NEXT | 1 << 16 };
	const u32 last[2] = { 32, VIRTQ_DESC_WRITE };

	(void)state;
	fake_start(VIRTIO_F_INDIRECT, SIZE);
	table = fake_at(fake_queue(0) + FAKE_INDIRECT);
	memcpy(table, &addr, 8);
	memcpy(table + 8, tail, 8);
	memcpy(table + 16, &addr, 8);
	memcpy(table + 24, last, 8);
	fake_desc(0, 0, FAKE_DATA, 8, VIRTQ_DESC_NEXT, 7);
	fake_desc(0, 7, fake_queue(0) + FAKE_INDIRECT, 32, VIRTQ_DESC_INDIRECT, 0);
	fake_add(0, 0);
	assert_true(virtqueue_pop(queue(), &chain));
	assert_int_equal(chain.nout, 1);
	assert_int_equal(chain.nin, 2);
	assert_int_equal(chain.in_len, 96);
}

static void pop_push(unsigned int n)
{
	while (n--) {
		assert_true(virtqueue_pop(queue(), &chain));
		virtqueue_push(queue(), &chain, 0);
	}
	virtqueue_signal(queue());
}

/* Interrupts and notifications come at the indices that the sides ask for. */
static void test_event_idx(void **state)
{
	u16 *used_event, *avail_event;
	unsigned int i;

	(void)state;
	fake_start(VIRTIO_F_EVENT_IDX, SIZE);
	used_event = fake_at(fake_queue(0) + FAKE_AVAIL + 4 + 2 * SIZE);
	avail_event = fake_at(fake_queue(0) + FAKE_USED + 4 + 8 * SIZE);
	fake_desc(0, 0, FAKE_DATA, 8, 0, 0);
	for (i = 0; i < 6; i++)
		fake_add_quietly(0, 0);
	*used_event = 3;
	pop_push(1);
	assert_int_equal(fake.interrupts[0], 1);	/* the first one always */
	pop_push(2);
	assert_int_equal(fake.interrupts[0], 1);
	pop_push(1);
	assert_int_equal(fake.interrupts[0], 2);
	pop_push(2);
	assert_int_equal(fake.interrupts[0], 2);
	assert_false(virtqueue_pop(queue(), &chain));
	assert_int_equal(*avail_event, 6);
	assert_false(virtqueue_quiet(queue(), true));
	fake_add_quietly(0, 0);
	pop_push(1);
	assert_false(virtqueue_pop(queue(), &chain));
	assert_int_equal(*avail_event, 6);
	fake_add_quietly(0, 0);
	assert_true(virtqueue_quiet(queue(), false));	/* one came meanwhile */
	pop_push(1);
	assert_false(virtqueue_ready(queue()));
	assert_int_equal(*avail_event, 8);
}

static void test_flags(void **state)
{
	u16 *avail, *used;

	(void)state;
	fake_start(0, SIZE);
	avail = fake_at(fake_queue(0) + FAKE_AVAIL);
	used = fake_at(fake_queue(0) + FAKE_USED);
	fake_desc(0, 0, FAKE_DATA, 8, 0, 0);
	avail[0] = 1;
	fake_add(0, 0);
	pop_push(1);
	assert_int_equal(fake.interrupts[0], 0);
	virtqueue_quiet(queue(), true);
	assert_int_equal(used[0], 1);
	virtqueue_quiet(queue(), false);
	assert_int_equal(used[0], 0);
}

static void test_wrap_and_unpop(void **state)
{
	unsigned int i;
	u32 len;

	(void)state;
	fake_start(0, SIZE);
	fake_desc(0, 4, FAKE_DATA, 8, VIRTQ_DESC_WRITE, 0);
	for (i = 0; i < 70000; i++) {	/* past 65535, too */
		fake_add_quietly(0, 4);
		assert_true(virtqueue_pop(queue(), &chain));
		virtqueue_unpop(queue(), &chain);
		assert_true(virtqueue_pop(queue(), &chain));
		virtqueue_push(queue(), &chain, i);
	}
	assert_int_equal(fake_used(0, NULL, &len), 70000 & 0xffff);
	assert_int_equal(len, 69999);
}

/* --- the packed ring ---------------------------------------------------------------- */

static void packed_desc(unsigned int i, u64 addr, u32 len, u16 id, u16 flags)
{
	fake_desc(0, i, addr, len, id, flags);	/* the two words have changed places */
}

static void test_packed(void **state)
{
	unsigned int i, at = 0;
	bool wrap = true;
	u16 *d;

	(void)state;
	fake_start(VIRTIO_F_PACKED, 5);		/* any size will do */
	for (i = 0; i < 100; i++) {
		u16 avail = wrap ? 1 << 7 : 1 << 15, second;
		unsigned int next = (at + 1) % 5;

		assert_false(virtqueue_pop(queue(), &chain));
		second = next ? avail : (u16)(avail ^ (1 << 7 | 1 << 15));
		packed_desc(next, FAKE_DATA + 64, 32, (u16)i, second | VIRTQ_DESC_WRITE);
		packed_desc(at, FAKE_DATA, 16, 0, avail | VIRTQ_DESC_NEXT);
		assert_true(virtqueue_pop(queue(), &chain));
		assert_int_equal(chain.nout, 1);
		assert_int_equal(chain.nin, 1);
		assert_int_equal(chain.head, i);
		virtqueue_unpop(queue(), &chain);
		assert_true(virtqueue_pop(queue(), &chain));
		virtqueue_push(queue(), &chain, 7);
		virtqueue_signal(queue());
		d = fake_at(fake_queue(0) + at * 16);
		assert_int_equal(d[4], 7);
		assert_int_equal(d[6], i);
		assert_int_equal(d[7], (wrap ? 1 << 7 | 1 << 15 : 0) | VIRTQ_DESC_WRITE);
		at += 2;
		if (at >= 5) {
			at -= 5;
			wrap = !wrap;
		}
	}
	assert_int_equal(fake.interrupts[0], 100);
	assert_false(dev.broken);
}

/* --- a driver that breaks the rules ------------------------------------------------------ */

static void expect_broken(void)
{
	assert_false(virtqueue_pop(queue(), &chain));
	assert_true(dev.broken);
	assert_int_equal(dev.status & VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(fake.config_interrupts, 1);
	fake.config_interrupts = 0;
	assert_false(virtqueue_pop(queue(), &chain));
	virtio_set_status(&dev, 0);
	assert_false(dev.broken);
	assert_int_equal(dev.status, 0);
}

static void begin(void)
{
	fake_start(VIRTIO_F_INDIRECT, SIZE);
}

static void test_broken(void **state)
{
	const u64 table = fake_queue(0) + FAKE_INDIRECT;

	(void)state;
	begin();			/* a buffer outside RAM, or over its end */
	fake_desc(0, 0, FAKE_RAM, 1, 0, 0);
	fake_add(0, 0);
	expect_broken();
	begin();
	fake_desc(0, 0, FAKE_RAM - 4, 5, 0, 0);
	fake_add(0, 0);
	expect_broken();
	begin();
	fake_desc(0, 0, ~0ULL - 2, 8, 0, 0);
	fake_add(0, 0);
	expect_broken();
	begin();			/* no bytes */
	fake_desc(0, 0, FAKE_DATA, 0, 0, 0);
	fake_add(0, 0);
	expect_broken();
	begin();			/* a head, or a next, outside the table */
	fake_add(0, SIZE);
	expect_broken();
	begin();
	fake_desc(0, 0, FAKE_DATA, 8, VIRTQ_DESC_NEXT, 0xffff);
	fake_add(0, 0);
	expect_broken();
	begin();			/* a loop */
	fake_desc(0, 0, FAKE_DATA, 8, VIRTQ_DESC_NEXT, 0);
	fake_add(0, 0);
	expect_broken();
	begin();			/* out after in */
	fake_desc(0, 0, FAKE_DATA, 8, VIRTQ_DESC_NEXT | VIRTQ_DESC_WRITE, 1);
	fake_desc(0, 1, FAKE_DATA, 8, 0, 0);
	fake_add(0, 0);
	expect_broken();
	begin();			/* the index jumps */
	((u16 *)fake_at(fake_queue(0) + FAKE_AVAIL))[1] = SIZE + 1;
	expect_broken();
	begin();			/* indirect tables: odd size, too large, not RAM, nested */
	fake_desc(0, 0, table, 17, VIRTQ_DESC_INDIRECT, 0);
	fake_add(0, 0);
	expect_broken();
	begin();
	fake_desc(0, 0, table, 16 * (VIRTIO_QUEUE_SIZE_MAX + 1), VIRTQ_DESC_INDIRECT, 0);
	fake_add(0, 0);
	expect_broken();
	begin();
	fake_desc(0, 0, FAKE_RAM, 16, VIRTQ_DESC_INDIRECT, 0);
	fake_add(0, 0);
	expect_broken();
	begin();
	fake_desc(0, 0, fake_queue(0), 32, VIRTQ_DESC_INDIRECT, 0);
	fake_add(0, 0);
	expect_broken();
	begin();
	fake_desc(0, 0, table, 32, VIRTQ_DESC_INDIRECT | VIRTQ_DESC_NEXT, 1);
	fake_add(0, 0);
	expect_broken();
	fake_start(0, SIZE);		/* not negotiated */
	fake_desc(0, 0, table, 32, VIRTQ_DESC_INDIRECT, 0);
	fake_add(0, 0);
	expect_broken();
}

static void test_too_many_buffers(void **state)
{
	struct virtq_chain two = { .iov = iov, .max = 2 };
	unsigned int i;

	(void)state;
	begin();
	for (i = 0; i < 3; i++)
		fake_desc(0, i, FAKE_DATA, 8, i < 2 ? VIRTQ_DESC_NEXT : 0, (u16)(i + 1));
	fake_add(0, 0);
	assert_false(virtqueue_pop(queue(), &two));
	assert_true(dev.broken);
}

static void refuse_queue(u16 size, u64 desc, u64 avail, u64 used)
{
	virtio_set_status(&dev, 0);
	dev.driver_features = VIRTIO_F_VERSION_1;
	virtio_set_status(&dev, 11);
	dev.queue[0].size = size;
	dev.queue[0].desc_gpa = desc;
	dev.queue[0].avail_gpa = avail;
	dev.queue[0].used_gpa = used;
	virtio_queue_enable(&dev, 0);
	assert_false(dev.queue[0].enabled);
	assert_true(dev.broken);
}

static void test_bad_queues(void **state)
{
	(void)state;
	refuse_queue(0, 0x1000, 0x2000, 0x3000);
	refuse_queue(SIZE * 2, 0x1000, 0x2000, 0x3000);
	refuse_queue(SIZE - 1, 0x1000, 0x2000, 0x3000);
	refuse_queue(SIZE, FAKE_RAM - 16, 0x2000, 0x3000);
	refuse_queue(SIZE, 0x1000, FAKE_RAM - 4, 0x3000);
	refuse_queue(SIZE, 0x1000, 0x2000, FAKE_RAM - 8);
	refuse_queue(SIZE, 0x1008, 0x2000, 0x3000);
	refuse_queue(SIZE, 0x1000, 0x2001, 0x3000);
	refuse_queue(SIZE, 0x1000, 0x2000, 0x3002);
	refuse_queue(SIZE, ~0ULL << 4, ~0ULL << 4, ~0ULL << 4);
}

/* --- status, features, configuration ------------------------------------------------------- */

static void test_negotiation(void **state)
{
	(void)state;
	virtio_set_status(&dev, 3);
	dev.driver_features = VIRTIO_F_VERSION_1 | VIRTIO_BIT(5);	/* never offered */
	virtio_set_status(&dev, 11);
	assert_int_equal(dev.status, 3);
	virtio_set_status(&dev, 15);
	assert_int_equal(starts, 0);
	virtio_set_status(&dev, 0);
	dev.driver_features = VIRTIO_BIT(3);				/* an old driver */
	virtio_set_status(&dev, 11);
	assert_int_equal(dev.status, 3);
	fake_start(VIRTIO_BIT(3), SIZE);
	assert_true(virtio_has(&dev, VIRTIO_BIT(3)));
	virtio_set_status(&dev, 15);
	assert_int_equal(starts, 1);
	virtio_set_status(&dev, 0);
	assert_int_equal(stops, 1);
	assert_false(virtqueue_pop(queue(), &chain));
	virtio_notified(&dev, 0);
	virtio_notified(&dev, 77);
	assert_int_equal(notified, 0);
	virtio_set_status(&dev, 0);
	assert_int_equal(stops, 1);
}

static void test_config(void **state)
{
	char text[16];

	(void)state;
	virtio_config_get(&dev, 10, text, 8);
	assert_memory_equal(text, "ion\0\0\0\0", 8);
	virtio_config_get(&dev, 5000, text, 8);
	assert_memory_equal(text, "\0\0\0\0\0\0\0", 8);
	virtio_config_set(&dev, 9, "abcd", 4);
	assert_int_equal(config_writes, 1);
	virtio_config_set(&dev, 10, "abcd", 4);
	virtio_config_set(&dev, ~0u, "abcd", 4);
	assert_int_equal(config_writes, 1);
	virtio_config_update(&dev, 0, "C", 1);
	assert_int_equal(fake.config_interrupts, 0);
	fake_start(0, SIZE);
	virtio_config_update(&dev, 0, "C", 1);		/* nothing changes */
	assert_int_equal(fake.config_interrupts, 0);
	virtio_config_update(&dev, 0, "K", 1);
	assert_int_equal(fake.config_interrupts, 1);
	assert_int_equal(dev.generation, 2);
	virtio_config_update(&dev, 12, "KK", 2);
	assert_int_equal(dev.generation, 2);
}

static void test_queue_reset(void **state)
{
	(void)state;
	fake_start(VIRTIO_F_RING_RESET, SIZE);
	fake_desc(0, 0, FAKE_DATA, 8, 0, 0);
	fake_add(0, 0);
	virtio_queue_reset(&dev, 0);
	assert_false(virtqueue_pop(queue(), &chain));
	assert_true(dev.queue[1].live);
	assert_int_equal(queue_stops, 1);
	assert_int_equal(dev.queue[0].size, SIZE);
	assert_int_equal(dev.queue[0].vector, VIRTIO_NO_VECTOR);
	virtio_queue_reset(&dev, 0);	/* nothing more to give up */
	assert_int_equal(queue_stops, 1);
	dev.queue[0].desc_gpa = fake_queue(0);
	dev.queue[0].avail_gpa = fake_queue(0) + FAKE_AVAIL;
	dev.queue[0].used_gpa = fake_queue(0) + FAKE_USED;
	virtio_queue_enable(&dev, 0);
	assert_true(virtqueue_pop(queue(), &chain));
	/* the device has not noticed */
	assert_int_equal(starts, 1);
	assert_int_equal(stops, 0);
	assert_int_equal(dev.status, 15);
}

static struct virtqueue *other(void)
{
	return &dev.queue[1];
}

/* What another processor of the guest does while the queue stops. */
static void notify_other(void)
{
	struct iovec v[16];
	struct virtq_chain c = { .iov = v, .max = 16 };
	unsigned int before = notified;

	virtio_notified(&dev, 1);
	virtqueue_kick(other());
	assert_int_equal(notified, before);
	assert_false(virtqueue_pop(other(), &c));
	virtqueue_push(other(), &chain, 0);	/* one that the device kept */
}

static void test_reset_of_one_queue(void **state)
{
	u32 id, len;

	(void)state;
	fake_start(VIRTIO_F_RING_RESET, SIZE);
	fake_desc(1, 0, FAKE_DATA, 8, 0, 0);
	fake_desc(1, 1, FAKE_DATA, 8, 0, 0);
	fake_add(1, 0);
	assert_true(virtqueue_pop(other(), &chain));
	fake_add(1, 1);
	on_queue_stop = notify_other;
	notified = 0;
	virtio_queue_reset(&dev, 0);
	assert_int_equal(queue_stops, 1);
	assert_int_equal(fake_used(1, &id, &len), 1);
	assert_int_equal(id, 0);
	assert_int_equal(notified, 1);		/* of what came meanwhile */
	assert_true(virtqueue_pop(other(), &chain));
	assert_int_equal(chain.head, 1);
}

static void kick_again(struct virtqueue *from)
{
	static unsigned int depth;

	assert_int_equal(depth, 0);
	depth++;
	if (notified == 1)
		virtqueue_kick(from);	/* as another thread would meanwhile */
	depth--;
}

static void test_kicks(void **state)
{
	(void)state;
	handler = kick_again;
	fake_start(0, SIZE);
	virtio_notified(&dev, 0);
	assert_int_equal(notified, 2);
	assert_int_equal(dev.queue[0].kicks, 0);
}

#define ROUNDS 4

static unsigned int taken;

/* Another processor of the guest always adds one more, until the last round. */
static void refill(struct virtqueue *from)
{
	while (virtqueue_pop(from, &chain)) {
		taken++;
		virtqueue_push(from, &chain, 0);
		if (notified < ROUNDS)
			fake_add_quietly(0, chain.head);
	}
	if (notified == ROUNDS)
		loop_stop(fake.board.loop);
}

static void kick_always(struct virtqueue *from)
{
	if (notified < ROUNDS * 1000000)
		virtqueue_kick(from);
	else
		loop_stop(fake.board.loop);
}

static void stop_loop(void *arg)
{
	(void)arg;
	loop_stop(fake.board.loop);
}

/* Drivers that never end keep nobody for long; the rest comes later. */
static void test_endless(void **state)
{
	u64 start;

	(void)state;
	fake_start(0, SIZE);
	handler = refill;
	taken = 0;
	fake_desc(0, 0, FAKE_DATA, 8, 0, 0);
	start = monotonic_ns();
	fake_add(0, 0);
	assert_in_range(monotonic_ns() - start, VIRTIO_SLICE_NS, NSEC);
	assert_int_equal(notified, 1);
	assert_int_equal(dev.queue[0].kicks, 0);
	assert_true(virtqueue_ready(queue()));
	assert_true(virtqueue_pop(queue(), &chain));	/* nobody handles it */
	virtqueue_unpop(queue(), &chain);
	loop_run(fake.board.loop);
	assert_int_equal(notified, ROUNDS);
	assert_false(virtqueue_ready(queue()));
	assert_int_equal(fake_used(0, NULL, NULL), (u16)taken);

	handler = kick_always;
	start = monotonic_ns();
	virtio_notified(&dev, 0);
	assert_in_range(monotonic_ns() - start, VIRTIO_SLICE_NS, NSEC);
	loop_run(fake.board.loop);
	/* a queue that stops meanwhile is not handled later */
	handler = refill;
	notified = 0;
	fake_add(0, 0);
	assert_int_equal(notified, 1);
	virtio_reset(&dev);
	notified = ROUNDS - 1;
	handler = NULL;
	assert_int_equal(loop_call(fake.board.loop, stop_loop, NULL), 0);
	loop_run(fake.board.loop);
	assert_int_equal(notified, ROUNDS - 1);
}

static struct loop *own;		/* of queue 1 */
static unsigned int handled[2];

/* Takes all the time that there is for each buffer. */
static void be_slow(struct virtqueue *from)
{
	while (virtqueue_pop(from, &chain)) {
		virtqueue_push(from, &chain, 0);
		while (monotonic_ns() < from->until)
			;
		if (++handled[from->index] == 2)
			loop_stop(from->index ? own : fake.board.loop);
	}
}

/* What is left for later is done by the loop that a queue has. */
static void test_loops(void **state)
{
	static struct virtio_device two;
	struct props p;
	unsigned int i;

	(void)state;
	own = loop_new();
	assert_int_equal(props_parse(&p, "fake"), 0);
	virtio_init(&two, &fake.board, &ops, 0);
	assert_int_equal(virtio_config(&two, "", 1), 0);
	assert_int_equal(virtio_add_queue(&two, SIZE, NULL), 0);
	assert_int_equal(virtio_add_queue(&two, SIZE, own), 1);
	assert_int_equal(virtio_attach(&two, &p), 0);
	props_free(&p);
	fake_start(0, SIZE);
	handler = be_slow;
	for (i = 0; i < 4; i++) {
		fake_desc(i / 2, i % 2, FAKE_DATA, 8, 0, 0);
		fake_add_quietly(i / 2, (u16)(i % 2));
	}
	virtqueue_kick(&two.queue[1]);
	virtqueue_kick(&two.queue[0]);
	assert_int_equal(handled[0], 1);
	assert_int_equal(handled[1], 1);
	loop_run(fake.board.loop);
	assert_int_equal(handled[0], 2);
	assert_int_equal(handled[1], 1);
	loop_run(own);
	assert_int_equal(handled[1], 2);
	virtio_detach(&two);
	loop_free(own);
}

/* --- random rings ----------------------------------------------------------------------------- */

static u32 seed = 1;

static u32 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

/* Descriptors that are mostly plausible. */
static void random_table(u64 gpa)
{
	unsigned int i;

	for (i = 0; i < SIZE; i++) {
		u64 addr = rnd() % 8 ? FAKE_DATA + rnd() % 0x1000 : (u64)rnd() << (rnd() % 40);
		u32 len = rnd() % 8 ? rnd() % 256 : rnd();
		u16 words[2] = { (u16)(rnd() % 8), (u16)(rnd() % (SIZE + 1)) };

		if (rnd() % 4 == 0) {
			addr = fake_queue(0) + FAKE_INDIRECT;
			len = rnd() % 8 * 16;
		}
		memcpy(fake_at(gpa + i * 16), &addr, 8);
		memcpy(fake_at(gpa + i * 16 + 8), &len, 4);
		memcpy(fake_at(gpa + i * 16 + 12), words, 4);
	}
}

static void check_chain(void)
{
	unsigned int i;

	assert_true(chain.nout + chain.nin > 0 && chain.nout + chain.nin <= chain.max);
	for (i = 0; i < chain.nout + chain.nin; i++) {
		u8 *p = iov[i].iov_base;

		assert_true(p >= fake.mem.host);
		assert_true(p + iov[i].iov_len <= fake.mem.host + FAKE_RAM);
	}
}

static void fuzz(u64 features)
{
	unsigned int round, pops = 0, n;
	u16 *avail;

	for (round = 0; round < 20000; round++) {
		fake_start(features, SIZE);
		dev.complaints = 100;		/* silent */
		random_table(fake_queue(0));
		random_table(fake_queue(0) + FAKE_INDIRECT);
		avail = fake_at(fake_queue(0) + FAKE_AVAIL);
		for (n = 0; n < 3 + SIZE; n++)
			avail[n] = rnd() % 16 ? (u16)(rnd() % SIZE) : (u16)rnd();
		if (features & VIRTIO_F_PACKED)
			for (n = 0; n < SIZE; n++)
				((u8 *)fake_at(fake_queue(0)))[n * 16 + 14] |= rnd() % 4 ? 0x80 : 0;
		for (n = 0; n < 32 && virtqueue_pop(queue(), &chain); n++) {
			check_chain();
			pops++;
			if (rnd() % 4 == 0)
				continue;	/* keeps it */
			virtqueue_push(queue(), &chain, rnd());
			virtqueue_signal(queue());
		}
		assert_true(n <= SIZE * 4);
	}
	assert_true(pops > 1000);
}

static void test_random(void **state)
{
	(void)state;
	fuzz(VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX);
	fuzz(0);
	fuzz(VIRTIO_F_PACKED | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_split), TEST(test_pieces), TEST(test_indirect), TEST(test_event_idx),
		TEST(test_flags), TEST(test_wrap_and_unpop), TEST(test_packed), TEST(test_broken),
		TEST(test_too_many_buffers), TEST(test_bad_queues), TEST(test_negotiation),
		TEST(test_config), TEST(test_queue_reset), TEST(test_reset_of_one_queue),
		TEST(test_kicks), TEST(test_endless), TEST(test_loops), TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

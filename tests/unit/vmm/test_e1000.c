/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The network card e1000: its EEPROM by wire and by register, frames in both
 * directions with all that it does to them, and rings that are no rings.
 */
#include "../../../vmm/backends/net/net.h"
#include "pc_fake.h"

#define RX 0x10000
#define TX 0x11000
#define BUFFERS 0x20000
#define RING 8

extern const struct device_class e1000_class;

static struct device *dev;
static struct net wire;
static struct {
	struct net_header h;
	u8 bytes[NET_FRAME_MAX];
	size_t len;
} sent[64];
static unsigned int count;

static u64 slowly;		/* ns that the wire takes for a frame */

static void on_send(struct net *n, const struct net_header *h, u8 *frame, size_t len)
{
	const u64 start = monotonic_ns();

	(void)n;
	if (slowly) {
		while (monotonic_ns() - start < slowly)
			;
		count++;
		return;
	}
	assert_true(count < ARRAY_SIZE(sent));
	sent[count].h = *h;
	assert_true(net_checksum(h, frame, len));
	memcpy(sent[count].bytes, frame, len);
	sent[count++].len = len;
}

static void on_destroy(void *n)
{
	(void)n;
}

static void wr(unsigned int reg, u32 v)
{
	pc_write(0, reg, v, 4);
}

static u32 rd(unsigned int reg)
{
	return pc_read(0, reg, 4);
}

static int setup(void **state)
{
	static const struct net_ops ops = { .send = on_send };

	if (pc_setup(state))
		return -1;
	count = 0;
	memset(&wire, 0, sizeof(wire));
	net_init(&wire, &ops);
	wire.takes = NET_CSUM | NET_TSO4;
	memcpy(wire.mac, "\x52\x54\0\x12\x34\x56", 6);
	registry_add(pc.board.backends, "net", "wire", &wire, on_destroy);
	dev = pc_device(&e1000_class, "e1000,net=wire");
	if (!dev)
		return -1;
	wr(0x2800, RX);
	wr(0x2808, RING * 16);
	wr(0x3800, TX);
	wr(0x3808, 64 * 16);
	wr(0x00d0, ~0u);
	wr(0x0100, 1 << 1 | 1 << 15);
	wr(0x0400, 1 << 1);
	return 0;
}

static int teardown(void **state)
{
	e1000_class.destroy(dev);
	return pc_teardown(state);
}

/* --- the EEPROM --------------------------------------------------------------------- */

static void clock_bit(bool in)
{
	wr(0x10, 0x42 | in << 2);
	wr(0x10, 0x43 | in << 2);
}

static u16 by_wire(unsigned int word)
{
	const unsigned int command = 6 << 6 | word;
	u16 v = 0;
	int i;

	wr(0x10, 0x40);
	for (i = 8; i >= 0; i--)
		clock_bit(command >> i & 1);
	assert_int_equal(rd(0x10) & 8, 0);
	for (i = 0; i < 16; i++) {
		clock_bit(false);
		v = (u16)(v << 1 | (rd(0x10) >> 3 & 1));
	}
	wr(0x10, 0);
	return v;
}

static void eeprom(void **state)
{
	u16 sum = 0;
	unsigned int i;

	(void)state;
	for (i = 0; i < 64; i++) {
		sum = (u16)(sum + by_wire(i));
		wr(0x14, i << 8 | 1);
		assert_int_equal(rd(0x14) >> 16, by_wire(i));
	}
	assert_int_equal(sum, 0xbaba);
	assert_int_equal(by_wire(0), 0x5452);
	wr(0x14, 0xff01);			/* beyond its end */
	assert_int_equal(rd(0x14) >> 16, 0);
	wr(0x20, 2 << 26 | 1 << 21 | 2 << 16);	/* the transceiver's identity */
	assert_int_equal(rd(0x20) & 0x1000ffff, 0x10000141);
	wr(0x20, 2 << 26 | 5 << 21);
	assert_int_equal(rd(0x20) >> 30 & 1, 1);
}

/* --- from the driver ------------------------------------------------------------------ */

static unsigned int tail;

static void describe(u64 addr, u32 low, u32 high)
{
	u32 d[4] = { (u32)addr, (u32)(addr >> 32), low, high };

	memcpy(pc_at(TX + tail * 16), d, sizeof(d));
	tail = (tail + 1) % 64;
}

static void go(void)
{
	wr(0x3818, tail);
	assert_int_equal(rd(0x3810), tail);
}

/* Ethernet, IPv4, TCP, and so much data. */
static size_t packet(u8 *p, size_t data)
{
	static const u8 head[54] = { 2, 2, 2, 2, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0,
		0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2,
		0x04, 0, 0x00, 80, 0, 0, 0x10, 0, 0, 0, 0, 1, 0x50, 0x19, 0xff, 0xff, 0, 0, 0, 0 };
	size_t i;

	memcpy(p, head, sizeof(head));
	for (i = 0; i < data; i++)
		p[sizeof(head) + i] = (u8)(i * 7);
	return sizeof(head) + data;
}

static u16 sum(const u8 *p, size_t len, u32 start)
{
	u32 s = start;
	size_t i;

	for (i = 0; i < len; i++)
		s += i & 1 ? p[i] : (u32)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (u16)s;
}

/* Both checksums of a packet as above. */
static void assert_sums(const u8 *p, size_t len)
{
	assert_int_equal(p[16] << 8 | p[17], len - 14);
	assert_int_equal(sum(p + 14, 20, 0), 0xffff);
	assert_int_equal(sum(p + 34, len - 34, (u32)(sum(p + 26, 8, 0) + 6 + len - 34)), 0xffff);
}

static void context(u8 command, u16 mss)
{
	tail = 0;
	wr(0x3810, 0);
	/* ipcss, ipcso, ipcse; tucss, tucso */
	describe(14 | 24 << 8 | 33 << 16 | (u64)34 << 32 | (u64)50 << 40,
		 (u32)(0x20 | command) << 24, 54u << 8 | (u32)mss << 16);
}

static void plain_and_pieces(void **state)
{
	u8 *b = pc_at(BUFFERS);

	(void)state;
	tail = 0;
	memset(b, 0x42, 100);
	describe(BUFFERS, 60 | 0x0bu << 24, 0);		/* last, report */
	describe(BUFFERS, 20 | 0x02u << 24, 0);
	describe(BUFFERS + 40, 50 | 0x0bu << 24, 0);
	go();
	assert_int_equal(count, 2);
	assert_int_equal(sent[0].len, 60);
	assert_int_equal(sent[1].len, 70);
	assert_int_equal(*(u8 *)pc_at(TX + 12) & 1, 1);
	assert_int_equal(*(u8 *)pc_at(TX + 28) & 1, 0);
	assert_true(pc_intx());
	assert_int_equal(rd(0xc0) & 1, 1);
	assert_false(pc_intx());
}

static void checksums(void **state)
{
	u8 *b = pc_at(BUFFERS);
	size_t len = packet(b, 200);
	u16 pseudo = sum(b + 26, 8, 6 + 220);

	(void)state;
	b[16] = (u8)((len - 14) >> 8);
	b[17] = (u8)(len - 14);
	b[50] = (u8)(pseudo >> 8);
	b[51] = (u8)pseudo;
	context(0x03, 0);
	describe(BUFFERS, (u32)len | 0x2bu << 24 | 1 << 20, 3 << 8);
	go();
	assert_int_equal(count, 1);
	assert_int_equal(sent[0].h.flags, NET_NEEDS_CSUM);
	assert_sums(sent[0].bytes, len);
}

static void segments(unsigned int takes, unsigned int want)
{
	u8 *b = pc_at(BUFFERS);
	size_t len = packet(b, 3500), at = 0;
	u16 pseudo = sum(b + 26, 8, 6);
	unsigned int i;

	wire.takes = takes;
	b[50] = (u8)(pseudo >> 8);
	b[51] = (u8)pseudo;
	context(0x07, 1000);
	describe(BUFFERS, 54 | 0x26u << 24 | 1 << 20, 3 << 8);
	describe(BUFFERS + 54, (u32)(len - 54) | 0x2fu << 24 | 1 << 20, 3 << 8);
	go();
	assert_int_equal(count, want);
	for (i = 0; i < count; i++) {
		const u8 *p = sent[i].bytes;

		assert_sums(p, sent[i].len);
		assert_int_equal(p[40] << 8 | p[41], 0x1000 + (want > 1 ? at : 0));
		assert_int_equal(p[47] & 9, i == count - 1 ? 9 : 0);
		assert_memory_equal(p + 54, b + 54 + at, sent[i].len - 54);
		at += sent[i].len - 54;
	}
	assert_int_equal(at, 3500);
}

static void segments_here(void **state)
{
	(void)state;
	segments(NET_CSUM, 4);
}

static void segments_there(void **state)
{
	(void)state;
	segments(NET_CSUM | NET_TSO4, 1);
	assert_int_equal(sent[0].h.gso_type, NET_GSO_TCPV4);
	assert_int_equal(sent[0].h.gso_size, 1000);
}

/* More segments than any driver makes of a packet. */
static void many_segments(void **state)
{
	size_t len = packet(pc_at(BUFFERS), 60000);

	(void)state;
	wire.takes = NET_CSUM;
	context(0x07, 8);
	describe(BUFFERS, (u32)len | 0x2fu << 24 | 1 << 20, 3 << 8);
	go();
	assert_int_equal(count, 0);
}

/* The beginning of a frame that a reset came after. */
static void half_a_frame(void **state)
{
	(void)state;
	describe(BUFFERS, 40, 0);
	go();
	wr(0, 1u << 26);
	wr(0x3800, TX);
	wr(0x3808, 64 * 16);
	wr(0x0400, 1 << 1);
	tail = 0;
	describe(BUFFERS, 60 | 0x09u << 24, 0);
	go();
	assert_int_equal(count, 1);
	assert_int_equal(sent[0].len, 60);
}

static void tagged(void **state)
{
	(void)state;
	tail = 0;
	wr(0, 1u << 30);
	memset(pc_at(BUFFERS), 0x42, 60);
	describe(BUFFERS, 60 | 0x4bu << 24, 0x0123u << 16);
	go();
	assert_int_equal(sent[0].len, 64);
	assert_memory_equal(sent[0].bytes + 12, "\x81\0\x01\x23\x42", 5);
}

/* --- to the driver ---------------------------------------------------------------------- */

static bool give(const u8 *frame, size_t len)
{
	static const struct net_header none;
	bool waits;

	net_lock(&wire);
	waits = net_deliver(&wire, &none, frame, len);
	net_unlock(&wire);
	return !waits;
}

static void offer(unsigned int from, unsigned int to)
{
	unsigned int i;

	for (i = from; i != to; i = (i + 1) % RING) {
		u64 d[2] = { BUFFERS + i * 4096, 0 };

		memcpy(pc_at(RX + i * 16), d, sizeof(d));
	}
	wr(0x2818, to);
}

static void receiving(void **state)
{
	u8 frame[5000] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
	const u8 *d = pc_at(RX);

	(void)state;
	memset(frame + 12, 0x77, sizeof(frame) - 12);
	assert_false(give(frame, 100));			/* waits: there is no room */
	offer(0, 6);
	assert_int_equal(d[8] | d[9] << 8, 104);
	assert_int_equal(d[12] & 3, 3);
	assert_int_equal(rd(0x2810), 1);
	assert_true(rd(0xc0) & 0x80);
	assert_true(give(frame, 42));			/* grows to 60, and its check sequence */
	assert_int_equal(d[24] | d[25] << 8, 64);
	assert_true(give(frame, 5000));			/* too long for what is allowed */
	assert_int_equal(rd(0x2810), 2);
	wr(0x0100, 1 << 1 | 1 << 5);
	assert_true(give(frame, 5000));			/* three buffers */
	assert_int_equal(rd(0x2810), 5);
	assert_int_equal(d[2 * 16 + 12] & 3, 1);
	assert_int_equal(d[4 * 16 + 12] & 3, 3);
	assert_int_equal(d[4 * 16 + 8] | d[4 * 16 + 9] << 8, 5004 - 4096);
	frame[5] ^= 1;					/* somebody else's */
	assert_true(give(frame, 100));
	assert_int_equal(rd(0x2810), 5);
	wr(0x0100, 1 << 1 | 1 << 3);
	assert_true(give(frame, 100));
	assert_int_equal(rd(0x2810), 6);
}

static void receiving_tagged(void **state)
{
	u8 frame[64] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56, 1, 1, 1, 1, 1, 1, 0x81, 0, 1, 0x23, 8 };
	const u8 *d = pc_at(RX);

	(void)state;
	offer(0, 6);
	wr(0, 1u << 30);
	assert_true(give(frame, 64));
	assert_int_equal(d[8], 64);
	assert_int_equal(d[12] & 8, 8);
	assert_int_equal(d[14] | d[15] << 8, 0x123);
	assert_int_equal(((u8 *)pc_at(BUFFERS))[12], 8);
	wr(0x0100, 1 << 1 | 1 << 18);			/* only VLANs of the table */
	assert_true(give(frame, 64));
	assert_int_equal(rd(0x2810), 1);
	wr(0x5600 + 4 * (0x123 / 32), 1 << 3);
	assert_true(give(frame, 64));
	assert_int_equal(rd(0x2810), 2);
}

/* Rings outside of memory, without entries, and ends that lie beyond them. */
static void bad_rings(void **state)
{
	u8 frame[64] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

	(void)state;
	wr(0x2818, 60000);
	assert_false(give(frame, 64));
	wr(0x2808, 0);
	wr(0x2818, 0);
	wr(0x2804, 0xffffffff);
	wr(0x2808, 0xfffff);
	wr(0x2818, 5);
	assert_true(rd(0x2810) < 6);
	wr(0x3804, 0xffffffff);
	wr(0x3818, 5);
	wr(0x3808, 0);
	wr(0x3818, 60000);
	assert_int_equal(count, 0);
	pc_write(1, 0, 0, 4);				/* by the ports: a reset */
	pc_write(1, 4, 1u << 26, 4);
	assert_int_equal(rd(0x2808), 0);
	assert_int_equal(rd(0x5400), 0x12005452);
}

static struct timer *late;

static void on_late(void *arg)
{
	(void)arg;
	if (count < 1000)
		timer_set(late, monotonic_ns() + NSEC / 1000);
	else
		loop_stop(pc.board.loop);
}

/* A long ring on a slow wire does not keep the processor that rings; the rest comes later. */
static void long_ring(void **state)
{
	unsigned int i;

	(void)state;
	wr(0x3808, 1024 * 16);
	for (i = 0; i < 1000; i++) {
		const u32 d[4] = { BUFFERS, 0, 1 << 24 | 60, 0 };

		memcpy(pc_at(TX + i * 16), d, sizeof(d));
	}
	slowly = 200000;
	wr(0x3818, 1000);
	assert_true(count > 0 && count < 1000);
	assert_true(rd(0x3810) < 1000);
	assert_int_equal(rd(0x00c0) & 2, 2);	/* of what is done */
	wr(0x3818, 1000);			/* again, which changes nothing */
	late = timer_new(pc.board.loop, on_late, NULL);
	timer_set(late, 1);
	loop_run(pc.board.loop);
	timer_free(late);
	slowly = 0;
	assert_int_equal(count, 1000);
	assert_int_equal(rd(0x3810), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(eeprom, setup, teardown),
		cmocka_unit_test_setup_teardown(plain_and_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(checksums, setup, teardown),
		cmocka_unit_test_setup_teardown(segments_here, setup, teardown),
		cmocka_unit_test_setup_teardown(segments_there, setup, teardown),
		cmocka_unit_test_setup_teardown(many_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(tagged, setup, teardown),
		cmocka_unit_test_setup_teardown(receiving, setup, teardown),
		cmocka_unit_test_setup_teardown(receiving_tagged, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_rings, setup, teardown),
		cmocka_unit_test_setup_teardown(long_ring, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

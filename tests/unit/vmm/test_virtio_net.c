/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The network card: frames both ways, offloads, the control queue, hostile rings. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../../vmm/backends/net/hostfwd.h"
#include "../../../vmm/backends/net/net.h"
#include "../../../vmm/backends/registry.h"
#include "virtio_fake.h"

extern const struct device_class virtio_net_class;

#define SIZE 64
#define ROUNDS 20000
enum { RX, TX, CONTROL };

#define F_CSUM VIRTIO_BIT(0)
#define F_GUEST_CSUM VIRTIO_BIT(1)
#define F_GUEST_OFFLOADS VIRTIO_BIT(2)
#define F_GUEST_TSO4 VIRTIO_BIT(7)
#define F_HOST_TSO4 VIRTIO_BIT(11)
#define F_MERGE VIRTIO_BIT(15)
#define F_CTRL_VQ VIRTIO_BIT(17)
#define F_CTRL_RX VIRTIO_BIT(18)
#define F_CTRL_MAC VIRTIO_BIT(23)
#define F_CTRL (F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC | F_GUEST_OFFLOADS)

static struct outside {
	struct net *net;
	unsigned int frames, flushes, taken;
	struct net_header header;
	u8 frame[NET_FRAME_MAX];
	size_t len;
} out;

static struct device *card;

static void sent(struct net *n, const struct net_header *h, u8 *frame, size_t len)
{
	assert_ptr_equal(n, out.net);
	assert_true(len >= NET_FRAME_MIN && len <= NET_FRAME_MAX);
	out.frames++;
	out.header = *h;
	out.len = len;
	memcpy(out.frame, frame, len);
}

static void flushed(struct net *n)
{
	(void)n;
	out.flushes++;
}

static void taken(struct net *n, unsigned int offloads)
{
	(void)n;
	out.taken = offloads;
}

static void gone(struct net *n)
{
	free(n);
}

static const struct net_ops ops = {
	.send = sent, .flush = flushed, .offloads = taken, .destroy = gone,
};

static void free_net(void *backend)
{
	net_connect(backend, NULL, 0);
	gone(backend);
}

static struct device *make(const char *text)
{
	struct props p;
	struct device *d = NULL;

	if (props_parse(&p, text) == 0)
		d = virtio_net_class.create(&fake.board, &p);
	props_free(&p);
	return d;
}

static int setup(void **state)
{
	fake_setup(state);
	memset(&out, 0, sizeof(out));
	out.net = calloc(1, sizeof(*out.net));
	net_init(out.net, &ops);
	out.net->takes = out.net->gives = NET_CSUM | NET_TSO4;
	fake.board.backends = registry_new();
	registry_add(fake.board.backends, "net", "n", out.net, free_net);
	card = make("virtio-net,net=n,mac=02:00:00:00:00:01");
	return card ? 0 : -1;
}

static int teardown(void **state)
{
	if (card)
		virtio_net_class.destroy(card);
	registry_free(fake.board.backends);
	return fake_teardown(state);
}

static bool broken(void)
{
	return fake.v->status & VIRTIO_STATUS_NEEDS_RESET;
}

/* --- frames of the driver ------------------------------------------------------------ */

static void put_header(u8 flags, u8 gso, u16 start, u16 offset)
{
	const struct net_header h = { flags, gso, 0, 0, start, offset, 0 };

	memcpy(fake_at(FAKE_DATA), &h, sizeof(h));
}

/* Sends the header and `len` bytes after it as one buffer. */
static void transmit(u32 len)
{
	fake_desc(TX, 0, FAKE_DATA, len, 0, 0);
	fake_add(TX, 0);
}

static void test_send(void **state)
{
	unsigned int i;
	u32 id, len;

	(void)state;
	fake_start(F_CSUM | F_HOST_TSO4, SIZE);
	put_header(0, 0, 0, 0);
	for (i = 0; i < 200; i++)
		((u8 *)fake_at(FAKE_DATA + NET_HEADER))[i] = (u8)i;
	transmit(NET_HEADER + 60);
	assert_int_equal(out.frames, 1);
	assert_int_equal(out.flushes, 1);
	assert_int_equal(out.len, 60);
	assert_memory_equal(out.frame, fake_at(FAKE_DATA + NET_HEADER), 60);
	assert_int_equal(fake_used(TX, &id, &len), 1);
	assert_int_equal(len, 0);
	assert_int_equal(fake.interrupts[TX], 1);
	/* in pieces, the header among them */
	fake_desc(TX, 0, FAKE_DATA, 5, 1, 1);
	fake_desc(TX, 1, FAKE_DATA + 5, 20, 1, 2);
	fake_desc(TX, 2, FAKE_DATA + 25, 175, 0, 0);
	fake_add(TX, 0);
	assert_int_equal(out.frames, 2);
	assert_int_equal(out.len, 200 - NET_HEADER);
	assert_memory_equal(out.frame, fake_at(FAKE_DATA + NET_HEADER), out.len);
	put_header(NET_NEEDS_CSUM, NET_GSO_TCPV4, 34, 16);
	transmit(NET_HEADER + 60000);
	assert_int_equal(out.frames, 3);
	assert_int_equal(out.header.gso_type, NET_GSO_TCPV4);
	assert_int_equal(out.header.csum_start, 34);
	assert_false(broken());
}

/* What was not agreed on, is too short or too long is given back, and not sent. */
static void test_send_refused(void **state)
{
	static const u32 bad[] = { 1, 11, NET_HEADER, NET_HEADER + 13,
		NET_HEADER + NET_FRAME_MAX + 1, MIB };
	unsigned int i, given = 0;

	(void)state;
	fake_start(F_CSUM, SIZE);
	put_header(0, 0, 0, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		transmit(bad[i]);
		assert_int_equal(fake_used(TX, NULL, NULL), ++given);
	}
	put_header(NET_NEEDS_CSUM, NET_GSO_TCPV4, 34, 16);
	transmit(200);
	put_header(NET_NEEDS_CSUM, 77, 34, 16);
	transmit(200);
	put_header(0x80, 0, 0, 0);
	transmit(200);
	put_header(0, NET_GSO_ECN, 0, 0);
	transmit(200);
	fake_desc(TX, 0, FAKE_DATA, 200, 2, 0);		/* nothing to send at all */
	fake_add(TX, 0);
	assert_int_equal(fake_used(TX, NULL, NULL), given + 5);
	assert_int_equal(out.frames, 0);
	assert_false(broken());
	fake_start(0, SIZE);
	put_header(NET_NEEDS_CSUM, 0, 34, 16);
	transmit(200);
	assert_int_equal(out.frames, 0);
	fake_start(F_HOST_TSO4 | F_CSUM, SIZE);
	put_header(0, NET_GSO_TCPV4, 0, 0);		/* segments without checksums */
	transmit(200);
	assert_int_equal(out.frames, 0);
}

static void test_send_outside(void **state)
{
	(void)state;
	fake_start(0, SIZE);
	fake_desc(TX, 0, FAKE_RAM - 8, 100, 0, 0);
	fake_add(TX, 0);
	assert_true(broken());
	assert_int_equal(out.frames, 0);
}

/* --- frames to the driver ------------------------------------------------------------ */

static u8 wire[NET_FRAME_MAX];

static bool arrive(const u8 *mac, size_t len, u8 flags)
{
	const struct net_header h = { .flags = flags };
	bool full;
	size_t i;

	for (i = 0; i < len; i++)
		wire[i] = (u8)(i * 7);
	memcpy(wire, mac, 6);
	net_lock(out.net);
	full = net_deliver(out.net, &h, wire, len);
	net_unlock(out.net);
	return full;
}

static const u8 me[] = { 2, 0, 0, 0, 0, 1 }, other[] = { 2, 0, 0, 0, 0, 2 },
	many[] = { 1, 0, 94, 0, 0, 5 }, all[] = { 255, 255, 255, 255, 255, 255 };

static void offer(u16 i, u64 at, u32 len)
{
	fake_desc(RX, i, at, len, 2, 0);
	fake_add(RX, i);
}

static void test_receive(void **state)
{
	struct net_header h;
	u32 id, len;

	(void)state;
	fake_start(F_GUEST_CSUM, SIZE);
	assert_int_equal(out.taken, NET_CSUM);
	offer(0, FAKE_DATA, 1526);
	assert_false(arrive(me, 60, NET_DATA_VALID));
	assert_int_equal(fake_used(RX, &id, &len), 1);
	assert_int_equal(len, NET_HEADER + 60);
	memcpy(&h, fake_at(FAKE_DATA), sizeof(h));
	assert_int_equal(h.num_buffers, 1);
	assert_int_equal(h.flags, NET_DATA_VALID);
	assert_memory_equal(fake_at(FAKE_DATA + NET_HEADER), wire, 60);
	/* two that wait until there are buffers, in their order */
	assert_true(arrive(me, 60, 0));
	assert_true(arrive(me, 90, 0));
	assert_int_equal(fake_used(RX, NULL, NULL), 1);
	offer(1, FAKE_DATA, 1526);
	fake_used(RX, &id, &len);
	assert_int_equal(len, NET_HEADER + 60);
	offer(2, FAKE_DATA, 1526);
	assert_int_equal(fake_used(RX, &id, &len), 3);
	assert_int_equal(len, NET_HEADER + 90);
	/* one that no buffer can hold vanishes, and the buffer stays */
	offer(3, FAKE_DATA, 100);
	assert_false(arrive(me, 1000, 0));
	assert_int_equal(fake_used(RX, NULL, NULL), 3);
	assert_false(arrive(me, 80, 0));
	assert_int_equal(fake_used(RX, NULL, NULL), 4);
	virtio_set_status(fake.v, 0);
	assert_false(arrive(me, 60, 0));
	fake_start(0, SIZE);
	assert_int_equal(out.taken, 0);
	offer(0, FAKE_DATA, 1526);
	arrive(me, 60, NET_DATA_VALID);
	assert_int_equal(*(u8 *)fake_at(FAKE_DATA), 0);
}

static void test_merge(void **state)
{
	struct net_header h;
	u16 i;
	u32 id, len;

	(void)state;
	fake_start(F_MERGE, SIZE);
	for (i = 0; i < 3; i++)
		offer(i, FAKE_DATA + i * 100, 100);
	assert_true(arrive(me, 300, 0));	/* 12 bytes too few */
	assert_int_equal(fake_used(RX, NULL, NULL), 0);
	offer(3, FAKE_DATA + 300, 100);
	assert_int_equal(fake_used(RX, &id, &len), 4);
	assert_int_equal(id, 3);
	assert_int_equal(len, 12);
	memcpy(&h, fake_at(FAKE_DATA), sizeof(h));
	assert_int_equal(h.num_buffers, 4);
	assert_memory_equal(fake_at(FAKE_DATA + NET_HEADER), wire, 300);
	/* more buffers than a frame may take: it vanishes, they stay */
	for (i = 4; i < SIZE; i++)
		offer(i, FAKE_DATA + i * 100, 20);
	for (i = 0; i < 4; i++)
		offer(i, FAKE_DATA + i * 100, 20);
	assert_false(arrive(me, 1300, 0));
	assert_int_equal(fake_used(RX, NULL, NULL), 4);
	assert_false(arrive(me, 1200, 0));
	assert_int_equal(fake_used(RX, NULL, NULL), 4 + 61);
	assert_false(broken());
}

static void test_flood(void **state)
{
	unsigned int i;

	(void)state;
	fake_start(0, SIZE);
	for (i = 0; i < 2000; i++)
		arrive(me, 1514, 0);
	assert_true(out.net->pending_bytes <= NET_PENDING_MAX);
	virtio_set_status(fake.v, 0);
	assert_null(out.net->pending);
	assert_int_equal(out.net->pending_bytes, 0);
}

static void test_bad_buffers(void **state)
{
	(void)state;
	fake_start(F_MERGE, SIZE);
	offer(0, FAKE_DATA, 11);		/* not even a header */
	arrive(me, 60, 0);
	assert_true(broken());
	fake_start(F_MERGE, SIZE);
	fake_desc(RX, 0, FAKE_DATA, 2000, 0, 0);	/* nothing to write to */
	fake_add(RX, 0);
	arrive(me, 60, 0);
	assert_true(broken());
	fake_start(0, SIZE);
	offer(0, FAKE_RAM, 2000);
	arrive(me, 60, 0);
	assert_true(broken());
}

/* --- the control queue --------------------------------------------------------------- */

/* A command: its status. */
static u8 command(const void *data, u32 len)
{
	memcpy(fake_at(FAKE_DATA), data, len);
	*(u8 *)fake_at(FAKE_DATA + 4096) = 77;
	fake_desc(CONTROL, 0, FAKE_DATA, len, 1, 1);
	fake_desc(CONTROL, 1, FAKE_DATA + 4096, 1, 2, 0);
	fake_add(CONTROL, 0);
	return *(u8 *)fake_at(FAKE_DATA + 4096);
}

static bool comes(const u8 *mac)
{
	u16 before = fake_used(RX, NULL, NULL);

	offer(0, FAKE_DATA, 1526);
	arrive(mac, 60, 0);
	if (fake_used(RX, NULL, NULL) != before)
		return true;
	arrive(all, 60, 0);		/* takes the buffer */
	return false;
}

static void test_filter(void **state)
{
	u8 tables[2 + 4 + 6 + 4 + 65 * 6] = { 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 2, 1 };

	(void)state;
	fake_start(0, SIZE);
	assert_true(comes(other) && comes(many) && comes(me));	/* nobody can ask */
	fake_start(F_CTRL, SIZE);
	assert_true(comes(me) && comes(all) && !comes(other) && !comes(many));
	memcpy(tables + 16, many, 6);
	assert_int_equal(command(tables, 22), 0);
	assert_true(comes(me) && comes(other) && comes(many));
	assert_int_equal(command("\1\0\0\0\0\0\0\0\0", 10), 0);
	assert_true(comes(me) && !comes(other) && !comes(many));
	assert_int_equal(command("\0\1\1", 3), 0);
	assert_true(!comes(other) && comes(many));
	assert_int_equal(command("\0\0\1", 3), 0);
	assert_true(comes(other));
	assert_int_equal(command("\0\0", 3), 0);
	assert_int_equal(command("\0\1", 3), 0);
	assert_true(!comes(other) && !comes(many));
	tables[12] = 65;				/* more than are kept */
	assert_int_equal(command(tables, sizeof(tables)), 0);
	assert_true(comes(many) && comes(other));
	assert_int_equal(command("\1\1\2\0\0\0\0\2", 8), 0);
	assert_true(comes(other) && fake.v->config[5] == 2);
	assert_int_equal(command("\5\0\2\0\0\0\0\0\0\0", 10), 1);	/* was not agreed on */
	fake_start(F_CTRL | F_GUEST_CSUM | F_GUEST_TSO4, SIZE);
	assert_int_equal(out.taken, NET_CSUM | NET_TSO4);
	assert_int_equal(command("\5\0\2\0\0\0\0\0\0\0", 10), 0);
	assert_int_equal(out.taken, NET_CSUM);
}

/* A queue that is reset alone takes nothing of the card with it. */
static void test_queue_reset(void **state)
{
	(void)state;
	fake_start(F_CTRL | VIRTIO_F_RING_RESET, SIZE);
	assert_int_equal(command("\0\1\1", 3), 0);	/* all of many */
	arrive(many, 60, 0);				/* waits */
	fake_restart_queue(RX);
	offer(0, FAKE_DATA, 1526);
	assert_int_equal(fake_used(RX, NULL, NULL), 1);
	assert_true(comes(many) && comes(me) && !comes(other));
	fake_restart_queue(TX);
	assert_true(comes(many) && !comes(other));
}

static void test_bad_commands(void **state)
{
	static const char bad[][11] = {
		"\0\0", "\1\1\2\0\0", "\1\1\2\0\0\0\0\2\0", "\1\0\1\0\0\0", "\1\0\377\377\377\377",
		"\1\0\0\0\0\0\0\0\0", "\1\0\0\0\0\0\377\377\377\177", "\5\0\1",
		"\1\7\1", "\377\377\1",
		"\4\0\1\0",
	};
	static const u8 len[] = { 2, 5, 9, 8, 6, 9, 10, 3, 3, 3, 4 };
	unsigned int i;

	(void)state;
	fake_start(F_CTRL, SIZE);
	assert_int_equal(command("\0", 1), 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(command(bad[i], len[i]), 1);
	fake_start(F_CTRL_VQ, SIZE);
	assert_int_equal(command("\0\0\1", 3), 1);
	assert_int_equal(command("\1\1\2\0\0\0\0\2", 8), 1);
	assert_false(broken());
	fake_desc(CONTROL, 0, FAKE_DATA, 3, 0, 0);
	fake_add(CONTROL, 0);
	assert_true(broken());
}

/* --- anything ------------------------------------------------------------------------ */

static u32 seed = 7;

static u32 rnd(u32 n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void random_desc(unsigned int queue)
{
	static const u64 base[] = { FAKE_DATA, FAKE_DATA, FAKE_DATA, 0, FAKE_RAM - 64, FAKE_QUEUE };
	static const u32 most[] = { 4, 20, 2000, 70000, 200000 };
	u16 flags = (u16)(rnd(3) ? (queue == RX) * 2 : rnd(8));

	fake_desc(queue, rnd(SIZE), base[rnd(ARRAY_SIZE(base))] + rnd(1000),
		  1 + rnd(most[rnd(ARRAY_SIZE(most))]), flags, (u16)rnd(SIZE + 2));
}

/* Whatever the rings hold, the device stays within guest memory and its own. */
static void test_random(void **state)
{
	static const u64 sets[] = { 0, F_MERGE, F_CTRL | F_CSUM, VIRTIO_F_INDIRECT | F_MERGE,
		F_CTRL | F_CSUM | F_HOST_TSO4 | F_MERGE | VIRTIO_F_EVENT_IDX };
	unsigned int i, queue;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		if (i % 50 == 0 || broken())
			fake_start(sets[rnd(ARRAY_SIZE(sets))], SIZE);
		queue = rnd(3);
		random_desc(queue);
		random_desc(queue);
		((u8 *)fake_at(FAKE_DATA))[rnd(64)] = (u8)rnd(256);
		fake_add(queue, (u16)rnd(SIZE + (rnd(100) == 0)));
		arrive(rnd(2) ? all : me, 14 + rnd(rnd(2) ? 1500 : 65000), 0);
	}
}

/* --- the rest ------------------------------------------------------------------------ */

static void test_properties(void **state)
{
	static const char *const bad[] = {
		"virtio-net", "virtio-net,net=absent", "virtio-net,net=n",	/* has a card */
	};
	static const char *const macs[] = { "", "1:2:3:4:5:6", "02:00:00:00:00:0g",
		"01:00:00:00:00:00", "02:00:00:00:00:01:02", "02:00:00:00:00:012" };
	char text[64];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(make(bad[i]));
	virtio_net_class.destroy(card);
	card = NULL;
	for (i = 0; i < ARRAY_SIZE(macs); i++) {
		snprintf(text, sizeof(text), "virtio-net,net=n,mac=%s", macs[i]);
		assert_null(make(text));
	}
	assert_null(make("virtio-net,net=n,frames=many"));
	card = make("virtio-net,net=n");
	assert_non_null(card);
}

static void test_checksum(void **state)
{
	struct net_header h = { .flags = NET_NEEDS_CSUM, .csum_start = 4, .csum_offset = 2 };
	u8 f[10] = { 9, 9, 9, 9, 0x12, 0x34, 0, 0, 0xff, 0xee };

	(void)state;
	assert_true(net_checksum(&h, f, 9));	/* of 1234 0000 ff: an odd number of bytes */
	assert_memory_equal(f + 6, "\xee\xca", 2);
	memset(f, 0xff, sizeof(f));
	memset(f + 6, 0, 2);
	assert_true(net_checksum(&h, f, 10));
	assert_memory_equal(f + 6, "\xff\xff", 2);	/* never zero */
	h.csum_offset = 5;
	assert_false(net_checksum(&h, f, 10));
	h.csum_offset = 0xffff;
	assert_false(net_checksum(&h, f, 10));
	h.csum_start = 10;
	h.csum_offset = 0;
	assert_false(net_checksum(&h, f, 10));
	h.flags = 0;
	assert_true(net_checksum(&h, f, 10));
}

static void test_hostfwd(void **state)
{
	static const char *const bad[] = { "", "tcp", "tcp:", "tcp::22", "tcp::22-", "tcp::22-:",
		"tcp::0-:22", "tcp::65536-:22", "tcp::22-:99999999999", "icmp::1-:1", "tcp:x:1-:1",
		"tcp:1.2.3.4.5:1-:1", "tcp::1-:1x", "tcp::1 -:1", "tcp::-1-:1",
		"tcp:100.100.100.100.100.100:1-:1" };
	struct hostfwd f;
	unsigned int i;

	(void)state;
	assert_int_equal(hostfwd_parse(&f, "tcp::2222-:22"), 0);
	assert_true(!f.udp && f.host_port == 2222 && f.guest_port == 22);
	assert_int_equal(ntohl(f.host.s_addr), INADDR_LOOPBACK);
	assert_int_equal(ntohl(f.guest.s_addr), 0x0a00020f);
	assert_int_equal(hostfwd_parse(&f, "udp:0.0.0.0:53-10.0.2.20:65535"), 0);
	assert_true(f.udp && f.host.s_addr == 0 && f.guest_port == 65535);
	assert_int_equal(ntohl(f.guest.s_addr), 0x0a000214);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(hostfwd_parse(&f, bad[i]), -1);
}

/* The options, and libslirp behind the card: it answers for its own address. */
static void test_open(void **state)
{
	static const char *const bad[] = { "", "wire", "user,mtu=1", "user,hostfwd=tcp:1",
		"user,restrict=maybe", "user,id=n", "user,if=none,x=y", "tap", "tap,ifname=a,fd=3",
		"unix",
		"unix,path=/nonexistent/socket", "unix,path=/nonexistent/socket,listen=on",
		"tap,fd=999", "tap,ifname=a-name-that-is-too-long", "user,id=a,id=b" };
	u8 arp[42] = { 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
		2, 0, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2 };
	struct loop *l = loop_new();
	struct device *user;
	unsigned int i;
	struct net *n;
	u32 len;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(net_open(fake.board.backends, l, bad[i]));
	n = net_open(fake.board.backends, l, "user,mac=02:00:00:00:00:09,packed=on,restrict=on");
	assert_non_null(n);
	assert_string_equal(n->device, "virtio-net,net=net0,mac=02:00:00:00:00:09,packed=on");
	user = make("virtio-net,net=net0,mac=02:00:00:00:00:01");
	assert_non_null(user);
	fake_start(F_MERGE, SIZE);
	offer(0, FAKE_DATA + 4096, 1526);
	put_header(0, 0, 0, 0);
	memcpy(fake_at(FAKE_DATA + NET_HEADER), arp, sizeof(arp));
	transmit(NET_HEADER + sizeof(arp));
	assert_int_equal(fake_used(RX, NULL, &len), 1);
	assert_memory_equal(fake_at(FAKE_DATA + 4096 + NET_HEADER), me, 6);
	assert_memory_equal(fake_at(FAKE_DATA + 4096 + NET_HEADER + 28), "\12\0\2\2", 4);
	virtio_net_class.destroy(user);
	virtio_net_class.destroy(card);
	card = NULL;
	registry_free(fake.board.backends);	/* the networks go before their loop */
	fake.board.backends = NULL;
	loop_free(l);
}

/* A socket as a killed process leaves it. */
static void leave_behind(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
}

static int dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const struct timeval limit = { 10, 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

/* Sends every byte back that it gets, as a card that answers. */
static bool echo(void *front, const struct net_header *h, const u8 *frame, size_t len)
{
	struct net *n = front;
	u8 copy[NET_FRAME_MAX];

	memcpy(copy, frame, len);
	n->ops->send(n, h, copy, len);
	return true;
}

/* A wire whose other end lies: it is cut, and the next one may come. */
static void test_link(void **state)
{
	static const u8 bad[][4] = { { 0, 0, 0, 13 }, { 255, 255, 255, 255 }, { 0, 1, 0, 18 } };
	const u8 good[4 + 20] = { 0, 0, 0, 20, 1, 2, 3 };
	struct loop *l = loop_thread_new("net");
	char path[] = "/tmp/anykvm-link-XXXXXX", text[64];
	struct net_front front = { echo, NULL };
	u8 back[sizeof(good)];
	unsigned int i;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(text, sizeof(text), "%s/s", path);
	leave_behind(text);
	snprintf(text, sizeof(text), "unix,path=%s/s,listen=on,if=none,id=w", path);
	front.front = net_open(fake.board.backends, l, text);
	assert_non_null(front.front);
	snprintf(text, sizeof(text), "unix,path=%s/s,listen=on,if=none,id=v", path);
	assert_null(net_open(fake.board.backends, l, text));	/* the first one's */
	net_connect(front.front, &front, 0);
	snprintf(text, sizeof(text), "%s/s", path);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		fd = dial(text);
		assert_int_equal(write(fd, bad[i], 4), 4);
		assert_int_equal(read(fd, back, 1), 0);
		close(fd);
	}
	fd = dial(text);
	assert_int_equal(write(fd, good, 9), 9);
	assert_int_equal(write(fd, good + 9, 15), 15);
	assert_int_equal(recv(fd, back, sizeof(back), MSG_WAITALL), sizeof(back));
	assert_memory_equal(back, good, sizeof(good));
	close(fd);
	loop_stop(l);
	assert_int_equal(registry_remove(fake.board.backends, "net", "w"), 0);
	assert_int_equal(access(text, F_OK), -1);
	loop_thread_free(l);
	rmdir(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_send), TEST(test_send_refused), TEST(test_send_outside),
		TEST(test_receive), TEST(test_merge), TEST(test_flood), TEST(test_bad_buffers),
		TEST(test_filter), TEST(test_queue_reset), TEST(test_bad_commands),
		TEST(test_random), TEST(test_properties), TEST(test_checksum), TEST(test_hostfwd), TEST(test_open),
		TEST(test_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

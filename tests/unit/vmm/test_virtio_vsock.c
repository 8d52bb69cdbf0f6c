/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The socket device: a driver that is a few packets, and unix sockets of this process. */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../../vmm/backends/registry.h"
#include "../../../vmm/devices/virtio/vsock/vsock.h"
#include "virtio_fake.h"

#define GUEST 42
#define BUFFERS 16
#define BUFFER_SIZE 4096u
#define BUFFERS_AT (FAKE_DATA + 0x100000)

extern const struct device_class virtio_vsock_class;

static struct device *dev;
static struct registry *registry;
static char folder[] = "/tmp/anykvm-vsock-XXXXXX";
static char path[64];
static u16 seen;		/* packets of the device that were looked at */

static void give_buffer(unsigned int i)
{
	fake_desc(RX, i, BUFFERS_AT + i * BUFFER_SIZE, BUFFER_SIZE, VIRTQ_DESC_WRITE, 0);
	fake_add(RX, (u16)i);
}

static int setup(void **state)
{
	char text[96];
	struct props p;
	unsigned int i;

	fake_setup(state);
	strcpy(folder, "/tmp/anykvm-vsock-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	snprintf(text, sizeof(text), "%s,cid=%d", path, GUEST);
	registry = registry_new();
	fake.board.backends = registry;
	assert_non_null(vsock_open(registry, text));
	assert_int_equal(props_parse(&p, "virtio-vsock,vsock=vsock0"), 0);
	dev = virtio_vsock_class.create(&fake.board, &p);
	assert_non_null(dev);
	props_free(&p);
	fake_start(0, 32);
	seen = 0;
	for (i = 0; i < BUFFERS; i++)
		give_buffer(i);
	return 0;
}

static int teardown(void **state)
{
	virtio_vsock_class.destroy(dev);
	registry_free(registry);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rmdir(folder), 0);
	return fake_teardown(state);
}

/* The next packet of the device, whose buffer it gets again; waits for it. */
static const struct packet *next_packet(const u8 **data)
{
	static u8 copy[BUFFER_SIZE];
	const u32 *elem;
	unsigned int ms;

	for (ms = 0; fake_used(RX, NULL, NULL) == seen; ms++) {
		assert_true(ms < 5000);
		usleep(1000);
	}
	elem = fake_at(fake_queue(RX) + FAKE_USED + 4 + (seen++ % 32) * 8u);
	memcpy(copy, fake_at(BUFFERS_AT + elem[0] * BUFFER_SIZE), elem[1]);
	give_buffer(elem[0]);
	if (data)
		*data = copy + sizeof(struct packet);
	return (const struct packet *)copy;
}

static void send_packet(u16 op, u32 guest_port, u32 host_port, u32 len, u32 flags)
{
	u8 bytes[0x10000] = { 0 };
	struct packet p = {
		.src_cid = GUEST, .dst_cid = HOST_CID, .src_port = guest_port,
		.dst_port = host_port, .len = len, .type = TYPE_STREAM, .op = op, .flags = flags,
		.buf_alloc = 100,
	};

	memcpy(bytes, &p, sizeof(p));
	memset(bytes + sizeof(p), 'g', len);
	assert_int_equal(fake_request(TX, bytes, (u32)sizeof(p) + len, 0), 0);
}

static int unix_socket(const char *suffix, bool listens)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%.60s%s", path, suffix);
	if (listens) {
		assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		assert_int_equal(listen(fd, 1), 0);
	} else {
		assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	}
	return fd;
}

/* A connection of the guest to a socket of the host: its host's end. */
static int open_to_host(int *listener)
{
	const struct packet *p;
	int fd;

	*listener = unix_socket("_7", true);
	send_packet(OP_REQUEST, 1000, 7, 0, 0);
	p = next_packet(NULL);
	assert_int_equal(p->op, OP_RESPONSE);
	assert_int_equal(p->dst_port, 1000);
	assert_int_equal(p->buf_alloc, BUFFER);
	fd = accept(*listener, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static void close_host(int fd, int listener)
{
	char name[80];

	close(fd);
	close(listener);
	snprintf(name, sizeof(name), "%s_7", path);
	unlink(name);
}

static void test_refused(void **state)
{
	(void)state;
	send_packet(OP_REQUEST, 1000, 7, 0, 0);
	assert_int_equal(next_packet(NULL)->op, OP_RST);
	/* what belongs to no connection is answered, but for a reset */
	send_packet(OP_RW, 1000, 8, 10, 0);
	assert_int_equal(next_packet(NULL)->op, OP_RST);
	send_packet(OP_RST, 1000, 8, 0, 0);
	send_packet(OP_REQUEST, 1001, 7, 0, 0);
	assert_int_equal(next_packet(NULL)->dst_port, 1001);
}

/* Never more than the guest has room for. */
static void test_credit(void **state)
{
	int listener, fd = open_to_host(&listener), i;
	char bytes[1000] = { 'h' };
	const struct packet *p;
	const u8 *data;

	(void)state;
	assert_int_equal(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	p = next_packet(&data);
	assert_int_equal(p->op, OP_RW);
	assert_int_equal(p->len, 100);
	assert_int_equal(data[0], 'h');
	usleep(20000);
	assert_int_equal(fake_used(RX, NULL, NULL), seen);
	for (i = 1; i < 3; i++) {
		struct packet update = {
			.src_cid = GUEST, .dst_cid = HOST_CID, .src_port = 1000, .dst_port = 7,
			.type = TYPE_STREAM, .op = OP_CREDIT_UPDATE, .buf_alloc = 100,
			.fwd_cnt = 100 * (u32)i,
		};

		assert_int_equal(fake_request(TX, &update, sizeof(update), 0), 0);
		assert_int_equal(next_packet(NULL)->len, 100);
	}
	close_host(fd, listener);
}

/* A guest that sends more than it may is cut off; what it may send is kept. */
static void test_overflow(void **state)
{
	int listener, fd = open_to_host(&listener), i, size = 1;
	char bytes[4096];
	ssize_t n, got = 0;
	const struct packet *p;

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (i = 0; i < 400; i++) {
		u16 before = fake_used(RX, NULL, NULL);

		send_packet(OP_RW, 1000, 7, 4000, 0);
		if (fake_used(RX, NULL, NULL) != before) {
			p = next_packet(NULL);
			if (p->op == OP_RST)
				break;
			assert_int_equal(p->op, OP_CREDIT_UPDATE);
		}
	}
	assert_in_range(i, 16, 399);
	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		got += n;
	assert_true(got > 0 && got <= i * 4000);
	close_host(fd, listener);
}

static void test_ends(void **state)
{
	int listener, fd = open_to_host(&listener);
	char bytes[64];
	const struct packet *p;

	(void)state;
	/* the host's end first, one half, then all */
	shutdown(fd, SHUT_WR);
	p = next_packet(NULL);
	assert_int_equal(p->op, OP_SHUTDOWN);
	assert_int_equal(p->flags, SHUTDOWN_SEND);
	send_packet(OP_RW, 1000, 7, 50, 0);
	send_packet(OP_SHUTDOWN, 1000, 7, 0, SHUTDOWN_BOTH);
	assert_int_equal(next_packet(NULL)->op, OP_RST);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 50);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 0);
	close_host(fd, listener);
}

static void test_from_host(void **state)
{
	static const char ask[] = "CONNECT 5000\n";
	int fd = unix_socket("", false);
	const struct packet *p;
	char line[64] = { 0 }, want[64];
	u32 port;

	(void)state;
	send(fd, ask, strlen(ask), 0);
	p = next_packet(NULL);
	assert_int_equal(p->op, OP_REQUEST);
	assert_int_equal(p->dst_port, 5000);
	port = p->src_port;
	send_packet(OP_RESPONSE, 5000, port, 0, 0);
	snprintf(want, sizeof(want), "OK %u\n", port);
	assert_int_equal(recv(fd, line, sizeof(line) - 1, 0), strlen(want));
	assert_string_equal(line, want);
	/* the second answer breaks the protocol */
	send_packet(OP_RESPONSE, 5000, port, 0, 0);
	assert_int_equal(next_packet(NULL)->op, OP_RST);
	assert_int_equal(recv(fd, line, sizeof(line), 0), 0);
	close(fd);
}

/* Connections outlive a queue that is reset alone. */
static void test_queue_reset(void **state)
{
	int listener, fd;
	unsigned int i;
	char c;

	(void)state;
	fake_start(VIRTIO_F_RING_RESET, 32);
	for (i = 0; i < BUFFERS; i++)
		give_buffer(i);
	fd = open_to_host(&listener);
	fake_restart_queue(RX);
	fake_restart_queue(TX);
	seen = 0;
	assert_int_equal(send(fd, "h", 1, 0), 1);
	for (i = 0; i < BUFFERS; i++)
		give_buffer(i);
	assert_int_equal(next_packet(NULL)->op, OP_RW);
	send_packet(OP_RW, 1000, 7, 1, 0);
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	assert_int_equal(c, 'g');
	close_host(fd, listener);
}

static void test_no_request(void **state)
{
	static const char *const wrong[] = {
		"CONNECT\n", "CONNECT x\n", "CONNECT 4294967296\n", "connect 1\n", "CONNECT 1 \n",
		"CONNECT 0000000000000000000000000000000000000001\n", "\n",
	};
	unsigned int i;
	char c;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		int fd = unix_socket("", false);

		send(fd, wrong[i], strlen(wrong[i]), MSG_NOSIGNAL);
		assert_true(recv(fd, &c, 1, 0) <= 0);
		close(fd);
	}
	assert_int_equal(fake_used(RX, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_credit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_from_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_request, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

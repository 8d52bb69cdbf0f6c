/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What requests of each device look like, and what the devices are connected to. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../vmm/backends/chardev.h"
#include "../../vmm/backends/disk.h"
#include "../../vmm/backends/net/net.h"
#include "../../vmm/backends/share.h"
#include "../../vmm/backends/vsock.h"
#include "../../vmm/block/create.h"
#include "../../vmm/devices/virtio/vsock/vsock.h"
#include "fuzz_virtio.h"

#define DISK (1 * MIB)

extern const struct device_class virtio_9p_class, virtio_balloon_class, virtio_blk_class,
	virtio_console_class, virtio_net_class, virtio_rng_class, virtio_scsi_class,
	virtio_vsock_class;

/* --- rng -------------------------------------------------------------------------------- */

static const char *prepare_rng(struct registry *r, struct loop *l)
{
	(void)r, (void)l;
	return "virtio-rng";
}

static void request_rng(unsigned int queue, struct request *q)
{
	(void)queue;
	q->in_len = 1 + (u32)chance(chance(4) ? 300 : 20000);
}

/* --- net ---------------------------------------------------------------------------------- */

static const char *prepare_net(struct registry *r, struct loop *l)
{
	if (!net_open(r, l, "unix,path=wire,listen=on,id=n,if=none"))
		return NULL;
	outside_wire("wire");
	return "virtio-net,net=n";
}

static void request_net(unsigned int queue, struct request *q)
{
	if (queue == 0) {
		q->in_len = chance(8) ? 1526 : (u32)chance(70000);
	} else if (queue == 1) {
		put(q, 0, chance(3) ? 0 : chance(0), 1);
		put(q, 1, chance(3) ? 0 : chance(6), 1);
		put(q, 2, chance(100) | chance(2000) << 16, 4);
		put(q, 6, chance(100) | chance(100) << 16, 4);
		put(q, 10, 0, 2);
		put(q, 12 + 12, 0x0008, 2);
		put(q, 12 + 14, 0x45, 1);
		q->out_len = (u32)(chance(8) ? 72 + chance(1500) : chance(70000));
	} else {
		put(q, 0, chance(6), 1);
		put(q, 1, chance(6), 1);
		put(q, 2, chance(3) ? chance(10) : chance(0), 4);
		q->out_len = (u32)(2 + chance(600));
		q->in_len = 1;
	}
}

/* --- disks ---------------------------------------------------------------------------------- */

static void on_pause(void *ctx, struct disk *d, bool on)
{
	(void)ctx, (void)d, (void)on;
}

static int make_disk(struct registry *r, struct loop *l, const char *text)
{
	const struct image_spec s = { .format = "qcow2", .size = DISK, .cluster_size = 4096 };
	char path[16];

	snprintf(path, sizeof(path), "%.*s", (int)strcspn(text, ","), text);
	return image_create(path, &s) < 0 || !disk_open(r, l, text, on_pause, NULL) ? -1 : 0;
}

static bool check_disk(void)
{
	const struct block_options o = { .readonly = true, .examine = true };
	struct image_check c = { 0 };
	struct block *b = block_open("disk", &o);
	bool good = b && image_check(b, REPAIR_NONE, &c) == 0 && !c.errors && !c.leaks;

	block_close(b);
	return good;
}

static const char *prepare_blk(struct registry *r, struct loop *l)
{
	if (make_disk(r, l, "disk,cache=unsafe,id=a,if=none") < 0)
		return NULL;
	return "virtio-blk,drive=a";
}

static void request_blk(unsigned int queue, struct request *q)
{
	static const u32 types[] = { 0, 1, 4, 8, 11, 13, 0, 1 };
	u32 type = types[chance(8)];

	(void)queue;
	put(q, 0, type, 4);
	put(q, 8, chance(DISK / 512), 8);
	if (type >= 11) {
		put(q, 16, chance(DISK / 512), 8);
		put(q, 24, chance(64) | chance(2) << 32, 8);
	} else if (type == 1) {
		q->out_len = 16 + 512 * (u32)chance(40);
	}
	q->in_len = 1 + (type == 0 ? 512 * (u32)chance(40) : type == 8 ? 20 : 0);
}

static const char *prepare_scsi(struct registry *r, struct loop *l)
{
	if (make_disk(r, l, "disk,cache=unsafe,id=a,if=none") < 0 ||
	    make_disk(r, l, "cd,cache=unsafe,id=b,if=none") < 0)
		return NULL;
	return "virtio-scsi,lun0=a,cd2=b";
}

static void request_scsi(unsigned int queue, struct request *q)
{
	static const u8 commands[] = {
		0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x28, 0x2a, 0x2a, 0x2f,
		0x35, 0x41, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x52, 0x5a, 0x88, 0x8a, 0x8f, 0x91, 0x93,
		0x9e, 0xa0, 0xa8, 0xaa,
	};
	u8 command = commands[chance(sizeof(commands))];

	if (queue == 0) {
		put(q, 0, chance(4), 4);
		put(q, 4, chance(9), 4);
		put(q, 8, 1 | 0x40 << 16 | chance(4) << 24, 8);
		put(q, 16, 0, 8);
		q->in_len = 5;
		return;
	}
	put(q, 0, 1 | 0x40 << 16 | (chance(10) ? chance(2) * 2 : chance(20)) << 24, 8);
	put(q, 8, chance(0), 8);
	put(q, 19, command, 1);
	put(q, 20, chance(8) ? chance(2) : chance(256), 1);
	put(q, 21, chance(2) ? 0 : chance(0), 4);
	put(q, 25, chance(2) ? chance(8) << 8 : chance(0), 4);
	put(q, 29, chance(3) ? chance(3) << 16 : chance(0), 4);
	put(q, 33, chance(2) ? 0 : chance(0), 4);
	put(q, 50, 0, 1);
	q->in_len = 108;
	if (command == 0x2a || command == 0x0a || command == 0x8a || command == 0xaa ||
	    command == 0x41 || command == 0x42 || command == 0x93) {
		q->out_len = 51 + (chance(3) ? 512 * (u32)chance(9) : 24);
		put(q, 51, chance(2) ? 0 : 0x16001600, 4);
		put(q, 55, 0, 8);
		put(q, 63, chance(2048) << 48, 8);
	} else {
		q->in_len += chance(2) ? 512 * (u32)chance(9) : (u32)chance(300);
	}
}

/* --- console ---------------------------------------------------------------------------------- */

static const char *prepare_console(struct registry *r, struct loop *l)
{
	if (chardev_open(r, l, "file,id=a,path=/dev/null") < 0 ||
	    chardev_open(r, l, "unix,id=b,path=port") < 0 ||
	    chardev_open(r, l, "pty,id=c") < 0)
		return NULL;
	outside_client("port", NULL);
	return "virtio-console,chardev=a,port1=b,name1=one,port3=c,name3=three";
}

static void request_console(unsigned int queue, struct request *q)
{
	if (queue == 3) {
		put(q, 0, chance(20) ? chance(5) : chance(0), 4);
		put(q, 4, chance(20) ? chance(8) : chance(0), 2);
		put(q, 6, chance(20) ? chance(4) > 0 : chance(0), 2);
		q->out_len = 8;
	} else if (queue % 2) {
		q->out_len = 1 + (u32)chance(chance(8) ? 4096 : 300000);
	} else {
		q->in_len = queue == 2 ? 16 + (u32)chance(100) : 1 + (u32)chance(4096);
	}
}

/* --- balloon ---------------------------------------------------------------------------------- */

static const char *prepare_balloon(struct registry *r, struct loop *l)
{
	(void)r, (void)l;
	return "virtio-balloon,stats-interval=1";
}

static void request_balloon(unsigned int queue, struct request *q)
{
	u32 i;

	if (queue < 2) {
		for (i = 0; i < 1 + chance(40); i++)
			put(q, 4 * i, chance(8) ? FAKE_DATA / 4096 + chance(512) : chance(0), 4);
		q->out_len = q->head_len + (chance(30) ? 0 : (u32)chance(100000));
	} else if (chance(2)) {
		for (i = 0; i < 1 + chance(12); i++) {
			put(q, 10 * i, chance(12), 2);
			put(q, 10 * i + 2, chance(0), 8);
		}
	} else {
		q->in_len = 4096 * (u32)(1 + chance(32));
	}
}

/* --- vsock ------------------------------------------------------------------------------------ */

static const char *prepare_vsock(struct registry *r, struct loop *l)
{
	(void)l;
	if (!vsock_open(r, "sock"))
		return NULL;
	outside_client("sock", "CONNECT 5\n");
	outside_client("sock", "CONNECT 6\nmore");
	outside_client("sock", "CONNECT what?\n");
	outside_server("sock_1");
	outside_server("sock_2");
	outside_server("sock_3");
	return "virtio-vsock,vsock=vsock0";
}

static void request_vsock(unsigned int queue, struct request *q)
{
	const struct vsock *vs = (const struct vsock *)fake.v;
	u32 newest = __atomic_load_n(&vs->next_port, __ATOMIC_RELAXED);
	u32 len = (u32)(chance(2) ? 0 : chance(9000));
	bool host = chance(3) == 0;		/* a program of the host began it */
	u8 op = (u8)(chance(12) == 0 ? 1 + chance(7) : chance(3) ? 5 + chance(2) : host ? 2 : 1);

	if (queue != 1) {
		q->in_len = chance(4) ? 44 + (u32)chance(5000) : 44;
		return;
	}
	put(q, 0, chance(30) ? 3 : chance(0), 8);
	put(q, 8, chance(30) ? 2 : chance(0), 8);
	put(q, 16, chance(30) ? 5 + (host ? chance(2) : chance(6)) : chance(0), 4);
	put(q, 20, host ? newest - chance(3) : 1 + chance(3), 4);
	put(q, 24, len, 4);
	put(q, 28, chance(30) ? 1 : chance(0), 2);
	put(q, 30, op, 2);
	put(q, 32, chance(4), 4);
	put(q, 36, chance(8) ? 65536 : chance(0), 4);
	put(q, 40, chance(8) ? 0 : chance(0), 4);
	q->out_len = 44 + len;
}

/* --- 9p --------------------------------------------------------------------------------------- */

static bool make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	if (fd >= 0 && write(fd, "canary", 6) == 6)
		return close(fd) == 0;
	return false;
}

/* A folder beside the shared one, which must stay as it is. */
static const char *prepare_9p(struct registry *r, struct loop *l)
{
	(void)l;
	if (mkdir("outside", 0700) || mkdir("shared", 0700) || mkdir("shared/a", 0700) ||
	    !make_file("outside/canary") || !make_file("shared/b") ||
	    symlink("../outside", "shared/c") || symlink("../../outside/canary", "shared/a/c") ||
	    !((chance(2) && share_open(r, "shared,security=mapped,apart=off")) ||
	      share_open(r, chance(4) ? "shared,apart=off" : "shared")))
		return NULL;
	return "virtio-9p,share=share0";
}

static bool check_9p(void)
{
	DIR *d = opendir("outside");
	struct stat st;
	int entries = 0;

	while (d && readdir(d))
		entries++;
	closedir(d);
	return entries == 3 && stat("outside/canary", &st) == 0 && st.st_size == 6 &&
		(st.st_mode & 07777) == 0600;
}

static u32 put_name(struct request *q, u32 at)
{
	static const char *const names[] = {
		"a", "b", "c", "d", "canary", "..", ".", "", "a/b", "../outside/new", "e", "f",
		"user.test", "outside",
	};
	const char *name = names[chance(chance(3) ? 6 : ARRAY_SIZE(names))];
	u32 len = (u32)strlen(name);

	put(q, at, len, 2);
	memcpy(q->head + at + 2, name, len);
	q->head_len = at + 2 + len;
	return q->head_len;
}

/* What follows the first fid, by type: n numbers, N names. */
static u32 put_body(struct request *q, u8 type, u32 at)
{
	u32 i, n;

	switch (type) {
	case 104:
		put(q, at, chance(20) ? ~0u : chance(0), 4);
		at = put_name(q, at + 4);
		put(q, at, 0, 2);
		put(q, at + 2, chance(3), 4);
		return at + 6;
	case 110:
		n = (u32)chance(4);
		put(q, at, chance(8), 4);
		put(q, at + 4, n, 2);
		for (i = 0, at += 6; i < n; i++)
			at = put_name(q, at);
		return at;
	case 14: case 16: case 18: case 30: case 32: case 70: case 72: case 74: case 76:
		if (type == 30 || type == 70) {
			put(q, at, chance(8), 4);
			at += 4;
		}
		at = put_name(q, at);
		if (type == 74) {
			put(q, at, chance(8), 4);
			return put_name(q, at + 4);
		}
		if (type == 16)
			at = put_name(q, at);
		for (i = 0; i < 4; i++, at += 4)
			put(q, at, chance(4) ? chance(2048) : chance(0), 4);
		put(q, at, 0, 4);
		return at + 4;
	default:
		for (i = 0; i < 7; i++, at += 8)
			put(q, at, chance(3) ? chance(3) ? 0 : chance(70000) : chance(0), 8);
		return at;
	}
}

static void request_9p(unsigned int queue, struct request *q)
{
	static const u8 types[] = {
		8, 12, 14, 16, 18, 22, 24, 26, 30, 32, 40, 50, 52, 54, 70, 72, 74, 76, 104, 104,
		104, 108, 110, 110, 110, 110, 110, 116, 118, 120, 122,
	};
	u8 type = types[chance(sizeof(types))];
	u32 at = 11, count;

	(void)queue;
	if (chance(200) == 0) {
		type = 100;
		put(q, 7, 8192 << chance(8), 4);
		put(q, 11, 8, 2);
		memcpy(q->head + 13, "9P2000.L", 8);
		at = q->head_len = 21;
	} else {
		put(q, 7, chance(8), 4);
		if (type == 118) {
			count = (u32)chance(5000);
			put(q, 11, chance(4) ? chance(70000) : chance(0), 8);
			put(q, 19, count, 4);
			at = 23 + count;
		} else {
			at = put_body(q, type, at);
		}
	}
	put(q, 0, chance(30) ? at : chance(0), 4);
	put(q, 4, chance(60) ? type : chance(256), 1);
	q->out_len = at;
	q->in_len = 11 + (u32)chance(10000);
}

const struct fuzzed fuzzed_devices[] = {
	{ "9p", prepare_9p, &virtio_9p_class, request_9p, check_9p },
	{ "balloon", prepare_balloon, &virtio_balloon_class, request_balloon, NULL },
	{ "blk", prepare_blk, &virtio_blk_class, request_blk, check_disk },
	{ "console", prepare_console, &virtio_console_class, request_console, NULL },
	{ "net", prepare_net, &virtio_net_class, request_net, NULL },
	{ "rng", prepare_rng, &virtio_rng_class, request_rng, NULL },
	{ "scsi", prepare_scsi, &virtio_scsi_class, request_scsi, check_disk },
	{ "vsock", prepare_vsock, &virtio_vsock_class, request_vsock, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

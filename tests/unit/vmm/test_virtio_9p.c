/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared folders: messages of 9P by hand, and what must not lead out of the folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../../../vmm/backends/registry.h"
#include "../../../vmm/devices/virtio/p9/p9.h"
#include "../../../vmm/error.h"
#include "../../../vmm/helper.h"
#include "virtio_fake.h"

#define ROOM 8192
#define ROOT 1			/* the fid that setup attaches */

extern const struct device_class virtio_9p_class;

static struct device *dev;
static struct registry *registry;
static char folder[] = "/tmp/anykvm-9p-XXXXXX";

/* --- messages --------------------------------------------------------------------------- */

static u8 message[4096];
static u32 length;

static void begin(u8 type)
{
	length = P9_HEADER;
	memset(message, 0, sizeof(message));
	message[4] = type;
	message[5] = 7;
}

static void add(u64 v, u32 size)
{
	memcpy(message + length, &v, size);
	length += size;
}

static void add_text(const char *s)
{
	add(strlen(s), 2);
	memcpy(message + length, s, strlen(s));
	length += (u32)strlen(s);
}

/* Sends it: 0, or the error that came back. *reply is what follows its header. */
static int ask(const u8 **reply)
{
	const u8 *r = fake_answer(0);
	u32 size, error, got;

	memcpy(message, &length, 4);
	got = fake_request(0, message, length, ROOM);
	assert_true(got != FAKE_NO_ANSWER && got >= P9_HEADER);
	memcpy(&size, r, 4);
	assert_int_equal(size, got);
	assert_int_equal(r[5], 7);
	if (reply)
		*reply = r + P9_HEADER;
	if (r[4] == P9_LERROR + 1) {
		memcpy(&error, r + P9_HEADER, 4);
		return (int)error;
	}
	assert_int_equal(r[4], message[4] + 1);
	return 0;
}

static int walk(u32 from, u32 to, const char *name)
{
	const u8 *r;
	int err;

	begin(P9_WALK);
	add(from, 4);
	add(to, 4);
	add(name ? 1 : 0, 2);
	if (name)
		add_text(name);
	err = ask(&r);
	return err;
}

static int one(u8 type, u32 fid)
{
	begin(type);
	add(fid, 4);
	return ask(NULL);
}

static int open_fid(u32 fid, u32 flags)
{
	begin(P9_LOPEN);
	add(fid, 4);
	add(flags, 4);
	return ask(NULL);
}

static int create(u32 fid, const char *name, u32 mode)
{
	begin(P9_LCREATE);
	add(fid, 4);
	add_text(name);
	add(O_RDWR, 4);
	add(mode, 4);
	add(99, 4);
	return ask(NULL);
}

static int write_text(u32 fid, const char *text)
{
	begin(P9_WRITE);
	add(fid, 4);
	add(0, 8);
	add(strlen(text), 4);
	memcpy(message + length, text, strlen(text));
	length += (u32)strlen(text);
	return ask(NULL);
}

static void attach(void)
{
	begin(P9_VERSION);
	add(ROOM, 4);
	add_text("9P2000.L");
	assert_int_equal(ask(NULL), 0);
	begin(P9_ATTACH);
	add(ROOT, 4);
	add(P9_NO_FID, 4);
	add_text("");
	add_text("");
	add(1234, 4);
	assert_int_equal(ask(NULL), 0);
}

/* --- folders ------------------------------------------------------------------------------- */

static void put_file(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_WRONLY, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void start(const char *options)
{
	char text[96];
	struct props p;

	fake_setup(NULL);
	strcpy(folder, "/tmp/anykvm-9p-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(mkdir("in", 0700) || mkdir("in/d", 0700) || mkdir("out", 0700), 0);
	put_file("in/f", "inside");
	put_file("out/f", "outside");
	assert_int_equal(symlink("../out", "in/dir") || symlink("../out/f", "in/file") ||
			 mkfifo("in/fifo", 0600), 0);
	registry = registry_new();
	fake.board.backends = registry;
	snprintf(text, sizeof(text), "in%s", options);
	assert_non_null(share_open(registry, text));
	assert_int_equal(props_parse(&p, "virtio-9p,share=share0"), 0);
	dev = virtio_9p_class.create(&fake.board, &p);
	assert_non_null(dev);
	props_free(&p);
	fake_start(0, 16);
	attach();
}

static void stop(void)
{
	char command[64];

	virtio_9p_class.destroy(dev);
	registry_free(registry);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(chdir("/") || system(command), 0);
	fake_teardown(NULL);
}

static void assert_text(const char *name, const char *text)
{
	char bytes[64] = { 0 };
	int fd = open(name, O_RDONLY);

	assert_true(fd >= 0 && read(fd, bytes, sizeof(bytes) - 1) >= 0);
	close(fd);
	assert_string_equal(bytes, text);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void files(const char *options)
{
	const u8 *r;
	u32 n;

	start(options);
	assert_int_equal(walk(ROOT, 2, "d"), 0);
	assert_int_equal(create(2, "new", 0640), 0);
	assert_int_equal(write_text(2, "text"), 0);
	begin(P9_READ);
	add(2, 4);
	add(1, 8);
	add(100, 4);
	assert_int_equal(ask(&r), 0);
	memcpy(&n, r, 4);
	assert_int_equal(n, 3);
	assert_memory_equal(r + 4, "ext", 3);
	assert_int_equal(one(P9_CLUNK, 2), 0);
	assert_int_equal(one(P9_CLUNK, 2), EBADF);
	assert_text("in/d/new", "text");
	stop();
}

static void test_files(void **state)
{
	(void)state;
	files("");
	files(",apart=off");
}

/* It is told, and the guest's requests end with an error. */
static void test_helper_ends(void **state)
{
	struct share *share;
	char text[128];
	unsigned int i;

	(void)state;
	start("");
	share = registry_find(registry, "share", "share0");
	helper_reap();
	error_catch(text, sizeof(text));
	assert_int_equal(shutdown(share->server, SHUT_RDWR), 0);
	for (i = 0; i < 2000 && !*text; i++) {
		usleep(1000);
		helper_reap();
	}
	error_catch(NULL, 0);
	assert_non_null(strstr(text, "anykvm-share"));
	assert_non_null(strstr(text, "status 0"));
	assert_int_equal(walk(ROOT, 2, "d"), EIO);
	assert_int_equal(walk(ROOT, 2, "d"), EIO);
	stop();
}

static void outside(const char *options)
{
	static const char *const names[] = {
		"..", ".", "", "d/..", "/", "../out", "/etc", "dir/f", "d/new",
	};
	unsigned int i;

	start(options);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(walk(ROOT, 2, names[i]), ENOENT);
		assert_int_equal(walk(ROOT, 3, NULL), 0);
		assert_int_equal(create(3, names[i], 0600), EINVAL);
		assert_int_equal(one(P9_CLUNK, 3), 0);
	}
	/* a link is a link: it can be looked at, and leads nowhere */
	assert_int_equal(walk(ROOT, 2, "dir"), 0);
	assert_int_equal(walk(2, 3, "f"), ENOTDIR);
	assert_int_equal(create(2, "new", 0600), ENOTDIR);
	assert_int_equal(one(P9_READLINK, 2), 0);
	assert_int_equal(walk(ROOT, 4, "file"), 0);
	assert_int_equal(open_fid(4, O_RDONLY), ENXIO);
	assert_int_equal(open_fid(4, O_WRONLY | O_TRUNC), ENXIO);
	assert_int_equal(walk(ROOT, 5, "fifo"), 0);
	assert_int_equal(open_fid(5, O_RDONLY), ENXIO);
	assert_int_equal(walk(ROOT, 6, NULL), 0);
	assert_int_equal(create(6, "file", 0600), ENXIO);
	assert_text("out/f", "outside");
	assert_int_equal(access("out/new", F_OK), -1);
	stop();
}

static void test_outside(void **state)
{
	(void)state;
	outside("");
	outside(",apart=off");
}

static void test_readonly(void **state)
{
	(void)state;
	start(",readonly=on");
	assert_int_equal(walk(ROOT, 2, "f"), 0);
	assert_int_equal(walk(ROOT, 3, "f"), 0);
	assert_int_equal(open_fid(2, O_RDWR), EROFS);
	assert_int_equal(open_fid(2, O_RDONLY | O_TRUNC), EROFS);
	assert_int_equal(open_fid(2, O_RDONLY), 0);
	assert_int_equal(write_text(2, "x"), EROFS);
	assert_int_equal(walk(ROOT, 4, NULL), 0);
	assert_int_equal(create(4, "new", 0600), EROFS);
	assert_int_equal(one(P9_SETATTR, 3), EROFS);
	assert_int_equal(one(P9_UNLINKAT, ROOT), EROFS);
	assert_int_equal(one(P9_RENAMEAT, ROOT), EROFS);
	assert_text("in/f", "inside");
	stop();
}

/* What the guest makes is not more on the host than a file of the user's. */
static void test_rights(void **state)
{
	struct stat st;

	(void)state;
	start("");
	assert_int_equal(walk(ROOT, 2, NULL), 0);
	assert_int_equal(create(2, "program", 06755), 0);
	assert_int_equal(stat("in/program", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	begin(P9_MKNOD);
	add(ROOT, 4);
	add_text("device");
	add(S_IFCHR | 0666, 4);
	add(1, 4);
	add(3, 4);
	add(0, 4);
	assert_int_equal(ask(NULL), EPERM);
	stop();
}

static void test_mapped(void **state)
{
	const u8 *r;
	struct stat st;
	u32 mode, uid;

	(void)state;
	if (setxattr("/tmp", "user.anykvm-test", "", 0, 0) < 0)
		skip();
	removexattr("/tmp", "user.anykvm-test");
	start(",security=mapped");
	assert_int_equal(walk(ROOT, 2, NULL), 0);
	assert_int_equal(create(2, "program", 06711), 0);
	assert_int_equal(stat("in/program", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	begin(P9_GETATTR);
	add(2, 4);
	add(~0ULL, 8);
	assert_int_equal(ask(&r), 0);
	memcpy(&mode, r + 8 + 13, 4);
	memcpy(&uid, r + 8 + 13 + 4, 4);
	assert_int_equal(mode, S_IFREG | 06711);
	assert_int_equal(uid, 1234);
	/* the attributes that say so are not the guest's */
	begin(P9_XATTRWALK);
	add(2, 4);
	add(3, 4);
	add_text("user.virtfs.mode");
	assert_int_equal(ask(NULL), EOPNOTSUPP);
	stop();
}

static void test_malformed(void **state)
{
	u32 size;

	(void)state;
	start("");
	for (size = P9_HEADER; size < P9_HEADER + 12; size++) {
		begin(P9_GETATTR);
		add(ROOT, 4);
		add(0, 8);
		length = size;
		assert_true(ask(NULL) != 0);
	}
	begin(P9_WALK);
	add(ROOT, 4);
	add(2, 4);
	add(17, 2);
	assert_int_equal(ask(NULL), EINVAL);
	begin(200);
	assert_int_equal(ask(NULL), EOPNOTSUPP);
	assert_int_equal(walk(ROOT, ROOT + 1, NULL), 0);
	assert_int_equal(walk(ROOT, ROOT + 1, NULL), EBADF);
	begin(P9_CLUNK);
	message[0] = 255;
	assert_int_equal(fake_request(0, message, 6, ROOM), FAKE_NO_ANSWER);
	assert_true(fake.v->status & VIRTIO_STATUS_NEEDS_RESET);
	fake_start(0, 16);
	assert_int_equal(one(P9_CLUNK, ROOT), EBADF);
	stop();
}

static int make_value(u32 fid)
{
	begin(P9_XATTRCREATE);
	add(fid, 4);
	add_text("user.value");
	add(P9_XATTR_MAX, 8);
	add(0, 4);
	return ask(NULL);
}

/* A guest can have many files, but only some of them with a value that is kept in memory. */
static void test_values(void **state)
{
	u32 i;

	(void)state;
	start("");
	for (i = 0; i <= P9_VALUES_MAX; i++) {
		assert_int_equal(walk(ROOT, 2 + i, NULL), 0);
		assert_int_equal(make_value(2 + i), i < P9_VALUES_MAX ? 0 : ENOMEM);
	}
	assert_int_equal(one(P9_CLUNK, 2), EINVAL);		/* it was not written */
	assert_int_equal(make_value(1 + i), 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_helper_ends),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

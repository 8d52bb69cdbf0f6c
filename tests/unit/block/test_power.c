/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host loses power, or the process is killed, at every single write. All
 * that reaches the file is noted; from the notes, images are made as they could
 * be found afterwards: for a kill everything up to a moment, for a power failure
 * all that was synced and any of the sectors that were not. Each must be free of
 * errors and hold what the guest had flushed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../../vmm/block/file.h"
#include "block_test.h"

#define EVENTS_MAX 40000
#define DISK (512 * KIB)
#define SECTORS (DISK / 512)
#define FILE_MAX (16 * MIB)
#define OPS_MAX 400

/* --- notes ------------------------------------------------------------------------------ */

enum event_kind { EVENT_WRITE, EVENT_ZERO, EVENT_SIZE, EVENT_SYNC };

static struct event {
	enum event_kind kind;
	u64 off, len;
	u8 *data;
} event[EVENTS_MAX];
static unsigned int events;
static bool noting;

static void note(enum event_kind kind, u64 off, u64 len, u8 *data)
{
	if (!noting)
		return;
	assert_true(events < EVENTS_MAX);
	event[events++] = (struct event){ kind, off, len, data };
}

ssize_t __real_pwritev64(int fd, const struct iovec *v, int cnt, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *v, int cnt, off_t off)
{
	struct span s = span_all(v, (unsigned int)cnt);
	u8 *data = malloc(s.len);

	span_get(&s, data);
	note(EVENT_WRITE, (u64)off, s.len, data);
	return __real_pwritev64(fd, v, cnt, off);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	(void)fd;
	note(EVENT_SYNC, 0, 0, NULL);
	return 0;		/* the real disk does not matter here */
}

int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	assert_true(mode & FALLOC_FL_KEEP_SIZE);
	note(EVENT_ZERO, (u64)off, (u64)len, NULL);
	return __real_fallocate64(fd, mode, off, len);
}

int __real_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len)
{
	note(EVENT_SIZE, (u64)len, 0, NULL);
	return __real_ftruncate64(fd, len);
}

/* --- what the guest does ------------------------------------------------------------- */

/* Values of a sector: its generation. Odd ones are zeros, 0 is what was there at first. */
struct step {
	unsigned int begin, end;	/* events before it, and after it */
	bool flush;
	unsigned int first, count;	/* sectors */
	u32 generation;
};

static struct step step[OPS_MAX];
static unsigned int steps;
static u8 start_data[DISK];

static void content(u8 *buf, unsigned int sector, u32 generation)
{
	if (!generation)
		memcpy(buf, start_data + sector * 512, 512);
	else if (generation & 1)
		memset(buf, 0, 512);
	else
		pattern(buf, 512, sector * 512, generation);
}

static void change(struct block *b, struct step *s, u64 cluster)
{
	static u8 buf[DISK];
	unsigned int i;

	s->first = (unsigned int)chance(SECTORS);
	s->count = 1 + (unsigned int)chance(chance(4) ? 16 : 200);
	if (s->count > SECTORS - s->first)
		s->count = SECTORS - s->first;
	s->generation = 2 * (steps + 1);
	switch (chance(6)) {
	case 0:
		s->generation++;
		assert_int_equal(block_zero(b, s->first * 512, s->count * 512, chance(2)), 0);
		break;
	case 1:		/* whole clusters: their discard gives zeros */
		s->first = (unsigned int)(align_down(s->first * 512, cluster) / 512);
		s->count = (unsigned int)(align_up(s->count * 512, cluster) / 512);
		if (s->count > SECTORS - s->first)
			s->count = SECTORS - s->first;
		s->generation++;
		assert_int_equal(block_discard(b, s->first * 512, s->count * 512), 0);
		break;
	default:
		for (i = 0; i < s->count; i++)
			content(buf + i * 512, s->first + i, s->generation);
		assert_int_equal(block_write(b, s->first * 512, buf, s->count * 512), 0);
	}
}

static void run_guest(unsigned int operations, u64 cluster)
{
	struct block *b;

	noting = true;
	b = open_rw("disk");
	for (steps = 0; steps < operations; steps++) {
		struct step *s = &step[steps];

		*s = (struct step){ .begin = events };
		if (chance(5)) {
			change(b, s, cluster);
		} else {
			s->flush = true;
			assert_int_equal(block_flush(b), 0);
		}
		s->end = events;
	}
	assert_int_equal(block_close(b), 0);
	noting = false;
}

/* --- what is found afterwards -------------------------------------------------------- */

static u8 image[FILE_MAX];
static u64 image_size;

static void apply(const struct event *e, u64 off, u64 len)
{
	assert_true(off + len <= FILE_MAX);
	switch (e->kind) {
	case EVENT_WRITE:
		memcpy(image + off, e->data + (off - e->off), len);
		if (image_size < off + len)
			image_size = off + len;
		break;
	case EVENT_ZERO:
		if (off < image_size)
			memset(image + off, 0, off + len < image_size ? len : image_size - off);
		break;
	case EVENT_SIZE:
		if (e->off < image_size)
			memset(image + e->off, 0, image_size - e->off);
		image_size = e->off;
		break;
	case EVENT_SYNC:
		break;
	}
}

/* Some of an event's sectors. */
static void apply_some(const struct event *e)
{
	u64 off = e->off, n;
	u64 all = chance(3);		/* all, nothing, or a part */

	if (e->kind == EVENT_SIZE && chance(2))
		apply(e, 0, 0);
	if (e->kind == EVENT_SIZE || e->kind == EVENT_SYNC)
		return;
	for (; off < e->off + e->len; off += n) {
		n = 512 - off % 512;
		if (n > e->off + e->len - off)
			n = e->off + e->len - off;
		if (all == 0 || (all == 2 && chance(2)))
			apply(e, off, n);
	}
}

static void write_image(void)
{
	int fd = open("found", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(write(fd, image, image_size) == (ssize_t)image_size);
	close(fd);
}

static bool allowed(const u8 *now, unsigned int sector, u32 flushed, unsigned int last)
{
	u8 expect[512];
	unsigned int i;

	content(expect, sector, flushed);
	if (!memcmp(now, expect, 512))
		return true;
	for (i = 0; i < last; i++) {
		const struct step *s = &step[i];

		if (s->flush || s->generation < flushed || sector < s->first ||
		    sector >= s->first + s->count)
			continue;
		content(expect, sector, s->generation);
		if (!memcmp(now, expect, 512))
			return true;
	}
	return false;
}

/* `at`: how many events there were. Compares every sector with what it may hold. */
static void check_data(unsigned int at)
{
	static u32 flushed[SECTORS], latest[SECTORS];
	static u8 now[DISK];
	struct block *b = open_ro("found");
	unsigned int i, k, last = 0;

	memset(flushed, 0, sizeof(flushed));
	memset(latest, 0, sizeof(latest));
	for (i = 0; i < steps && step[i].begin <= at; i++) {
		last = i + 1;
		if (step[i].flush && step[i].end <= at)
			memcpy(flushed, latest, sizeof(flushed));
		for (k = 0; !step[i].flush && k < step[i].count; k++)
			latest[step[i].first + k] = step[i].generation;
	}
	assert_int_equal(block_read(b, 0, now, DISK), 0);
	block_close(b);
	for (i = 0; i < SECTORS; i++)
		if (!allowed(now + i * 512, i, flushed[i], last))
			fail_msg("sector %u after event %u of %u is neither old nor new", i, at,
				 events);
}

static void check_found(unsigned int at, bool ask_qemu)
{
	write_image();
	if (count_errors("found", NULL))
		fail_msg("errors after event %u of %u", at, events);
	if (ask_qemu)
		assert_no_errors("found");
	check_data(at);
}

static void load_start(u8 *data, u64 *size)
{
	FILE *f = fopen("start", "re");

	memset(data, 0, FILE_MAX);
	*size = fread(data, 1, FILE_MAX, f);
	fclose(f);
}

/* A kill: all events up to each moment. */
static void check_kills(void)
{
	static u8 kept[FILE_MAX];
	unsigned int i;
	u64 kept_size;

	load_start(image, &image_size);
	for (i = 0; i < events; i++) {
		if (event[i].kind == EVENT_WRITE && event[i].len > 512 && chance(4) == 0) {
			/* in the middle of a write: the first part of it */
			u64 part = align_down(chance(event[i].len), 512);

			memcpy(kept, image, FILE_MAX);
			kept_size = image_size;
			apply(&event[i], event[i].off, part);
			check_found(i + 1, false);
			memcpy(image, kept, FILE_MAX);
			image_size = kept_size;
		}
		apply(&event[i], event[i].off, event[i].len);
		check_found(i + 1, chance(50) == 0);
	}
}

/* A power failure: what was synced, and some of what came after it. */
static void check_failures(unsigned int rounds)
{
	unsigned int r, i, at, synced;

	for (r = 0; r < rounds; r++) {
		at = 1 + (unsigned int)chance(events);
		for (i = synced = 0; i < at; i++)
			if (event[i].kind == EVENT_SYNC)
				synced = i;
		load_start(image, &image_size);
		for (i = 0; i < synced; i++)
			apply(&event[i], event[i].off, event[i].len);
		for (; i < at; i++)
			apply_some(&event[i]);
		check_found(at, chance(50) == 0);
	}
}

/* --- kinds of images ----------------------------------------------------------------- */

static const struct kind {
	const char *make;
	u64 cluster;
	unsigned int operations;
} kinds[] = {
	{ "qemu-img create -f qcow2 -o cluster_size=64k disk 512k", 65536, 120 },
	{ "qemu-img create -f qcow2 -o cluster_size=4k disk 512k", 4096, 120 },
	{ "qemu-img create -f qcow2 -o cluster_size=512,refcount_bits=64 disk 512k", 512, 60 },
	{ "qemu-img create -f qcow2 -o cluster_size=512,refcount_bits=1 disk 512k", 512, 60 },
	{ "qemu-img create -f qcow2 -o cluster_size=2k -b base -F raw disk 512k", 2048, 120 },
	{ "qemu-img create -f qcow2 -o cluster_size=4k disk 512k && "
	  "qemu-io -c 'write -P 9 0 512k' disk && qemu-img snapshot -c s disk", 4096, 120 },
	{ "qemu-img convert -c -O qcow2 -o cluster_size=4k base disk", 4096, 120 },
};

static void one_kind(const struct kind *k)
{
	struct block *b;
	unsigned int i;

	print_message("%s\n", k->make);
	must("head -c 524288 /dev/urandom >base; rm -f disk; %s", k->make);
	b = open_ro("disk");
	assert_int_equal(block_read(b, 0, start_data, DISK), 0);
	block_close(b);
	must("cp disk start");
	for (i = 0; i < events; i++)
		free(event[i].data);
	events = 0;
	run_guest(k->operations, k->cluster);
	print_message("  %u events\n", events);
	check_kills();
	check_failures(400);
}

static void every_moment(void **state)
{
	unsigned int i;

	(void)state;
	chance_seed();
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		one_kind(&kinds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_moment),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}

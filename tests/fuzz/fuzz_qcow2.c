/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damaged qcow2 images: headers, tables and lengths are changed at random, in
 * images of every kind that QEMU makes, and then opened, read, written, checked
 * and repaired. Nothing may crash, hang or take memory without bound.
 *
 *	fuzz-qcow2 SECONDS [SEED]
 *
 * An image that does is left in the file "fuzzed" of the folder that is printed.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../../vmm/block/create.h"
#include "../../vmm/error.h"
#include "chance.h"

#define FILE_MAX (4 * MIB)
#define DISK (1 * MIB)
#define HANG_SECONDS 30
#define MEMORY_MAX (2 * GIB)

static const char *const recipes[] = {
	"qemu-img create -f qcow2 s 1M && qemu-io -c 'write 0 300k' -c 'write -z 512k 64k' s",
	"qemu-img create -f qcow2 -o cluster_size=512 s 1M && qemu-io -c 'write 3k 90k' s",
	"qemu-img create -f qcow2 -o cluster_size=4k,refcount_bits=64 s 1M && "
		"qemu-io -c 'write 0 200k' s && qemu-img snapshot -c a s && "
		"qemu-io -c 'write 100k 200k' s && qemu-img snapshot -c b s",
	"qemu-img create -f qcow2 -o cluster_size=4k,refcount_bits=1 s 1M && "
		"qemu-io -c 'write 0 200k' s",
	"qemu-img create -f qcow2 -o compat=0.10,cluster_size=8k -b base -F raw s && "
		"qemu-io -c 'write 10k 90k' s",
	"qemu-img create -f qcow2 -o cluster_size=16k,lazy_refcounts=on -b base -F raw s && "
		"qemu-io -c 'write 10k 90k' -c abort s; true",
	"qemu-img convert -c -O qcow2 -o cluster_size=4k base s",
	"qemu-img convert -c -O qcow2 -o cluster_size=64k,compression_type=zstd base s",
	"qemu-img create -f qcow2 -o cluster_size=4k s 1M && qemu-img bitmap --add s b && "
		"qemu-io -c 'write 0 100k' s",
};

static struct {
	u8 *data;
	size_t len;
} seeds[ARRAY_SIZE(recipes)];

/* --- images --------------------------------------------------------------------------- */

static int make_seeds(void)
{
	char command[1024];
	unsigned int i;
	FILE *f;

	if (system("head -c 700000 /dev/zero | tr '\\0' 'x' >base && head -c 348576 /dev/urandom "
		   ">>base"))
		return -1;
	for (i = 0; i < ARRAY_SIZE(recipes); i++) {
		snprintf(command, sizeof(command), "{ rm -f s; %s; } >log 2>&1", recipes[i]);
		f = system(command) ? NULL : fopen("s", "re");
		if (!f)
			return -1;
		seeds[i].data = malloc(FILE_MAX);
		seeds[i].len = fread(seeds[i].data, 1, FILE_MAX, f);
		fclose(f);
	}
	return 0;
}

static u64 value(u64 old, size_t len)
{
	switch (chance(9)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX >> chance(64);
	case 2:
		return old ^ 1ULL << chance(64);
	case 3:
		return old + chance(5) - 2;
	case 4:		/* some cluster of the file, with some flags */
		return (chance(len) & ~511ULL) | chance(8) << 61 | chance(2);
	case 5:
		return align_up(len, 4096) + (chance(64) << 12);
	case 6:
		return 1ULL << chance(64);
	case 7:
		return old << chance(16);
	default:
		return chance(0);
	}
}

static void put(u8 *data, size_t len, u64 at, unsigned int bytes)
{
	u64 v = 0;

	if (at + 8 > len)
		return;
	memcpy(&v, data + at, 8);
	v = htobe64(value(be64toh(v), len));
	memcpy(data + at, (u8 *)&v + (chance(2) ? 8 - bytes : 0), bytes);
}

/* One change: in the header, in a table that something names, or anywhere. */
static void mutate(u8 *data, size_t *len)
{
	static const unsigned int named[] = { 40, 48, 64 };	/* fields with tables' offsets */
	u64 at = 0;

	switch (chance(8)) {
	case 0:
		put(data, *len, chance(112), 1 << chance(4));
		return;
	case 1:
		put(data, *len, 104 + chance(200), 1 << chance(4));
		return;
	case 2:
		if (chance(10) == 0)
			*len = chance(*len);
		return;
	case 3:
		put(data, *len, chance(*len), 1 << chance(4));
		return;
	default:	/* through one or two tables */
		memcpy(&at, data + named[chance(3)], 8);
		at = (be64toh(at) & 0xffffffffff) + chance(chance(2) ? 64 : 4) * 8;
		if (at + 8 <= *len && chance(2)) {
			memcpy(&at, data + at, 8);
			at = (be64toh(at) & 0xfffffffe00) + chance(256) * 8;
		}
		put(data, *len, at, 8);
	}
}

static void write_image(const u8 *data, size_t len)
{
	int fd = open("fuzzed", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		_exit(2);
	close(fd);
}

/* --- use --------------------------------------------------------------------------------- */

static u8 buf[DISK];

static void look(struct block *b)
{
	struct block_limits l;
	struct image_info info;
	u64 off = 0, run;
	unsigned int i;

	block_get_limits(b, &l);
	image_get_info(b, &info);
	for (i = 0; i < 200 && off < l.size; i++, off += run)
		if (block_status(b, off, l.size - off, &run) < 0 || !run)
			break;
	block_read(b, 0, buf, l.size < DISK ? l.size : DISK);
	for (i = 0; i < 10 && l.size > 4096; i++)
		block_read(b, chance(l.size - 4096), buf, 4096);
}

static void change(struct block *b)
{
	struct block_limits l;
	unsigned int i;

	block_get_limits(b, &l);
	for (i = 0; i < 20 && l.size >= 512; i++) {
		u64 off = chance(chance(4) ? (l.size < DISK ? l.size : DISK) : l.size);
		u64 len = 1 + chance(chance(2) ? 5000 : 200000);

		if (len > l.size - off)
			len = l.size - off;
		switch (chance(6)) {
		case 0:
			block_discard(b, off, len);
			break;
		case 1:
			block_zero(b, off, len, chance(2));
			break;
		case 2:
			block_flush(b);
			break;
		default:
			block_write(b, off, buf, len);
		}
	}
	look(b);
	if (chance(4) == 0)
		image_resize(b, "fuzzed", chance(4 * DISK) & ~511ULL, true);
}

static void check(enum image_repair repair)
{
	const struct block_options o = {
		.format = "qcow2", .examine = true, .readonly = repair == REPAIR_NONE,
		.no_backing = true,
	};
	struct image_check c = { 0 };
	struct block *b = block_open("fuzzed", &o);

	if (b)
		image_check(b, repair, &c);
	block_close(b);
}

static void use(void)
{
	const struct block_options ro = { .readonly = true, .no_backing = chance(2) };
	const struct block_options rw = { .format = "qcow2", .cache = BLOCK_UNSAFE };
	struct block *b = block_open("fuzzed", &ro);

	if (b)
		look(b);
	block_close(b);
	check(REPAIR_NONE);
	if (chance(3) == 0)
		check(chance(2) ? REPAIR_ALL : REPAIR_LEAKS);
	b = block_open("fuzzed", &rw);
	if (b)
		change(b);
	block_close(b);
	check(REPAIR_NONE);
}

static void on_alarm(int sig)
{
	static const char text[] = "fuzz-qcow2: it hangs\n";

	(void)sig;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1))
		abort();
	abort();
}

static void bound_memory(void)
{
#ifndef __SANITIZE_ADDRESS__
	const struct rlimit most = { MEMORY_MAX, MEMORY_MAX };

	setrlimit(RLIMIT_AS, &most);
#endif
}

int main(int argc, char **argv)
{
	char folder[] = "/dev/shm/anykvm-fuzz-XXXXXX", command[64];
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	static u8 image[FILE_MAX];
	unsigned long rounds = 0;

	chance_state = chance_seed(argc > 2 ? argv[2] : NULL);
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return 2;
	printf("fuzz-qcow2: seed %llu, folder %s\n", (unsigned long long)chance_state, folder);
	fflush(stdout);
	if (make_seeds() < 0)
		return printf("fuzz-qcow2: cannot make the first images\n"), 2;
	bound_memory();
	signal(SIGALRM, on_alarm);
	while (time(NULL) < end) {
		unsigned int s = (unsigned int)chance(ARRAY_SIZE(seeds)), n = 1 + chance(6);
		size_t len = seeds[s].len;

		memcpy(image, seeds[s].data, len);
		while (n--)
			mutate(image, &len);
		write_image(image, len);
		alarm(HANG_SECONDS);
		use();
		alarm(0);
		rounds++;
	}
	printf("fuzz-qcow2: %lu images\n", rounds);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") < 0 || system(command);
}

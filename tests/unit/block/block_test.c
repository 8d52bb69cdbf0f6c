/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of disk images share. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "block_test.h"

static char folder[256];
static int stderr_copy = -1;

int folder_make(void **state)
{
	const char *place = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof(folder), "%s/anykvm-block-XXXXXX", place ? place : "/var/tmp");
	return !mkdtemp(folder) || chdir(folder) < 0;
}

int folder_remove(void **state)
{
	(void)state;
	loud();
	if (chdir("/") < 0 || !folder[0])
		return 1;
	return sh("rm -rf '%s'", folder);
}

static int run(const char *fmt, va_list ap)
{
	char command[2048], line[2100];

	vsnprintf(command, sizeof(command), fmt, ap);
	snprintf(line, sizeof(line), "{ %s; } >%s 2>&1", command,
		 access("/proc/self/cwd/.", W_OK) == 0 && strcmp(folder, "") &&
		 strncmp(command, "rm -rf", 6) ? "out" : "/dev/null");
	return system(line);
}

int sh(const char *fmt, ...)
{
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = run(fmt, ap);
	va_end(ap);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void must(const char *fmt, ...)
{
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = run(fmt, ap);
	va_end(ap);
	if (status) {
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
		fprintf(stderr, "\n");
		if (system("cat out >&2"))
			fprintf(stderr, "no output\n");
	}
	assert_int_equal(status, 0);
}

void quiet(void)
{
	int fd = open("err", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	fflush(stderr);
	if (stderr_copy < 0)
		stderr_copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

void loud(void)
{
	if (stderr_copy < 0)
		return;
	fflush(stderr);
	dup2(stderr_copy, STDERR_FILENO);
	close(stderr_copy);
	stderr_copy = -1;
}

bool told(const char *text)
{
	char all[8192];
	FILE *f = fopen("err", "re");
	size_t n = f ? fread(all, 1, sizeof(all) - 1, f) : 0;

	all[n] = 0;
	if (f)
		fclose(f);
	if (strstr(all, text))
		return true;
	print_message("no '%s' in: %s\n", text, all);
	return false;
}

/* --- chance ------------------------------------------------------------------------- */

static u64 seed;

void chance_seed(void)
{
	const char *s = getenv("SEED");
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	seed = s ? strtoull(s, NULL, 0) : (u64)ts.tv_nsec ^ (u64)ts.tv_sec << 20;
	print_message("SEED=%llu\n", (unsigned long long)seed);
}

u64 chance(u64 n)
{
	seed += 0x9e3779b97f4a7c15ULL;		/* splitmix64 */
	u64 z = seed;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return n ? z % n : 0;
}

void pattern(void *buf, size_t len, u64 at, u32 generation)
{
	u8 *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (u8)((at + i) * 7 + (at + i) / 512 * 13 + generation * 31 + 1);
}

/* --- images -------------------------------------------------------------------------- */

struct block *open_rw(const char *path)
{
	const struct block_options o = { .format = NULL };
	struct block *b = block_open(path, &o);

	assert_non_null(b);
	return b;
}

struct block *open_ro(const char *path)
{
	const struct block_options o = { .readonly = true };
	struct block *b = block_open(path, &o);

	assert_non_null(b);
	return b;
}

void make_image(const char *path, u64 size, u32 cluster, unsigned int refcount_bits,
		const char *backing)
{
	const struct image_spec s = {
		.format = "qcow2", .size = size, .cluster_size = cluster,
		.refcount_bits = refcount_bits, .backing = backing, .force = true,
	};

	assert_int_equal(image_create(path, &s), 0);
}

void assert_clean(const char *path)
{
	must("qemu-img check -q %s", path);
}

void assert_no_errors(const char *path)
{
	int status = sh("qemu-img check -q %s", path);

	if (status != 0 && status != 3 && system("cat out"))
		print_message("no output\n");
	assert_true(status == 0 || status == 3);	/* 3: leaks */
}

u64 count_errors(const char *path, u64 *leaks)
{
	const struct block_options o = {
		.format = "qcow2", .readonly = true, .examine = true, .no_backing = true,
	};
	struct image_check c = { 0 };
	struct block *b = block_open(path, &o);

	assert_non_null(b);
	assert_int_equal(image_check(b, REPAIR_NONE, &c), 0);
	block_close(b);
	if (leaks)
		*leaks = c.leaks;
	return c.errors;
}

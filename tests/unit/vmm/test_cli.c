/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes, numbers and options of the command line. */
#include <fcntl.h>
#include <unistd.h>

#include "../../../vmm/cli/options.h"
#include "../../../vmm/error.h"
#include "vmm_test.h"

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		u64 size;
	} good[] = {
		{ "0", 0 }, { "1", 1 }, { "4096", 4096 }, { "4K", 4096 }, { "512M", 512 * MIB },
		{ "2g", 2 * GIB }, { "2GiB", 2 * GIB }, { "1MB", MIB }, { "3T", 3072 * GIB },
		{ "18446744073709551615", UINT64_MAX }, { "16777215T", 16777215ULL << 40 },
	};
	static const char *const bad[] = {
		"", "M", "-1", "1 M", "1Q", "0x10", "1.5G", "18446744073709551616", "16777216T",
		"99999999999999999999G", "1MM", "iB", "B", "00000000000000000000000000000001",
	};
	u64 v;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_size(good[i].text, &v), 0);
		assert_int_equal(v, good[i].size);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_size(bad[i], &v), -1);
}

static const char *last;

static int set_value(void *ctx, const char *value)
{
	last = value;
	++*(int *)ctx;
	return value && !strcmp(value, "bad") ? -1 : 0;
}

static void test_options(void **state)
{
	static const struct option_def table[] = {
		{ "--with", "X", "takes one", set_value },
		{ "--flag", NULL, "takes none", set_value },
		{ NULL, NULL, NULL, NULL },
	};
	char *good[] = { "--with", "1", "--flag", "--with=--flag" };
	char *help[] = { "--flag", "--help" };
	char *lacking[] = { "--with" };
	char *surplus[] = { "--flag=1" };
	char *unknown[] = { "--wit", "1" };
	char *word[] = { "word" };
	char *refused[] = { "--with", "bad" };
	int n = 0;

	(void)state;
	assert_int_equal(options_parse(table, &n, 4, good), 0);
	assert_int_equal(n, 3);
	assert_string_equal(last, "--flag");
	assert_int_equal(options_parse(table, &n, 2, help), 1);
	assert_int_equal(options_parse(table, &n, 1, lacking), -1);
	assert_int_equal(options_parse(table, &n, 1, surplus), -1);
	assert_int_equal(options_parse(table, &n, 2, unknown), -1);
	assert_int_equal(options_parse(table, &n, 1, word), -1);
	assert_int_equal(options_parse(table, &n, 2, refused), -1);
}

/* What a file of options comes to: the number of options, or -1. */
static int take_text(const char *text)
{
	static const struct option_def table[] = {
		{ "--with", "X", "takes one", set_value },
		{ "--flag", NULL, "takes none", set_value },
		{ NULL, NULL, NULL, NULL },
	};
	char path[] = "/tmp/anykvm-options.XXXXXX";
	int fd = mkstemp(path), n = 0, r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	r = options_file(table, &n, path);
	unlink(path);
	return r < 0 ? -1 : n;
}

static void test_file(void **state)
{
	static const char *const bad[] = {
		"with\n", "with\t \n", "flag on\n", "--with x\n", "wit x\n", "with=x\n", "help\n",
		"flag\nwith bad\n", "-h", "with\0x",
	};
	unsigned int i;

	(void)state;
	assert_int_equal(take_text(""), 0);
	assert_int_equal(take_text("# a remark\n\n  \t\n"), 0);
	assert_int_equal(take_text("with x\nflag\nwith\ty"), 3);
	assert_string_equal(last, "y");
	assert_int_equal(take_text("  with  a word, = # and more \t\r\n"), 1);
	assert_string_equal(last, "a word, = # and more");
	assert_int_equal(take_text("with --flag\n"), 1);
	assert_string_equal(last, "--flag");
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(take_text(bad[i]), -1);
	assert_int_equal(options_file(NULL, NULL, "/nonexistent/options"), -1);
	assert_int_equal(options_file(NULL, NULL, "/"), -1);
}

/* Words between options. */
static int take_word(void *ctx, const char *word)
{
	++*(int *)ctx;
	return strcmp(word, "bad") ? 0 : -1;
}

static void test_mixed(void **state)
{
	static const struct option_def table[] = {
		{ "--with", "X", "takes one", set_value },
		{ NULL, NULL, NULL, NULL },
	};
	char *good[] = { "one", "--with", "word", "two", "--with=x", "three" };
	char *refused[] = { "--with", "x", "bad" };
	int n = 0;

	(void)state;
	assert_int_equal(options_parse_mixed(table, &n, 6, good, take_word), 0);
	assert_int_equal(n, 5);
	assert_int_equal(options_parse_mixed(table, &n, 3, refused, take_word), -1);
}

static void test_values(void **state)
{
	static const char *const words[] = { "one", "two", "three", NULL };
	const char *list[2];
	unsigned int n = 0;
	char text[128];

	(void)state;
	assert_int_equal(options_choice("--x", "one", words), 0);
	assert_int_equal(options_choice("--x", "three", words), 2);
	error_catch(text, sizeof(text));
	assert_int_equal(options_choice("--x", "thre", words), -1);
	assert_string_equal(text, "--x takes one, two or three, not 'thre'");
	assert_int_equal(options_add("--y", "a", list, &n, 2), 0);
	assert_int_equal(options_add("--y", "b", list, &n, 2), 0);
	error_catch(text, sizeof(text));
	assert_int_equal(options_add("--y", "c", list, &n, 2), -1);
	error_catch(NULL, 0);
	assert_string_equal(text, "too many --y options: at most 2");
	assert_string_equal(list[1], "b");
	assert_int_equal(n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

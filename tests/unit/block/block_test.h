/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of disk images share: a folder that vanishes, QEMU's tools, chance. */
#ifndef TESTS_UNIT_BLOCK_TEST_H
#define TESTS_UNIT_BLOCK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../vmm/block/create.h"

/* For setup and teardown: a new folder, which is the working directory. */
int folder_make(void **state);
int folder_remove(void **state);

/* Runs a command with the shell: its exit status. What it prints goes to the file "out". */
int sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, which must succeed. */
void must(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Errors that the library tells are not shown; the last one is in the file "err". */
void quiet(void);
void loud(void);
/* Whether the error lines since quiet() have the text. */
bool told(const char *text);

/* A pseudo-random number below n; the seed is $SEED or the time, and is printed. */
u64 chance(u64 n);
void chance_seed(void);

/* Fills memory with a pattern that tells where it belongs. */
void pattern(void *buf, size_t len, u64 at, u32 generation);

struct block *open_rw(const char *path);
struct block *open_ro(const char *path);
void make_image(const char *path, u64 size, u32 cluster, unsigned int refcount_bits,
		const char *backing);
/* qemu-img check: nothing wrong at all, or nothing but leaks. */
void assert_clean(const char *path);
void assert_no_errors(const char *path);
/* Our own check: the number of errors. */
u64 count_errors(const char *path, u64 *leaks);

#endif

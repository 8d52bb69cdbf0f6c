/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The event loop: callbacks, removal from other threads, calls, timers; and the registry. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../../vmm/backends/loop.h"
#include "../../../vmm/backends/registry.h"
#include "vmm_test.h"

static struct loop *loop;
static unsigned int calls;

static void stop(void *arg)
{
	calls++;
	loop_stop(arg);
}

static void count(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
}

static int setup(void **state)
{
	(void)state;
	loop = loop_new();
	calls = 0;
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void signal_fd(int fd)
{
	const u64 one = 1;

	assert_int_equal(write(fd, &one, 8), 8);
}

static void test_entries(void **state)
{
	struct loop_entry *e[40];
	int fd[40], i;

	(void)state;
	for (i = 0; i < 40; i++) {
		fd[i] = eventfd(i != 39, EFD_NONBLOCK);
		e[i] = loop_add(loop, fd[i], POLLIN, i == 20 ? stop : count, loop);
		assert_non_null(e[i]);
	}
	loop_enable(e[3], false);
	loop_remove(e[4]);
	loop_run(loop);
	assert_int_equal(calls, 37);	/* all but the disabled, the removed and the silent one */
	for (i = 0; i < 40; i++) {
		if (i != 4)
			loop_remove(e[i]);
		close(fd[i]);
	}
}

static void test_timer(void **state)
{
	struct timer *t = timer_new(loop, stop, loop);
	u64 start = monotonic_ns();

	(void)state;
	timer_set(t, start + 20000000);
	loop_run(loop);
	assert_true(monotonic_ns() - start >= 20000000);
	timer_free(t);
}

static void test_call(void **state)
{
	(void)state;
	assert_int_equal(loop_call(loop, count, NULL), 0);
	assert_int_equal(loop_call(loop, count, &calls), 0);
	assert_int_equal(loop_call(loop, stop, loop), 0);
	assert_int_equal(loop_call(loop, count, &calls), 0);
	loop_forget(loop, &calls);
	loop_run(loop);
	assert_int_equal(calls, 2);
	loop_call(loop, stop, loop);
	loop_run(loop);
	assert_int_equal(calls, 3);
}

static void slow(void *arg)
{
	u64 v;

	assert_int_equal(read(*(int *)arg, &v, 8), 8);
	__atomic_store_n(&calls, 1, __ATOMIC_SEQ_CST);
	usleep(50000);
	__atomic_store_n(&calls, 2, __ATOMIC_SEQ_CST);
}

/* Removing from another thread waits for the callback that runs. */
static void test_thread(void **state)
{
	struct loop *l = loop_thread_new("test");
	int fd = eventfd(0, 0);
	struct loop_entry *e;

	(void)state;
	assert_non_null(l);
	e = loop_add(l, fd, POLLIN, slow, &fd);
	signal_fd(fd);
	while (!__atomic_load_n(&calls, __ATOMIC_SEQ_CST))
		usleep(1000);
	loop_remove(e);
	assert_int_equal(calls, 2);
	signal_fd(fd);
	usleep(20000);
	assert_int_equal(calls, 2);
	loop_thread_free(l);
	close(fd);
}

static void note_end(void *backend)
{
	*(bool *)backend = true;
}

static void test_registry(void **state)
{
	struct registry *r = registry_new();
	bool a = false, b = false;

	(void)state;
	assert_int_equal(registry_add(r, "disk", "d0", &a, note_end), 0);
	assert_int_equal(registry_add(r, "net", "d0", &b, note_end), 0);
	assert_int_equal(registry_add(r, "disk", "d0", &b, note_end), -1);
	assert_ptr_equal(registry_find(r, "disk", "d0"), &a);
	assert_null(registry_find(r, "disk", "d1"));
	assert_ptr_equal(registry_claim(r, "disk", "d0"), &a);
	assert_null(registry_claim(r, "disk", "d0"));
	assert_int_equal(registry_remove(r, "disk", "d0"), -EBUSY);
	registry_release(r, &a);
	assert_int_equal(registry_remove(r, "disk", "d0"), 0);
	assert_true(a);
	assert_int_equal(registry_remove(r, "disk", "d0"), -ENOENT);
	registry_free(r);
	assert_true(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_entries), TEST(test_timer), TEST(test_call), TEST(test_thread),
		TEST(test_registry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the hypervisor asks of its operating system (hv/host): copies from and
 * to bad addresses, also in a sandbox that forbids the fast way, locks and
 * waiting, the poller's promises about descriptors and timers, clocks.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/host.h"

#define PAGE 4096ul
#define MS 1000000ull

/* Two pages, the second of which is not there. */
static u8 *edge(void)
{
	u8 *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p + PAGE, PAGE);
	return p;
}

static int copies(void)
{
	u8 *p = edge(), buf[64];

	memset(p, 7, PAGE);
	if (host_copy_from_user(buf, (u64)p + PAGE - 64, 64) || buf[0] != 7 || buf[63] != 7)
		return 1;
	if (host_copy_from_user(buf, (u64)p + PAGE - 32, 64) != -EFAULT)
		return 2;
	if (host_copy_from_user(buf, 8, 1) != -EFAULT)
		return 3;
	if (host_copy_from_user(buf, 0xffff800000000000ull, 8) != -EFAULT)
		return 4;
	memset(buf, 9, sizeof(buf));
	if (host_copy_to_user((u64)p, buf, 64) || p[63] != 9 || p[64] != 7)
		return 5;
	if (host_copy_to_user((u64)p + PAGE - 32, buf, 64) != -EFAULT)
		return 6;
	mprotect(p, PAGE, PROT_READ);
	if (host_copy_to_user((u64)p, buf, 64) != -EFAULT)
		return 7;
	if (host_copy_from_user(buf, 0, 0))
		return 8;
	munmap(p, PAGE);
	return 0;
}

static void test_copies(void **state)
{
	(void)state;
	assert_int_equal(copies(), 0);
}

static void forbid_process_vm(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_writev, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(77);
}

static void test_copies_in_sandbox(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		u8 *big, *back;
		int r;

		forbid_process_vm();
		r = copies();
		big = malloc(200000);
		back = malloc(200000);
		memset(big, 0x5a, 200000);
		if (host_copy_from_user(back, (u64)big, 200000) || memcmp(big, back, 200000))
			r = 20;
		_exit(r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void test_range_mapped(void **state)
{
	u8 *p = edge();

	(void)state;
	assert_true(host_range_mapped((u64)p, PAGE));
	assert_true(host_range_mapped((u64)p + 5, 7));
	assert_true(host_range_mapped((u64)p, 0));
	assert_false(host_range_mapped((u64)p + PAGE - 1, 2));
	assert_false(host_range_mapped(0, PAGE));
	assert_false(host_range_mapped(~0ull - 5, 100));
	assert_false(host_range_mapped(0xffff800000000000ull, PAGE));
	munmap(p, PAGE);
}

/* --- locks and waiting -------------------------------------------------------------- */

static struct host_mutex lock;
static u64 shared;

static void adder(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 100000; i++) {
		host_mutex_lock(&lock);
		shared++;
		host_mutex_unlock(&lock);
	}
}

static void test_mutex(void **state)
{
	struct host_thread *t[4];
	int i;

	(void)state;
	shared = 0;
	for (i = 0; i < 4; i++)
		t[i] = host_thread_start("adder", adder, NULL);
	for (i = 0; i < 4; i++)
		host_thread_join(t[i]);
	assert_int_equal(shared, 400000);
}

static u32 word;

static void waker(void *arg)
{
	(void)arg;
	usleep(20000);
	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	host_futex_wake(&word, 1);
}

static void test_futex(void **state)
{
	u64 now = host_monotonic_ns();
	struct host_thread *t;

	(void)state;
	word = 0;
	assert_int_equal(host_futex_wait(&word, 1, 0), 0);
	assert_int_equal(host_futex_wait(&word, 0, now + 20 * MS), -ETIMEDOUT);
	assert_true(host_monotonic_ns() >= now + 20 * MS);
	t = host_thread_start("waker", waker, NULL);
	assert_int_equal(host_futex_wait(&word, 0, 0), 0);
	assert_int_equal(word, 1);
	host_thread_join(t);
}

/* --- the poller ----------------------------------------------------------------------- */

struct probe {
	struct host_poller *p;
	int fd;
	u32 calls;
	bool slow, inside;
	struct host_timer timer;
	u64 at;
};

static void on_event(void *arg)
{
	struct probe *b = arg;

	b->inside = true;
	host_eventfd_take(b->fd);
	if (b->slow)
		usleep(50000);
	__atomic_fetch_add(&b->calls, 1, __ATOMIC_SEQ_CST);
	b->inside = false;
}

static bool reaches(u32 *count, u32 want)
{
	int i;

	for (i = 0; i < 1000; i++) {
		if (__atomic_load_n(count, __ATOMIC_SEQ_CST) >= want)
			return true;
		usleep(1000);
	}
	return false;
}

static void test_poller_descriptors(void **state)
{
	struct probe b = { .fd = eventfd(0, 0) };

	(void)state;
	b.p = host_poller_start("test");
	assert_non_null(b.p);
	assert_true(host_is_eventfd(b.fd));
	assert_false(host_is_eventfd(0));
	assert_int_equal(host_poller_add(b.p, b.fd, on_event, &b), 0);
	assert_int_equal(host_poller_add(b.p, b.fd, on_event, &b), -EEXIST);
	assert_int_equal(host_poller_add(b.p, -1, on_event, &b), -EBADF);
	assert_int_equal(host_eventfd_signal(b.fd), 0);
	assert_true(reaches(&b.calls, 1));
	usleep(5000);
	assert_int_equal(b.calls, 1);
	/* After del nothing runs any more, even what was under way. */
	b.slow = true;
	host_eventfd_signal(b.fd);
	while (!__atomic_load_n(&b.inside, __ATOMIC_SEQ_CST))
		usleep(100);
	host_poller_del(b.p, b.fd);
	assert_false(b.inside);
	assert_int_equal(b.calls, 2);
	host_eventfd_signal(b.fd);
	usleep(5000);
	assert_int_equal(b.calls, 2);
	host_poller_del(b.p, b.fd);
	host_poller_stop(b.p);
	close(b.fd);
}

static void on_timer(void *arg)
{
	struct probe *b = arg;

	b->at = host_monotonic_ns();
	__atomic_fetch_add(&b->calls, 1, __ATOMIC_SEQ_CST);
}

static void on_periodic(void *arg)
{
	struct probe *b = arg;

	on_timer(b);
	host_timer_set(&b->timer, b->timer.deadline_ns + 2 * MS);
}

static void test_poller_timers(void **state)
{
	struct probe b[3] = { 0 };
	struct host_poller *p = host_poller_start("test");
	u64 now = host_monotonic_ns();
	u32 calls;
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		host_timer_init(&b[i].timer, p, i == 2 ? on_periodic : on_timer, &b[i]);
	/* The later one first, and one that is moved nearer. */
	host_timer_set(&b[0].timer, now + 60 * MS);
	host_timer_set(&b[1].timer, now + 3600000 * MS);
	host_timer_set(&b[1].timer, now + 30 * MS);
	assert_true(reaches(&b[1].calls, 1));
	assert_true(b[1].at >= now + 30 * MS);
	assert_int_equal(b[0].calls, 0);
	assert_true(reaches(&b[0].calls, 1));
	assert_true(b[0].at >= now + 60 * MS);
	/* One in the past fires at once; a cancelled one never. */
	host_timer_set(&b[0].timer, 1);
	assert_true(reaches(&b[0].calls, 2));
	host_timer_set(&b[0].timer, host_monotonic_ns() + 10 * MS);
	host_timer_cancel(&b[0].timer);
	usleep(20000);
	assert_int_equal(b[0].calls, 2);
	/* One that sets itself again is cancelled for good. */
	host_timer_set(&b[2].timer, host_monotonic_ns());
	assert_true(reaches(&b[2].calls, 10));
	host_timer_cancel(&b[2].timer);
	calls = b[2].calls;
	usleep(10000);
	assert_int_equal(b[2].calls, calls);
	host_poller_stop(p);
}

/* --- clocks and files -------------------------------------------------------------------- */

static void test_clocks(void **state)
{
	u64 ns = host_monotonic_ns(), tsc = host_rdtsc(), khz = host_tsc_khz();
	u64 dns, dtsc;

	(void)state;
	usleep(100000);
	dns = host_monotonic_ns() - ns;
	dtsc = host_rdtsc() - tsc;
	assert_true(dns >= 100 * MS);
	/* Within a thousandth. */
	assert_in_range(dtsc * 1000000 / dns, khz - khz / 1000, khz + khz / 1000);
	assert_true(host_realtime_ns() > 1700000000ull * 1000 * MS);
}

static void test_views(void **state)
{
	u8 *p = host_map(5 * PAGE);

	(void)state;
	assert_non_null(p);
	p[0] = p[4 * PAGE] = 7;
	assert_int_equal(host_repeat(p, 2 * PAGE, 2), 0);
	assert_int_equal(p[0], 0);
	p[PAGE] = 1;
	assert_int_equal(p[3 * PAGE], 1);
	p[2 * PAGE + 5] = 2;
	assert_int_equal(p[5], 2);
	assert_int_equal(p[4 * PAGE], 7);
	host_unmap(p, 5 * PAGE);
}

static void test_files(void **state)
{
	int fd = host_memfd("test", 2 * PAGE), copy;
	u64 d1, d2, i1, i2;
	u8 *p, *q;

	(void)state;
	assert_true(fd >= 0);
	p = host_map_fd(fd, 2 * PAGE);
	q = host_map_fd(fd, 2 * PAGE);
	p[5000] = 3;
	assert_int_equal(q[5000], 3);
	assert_int_equal(ftruncate(fd, 0), -1);
	copy = host_dup(fd);
	assert_int_equal(host_fd_identity(fd, &d1, &i1), 0);
	assert_int_equal(host_fd_identity(copy, &d2, &i2), 0);
	assert_true(d1 == d2 && i1 == i2);
	assert_int_equal(host_close(copy), 0);
	assert_int_equal(host_fd_identity(copy, &d2, &i2), -EBADF);
	host_close(fd);
	host_unmap(p, 2 * PAGE);
	host_unmap(q, 2 * PAGE);
}

/* The third number of the kernel's own text is the count of times that it ran the thread. */
static bool kernel_keeps_delays(void)
{
	unsigned long long ran, waited, times = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "re");

	if (!f)
		return false;
	if (fscanf(f, "%llu %llu %llu", &ran, &waited, &times) != 3)
		times = 0;
	fclose(f);
	return times != 0;
}

/* Whether the kernel tells it is the same in threads that never waited for a processor. */
static void *ask_delay(void *told)
{
	u64 ns;

	*(bool *)told = host_run_delay(&ns);
	return NULL;
}

static void test_run_delay(void **state)
{
	bool told, kept = kernel_keeps_delays();
	pthread_t t;
	int i;

	(void)state;
	for (i = 0; i < 500; i++) {
		assert_int_equal(pthread_create(&t, NULL, ask_delay, &told), 0);
		pthread_join(t, NULL);
		assert_int_equal(told, kept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_copies_in_sandbox),
		cmocka_unit_test(test_range_mapped),
		cmocka_unit_test(test_mutex),
		cmocka_unit_test(test_futex),
		cmocka_unit_test(test_poller_descriptors),
		cmocka_unit_test(test_poller_timers),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_run_delay),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

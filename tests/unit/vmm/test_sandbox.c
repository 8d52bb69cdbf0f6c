/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sandbox from within: each test is a process that enters it and then tries
 * what a guest that has taken the process over would try.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "block/uring.h"
#include "error.h"
#include "helper.h"
#include "sandbox/sandbox.h"

static char dir[64], path[128], file[80], folder[80], socket_path[80], secret[80];

/* How a process that does this in the sandbox ends, as wait(2) tells. */
static int inside(void (*fn)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		if (sandbox_enter(NULL) < 0)
			_exit(99);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* In the child: a failure is told by the line. */
static void fail_here(int line, const char *what)
{
	dprintf(STDERR_FILENO, "%s:%d: %s (errno %d)\n", __FILE__, line, what, errno);
	_exit(1);
}

#define CHECK(x) do { if (!(x)) fail_here(__LINE__, #x); } while (0)
#define REFUSED(call, err) CHECK((call) == -1 && errno == (err))

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/anykvm-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(secret, sizeof(secret), "%s/secret", dir);
	snprintf(folder, sizeof(folder), "%s/folder", dir);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", dir);
	write_file(file, "given");
	write_file(secret, "kept");
	write_file(socket_path, "");
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(path, sizeof(path), "%s/inner", folder);
	write_file(path, "inner");
	snprintf(path, sizeof(path), "%s/link", folder);
	assert_int_equal(symlink(secret, path), 0);
	free(sandbox_policy.rule);
	memset(&sandbox_policy, 0, sizeof(sandbox_policy));
	assert_int_equal(sandbox_allow(file, SANDBOX_READ), 0);
	assert_int_equal(sandbox_allow(folder, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_TREE), 0);
	assert_int_equal(sandbox_allow(socket_path, SANDBOX_READ | SANDBOX_REMOVE), 0);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* --- files ---------------------------------------------------------------------------- */

static void in_folder(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", folder, name);
}

static void use_files(void)
{
	struct stat st;
	char text[8] = "";
	int fd = open(file, O_RDONLY);

	CHECK(fd >= 0 && read(fd, text, 5) == 5 && !strcmp(text, "given"));
	REFUSED(open(file, O_RDWR), EACCES);
	REFUSED(open(file, O_RDONLY | O_TRUNC), EACCES);
	CHECK(stat(file, &st) == 0 && st.st_size == 5);
	/* below the folder, by any name, and by none that leads out of it */
	in_folder("inner");
	CHECK(open(path, O_RDWR) >= 0);
	in_folder("../folder/inner");
	CHECK(open(path, O_RDWR) >= 0);
	in_folder("new");
	CHECK((fd = open(path, O_RDWR | O_CREAT, 0600)) >= 0 && write(fd, "x", 1) == 1);
	REFUSED(open(path, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	in_folder("link");
	REFUSED(open(path, O_RDONLY), EACCES);
	REFUSED(stat(path, &st), EACCES);
	in_folder("../secret");
	REFUSED(open(path, O_RDONLY), EACCES);
	in_folder("../fresh");
	REFUSED(open(path, O_RDWR | O_CREAT, 0600), EACCES);
	in_folder("none");
	REFUSED(open(path, O_RDONLY), ENOENT);
	in_folder("inner");
	REFUSED(unlink(path), EACCES);
	REFUSED(open(dir, O_RDWR | O_TMPFILE, 0600), EACCES);
	REFUSED(open(folder, O_RDWR | O_TMPFILE, 0600), EACCES);
	REFUSED(open(folder, O_PATH), EACCES);
	/* and removal of what may be removed */
	CHECK(lstat(socket_path, &st) == 0);
	CHECK(unlink(socket_path) == 0);
	REFUSED(lstat(socket_path, &st), ENOENT);
	REFUSED(unlink(file), EACCES);
}

/* Files that may be exchanged: a temporary one takes the place of another. */
static void use_names(void)
{
	char other[128];

	in_folder("inner");
	snprintf(other, sizeof(other), "%s/moved", folder);
	CHECK(rename(path, other) == 0);
	CHECK(open(path, O_RDONLY) == -1 && errno == ENOENT);
	CHECK(renameat(AT_FDCWD, other, AT_FDCWD, path) == 0);
	REFUSED(rename(path, secret), EACCES);
	REFUSED(rename(secret, path), EACCES);
	REFUSED(rename(file, path), EACCES);
	REFUSED(rename(folder, secret), EACCES);
	in_folder("..");
	REFUSED(rename(path, other), EACCES);
	in_folder("inner");
	CHECK(unlink(path) == 0);
	REFUSED(unlink(secret), EACCES);
}

static void test_use_names(void **state)
{
	(void)state;
	assert_int_equal(sandbox_allow(folder, SANDBOX_WRITE | SANDBOX_REMOVE | SANDBOX_TREE), 0);
	assert_int_equal(inside(use_names), 0);
}

static void see_nothing(void)
{
	static const char *const names[] = { "/etc/passwd", "/", "/proc/self/mem", "/proc/self/exe",
		"/dev/kvm", "/dev/null", ".", "..", "", "/proc/self/cwd/etc/passwd" };
	int event = eventfd(0, 0), memory = memfd_create("m", 0), disk = open(file, O_RDONLY);
	char text[64];
	struct stat st;
	unsigned int i;

	CHECK(filter_hint() == NULL);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		CHECK(open(names[i], O_RDONLY) == -1 && (errno == EACCES || errno == ENOENT));
		CHECK(stat(names[i], &st) == -1 && (errno == EACCES || errno == ENOENT));
		CHECK(access(names[i], F_OK) == -1 && errno == EACCES);
	}
	CHECK(filter_hint() != NULL && filter_hint() == NULL);
	/* it is told with a refusal, not with an error that has nothing to do with it */
	CHECK(open(names[0], O_RDONLY) == -1 && !error_note("there is no such property"));
	CHECK(open(names[0], O_RDONLY) == -1 && error_note("x: Permission denied"));
	REFUSED(open(secret, O_RDONLY), EACCES);
	REFUSED(stat(secret, &st), EACCES);
	REFUSED(rename(secret, file), EACCES);
	REFUSED(mkdir(secret, 0700), EACCES);
	REFUSED((int)syscall(SYS_openat2, AT_FDCWD, secret, NULL, 0), ENOSYS);
	REFUSED(openat(0, "x", O_RDONLY), EACCES);
	REFUSED((int)readlink("/proc/self/exe", text, sizeof(text)), EACCES);
	REFUSED((int)readlink("/proc/self/fd/../exe", text, sizeof(text)), EACCES);
	/* of its own descriptors: their kinds, and memory files again for reading */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", event);
	CHECK(readlink(path, text, sizeof(text)) > 0 && !strncmp(text, "anon_inode:[eventfd]", 20));
	REFUSED(open(path, O_RDONLY), EACCES);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	CHECK(open(path, O_RDONLY | O_CLOEXEC) >= 0);
	REFUSED(open(path, O_RDWR), EACCES);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	CHECK(disk >= 0);
	REFUSED(open(path, O_RDONLY), EACCES);
}

/* The opener is asked by several threads at once. */
static void *open_often(void *arg)
{
	char text[8] = "";
	int i, fd;

	(void)arg;
	for (i = 0; i < 200; i++) {
		fd = open(file, O_RDONLY);
		CHECK(fd >= 0 && read(fd, text, 5) == 5 && !strcmp(text, "given"));
		close(fd);
		REFUSED(open(secret, O_RDONLY), EACCES);
	}
	return NULL;
}

static void several_threads(void)
{
	pthread_t t[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		CHECK(pthread_create(&t[i], NULL, open_often, NULL) == 0);
	for (i = 0; i < ARRAY_SIZE(t); i++)
		CHECK(pthread_join(t[i], NULL) == 0);
}

/* --- what fails ------------------------------------------------------------------------- */

static void be_nobody(void)
{
	struct rlimit limit;
	int on = 1;

	CHECK(prctl(PR_SET_NAME, "confined") == 0);
	CHECK(getuid() != 0 && geteuid() != 0 && getgid() != 0);
	REFUSED(socket(AF_UNIX, SOCK_STREAM, 0), EACCES);
	REFUSED(socket(AF_NETLINK, SOCK_RAW, 0), EACCES);
	REFUSED(socket(AF_INET, SOCK_STREAM, 0), EACCES);
	REFUSED(connect(0, NULL, 0), EACCES);
	REFUSED((int)syscall(SYS_io_uring_setup, 8, NULL), ENOSYS);
	REFUSED((int)syscall(SYS_clone3, NULL, 0), ENOSYS);
	CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
	CHECK(setsockopt(0, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1);
	CHECK(kill(getpid(), 0) == 0);
}

static void use_inet(void)
{
	CHECK(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	CHECK(socket(AF_INET6, SOCK_DGRAM, 0) >= 0);
	REFUSED(socket(AF_UNIX, SOCK_STREAM, 0), EACCES);
	REFUSED(socket(AF_PACKET, SOCK_RAW, 0), EACCES);
	CHECK(sandbox_need(SANDBOX_INET, "x") == 0);
	CHECK(sandbox_need(SANDBOX_KVM, "x") == -1);
}

/* Code of its own: only ever in memory that is not writable at that address. */
static void make_code(void)
{
	int fd = memfd_create("code", 0);
	u8 *w, *x;

	CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
	w = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	CHECK(w != MAP_FAILED && x != MAP_FAILED);
	*w = 0xc3;
	((void (*)(void))x)();
}

/* The result of one operation. */
static int do_one(struct io_uring *ring, void (*prepare)(struct io_uring_sqe *e))
{
	struct io_uring_cqe *c;
	int result;

	prepare(io_uring_get_sqe(ring));
	if (io_uring_submit(ring) != 1 || io_uring_wait_cqe(ring, &c) < 0)
		return -EIO;
	result = c->res;
	io_uring_cqe_seen(ring, c);
	return result;
}

static char got[8];
static int given;

static void prepare_read(struct io_uring_sqe *e) { io_uring_prep_read(e, given, got, 5, 0); }
static void prepare_open(struct io_uring_sqe *e) { io_uring_prep_openat(e, -1, secret, 0, 0); }
static void prepare_socket(struct io_uring_sqe *e) { io_uring_prep_connect(e, 0, NULL, 0); }

/* A ring that was made before does transfers, and nothing that the filter would not see. */
static void use_ring(void)
{
	struct uring *u = uring_new(eventfd(0, 0));
	struct io_uring *ring = (struct io_uring *)u;	/* it begins so */

	CHECK(u != NULL && uring_new(eventfd(0, 0)) == NULL);
	CHECK(do_one(ring, prepare_read) == 5 && !memcmp(got, "given", 5));
	CHECK(do_one(ring, prepare_open) == -EACCES);
	CHECK(do_one(ring, prepare_socket) == -EACCES);
	CHECK(io_uring_register_files(ring, &given, 1) == -EACCES);
	uring_free(u);
	CHECK(uring_new(eventfd(0, 0)) == u);
}

static void test_use_ring(void **state)
{
	struct uring *u = uring_new(eventfd(0, 0));

	(void)state;
	if (!u)
		skip();		/* this host has none */
	uring_free(u);
	given = open(file, O_RDONLY);
	uring_reserve(1);
	assert_int_equal(inside(use_ring), 0);
	close(given);
}

/* --- what is deadly --------------------------------------------------------------------- */

static void run_program(void)
{
	char *argv[] = { (char *)"true", NULL };

	execv("/bin/true", argv);
}

static void fork_itself(void) { syscall(SYS_fork); }
static void vfork_itself(void) { syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
static void trace_parent(void) { ptrace(PTRACE_ATTACH, getppid(), 0, 0); }
static void kill_others(void) { kill(-1, 0); }
static void kill_thread(void) { syscall(SYS_tkill, 1, 0); }
static void mount_something(void) { mount("none", "/", "tmpfs", 0, NULL); }
static void leave_root(void) { syscall(SYS_chroot, "."); }
static void become_root(void) { syscall(SYS_setuid, 0); }
static void new_user(void) { syscall(SYS_unshare, CLONE_NEWUSER); }
static void load_program(void) { syscall(SYS_bpf, 0, NULL, 0); }
static void read_others(void) { syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0); }
static void type_for_user(void) { ioctl(0, TIOCSTI, "x"); }
static void signal_others(void) { fcntl(0, F_SETOWN, 1); }
static void raise_limits(void) { setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 1, 1 }); }
static void be_dumpable(void) { prctl(PR_SET_DUMPABLE, 1); }
static void other_personality(void) { syscall(SYS_personality, 0x0400000); }
static void unknown_call(void) { syscall(499); }

static void both_at_once(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void both_later(void)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static void ask_for_another_abi(void)
{
	__asm__ volatile("int $0x80" : : "a"(11), "b"(0), "c"(0), "d"(0) : "memory");
}

static void *in_thread(void *arg)
{
	(void)arg;
	run_program();
	return NULL;
}

/* Also one that has all signals blocked. */
static void thread_runs_program(void)
{
	pthread_t t;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	pthread_create(&t, NULL, in_thread, NULL);
	pthread_join(t, NULL);
}

static void deadly(void **state)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} all[] = {
		{ "execve", run_program }, { "fork", fork_itself }, { "clone", vfork_itself },
		{ "ptrace", trace_parent }, { "kill", kill_others }, { "tkill", kill_thread },
		{ "mount", mount_something }, { "chroot", leave_root }, { "setuid", become_root },
		{ "unshare", new_user }, { "bpf", load_program },
		{ "process_vm_readv", read_others }, { "ioctl", type_for_user },
		{ "fcntl", signal_others },
		{ "prlimit64", raise_limits }, { "prctl", be_dumpable },
		{ "personality", other_personality }, { "mmap", both_at_once },
		{ "mprotect", both_later }, { "", ask_for_another_abi },
		{ "", thread_runs_program }, { "unknown", unknown_call },
	};
	char text[256];
	unsigned int i;
	int fd[2], err, status;
	ssize_t n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		assert_int_equal(pipe(fd), 0);
		err = dup(STDERR_FILENO);
		dup2(fd[1], STDERR_FILENO);
		close(fd[1]);
		status = inside(all[i].fn);
		dup2(err, STDERR_FILENO);
		close(err);
		n = read(fd[0], text, sizeof(text) - 1);
		close(fd[0]);
		text[n > 0 ? n : 0] = 0;
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS ||
		    !strstr(text, all[i].name))
			fail_msg("%s: status %x, message '%s'", all[i].name, status, text);
	}
}

#define INSIDE(test) static void test_##test(void **state) \
	{ (void)state; assert_int_equal(inside(test), 0); }

INSIDE(use_files)
INSIDE(see_nothing)
INSIDE(several_threads)
INSIDE(make_code)

static void test_be_nobody(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(inside(be_nobody), 0);
}

static void test_use_inet(void **state)
{
	(void)state;
	assert_int_equal(sandbox_need(SANDBOX_INET, "a test"), 0);
	assert_int_equal(inside(use_inet), 0);
}

/* --- the policy --------------------------------------------------------------------------- */

static void policy(void **state)
{
	struct sandbox_policy *p = &sandbox_policy;

	(void)state;
	in_folder("a/b");
	assert_int_equal(sandbox_rights(p, "", path), SANDBOX_READ | SANDBOX_WRITE | SANDBOX_TREE);
	snprintf(path, sizeof(path), "%sx", folder);
	assert_int_equal(sandbox_rights(p, "", path), 0);
	snprintf(path, sizeof(path), "%s/x", file);
	assert_int_equal(sandbox_rights(p, path, path), 0);
	assert_int_equal(sandbox_rights(p, "", ""), 0);
	assert_int_equal(sandbox_allow("/nonexistent/folder/x", SANDBOX_READ), -1);
	assert_int_equal(sandbox_allow("/", SANDBOX_READ | SANDBOX_TREE), 0);
	assert_int_equal(sandbox_rights(p, "", "/etc/passwd"), SANDBOX_READ | SANDBOX_TREE);
}

/* --- helpers ------------------------------------------------------------------------------ */

static void send_byte(int fd, char byte)
{
	struct iovec iov = { &byte, 1 };
	const struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (sendmsg(fd, &m, MSG_NOSIGNAL) != 1)
		_exit(1);
}

/* Makes sockets of the domains that come, and tells whether it could. */
static void make_sockets(const void *arg)
{
	static const struct helper_call calls[] = {
		{ .call = SCMP_SYS(socket), .arg = 0, .mask = ~0U, .value = AF_UNIX },
	};
	char domain;

	(void)arg;
	helper_confine(calls, ARRAY_SIZE(calls));
	while (recv(HELPER_SOCKET, &domain, 1, 0) == 1) {
		const char can = domain == -1 ? syscall(SYS_getppid) > 0 :
			socket(domain, SOCK_STREAM, 0) >= 0;

		send_byte(HELPER_SOCKET, can);
	}
}

static void test_helper(void **state)
{
	const struct helper h = {
		.name = "helper", .type = SOCK_SEQPACKET, .serve = make_sockets,
	};
	static const char wrong[] = { AF_INET, -1 };
	unsigned int i, k;
	char answer, text[128];

	(void)state;
#ifdef ANYKVM_SANDBOX_OFF
	skip();		/* sanitizers need more calls */
#endif
	for (i = 0; i < sizeof(wrong); i++) {
		int fd = helper_start(&h);

		assert_true(fd >= 0);
		send_byte(fd, AF_UNIX);
		assert_int_equal(recv(fd, &answer, 1, 0), 1);
		assert_int_equal(answer, 1);
		send_byte(fd, wrong[i]);
		assert_int_equal(recv(fd, &answer, 1, 0), 0);	/* that was its end */
		close(fd);
		/* which is told; nothing is left of it */
		error_catch(text, sizeof(text));
		for (k = 0; k < 5000 && !*text; k++) {
			helper_reap();
			usleep(1000);
		}
		error_catch(NULL, 0);
		assert_non_null(strstr(text, "helper, "));
		assert_non_null(strstr(text, "signal 31"));
		assert_true(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(policy), TEST(test_use_files), TEST(test_use_names), TEST(test_see_nothing),
		TEST(test_several_threads), TEST(test_make_code), TEST(test_be_nobody),
		TEST(test_use_inet), TEST(test_use_ring), TEST(deadly), TEST(test_helper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /dev/kvm in the file system, and its descriptors. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

int test_hello(int argc, char **argv)
{
	struct guest g;
	char text[32];

	(void)argc;
	(void)argv;
	guest_new(&g, guest_hello, guest_hello_size);
	guest_output(&g, text, sizeof(text));
	fputs(text, stdout);
	guest_free(&g);
	return 0;
}

static void check_stat(const struct stat *st)
{
	CHECK(S_ISCHR(st->st_mode) && (st->st_mode & 0666) == 0666);
	CHECK(st->st_rdev == makedev(10, 232));
}

static void check_opening(void)
{
	int dir = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	char resolved[PATH_MAX];

	CHECK(dir >= 0);
	fd = openat(dir, "kvm", O_RDWR);
	CHECK(fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION);
	CHECK(fcntl(fd, F_GETFD) == 0);
	close(fd);
	fd = open("/dev/./kvm", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	close(fd);
	FAILS(open("/dev/kvm", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	FAILS(open("/dev/kvm", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("/dev/kvm/nothing", O_RDONLY), ENOTDIR);
	CHECK(realpath("/dev/kvm", resolved) && !strcmp(resolved, "/dev/kvm"));
	close(dir);
}

int test_device(int argc, char **argv)
{
	struct statx sx;
	struct stat st;
	int fd;
	FILE *f;

	(void)argc;
	(void)argv;
	check_opening();
	CHECK(access("/dev/kvm", F_OK) == 0);
	CHECK(access("/dev/kvm", R_OK | W_OK) == 0);
	FAILS(access("/dev/kvm", X_OK), EACCES);
	CHECK(faccessat(AT_FDCWD, "/dev/kvm", R_OK | W_OK, AT_EACCESS) == 0);
	CHECK(stat("/dev/kvm", &st) == 0);
	check_stat(&st);
	CHECK(lstat("/dev/kvm", &st) == 0);
	check_stat(&st);
	CHECK(fstatat(AT_FDCWD, "/dev/kvm", &st, 0) == 0);
	check_stat(&st);
	CHECK(statx(AT_FDCWD, "/dev/kvm", 0, STATX_BASIC_STATS, &sx) == 0);
	CHECK(S_ISCHR(sx.stx_mode) && sx.stx_rdev_major == 10 && sx.stx_rdev_minor == 232);
	fd = guest_open_kvm();
	CHECK(fstat(fd, &st) == 0);
	check_stat(&st);
	close(fd);
	f = fopen("/dev/kvm", "r+");
	CHECK(f && ioctl(fileno(f), KVM_GET_API_VERSION, 0) == KVM_API_VERSION);
	fclose(f);
	return 0;
}

/* Without anykvm and without the device: that the tests above test something. */
int test_missing(int argc, char **argv)
{
	struct stat st;
	int fd = open("/dev/kvm", O_RDWR);

	(void)argc;
	(void)argv;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode))
		printf("a device\n");
	else
		printf("none\n");
	return 0;
}

/* --- descriptors ----------------------------------------------------------------------- */

static void check_copies(void)
{
	struct guest g;
	int copy, other, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	guest_new(&g, guest_halt, sizeof(guest_halt));
	copy = dup(g.vm);
	CHECK(copy >= 0 && close(g.vm) == 0);
	FAILS(ioctl(g.vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY), EBADF);
	CHECK(ioctl(copy, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) == 1);
	other = fcntl(copy, F_DUPFD_CLOEXEC, 100);
	CHECK(other >= 100 && close(copy) == 0);
	CHECK(ioctl(other, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) == 1);
	/* A descriptor of ours over another's number, and the other way round. */
	CHECK(dup2(other, null) == null);
	CHECK(ioctl(null, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) == 1);
	CHECK(dup3(0, other, O_CLOEXEC) == other);
	FAILS(ioctl(other, KVM_CREATE_IRQCHIP, 0), ENOTTY);
	CHECK(guest_run(&g) == 0 && g.run->exit_reason == KVM_EXIT_HLT);
	g.vm = null;
	guest_free(&g);
	close(other);
}

static void check_ranges(void)
{
	int kvm = guest_open_kvm(), high = fcntl(kvm, F_DUPFD, 200);

	CHECK(high >= 200 && close_range(200, 300, 0) == 0);
	FAILS(fcntl(high, F_GETFD), EBADF);
	CHECK(ioctl(kvm, KVM_GET_API_VERSION, 0) == KVM_API_VERSION);
	high = fcntl(kvm, F_DUPFD, 200);
	CHECK(close_range(200, 300, CLOSE_RANGE_CLOEXEC) == 0);
	CHECK(fcntl(high, F_GETFD) == FD_CLOEXEC);
	close(high);
	close(kvm);
}

/* An eventfd that another process has sent is an irqfd as any. */
static void check_sent(void)
{
	char room[CMSG_SPACE(sizeof(int))], byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct kvm_irqfd irqfd = { .gsi = 5 };
	int pair[2], fd = eventfd(0, EFD_CLOEXEC), kvm = guest_open_kvm();
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	CHECK(sendmsg(pair[0], &m, 0) == 1 && close(fd) == 0);
	CHECK(recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC) == 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	CHECK(ioctl(vm, KVM_CREATE_IRQCHIP, 0) == 0);
	irqfd.fd = (uint32_t)fd;
	CHECK(ioctl(vm, KVM_IRQFD, &irqfd) == 0);
	CHECK(eventfd_write(fd, 1) == 0);
	close(fd);
	close(vm);
	close(kvm);
	close(pair[0]);
	close(pair[1]);
}

int test_descriptors(int argc, char **argv)
{
	struct pollfd p = { .events = POLLIN };

	(void)argc;
	(void)argv;
	check_copies();
	check_ranges();
	check_sent();
	p.fd = guest_open_kvm();
	CHECK(poll(&p, 1, 0) >= 0);
	CHECK(!isatty(p.fd));
	return 0;
}

/* --- other processes ---------------------------------------------------------------------- */

static int wait_for(pid_t pid)
{
	int status = -1;

	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static int in_child(struct guest *g)
{
	struct guest own;
	char text[32];
	int fd;

	if (guest_run(g) != EIO)
		return 10;
	if (ioctl(g->vm, KVM_CREATE_VCPU, 1) != -1 || errno != EIO)
		return 11;
	for (fd = 3; fd < 64; fd++)
		close(fd);
	guest_new(&own, guest_hello, guest_hello_size);
	guest_output(&own, text, sizeof(text));
	guest_free(&own);
	return strcmp(text, "hello\n") ? 12 : 0;
}

int test_fork(int argc, char **argv)
{
	struct guest g;
	char text[32];
	pid_t pid;
	int fd;

	(void)argc;
	(void)argv;
	guest_new(&g, guest_hello, guest_hello_size);
	CHECK(ioctl(g.vm, KVM_CREATE_IRQCHIP, 0) == -1);	/* too late: there is a vCPU */
	pid = fork();
	if (!pid)
		_exit(in_child(&g));
	CHECK(wait_for(pid) == 0);
	pid = vfork();
	if (!pid) {
		for (fd = 3; fd < 64; fd++)
			close(fd);
		_exit(7);
	}
	CHECK(wait_for(pid) == 7 << 8);
	guest_output(&g, text, sizeof(text));
	CHECK(!strcmp(text, "hello\n"));
	guest_free(&g);
	return 0;
}

/* What is not ours goes to the kernel as it is. */
int test_foreign(int argc, char **argv)
{
	int pipes[2], n = 0, i;

	(void)argc;
	(void)argv;
	CHECK(pipe(pipes) == 0);
	CHECK(write(pipes[1], "abc", 3) == 3);
	CHECK(ioctl(pipes[0], FIONREAD, &n) == 0 && n == 3);
	FAILS(ioctl(pipes[0], KVM_RUN, 0), ENOTTY);
	FAILS(ioctl(-1, KVM_RUN, 0), EBADF);
	FAILS(ioctl(999, KVM_CREATE_VM, 0), EBADF);
	FAILS(close(999), EBADF);
	FAILS(open("/nosuch/file", O_RDONLY), ENOENT);
	FAILS(open((char *)8, O_RDONLY), EFAULT);
	FAILS(dup2(999, 5), EBADF);
	for (i = 0; i < 2; i++)
		CHECK(close(pipes[i]) == 0);
	return 0;
}

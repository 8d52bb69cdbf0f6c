/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The opener: see broker.h. A request is a datagram of fixed size. A path is first
 * resolved to a file (O_PATH), then judged by where that file is, and what is
 * opened is this file, so that nobody can exchange it in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../descriptor.h"
#include "../helper.h"
#include "broker.h"

#define FLAGS (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_NONBLOCK | O_CLOEXEC | \
	       O_NOCTTY | O_DIRECT | O_DIRECTORY | O_NOFOLLOW | O_SYNC | O_DSYNC | O_LARGEFILE)

struct answer {
	int result;
	union broker_data data;
};

static int confined;		/* the process that asks */

/* --- the files: in the opener ------------------------------------------------------------ */

/* The place of an open file: 0 or -errno. */
static int place_of(int fd, char real[PATH_MAX])
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, real, PATH_MAX - 1);
	if (n <= 0 || real[0] != '/')
		return -EACCES;
	real[n] = 0;
	return 0;
}

/* Opens the folder of a path, says what the path's place is and its last part: fd or -errno. */
static int open_folder(const char *path, char real[PATH_MAX], char last[NAME_MAX + 1])
{
	char copy[PATH_MAX], folder[PATH_MAX];
	int fd, err;

	strcpy(copy, path);
	if (snprintf(last, NAME_MAX + 1, "%s", basename(copy)) > NAME_MAX)
		return -ENAMETOOLONG;
	if (!*last || !strcmp(last, ".") || !strcmp(last, "..") || strchr(last, '/'))
		return -EACCES;
	strcpy(copy, path);
	fd = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = place_of(fd, folder);
	if (!err && snprintf(real, PATH_MAX, "%s/%s", strcmp(folder, "/") ? folder : "", last) >=
	    PATH_MAX)
		err = -ENAMETOOLONG;
	if (!err)
		return fd;
	close(fd);
	return err;
}

static unsigned int needed(int flags)
{
	int how = flags & O_ACCMODE;

	return (how != O_WRONLY ? (unsigned int)SANDBOX_READ : 0) |
		(how != O_RDONLY || flags & (O_CREAT | O_TRUNC) ? (unsigned int)SANDBOX_WRITE : 0);
}

static bool may(const struct sandbox_policy *p, const char *given, const char *real,
		unsigned int rights)
{
	return !(rights & ~sandbox_rights(p, given, real));
}

static int create(const struct sandbox_policy *p, const struct broker_request *r)
{
	char real[PATH_MAX], last[NAME_MAX + 1];
	int fd, folder = open_folder(r->path, real, last);

	if (folder < 0 && may(p, r->path, "", needed(r->flags)))
		return folder;
	if (folder < 0)
		return -EACCES;
	fd = -EACCES;
	if (may(p, r->path, real, needed(r->flags))) {
		/* it was not there a moment ago */
		fd = openat(folder, last, r->flags | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    r->mode & 0666);
		if (fd < 0)
			fd = -errno;
	}
	close(folder);
	return fd;
}

/* Opens what is there: fd (O_PATH), or -errno, -EACCES unless the policy has it. */
static int find(const struct sandbox_policy *p, const char *path, unsigned int rights, int flags)
{
	char real[PATH_MAX], last[NAME_MAX + 1];
	int fd = open(path, O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW)), folder;

	if (fd >= 0 && place_of(fd, real) == 0 && may(p, path, real, rights))
		return fd;
	if (fd >= 0) {
		close(fd);
		return -EACCES;
	}
	if (errno != ENOENT)
		return -EACCES;
	/* whether something is there is told only where it might be opened */
	folder = open_folder(path, real, last);
	if (folder >= 0)
		close(folder);
	return may(p, path, folder < 0 ? "" : real, rights) ? -ENOENT : -EACCES;
}

static int open_file(const struct sandbox_policy *p, const struct broker_request *r)
{
	int fd, file = r->flags & ~FLAGS ? -EACCES : find(p, r->path, needed(r->flags), r->flags);
	struct stat st;
	char link[32];

	if (file == -ENOENT && r->flags & O_CREAT)
		return create(p, r);
	if (file < 0)
		return file;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	if (r->flags & O_CREAT && r->flags & O_EXCL)
		fd = -EEXIST;
	else if (fstat(file, &st) < 0 ||
		 !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode)))
		fd = -EACCES;	/* opening others may wait, or have effects */
	else if ((fd = open(link, (r->flags & ~(O_CREAT | O_NOFOLLOW)) | O_CLOEXEC)) < 0)
		fd = -errno;
	close(file);
	return fd;
}

static int stat_file(const struct sandbox_policy *p, const struct broker_request *r,
		     struct stat *st)
{
	int fd = find(p, r->path, SANDBOX_READ, r->op == BROKER_LSTAT ? O_NOFOLLOW : 0), err;

	if (fd < 0)
		return fd;
	err = fstat(fd, st) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int remove_file(const struct sandbox_policy *p, const char *path)
{
	char real[PATH_MAX], last[NAME_MAX + 1];
	int folder = open_folder(path, real, last), err = -EACCES;

	if (folder < 0)
		return -EACCES;
	if (may(p, path, real, SANDBOX_REMOVE))
		err = unlinkat(folder, last, 0) < 0 ? -errno : 0;
	close(folder);
	return err;
}

/* --- descriptors of the process that asks -------------------------------------------------- */

/* The path by which the opener sees the descriptor that the other calls /proc/self/fd/N. */
static bool own_descriptor(const char *path, char theirs[64])
{
	const char *n = path + strlen(BROKER_OWN_FDS);

	if (strncmp(path, BROKER_OWN_FDS, strlen(BROKER_OWN_FDS)) || !*n || strlen(n) > 9 ||
	    strspn(n, "0123456789") != strlen(n))
		return false;
	snprintf(theirs, 64, "/proc/%d/fd/%s", confined, n);
	return true;
}

static int read_link(const char *path, union broker_data *data)
{
	char theirs[64];
	ssize_t n;

	if (!own_descriptor(path, theirs))
		return -EACCES;
	n = readlink(theirs, data->link, sizeof(data->link));
	return n < 0 ? -EACCES : (int)n;
}

/* Memory files for reading: nothing that it could not do by itself. */
static int open_own(const struct broker_request *r)
{
	static const char memory[] = "/memfd:";
	char theirs[64], real[PATH_MAX];
	int fd = -EACCES, file;

	if (!own_descriptor(r->path, theirs) || r->flags & ~O_CLOEXEC)
		return -EACCES;
	file = open(theirs, O_PATH | O_CLOEXEC);
	if (file < 0)
		return -EACCES;
	if (place_of(file, real) == 0 && !strncmp(real, memory, strlen(memory))) {
		snprintf(theirs, sizeof(theirs), "/proc/self/fd/%d", file);
		fd = open(theirs, O_RDONLY | O_CLOEXEC);
	}
	close(file);
	return fd < 0 ? -EACCES : fd;
}

/* Within what may be written and removed. */
static int rename_file(const struct sandbox_policy *p, const struct broker_request *r)
{
	const unsigned int both = SANDBOX_WRITE | SANDBOX_REMOVE;
	char real[PATH_MAX], last[NAME_MAX + 1], new_real[PATH_MAX], new_last[NAME_MAX + 1];
	int folder = open_folder(r->path, real, last), new_folder, err = -EACCES;

	if (folder < 0)
		return -EACCES;
	new_folder = open_folder(r->to, new_real, new_last);
	if (new_folder >= 0 && may(p, r->path, real, both) && may(p, r->to, new_real, both))
		err = renameat(folder, last, new_folder, new_last) < 0 ? -errno : 0;
	if (new_folder >= 0)
		close(new_folder);
	close(folder);
	return err;
}

/* --- the opener ----------------------------------------------------------------------------- */

static void serve(const struct sandbox_policy *p)
{
	static struct broker_request r;
	ssize_t n;

	while ((n = recv(HELPER_SOCKET, &r, sizeof(r), 0)) > 0 || (n < 0 && errno == EINTR)) {
		struct answer a = { .result = -EACCES };
		int fd = -1;

		if (n < 0)
			continue;
		if (n != sizeof(r) || !memchr(r.path, 0, sizeof(r.path)) || !r.path[0] ||
		    !memchr(r.to, 0, sizeof(r.to)))
			r.op = UINT32_MAX;
		if (r.op == BROKER_OPEN && !strncmp(r.path, BROKER_OWN_FDS, strlen(BROKER_OWN_FDS)))
			a.result = fd = open_own(&r);
		else if (r.op == BROKER_OPEN)
			a.result = fd = open_file(p, &r);
		else if (r.op == BROKER_STAT || r.op == BROKER_LSTAT)
			a.result = stat_file(p, &r, &a.data.st);
		else if (r.op == BROKER_RENAME)
			a.result = rename_file(p, &r);
		else if (r.op == BROKER_LINK)
			a.result = read_link(r.path, &a.data);
		else if (r.op == BROKER_REMOVE)
			a.result = remove_file(p, r.path);
		descriptor_send(HELPER_SOCKET, &a, sizeof(a), fd);
		if (fd >= 0)
			close(fd);
	}
}

/* It needs little, too. */
static void confine(void)
{
	static const struct helper_call calls[] = {
		{ .call = SCMP_SYS(open) }, { .call = SCMP_SYS(openat) },
		{ .call = SCMP_SYS(fstat) }, { .call = SCMP_SYS(newfstatat) },
		{ .call = SCMP_SYS(readlink) }, { .call = SCMP_SYS(readlinkat) },
		{ .call = SCMP_SYS(unlinkat) }, { .call = SCMP_SYS(renameat) },
	};

	helper_confine(calls, ARRAY_SIZE(calls));
}

static void serve_confined(const void *arg)
{
	confine();
	serve(arg);
}

int broker_start(const struct sandbox_policy *p)
{
	const struct helper h = {
		.name = "anykvm-opener", .type = SOCK_SEQPACKET, .serve = serve_confined,
		.arg = p,
	};

	confined = getpid();
	return helper_start(&h);
}

/* --- inside the sandbox -------------------------------------------------------------- */

int broker_ask(int fd, const struct broker_request *r, union broker_data *data)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct answer a = { .result = -EACCES };
	ssize_t n;
	int got;

	pthread_mutex_lock(&lock);
	n = descriptor_ask(fd, r, sizeof(*r), &a, sizeof(a), &got);
	pthread_mutex_unlock(&lock);
	if (n != sizeof(a))
		return -EACCES;
	*data = a.data;
	if (r->op != BROKER_OPEN || a.result < 0)
		return a.result;
	return got >= 0 ? got : -EACCES;
}

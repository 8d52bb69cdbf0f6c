/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Control sockets in the file system (unix(7)). A socket that a killed process
 * left behind refuses connections: it is replaced. Two processes that find the
 * same one take turns by a lock on its directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../error.h"
#include "../sandbox/policy.h"
#include "address.h"

#define BACKLOG 64
#define LOCK_TRIES 100
#define LOCK_US 10000

bool address_name_ok(const char *name)
{
	static const char may[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789._+-";
	size_t len = strlen(name);

	return len && len <= ADDRESS_NAME_MAX && strspn(name, may) == len && name[0] != '.' &&
	       name[0] != '-' && strspn(name, "0123456789") < len;
}

/* --- the directory ----------------------------------------------------------------- */

static bool own_dir(const char *path, mode_t none)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       !(st.st_mode & none);
}

void address_dir(char dir[PATH_MAX])
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	/* that of another user, as under sudo, is not for this one */
	if (base && base[0] == '/' && own_dir(base, 022) &&
	    snprintf(dir, PATH_MAX, "%s/anykvm", base) < PATH_MAX)
		return;
	snprintf(dir, PATH_MAX, "/tmp/anykvm-%u", (unsigned int)geteuid());
}

int address_check_dir(const char *dir)
{
	struct stat st;

	if (lstat(dir, &st) < 0)
		return -errno;
	return own_dir(dir, 077) ? 0 : -EPERM;
}

int address_make_dir(const char *dir)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return error("cannot make the directory %s: %s", dir, strerror(errno));
	if (!own_dir(dir, 077))
		return error("%s is not a directory of this user alone", dir);
	return 0;
}

/* The lock is advice: whoever else holds it for long is not waited for. */
static int lock_dir(const char *path)
{
	char copy[PATH_MAX];
	int fd, i;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
		usleep(LOCK_US);
	return fd;
}

static void unlock_dir(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* --- sockets ----------------------------------------------------------------------- */

/* 0 or -errno */
static int fill(struct sockaddr_un *un, const char *path)
{
	size_t len = strlen(path);

	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!len)
		return -ENOENT;
	if (len >= sizeof(un->sun_path))
		return -ENAMETOOLONG;
	memcpy(un->sun_path, path, len);
	return 0;
}

int address_connect(const char *path, int *pid)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	struct sockaddr_un un;
	int fd, err = fill(&un, path);

	if (err < 0)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	if (pid)
		*pid = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
	return fd;
}

/* Removes a socket that nobody listens at: 0 when the path is free, or -errno. Locked. */
static int free_path(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = address_connect(path, NULL);
	if (fd >= 0)
		close(fd);
	if (fd != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Nobody but this user may connect, from the first moment on: 0 or -errno. */
static int bind_private(int fd, const struct sockaddr_un *un)
{
	mode_t old = umask(0177);
	int err = bind(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 ? -errno : 0;

	umask(old);
	return err;
}

static int listen_locked(const char *path, struct stat *made)
{
	struct sockaddr_un un;
	int fd, err = fill(&un, path);

	if (err == 0)
		err = free_path(path);
	if (err < 0)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = bind_private(fd, &un);
	if (err == 0 && (lstat(path, made) < 0 || listen(fd, BACKLOG) < 0))
		err = -errno;
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

/* For address_remove, which may come from within the sandbox. */
static void allow_removal(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	sandbox_allow(dirname(copy), SANDBOX_READ);
	sandbox_allow(path, SANDBOX_READ | SANDBOX_REMOVE);
}

int address_listen(const char *path, struct stat *made)
{
	int lock = lock_dir(path), fd = listen_locked(path, made);

	unlock_dir(lock);
	if (fd == -ENAMETOOLONG)
		return error("the socket's path %s is too long: %zu bytes, at most %zu", path,
			     strlen(path), sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	if (fd == -EADDRINUSE)
		return error("the socket %s is taken: another process uses it", path);
	if (fd == -EEXIST)
		return error("%s exists and is not a socket", path);
	if (fd < 0)
		return error("cannot make the socket %s: %s", path, strerror(-fd));
	allow_removal(path);
	return fd;
}

void address_remove(const char *path, const struct stat *made)
{
	int lock = lock_dir(path);
	struct stat st;

	if (lstat(path, &st) == 0 && st.st_ino == made->st_ino && st.st_dev == made->st_dev)
		unlink(path);
	unlock_dir(lock);
}

void address_clean(const char *path)
{
	int lock = lock_dir(path);

	free_path(path);
	unlock_dir(lock);
}

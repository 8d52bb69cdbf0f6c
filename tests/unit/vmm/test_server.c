/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QMP's sockets: paths, several clients, those that do not read; the client of anykvm's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/address.h"
#include "control/client.h"
#include "control/server.h"

#define SOON (monotonic_ns() + 10 * NSEC)

static char dir[64], path[80];
static struct loop *loop;
static struct server *server;
static unsigned int stops;

static const char *status(void *ctx) { (void)ctx; return "running"; }
static void nothing(void *ctx) { (void)ctx; }

static void stop(void *ctx)
{
	(void)ctx;
	__atomic_fetch_add(&stops, 1, __ATOMIC_SEQ_CST);
	server_event(server, "STOP", NULL);
}

static const struct qmp_ops ops = {
	status, stop, nothing, nothing, nothing, nothing, NULL, NULL, { NULL },
};

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/anykvm-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);	/* which fails when a socket is left */
}

/* A server whose loop another thread runs. */
static int start(void **state)
{
	make_dir(state);
	stops = 0;
	loop = loop_thread_new("test");
	server = server_new(loop, &ops);
	assert_non_null(server);
	assert_int_equal(server_listen(server, path), 0);
	return 0;
}

static void free_server(void *arg)
{
	server_free(server);
	server = NULL;
	sem_post(arg);
}

/* On the loop's thread, where it is used. */
static void end_server(void)
{
	sem_t done;

	if (!server)
		return;
	sem_init(&done, 0, 0);
	assert_int_equal(loop_call(loop, free_server, &done), 0);
	while (sem_wait(&done) < 0)
		;
	sem_destroy(&done);
}

static int end(void **state)
{
	end_server();
	loop_thread_free(loop);
	return remove_dir(state);
}

static int status_of(struct client_qmp *c)
{
	int err;
	json_t *v = client_execute(c, "query-status", NULL, SOON, &err);
	bool ok = json_is_object(json_object_get(v, "return"));

	json_decref(v);
	return ok ? 0 : err ? err : -EPROTO;
}

/* --- addresses ------------------------------------------------------------------------ */

static void names(void **state)
{
	char name[ADDRESS_NAME_MAX + 2];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[ADDRESS_NAME_MAX + 1] = 0;
	assert_false(address_name_ok(name));
	name[ADDRESS_NAME_MAX] = 0;
	assert_true(address_name_ok(name));
	assert_true(address_name_ok("Debian-12.5_x+1"));
	assert_false(address_name_ok(""));
	assert_false(address_name_ok("1234"));
	assert_false(address_name_ok(".hidden"));
	assert_false(address_name_ok("-x"));
	assert_false(address_name_ok("a/b"));
	assert_false(address_name_ok("a\nb"));
}

static void directories(void **state)
{
	char at[PATH_MAX], want[PATH_MAX];

	(void)state;
	setenv("XDG_RUNTIME_DIR", dir, 1);
	address_dir(at);
	snprintf(want, sizeof(want), "%s/anykvm", dir);
	assert_string_equal(at, want);
	assert_int_equal(address_make_dir(at), 0);
	assert_int_equal(address_make_dir(at), 0);
	chmod(at, 0755);
	assert_int_equal(address_make_dir(at), -1);
	rmdir(at);
	assert_int_equal(symlink("/tmp", at), 0);
	assert_int_equal(address_make_dir(at), -1);
	unlink(at);
	/* one that others can write to, and none */
	snprintf(want, sizeof(want), "/tmp/anykvm-%u", (unsigned int)geteuid());
	chmod(dir, 0777);
	address_dir(at);
	assert_string_equal(at, want);
	unsetenv("XDG_RUNTIME_DIR");
	address_dir(at);
	assert_string_equal(at, want);
}

static void taken(void **state)
{
	struct stat made, other;
	int fd, pid = 0, c;

	(void)state;
	fd = address_listen(path, &made);
	assert_true(fd >= 0);
	assert_int_equal(made.st_mode & 07777, 0600);
	assert_int_equal(address_listen(path, &other), -1);
	c = address_connect(path, &pid);
	assert_true(c >= 0);
	assert_int_equal(pid, getpid());
	close(c);
	address_clean(path);
	assert_int_equal(access(path, F_OK), 0);
	/* left behind, it is replaced; what replaced it stays when the first one goes */
	close(fd);
	assert_int_equal(address_connect(path, NULL), -ECONNREFUSED);
	fd = address_listen(path, &other);
	assert_true(fd >= 0);
	if (made.st_ino != other.st_ino) {
		address_remove(path, &made);
		assert_int_equal(access(path, F_OK), 0);
	}
	address_remove(path, &other);
	assert_int_equal(access(path, F_OK), -1);
	close(fd);
}

static void bad_paths(void **state)
{
	char text[300];
	struct stat made;
	int fd;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "/tmp/", 5);
	text[108] = 0;
	assert_int_equal(address_listen(text, &made), -1);
	assert_int_equal(address_connect(text, NULL), -ENAMETOOLONG);
	assert_int_equal(address_listen("", &made), -1);
	assert_int_equal(address_listen("/nonexistent/s", &made), -1);
	/* a file is never removed */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(address_listen(path, &made), -1);
	address_clean(path);
	assert_int_equal(unlink(path), 0);
}

/* --- clients --------------------------------------------------------------------------- */

static void several(void **state)
{
	struct client_qmp c[3];
	unsigned int i;
	json_t *v;
	int err;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(client_open(&c[i], path, SOON), 0);
	v = client_execute(&c[1], "stop", NULL, SOON, &err);
	assert_non_null(v);
	json_decref(v);
	assert_int_equal(stops, 1);
	/* the others have the event before their answers; one that leaves harms none */
	client_close(&c[0]);
	assert_int_equal(status_of(&c[2]), 0);
	v = client_execute(&c[2], "nonsense", NULL, SOON, &err);
	assert_non_null(json_object_get(v, "error"));
	json_decref(v);
	client_close(&c[1]);
	client_close(&c[2]);
}

static void too_many(void **state)
{
	struct client_qmp c[SERVER_CLIENTS_MAX], more;
	unsigned int i;

	(void)state;
	for (i = 0; i < SERVER_CLIENTS_MAX; i++)
		assert_int_equal(client_open(&c[i], path, SOON), 0);
	assert_true(client_open(&more, path, SOON) < 0);
	for (i = 0; i < SERVER_CLIENTS_MAX; i++)
		assert_int_equal(status_of(&c[i]), 0);
	for (i = 0; i < SERVER_CLIENTS_MAX; i++)
		client_close(&c[i]);
	/* their places become free */
	for (i = 0; i < 500 && client_open(&more, path, SOON) < 0; i++)
		usleep(10000);
	assert_true(i < 500);
	client_close(&more);
}

/* One that sends without end and reads nothing: its input waits, others are served. */
static void no_reader(void **state)
{
	static char flood[65536];
	struct client_qmp c;
	size_t total = 0;
	unsigned int still;
	ssize_t n;
	int fd;

	(void)state;
	memset(flood, '\n', sizeof(flood));
	for (size_t i = 0; i + 2 < sizeof(flood); i += 2)
		memcpy(flood + i, "{}", 2);
	fd = address_connect(path, NULL);
	assert_true(fd >= 0);
	for (still = 0; still < 20;) {
		n = send(fd, flood, sizeof(flood), MSG_NOSIGNAL);
		still = n > 0 ? 0 : still + 1;
		total += n > 0 ? (size_t)n : 0;
		assert_true(total < 64 << 20);
		if (n <= 0)
			usleep(10000);
	}
	assert_int_equal(client_open(&c, path, SOON), 0);
	assert_int_equal(status_of(&c), 0);
	client_close(&c);
	close(fd);
}

/* Events for one that does not read are kept up to a bound; then it is disconnected. */
static void slow_reader(void **state)
{
	struct client_qmp slow, fast;
	unsigned int i;
	json_t *v;
	int err;

	(void)state;
	assert_int_equal(client_open(&slow, path, SOON), 0);
	assert_int_equal(client_open(&fast, path, SOON), 0);
	for (i = 0; i < 30000; i++) {
		v = client_execute(&fast, "stop", NULL, SOON, &err);
		assert_non_null(v);
		json_decref(v);
	}
	assert_int_equal(stops, 30000);
	assert_true(status_of(&slow) < 0);
	client_close(&slow);
	client_close(&fast);
}

static void last_words(void **state)
{
	struct client_qmp c;
	struct stat st;
	int err;

	(void)state;
	assert_int_equal(client_open(&c, path, SOON), 0);
	c.pid = 0;	/* which is this process: only the connection is to end */
	json_decref(client_execute(&c, "stop", NULL, SOON, &err));
	assert_int_equal(err, 0);
	assert_false(client_wait_end(&c, monotonic_ns() + NSEC / 10));
	end_server();
	assert_true(client_wait_end(&c, SOON));
	assert_int_equal(lstat(path, &st), -1);
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test_setup_teardown(directories, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(taken, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(bad_paths, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(several, start, end),
		cmocka_unit_test_setup_teardown(too_many, start, end),
		cmocka_unit_test_setup_teardown(no_reader, start, end),
		cmocka_unit_test_setup_teardown(slow_reader, start, end),
		cmocka_unit_test_setup_teardown(last_words, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

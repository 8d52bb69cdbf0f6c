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
#include "control/commands.h"
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

static json_t *become_stream(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	(void)arguments, (void)e;
	q->stream = true;
	return json_object();
}

static const struct qmp_command commands[] = {
	{ "attach", NULL, become_stream },
	{ NULL, NULL, NULL },
};

static const struct qmp_ops ops = {
	status, stop, nothing, nothing, nothing, nothing, NULL, NULL, { commands },
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

/* Many commands in one piece, whose answers are longer: all are answered, however slowly read. */
static void pipelined(void **state)
{
	static const char command[] = "{\"execute\": \"query-commands\"}";
	static char all[1000 * sizeof(command)], text[1000];
	unsigned int i, lines = 0;
	struct client_qmp c;
	ssize_t n;

	(void)state;
	for (i = 0; i < 1000; i++)
		memcpy(all + i * (sizeof(command) - 1), command, sizeof(command));
	assert_int_equal(client_open(&c, path, SOON), 0);
	fcntl(c.fd, F_SETFL, 0);
	assert_int_equal(send(c.fd, all, strlen(all), 0), strlen(all));
	usleep(100000);
	c.at += c.at < c.len ? 2 : 0;	/* the end of the line before */
	assert_int_equal(c.at, c.len);
	while (lines < 1000) {
		n = recv(c.fd, text, sizeof(text), 0);
		assert_true(n > 0);
		for (i = 0; i < (size_t)n; i++)
			lines += text[i] == '\n';
	}
	assert_int_equal(lines, 1000);
	client_close(&c);
}

/* --- streams --------------------------------------------------------------------------- */

static char typed[16384];
static size_t ntyped;

static void send_nowhere(struct chardev *c, const u8 *p, size_t n) { (void)c, (void)p, (void)n; }
static void not_ready(struct chardev *c) { (void)c; }
static void no_front(struct chardev *c, const struct chardev_front *f) { (void)c, (void)f; }

static size_t take_typed(void *front, const u8 *p, size_t n)
{
	size_t at = __atomic_load_n(&ntyped, __ATOMIC_ACQUIRE);

	(void)front;
	assert_true(at + n < sizeof(typed));
	memcpy(typed + at, p, n);
	__atomic_store_n(&ntyped, at + n, __ATOMIC_RELEASE);
	return n;
}

static void wait_typed(const char *text)
{
	unsigned int i;

	for (i = 0; i < 1000 && __atomic_load_n(&ntyped, __ATOMIC_ACQUIRE) < strlen(text); i++)
		usleep(1000);
	assert_int_equal(ntyped, strlen(text));
	assert_memory_equal(typed, text, ntyped);
	ntyped = 0;
}

static void attach(struct client_qmp *c)
{
	int err;

	assert_int_equal(client_open(c, path, SOON), 0);
	json_decref(client_execute(c, "attach", NULL, SOON, &err));
	assert_int_equal(err, 0);
	fcntl(c->fd, F_SETFL, 0);
	/* the end of the answer's line may have come with it, or comes now */
	if (c->at < c->len)
		assert_int_equal(c->len - c->at, 2);
	else
		assert_int_equal(recv(c->fd, c->in, 2, MSG_WAITALL), 2);
}

static void streams(void **state)
{
	struct chardev inner = { send_nowhere, not_ready, no_front };
	const struct chardev_front front = { take_typed, NULL, NULL };
	struct console_tap *tap = console_tap_new(&inner);
	struct chardev *console = console_tap_chardev(tap);
	struct client_qmp a, b;
	char text[64] = "";
	unsigned int i;

	(void)state;
	assert_int_equal(server_console(server, tap), 0);
	console->connect(console, &front);
	console->send(console, (const u8 *)"before", 6);
	attach(&a);
	attach(&b);
	console->send(console, (const u8 *)"hello", 5);
	assert_int_equal(recv(a.fd, text, 5, MSG_WAITALL), 5);
	assert_string_equal(text, "hello");
	assert_int_equal(recv(b.fd, text, 5, MSG_WAITALL), 5);
	assert_int_equal(send(a.fd, "\nab{\"", 5, 0), 5);
	wait_typed("\nab{\"");
	/* one that does not read keeps nobody waiting, and what it types counts */
	for (i = 0; i < 100000; i++)
		console->send(console, (const u8 *)"0123456789", 10);
	assert_int_equal(send(b.fd, "x", 1, 0), 1);
	wait_typed("x");
	/* also the last words of one that goes */
	assert_int_equal(send(a.fd, "bye", 3, 0), 3);
	client_close(&a);
	wait_typed("bye");
	client_close(&b);
	end_server();
	console_tap_free(tap);
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
		cmocka_unit_test_setup_teardown(pipelined, start, end),
		cmocka_unit_test_setup_teardown(streams, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

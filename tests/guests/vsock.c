/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's side of the vsock test:
 *
 *	vsock echo PORT		serves connections: what comes goes back, to the end
 *	vsock sum PORT BYTES	connects to the host: sends BYTES, closes that side,
 *				prints the sum of what comes back
 *	vsock refused PORT	a connection to the host that must fail
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static char bytes[65536];

static void die(const char *what)
{
	printf("VSOCK-FAILED %s: %s\n", what, strerror(errno));
	exit(1);
}

static int make(unsigned int cid, unsigned int port, struct sockaddr_vm *a)
{
	memset(a, 0, sizeof(*a));
	a->svm_family = AF_VSOCK;
	a->svm_cid = cid;
	a->svm_port = port;
	return socket(AF_VSOCK, SOCK_STREAM, 0);
}

static void write_all(int fd, const char *p, size_t n)
{
	ssize_t done;

	for (; n; p += done, n -= (size_t)done) {
		done = write(fd, p, n);
		if (done <= 0)
			die("write");
	}
}

static void echo(unsigned int port)
{
	struct sockaddr_vm a;
	int s = make(VMADDR_CID_ANY, port, &a), fd;
	ssize_t n;

	if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 16))
		die("listen");
	printf("VSOCK-LISTENS\n");
	fflush(stdout);
	while ((fd = accept(s, NULL, NULL)) >= 0) {
		if (fork()) {
			close(fd);
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
			continue;
		}
		while ((n = read(fd, bytes, sizeof(bytes))) > 0)
			write_all(fd, bytes, (size_t)n);
		exit(n < 0);
	}
	die("accept");
}

static void sum(unsigned int port, long want)
{
	struct sockaddr_vm a;
	int s = make(VMADDR_CID_HOST, port, &a);
	unsigned long total = 0, got = 0;
	ssize_t n, i;
	long left;

	if (connect(s, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	if (!fork()) {
		memset(bytes, 7, sizeof(bytes));
		for (left = want; left > 0; left -= (long)sizeof(bytes))
			write_all(s, bytes, left < (long)sizeof(bytes) ? (size_t)left :
				  sizeof(bytes));
		shutdown(s, SHUT_WR);
		exit(0);
	}
	while ((n = read(s, bytes, sizeof(bytes))) > 0)
		for (i = 0, got += (unsigned long)n; i < n; i++)
			total += (unsigned char)bytes[i];
	wait(NULL);
	printf("VSOCK-SUM %lu %lu\n", got, total);
}

static void refused(unsigned int port)
{
	struct sockaddr_vm a;
	int s = make(VMADDR_CID_HOST, port, &a);

	printf("VSOCK-REFUSED %s\n", connect(s, (struct sockaddr *)&a, sizeof(a)) ?
	       strerror(errno) : "not at all");
}

int main(int argc, char **argv)
{
	unsigned int port = argc > 2 ? (unsigned int)atoi(argv[2]) : 0;

	if (argc == 3 && !strcmp(argv[1], "echo"))
		echo(port);
	else if (argc == 4 && !strcmp(argv[1], "sum"))
		sum(port, atol(argv[3]));
	else if (argc == 3 && !strcmp(argv[1], "refused"))
		refused(port);
	else
		return 2;
	return 0;
}

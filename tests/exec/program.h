/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that uses /dev/kvm as such programs do, and checks what it gets.
 * It knows nothing of anykvm. Built twice, dynamic and static.
 */
#ifndef TESTS_EXEC_PROGRAM_H
#define TESTS_EXEC_PROGRAM_H

#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s (errno %d: %s)\n", __FILE__, __LINE__, \
				#what, errno, strerror(errno)); \
			exit(1); \
		} \
	} while (0)

#define FAILS(call, err) CHECK((errno = 0, (call) == -1) && errno == (err))

/* --- guest.c: a VM with one vCPU in real mode and a page of code at 0 --------------- */

struct guest {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	size_t run_size;
	uint8_t *memory;
};

#define GUEST_MEMORY 0x10000u

int guest_open_kvm(void);
void guest_new(struct guest *g, const void *code, size_t size);
void guest_free(struct guest *g);
/* KVM_RUN: 0 or an errno. */
int guest_run(struct guest *g);
/* Runs to KVM_EXIT_HLT and takes what the guest writes to port 0x3f8. */
void guest_output(struct guest *g, char *text, size_t size);

/* Endless: jmp . */
extern const uint8_t guest_loop[2];
/* Writes "hello\n" to port 0x3f8, halts. */
extern const uint8_t guest_hello[];
extern const size_t guest_hello_size;
/* Endless: out 0x10, al */
extern const uint8_t guest_ports[4];
/* hlt */
extern const uint8_t guest_halt[1];

/* --- what can be asked for (argv[1]) ---------------------------------------------------- */

int test_hello(int argc, char **argv);
int test_device(int argc, char **argv);
int test_missing(int argc, char **argv);
int test_descriptors(int argc, char **argv);
int test_fork(int argc, char **argv);
int test_foreign(int argc, char **argv);
int test_threads(int argc, char **argv);
int test_signals(int argc, char **argv);
int test_signal_mask(int argc, char **argv);
int test_handlers(int argc, char **argv);
int test_leaks(int argc, char **argv);
int test_latency(int argc, char **argv);
int test_children(int argc, char **argv);
int test_environment(int argc, char **argv);

#endif

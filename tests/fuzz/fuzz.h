/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fuzzer of the KVM API. A case is a process: its seed decides everything
 * but the moments when signals and other threads strike. It makes VMs, sends
 * random requests with random arguments to their descriptors, runs random
 * guests, and must end by itself with nothing left behind.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#define PAGE 4096ul
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* --- chance (values.c) --------------------------------------------------------- */

/* Each thread's own. */
void seed_thread(uint64_t seed);
uint64_t rnd(void);
/* 0 to n - 1. */
uint32_t below(uint32_t n);
bool percent(uint32_t p);
/* A number that programs get wrong: small, a power of two and its neighbours, all ones... */
uint64_t number(void);
void random_bytes(void *p, size_t n);
/* Changes a few bits, bytes or words of the n bytes at p. */
void mutate(void *p, size_t n);

/* --- memory (memory.c) ----------------------------------------------------------- */

#define GUEST_PAGES 64u		/* plain memory, at the arena's start */
#define ARENA_PAGES 80u		/* behind it: read-only, without access, beyond a file's end */
#define ARGS_SIZE (4 * PAGE)

extern uint8_t *arena;

/* Maps the arena: once a process. */
void memory_init(void);
/* The calling thread's buffer for arguments: ARGS_SIZE bytes that end at a hole. */
uint8_t *args_buffer(void);
/* An address for size bytes: mostly good, else near the end of the buffer, or none. */
uint64_t pointer(size_t size);
/* An address of slot memory: of the arena, or one that is surely not mapped. */
uint64_t slot_address(void);
/* Changes what a few pages of the arena allow. */
void change_protection(void);

/* --- guests (guest.c) -------------------------------------------------------------- */

#define CODE_GPA 0x1000u
#define TABLES_GPA 0x2000u	/* PML4, PDPT, PD, PAE's PDPT: the first GiB as it is */

/* New random contents for all of the arena's guest memory. */
void fill_guest(void);
/* Random code at the place where vCPUs start. */
void fill_code(void);
/* A state in which the code at CODE_GPA runs, of one of the CPU's modes. */
void plain_state(struct kvm_sregs *s, struct kvm_regs *r);

/* --- requests (requests.c) ----------------------------------------------------------- */

#define MAX_CPUS 6
#define MAX_EVENTS 4

/* What one VM's threads share. Descriptors are -1 where there is none. */
struct session {
	int sys, vm;
	int cpu[MAX_CPUS];		/* atomic */
	struct kvm_run *run[MAX_CPUS];	/* stays mapped until the end */
	uint32_t run_size;
	uint32_t cpus;			/* atomic */
	int event[MAX_EVENTS];		/* eventfds */
	int other;			/* a descriptor that is none of ours */
	bool alone;			/* there is one thread */
};

/* The request on fd, whatever it is. Looks after descriptors that come of it. */
long request(struct session *s, int fd, uint64_t nr, uint64_t arg);
/* A random request to one of the session's descriptors. */
void random_request(struct session *s);
/* One that sets some of vCPU i's state, more or less sensible. */
void random_state(struct session *s, uint32_t i);
/* KVM_RUN with a random kvm_run. */
void run_cpu(struct session *s, uint32_t i);

/* --- one case (session.c) --------------------------------------------------------------- */

/* Lives through a few VMs: 0, or 1 when something was left behind. */
int run_case(uint64_t seed);

/* Says what is wrong, with the case's seed, and ends the process. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The code cache of the software engine: its size by KVM_ENABLE_CAP and by the
 * environment, and guests whose code does not fit into it. These are long
 * chains of small blocks in random order, each on another page than the one
 * before; what they compute is known, also when they overwrite each other.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>

#include "guest64.h"

#define SIZE (16ul << 20)
#define CODE (2ul << 20)
#define BLOCKS 32768u		/* some four times the code that 4 MiB of cache hold */
#define STRIDE 64u
#define IMM 2u			/* where the ADD's operand is in a block */
#define THREADS 4

static unsigned char *mem;
static uint32_t order[BLOCKS];	/* the chain: block number by position */

struct cpu {
	int fd;
	struct kvm_run *run;
	uint64_t rax, rbx, seed;
};

static unsigned char *block(uint32_t i)
{
	return mem + CODE + (uint64_t)order[i] * STRIDE;
}

/* Whose operand the block at position i overwrites, with overwriting; else BLOCKS. */
static uint32_t victim(uint32_t i, int overwrite)
{
	return overwrite && i % 61 == 0 ? (i * 7 + 12345) % BLOCKS : BLOCKS;
}

static unsigned char *put32(unsigned char *p, uint32_t v)
{
	memcpy(p, &v, 4);
	return p + 4;
}

static unsigned char *put_relative(unsigned char *p, const unsigned char *to)
{
	return put32(p, (uint32_t)(to - (p + 4)));
}

/* add rax, imm; rol rax, 7; xor rbx, rax; add rax, rbx; (mov [victim], eax); jmp next */
static void make_chain(int overwrite)
{
	static const unsigned char mix[] = { 0x48, 0xc1, 0xc0, 7, 0x48, 0x31, 0xc3,
					     0x48, 0x01, 0xd8 };
	uint32_t x = 1;

	for (uint32_t i = 0; i < BLOCKS; i++)
		order[i] = i;
	for (uint32_t i = BLOCKS - 1; i; i--) {
		uint32_t j = chance(&x) % (i + 1), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (uint32_t i = 0; i < BLOCKS; i++) {
		unsigned char *p = block(i);

		*p++ = 0x48, *p++ = 0x05;
		p = put32(p, chance(&x));
		memcpy(p, mix, sizeof(mix));
		p += sizeof(mix);
		if (victim(i, overwrite) < BLOCKS) {
			*p++ = 0x89, *p++ = 0x05;
			p = put_relative(p, block(victim(i, overwrite)) + IMM);
		}
		*p++ = 0xe9;
		if (i + 1 < BLOCKS)
			put_relative(p, block(i + 1));
		else
			memcpy(p - 1, "\xe6\x80\xf4", 3);	/* out 0x80, al; hlt */
	}
}

/* What a run of the chain computes, from its bytes; it overwrites copies of the operands. */
static void model(uint64_t *rax, uint64_t *rbx, int overwrite, uint32_t *imm)
{
	for (uint32_t i = 0; i < BLOCKS; i++) {
		*rax += (uint64_t)(int64_t)(int32_t)imm[i];
		*rax = *rax << 7 | *rax >> 57;
		*rbx ^= *rax;
		*rax += *rbx;
		if (victim(i, overwrite) < BLOCKS)
			imm[victim(i, overwrite)] = (uint32_t)*rax;
	}
}

static uint32_t *operands(void)
{
	uint32_t *imm = malloc(BLOCKS * sizeof(*imm));

	assert_non_null(imm);
	for (uint32_t i = 0; i < BLOCKS; i++)
		memcpy(&imm[i], block(i) + IMM, 4);
	return imm;
}

/* --- the guest ---------------------------------------------------------------------- */

/* 1 GiB is mapped as it is, by pages of 2 MiB. */
static void make_tables(void)
{
	uint64_t *p = (void *)mem;

	p[0x1000 / 8] = 0x2003;
	p[0x2000 / 8] = 0x3003;
	for (uint64_t i = 0; i < 512; i++)
		p[0x3000 / 8 + i] = i << 21 | 0x83;
}

static void begin(int overwrite, uint64_t cache)
{
	struct kvm_enable_cap cap = { .cap = ANYKVM_CAP_CODE_CACHE, .args[0] = cache };

	sys_fd = anykvm_open(O_RDWR | O_CLOEXEC);
	vm_fd = anykvm_ioctl(sys_fd, KVM_CREATE_VM, 0);
	assert_true(vm_fd >= 0);
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap), 0);
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	make_tables();
	make_chain(overwrite);
	assert_int_equal(set_slot(0, 0, 0, SIZE, mem), 0);
}

static void end(void)
{
	assert_int_equal(anykvm_close(vm_fd), 0);
	assert_int_equal(anykvm_close(sys_fd), 0);
	munmap(mem, SIZE);
}

static void add_cpu(struct cpu *c, int id)
{
	struct kvm_sregs s;

	c->fd = anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, id);
	assert_true(c->fd >= 0);
	c->run = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	assert_ptr_not_equal(c->run, MAP_FAILED);
	c->seed = (uint64_t)id + 1;
	cpu_fd = c->fd;
	set_supported_cpuid();
	assert_int_equal(anykvm_ioctl(c->fd, KVM_GET_SREGS, &s), 0);
	long_mode(&s, 0x1000);
	assert_int_equal(anykvm_ioctl(c->fd, KVM_SET_SREGS, &s), 0);
}

static void remove_cpu(struct cpu *c)
{
	munmap(c->run, 12288);
	assert_int_equal(anykvm_close(c->fd), 0);
}

/* Runs the chain with c->rax and c->rbx; 0 when that went well. For any thread. */
static int run_chain(struct cpu *c)
{
	struct kvm_regs r = { .rax = c->rax, .rbx = c->rbx, .rflags = 2,
			      .rip = (uint64_t)(block(0) - mem) };
	int bad = anykvm_ioctl(c->fd, KVM_SET_REGS, &r) || anykvm_ioctl(c->fd, KVM_RUN, 0);

	bad |= c->run->exit_reason != KVM_EXIT_IO || c->run->io.port != 0x80;
	bad |= anykvm_ioctl(c->fd, KVM_GET_REGS, &r);
	c->rax = r.rax;
	c->rbx = r.rbx;
	return bad;
}

/* --- tests -------------------------------------------------------------------------- */

static void test_size(void **state)
{
	struct kvm_enable_cap cap = { .cap = ANYKVM_CAP_CODE_CACHE };
	static const uint64_t bad[] = { 0, ANYKVM_CODE_CACHE_MIN - 1, ANYKVM_CODE_CACHE_MAX + 1,
					~0ull };
	static const uint64_t good[] = { ANYKVM_CODE_CACHE_MAX, ANYKVM_CODE_CACHE_MIN + 1,
					 ANYKVM_CODE_CACHE_MIN };

	(void)state;
	assert_int_equal(anykvm_ioctl(sys_fd, KVM_CHECK_EXTENSION, ANYKVM_CAP_CODE_CACHE),
			 ANYKVM_CODE_CACHE_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cap.args[0] = bad[i];
		assert_errno(anykvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap), EINVAL);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cap.args[0] = good[i];
		assert_int_equal(anykvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap), 0);
	}
	cap.flags = 1;
	assert_errno(anykvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.flags = 0;
	cpu_fd = anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	assert_true(cpu_fd >= 0);
	assert_errno(anykvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap), EEXIST);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_ENABLE_CAP, &cap), EINVAL);
	assert_int_equal(anykvm_close(cpu_fd), 0);
}

static void test_environment(void **state)
{
	static const char *const bad[] = { "code-cache=3M", "code-cache=1025M", "code-cache=",
					   "code-cache=8MM", "code-cache=-8M",
					   "no-far,code-cache=x",
					   "code-cache=99999999999999999999M",
					   "code-cache=17179869185G", "code-cache=8M8" };
	static const char *const good[] = { "code-cache=4M", "no-far,code-cache=1G",
					    "code-cache=8388608", "code-cache=5000K,no-far",
					    "code-cache=1073741824" };
	int fd;

	(void)state;
	sys_fd = anykvm_open(O_RDWR);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("ANYKVM_SOFT", bad[i], 1);
		assert_errno(anykvm_ioctl(sys_fd, KVM_CREATE_VM, 0), EINVAL);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		setenv("ANYKVM_SOFT", good[i], 1);
		fd = anykvm_ioctl(sys_fd, KVM_CREATE_VM, 0);
		assert_true(fd >= 0);
		assert_int_equal(anykvm_close(fd), 0);
	}
	unsetenv("ANYKVM_SOFT");
	assert_int_equal(anykvm_close(sys_fd), 0);
}

/* A large cache holds it all; in a small one each round makes it anew, in the same memory. */
static void run_rounds(int overwrite, uint64_t cache, uint64_t least, uint64_t most)
{
	struct cpu c = { 0 };
	uint64_t rax = 0, rbx = 0;
	size_t heap = 0;
	uint32_t *imm;

	begin(overwrite, cache);
	add_cpu(&c, 0);
	imm = operands();
	for (int i = 0; i < 8; i++) {
		model(&rax, &rbx, overwrite, imm);
		assert_int_equal(run_chain(&c), 0);
		assert_int_equal(c.rax, rax);
		assert_int_equal(c.rbx, rbx);
		if (i == 3)
			heap = mallinfo2().uordblks;
	}
	assert_in_range(counter(c.fd, "evictions"), least, most);
	assert_in_range(counter(c.fd, "cache_resets"), least / 16, most / 16);
	assert_true(mallinfo2().uordblks < heap + (256 << 10));
	/* User space changes code, of blocks that are there and that are not any more. */
	for (uint32_t i = 0; i < BLOCKS; i += 97) {
		imm[i] = ~imm[i];
		memcpy(block(i) + IMM, &imm[i], 4);
	}
	model(&rax, &rbx, overwrite, imm);
	assert_int_equal(run_chain(&c), 0);
	assert_int_equal(c.rax, rax);
	free(imm);
	remove_cpu(&c);
	end();
}

static void test_large(void **state)
{
	(void)state;
	run_rounds(0, 64ul << 20, 0, 0);
}

static void test_small(void **state)
{
	(void)state;
	run_rounds(0, ANYKVM_CODE_CACHE_MIN, 100, 100000);
}

static void test_overwriting(void **state)
{
	(void)state;
	run_rounds(1, ANYKVM_CODE_CACHE_MIN, 100, 100000);
}

static void *rounds(void *arg)
{
	struct cpu *c = arg;

	for (int i = 0; i < 4; i++) {
		c->rax = c->seed + (uint64_t)i;
		c->rbx = 0;
		if (run_chain(c))
			return (void *)1;
	}
	return NULL;
}

/* CPUs that need other parts of the cache at the same time. */
static void test_together(void **state)
{
	pthread_t thread[THREADS];
	struct cpu c[THREADS] = { 0 };
	uint64_t evictions = 0;
	uint32_t *imm;

	(void)state;
	begin(0, ANYKVM_CODE_CACHE_MIN);
	imm = operands();
	for (int i = 0; i < THREADS; i++)
		add_cpu(&c[i], i);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, rounds, &c[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		uint64_t rax = c[i].seed + 3, rbx = 0;
		void *bad;

		pthread_join(thread[i], &bad);
		assert_null(bad);
		model(&rax, &rbx, 0, imm);
		assert_int_equal(c[i].rax, rax);
		assert_int_equal(c[i].rbx, rbx);
		evictions += counter(c[i].fd, "evictions");
	}
	assert_true(evictions > 50);
	free(imm);
	for (int i = 0; i < THREADS; i++)
		remove_cpu(&c[i]);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_size, setup_vm, teardown_vm),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_overwriting),
		cmocka_unit_test(test_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

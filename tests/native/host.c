/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running a sequence on the host CPU, inside this process: in an arena of
 * its own with holes around it, with every register loaded, and with signal
 * handlers that turn a fault into a result. A seccomp filter catches system
 * calls made from the arena, should a stray jump ever find one.
 */
#include <asm/ldt.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "host.h"

#define CTX ((struct host_ctx *)CTX_BASE)
#define HWCAP2_FSGSBASE 2
#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004
#define NO_TLS __attribute__((noinline, no_stack_protector, no_sanitize("address", "undefined")))

static u64 const arena[2] = { LOW_BASE, HIGH_BASE };
static u8 *data_alias[2];	/* the data pages again, all of them writable */
static bool fsgsbase;
static u64 host_fs;
static volatile bool in_sequence;
static volatile bool interrupted;
static void (*next_handler[65])(int, siginfo_t *, void *);
static struct outcome *current;
static u32 window16 = ~0u;

const struct test *host_guest_test;
volatile int host_ticks;

static void fail(const char *what)
{
	fprintf(stderr, "native: %s: %s\n", what, strerror(errno));
	exit(2);
}

static inline long raw_syscall(long nr, long a, long b)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return r;
}

static inline void set_fs_gs(u64 fs, u64 gs)
{
	if (fsgsbase) {
		__asm__ volatile("wrfsbase %0; wrgsbase %1" ::"r"(fs), "r"(gs));
	} else {
		raw_syscall(SYS_arch_prctl, ARCH_SET_GS, (long)gs);
		raw_syscall(SYS_arch_prctl, ARCH_SET_FS, (long)fs);
	}
}

static inline void get_fs_gs(u64 *fs, u64 *gs)
{
	if (fsgsbase) {
		__asm__ volatile("rdfsbase %0; rdgsbase %1" : "=r"(*fs), "=r"(*gs));
	} else {
		raw_syscall(SYS_arch_prctl, ARCH_GET_GS, (long)gs);
		raw_syscall(SYS_arch_prctl, ARCH_GET_FS, (long)fs);
	}
}

static inline void set_fs_gs_selectors(u16 fs, u16 gs)
{
	__asm__ volatile("mov %0, %%fs; mov %1, %%gs" ::"r"((u32)fs), "r"((u32)gs));
}

static inline void copy(void *d, const void *s, size_t n)
{
	__asm__ volatile("cld; rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
}

/* A signal that neither a sequence nor the engine's own business explains. */
static void crashed(int sig, siginfo_t *si, void *ctx)
{
	const greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;

	(void)si;
	if (sig == SIGALRM)
		return;
	fprintf(stderr, "native: signal %d outside a sequence at rip %#llx, address %#llx\n", sig,
		g[REG_RIP], g[REG_CR2]);
	if (host_guest_test) {
		fprintf(stderr, "in the engine, with the test\n");
		test_print(host_guest_test, stderr);
	}
	fflush(stdout);
	_exit(3);
}

static NO_TLS void take_fault(int sig, const ucontext_t *uc, struct outcome *o)
{
	static const u8 order[16] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};
	const greg_t *g = uc->uc_mcontext.gregs;
	int i;

	for (i = 0; i < 16; i++)
		o->gpr[i] = (u64)g[order[i]];
	o->kind = sig == SIGALRM ? OUT_TIMEOUT : sig == SIGSYS ? OUT_SYSCALL : OUT_FAULT;
	o->rip = (u64)g[REG_RIP];
	o->rflags = (u64)g[REG_EFL];
	o->vector = (u8)g[REG_TRAPNO];
	o->error = (u32)g[REG_ERR];
	o->cr2 = (u64)g[REG_CR2];
	o->sel[1] = (u16)g[REG_CSGSFS];
	o->sel[2] = (u16)((u64)g[REG_CSGSFS] >> 48);
	copy(CTX->xsave_out, uc->uc_mcontext.fpregs, 2816);
}

static NO_TLS void read_selectors(struct outcome *o)
{
	__asm__ volatile("mov %%es, %0" : "=m"(o->sel[0]));
	__asm__ volatile("mov %%ds, %0" : "=m"(o->sel[3]));
	__asm__ volatile("mov %%fs, %0" : "=m"(o->sel[4]));
	__asm__ volatile("mov %%gs, %0" : "=m"(o->sel[5]));
}

/* Faults in enter.S itself are bugs of this program, but for the trap flag's. */
static NO_TLS bool in_enter(const greg_t *g)
{
	return (u64)g[REG_RIP] >= (u64)host_enter && (u64)g[REG_RIP] < (u64)host_signal_entry &&
	       g[REG_TRAPNO] != 1;
}

/* Entered with the FS base of the sequence: no thread-local variables before it is restored. */
NO_TLS void host_signal(int sig, siginfo_t *si, void *ctx);
NO_TLS void host_signal(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	if (sig == SIGALRM) {
		host_ticks++;
		interrupted = true;
		if (in_sequence && host_ticks < HOST_TIMEOUT_TICKS)
			return;
	}
	if (in_sequence && sig != SIGALRM && in_enter(uc->uc_mcontext.gregs)) {
		set_fs_gs(host_fs, 0);
		crashed(sig, si, ctx);
	}
	if (!in_sequence) {
		if (next_handler[sig])
			next_handler[sig](sig, si, ctx);
		return;
	}
	get_fs_gs(&current->fs_base, &current->gs_base);
	read_selectors(current);
	take_fault(sig, uc, current);
	__asm__ volatile("mov $1, %%eax; jmp host_return" ::: "memory");
	__builtin_unreachable();
}

static const int sigs[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGALRM };

/* As the kernel has it. */
struct ksigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	u64 mask;
};

void host_take_signals(void)
{
	struct ksigaction old, mine = {
		(void (*)(int, siginfo_t *, void *))(void *)host_signal_entry,
		SA_SIGINFO | SA_ONSTACK | SA_NODEFER | 0x04000000, host_sigreturn, 0,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sigs); i++) {
		if (syscall(SYS_rt_sigaction, sigs[i], NULL, &old, 8))
			fail("rt_sigaction");
		if (old.handler == mine.handler)
			continue;
		next_handler[sigs[i]] = (void *)old.handler == (void *)SIG_IGN ? NULL : old.handler;
		if (syscall(SYS_rt_sigaction, sigs[i], &mine, NULL, 8))
			fail("rt_sigaction");
	}
}

static void install_handlers(void)
{
	struct itimerval tick = { { 0, 50000 }, { 0, 50000 } };
	struct sigaction sa;
	stack_t ss = { .ss_size = 1 << 16 };
	size_t i;

	ss.ss_sp = mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	if (ss.ss_sp == MAP_FAILED || sigaltstack(&ss, NULL))
		fail("sigaltstack");
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = crashed;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	for (i = 0; i < ARRAY_SIZE(sigs); i++)
		if (sigaction(sigs[i], &sa, NULL))
			fail("sigaction");
	host_take_signals();
	if (setitimer(ITIMER_REAL, &tick, NULL))
		fail("setitimer");
}

#define IP_LOW (offsetof(struct seccomp_data, instruction_pointer))
#define IP_HIGH (IP_LOW + 4)
#define LOAD(off) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off)
#define JEQ(k, t, f) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, t, f)
#define JGE(k, t, f) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, k, t, f)

/* System calls from within CODE_SIZE of either arena's base end in SIGSYS. */
static void forbid_syscalls(void)
{
	static struct sock_filter f[] = {
		LOAD(IP_HIGH),
		JEQ(HIGH_BASE >> 32, 4, 0),
		JEQ(0, 0, 5),
		LOAD(IP_LOW),
		JGE(LOW_BASE, 0, 3),
		JGE(LOW_BASE + CODE_SIZE, 2, 3),
		LOAD(IP_LOW),
		JGE((u32)HIGH_BASE, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	struct sock_fprog prog = { ARRAY_SIZE(f), f };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		fprintf(stderr, "native: no seccomp here: stray system calls are not caught\n");
}

static void *map_at(u64 addr, size_t size, int prot, int flags, int fd, off_t off)
{
	void *p = mmap((void *)addr, size, prot, flags | MAP_FIXED_NOREPLACE, fd, off);

	if (p != (void *)addr)
		fail("mmap of the arena");
	return p;
}

/* A jump to anywhere, whose operand is aligned: AC may be set. */
static void write_far_jump(u8 *p, u64 to)
{
	memcpy(p, "\xff\x25\x02\0\0\0", 6);
	memcpy(p + 8, &to, 8);
}

/* What leads from a window's exit page to host_exit. */
static void write_exit(u8 *p)
{
	u64 to = opt.bits == 64 ? (u64)host_exit : STUB_BASE;
	u16 cs = SEL_USER64;

	if (opt.bits == 64) {
		write_far_jump(p, to);
		return;
	}
	if (opt.bits == 16)
		*p++ = 0x66;
	*p++ = 0xea;
	memcpy(p, &to, 4);
	memcpy(p + 4, &cs, 2);
}

static void map_code(u64 base)
{
	u8 *p = map_at(base, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	for (i = 0; i < CODE_WINDOWS; i++, p += CODE_WINDOW) {
		write_exit(p + CODE_EXIT);
		if (mprotect(p + CODE_EXIT, 4096, PROT_READ | PROT_EXEC) ||
		    mprotect(p + CODE_USABLE, 4096, PROT_NONE))
			fail("mprotect");
	}
}

static void map_data(int i)
{
	u64 at = arena[i] + DATA_OFFSET;
	int fd = memfd_create("native-data", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, DATA_SIZE))
		fail("memfd");
	data_alias[i] = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (data_alias[i] == MAP_FAILED)
		fail("mmap");
	memset(data_alias[i], 0, DATA_SIZE);
	map_at(at, DATA_RW_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	map_at(at + DATA_RW_SIZE, DATA_SIZE - DATA_RW_SIZE, PROT_READ, MAP_SHARED | MAP_POPULATE,
	       fd, DATA_RW_SIZE);
	close(fd);
}

static void set_ldt(int entry, u32 base, u32 limit, bool big, int contents)
{
	struct user_desc d = {
		.entry_number = (u32)entry, .base_addr = base, .limit = limit, .seg_32bit = big,
		.contents = (u32)contents & 3, .useable = 1,
	};

	if (syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)))
		fail("modify_ldt");
}

void host_init(void)
{
	u32 base = LOW_BASE + DATA_OFFSET;
	u8 *stub;
	int i;

	fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
	map_at(CTX_BASE, CTX_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stub = map_at(STUB_BASE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	write_far_jump(stub, (u64)host_exit);
	for (i = 0; i < 2; i++) {
		map_code(arena[i]);
		map_data(i);
	}
	if (opt.bits != 64) {
		set_ldt(SEL_DATA16 >> 3, base, 0xffff, false, 0);
		set_ldt(SEL_FS_DATA >> 3, base - 0x100, 0x1800, true, 0);
		set_ldt(SEL_GS_DOWN >> 3, base, 0x7ff, true, 1);
	}
	CTX->mxcsr = 0x1f80;
	install_handlers();
	forbid_syscalls();
}

static void load_context(const struct test *t)
{
	int i;

	for (i = 0; i < 15; i++) {
		static const u8 order[15] = { R15, R14, R13, R12, R11, R10, R9, R8,
					      RDI, RSI, RBP, RBX, RDX, RCX, RAX };

		CTX->pop[i] = t->gpr[order[i]];
	}
	CTX->rip = t->at[0];
	CTX->cs = SEL_USER64;
	if (opt.bits == 32)
		CTX->cs = SEL_USER32;
	if (opt.bits == 16) {
		CTX->cs = SEL_CODE16;
		CTX->rip &= 0xffff;
	}
	CTX->rflags = t->rflags | FL_IF | 2;
	CTX->rsp = t->gpr[RSP];
	CTX->ss = t->ss;
	CTX->segs[0] = t->ds;
	CTX->segs[1] = t->es;
	CTX->xmask = xmask;
	fp_to_xsave(&t->fp, CTX->xsave_in);
}

/* A tick while the FS base is not ours must not reach others' handlers: in_sequence says so. */
static NO_TLS int enter(const struct test *t, struct outcome *o)
{
	int r;

	in_sequence = true;
	if (opt.bits != 64)
		set_fs_gs_selectors(t->fs, t->gs);
	else
		set_fs_gs(t->fs_base, t->gs_base);
	r = host_enter();
	if (!r)
		get_fs_gs(&o->fs_base, &o->gs_base);
	if (!r) {
		o->sel[4] = CTX->out_segs[2];
		o->sel[5] = CTX->out_segs[3];
	}
	if (o->sel[4] | o->sel[5])
		set_fs_gs_selectors(0, 0);
	set_fs_gs(host_fs, 0);
	in_sequence = false;
	return r;
}

static void place_window16(const struct test *t)
{
	u32 w = (u32)t->at[0] & ~(CODE_WINDOW - 1u);

	if (w == window16)
		return;
	set_ldt(SEL_CODE16 >> 3, w, 0xffff, false, 2);
	window16 = w;
}

/* What enter.S stored at a normal end. */
static void take_end(struct outcome *o)
{
	o->kind = OUT_END;
	memcpy(o->gpr, CTX->out_gpr, sizeof(o->gpr));
	o->rflags = CTX->out_rflags;
	o->sel[0] = CTX->out_segs[1];
	o->sel[1] = 0;
	o->sel[2] = CTX->out_segs[4];
	o->sel[3] = CTX->out_segs[0];
}

static void run_once(struct test *t, struct outcome *o)
{
	u64 gs;
	int i;

	values_memory(t->mem_seed, o->mem);
	for (i = 0; i < 2; i++)
		memcpy(data_alias[i], o->mem[i], DATA_SIZE);
	memcpy((void *)t->at[0], t->code, t->code_len);
	load_context(t);
	memset(CTX->xsave_out + 512, 0, 64);
	get_fs_gs(&host_fs, &gs);
	host_ticks = 0;
	current = o;
	interrupted = false;
	if (!enter(t, o))
		take_end(o);
	fp_from_xsave(&o->fp, CTX->xsave_out);
	for (i = 0; i < 2; i++)
		memcpy(o->mem[i], data_alias[i], DATA_SIZE);
	memcpy(o->code, (void *)t->at[0], t->code_len);
}

void host_run(struct test *t, struct outcome *o)
{
	if (opt.bits == 16)
		place_window16(t);
	/* The return from a signal handler loses the ID flag: once more, then. */
	do
		run_once(t, o);
	while (interrupted && o->kind != OUT_TIMEOUT);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running a sequence in a guest, through nothing but the KVM API: one VM and
 * one vCPU for all tests, user code at privilege level 3, and an exception
 * handler that halts for every vector. The sequence's end is a software
 * interrupt. Documentation/virt/kvm/api.rst is the contract.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <anykvm.h>

#include "guest.h"
#include "host.h"

#define EFER_SCE 0x1ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull
#define EFER_NXE 0x800ull
#define CR0_BITS 0x80050033ull	/* PG AM WP NE ET MP PE */
#define CR4_PAE_DE_OS 0x00000628ull	/* PAE DE OSFXSR OSXMMEXCPT */
#define CR4_UMIP 0x800ull
#define CR4_FSGSBASE 0x10000ull
#define CR4_OSXSAVE 0x40000ull

static int kvm, vm, vcpu;
static struct kvm_run *run;
static struct kvm_sregs sregs;		/* as every test starts with */
static struct kvm_xsave xsave;
static int runs;

static int do_ioctl(int fd, unsigned long request, void *arg)
{
	return opt.kvm ? ioctl(fd, request, arg) : anykvm_ioctl(fd, request, arg);
}

static int fail(const char *what)
{
	fprintf(stderr, "native: %s: %s\n", what, strerror(errno));
	return -1;
}

/* --- making the machine --------------------------------------------------------- */

static int set_slot(u32 slot, u64 gpa, u64 size, void *mem)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (u64)mem,
	};

	return do_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static int set_code_slots(bool present)
{
	u32 i;

	for (i = 0; i < 2; i++)
		if (set_slot(1 + i, GPA_CODE + (u64)i * CODE_SIZE, present ? CODE_SIZE : 0,
			     guest_code[i]))
			return fail("KVM_SET_USER_MEMORY_REGION");
	return 0;
}

void guest_forget_code(void)
{
	if (set_code_slots(false) || set_code_slots(true))
		exit(2);
}

static void *guest_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		fail("mmap");
		exit(2);
	}
	return p;
}

static int make_memory(void)
{
	u64 root;

	guest_system = guest_memory(GPA_SYSTEM_SIZE);
	guest_code[0] = guest_memory(CODE_SIZE);
	guest_code[1] = guest_memory(CODE_SIZE);
	root = guest_build_memory();
	if (set_slot(0, 0, GPA_SYSTEM_SIZE, guest_system))
		return fail("KVM_SET_USER_MEMORY_REGION");
	sregs.cr3 = root;
	return set_code_slots(true);
}

/* The guest gets the CPUID that is offered; tests are made for that. */
static int make_cpuid(void)
{
	static const u32 leaf[][2] = {
		{ 1, 0 }, { 7, 0 }, { 7, 1 }, { 0x80000001, 0 }, { 0x80000008, 0 }, { 0xd, 0 },
		{ 0xd, 1 },
	};
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 256 * sizeof(c->entries[0]));
	u32 i, j;

	c->nent = 256;
	if (do_ioctl(kvm, KVM_GET_SUPPORTED_CPUID, c))
		return fail("KVM_GET_SUPPORTED_CPUID");
	if (do_ioctl(vcpu, KVM_SET_CPUID2, c))
		return fail("KVM_SET_CPUID2");
	for (i = 0; i < ARRAY_SIZE(leaf); i++) {
		u32 r[4] = { 0 };

		for (j = 0; j < c->nent; j++) {
			struct kvm_cpuid_entry2 *e = &c->entries[j];
			u32 got[4] = { e->eax, e->ebx, e->ecx, e->edx };

			if (e->function == leaf[i][0] &&
			    (e->index == leaf[i][1] ||
			     !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
				memcpy(r, got, sizeof(r));
		}
		features_limit(leaf[i][0], leaf[i][1], r);
	}
	free(c);
	return 0;
}

static int set_xcr0(void)
{
	struct kvm_xcrs x = { .nr_xcrs = 1 };

	x.xcrs[0].value = xmask;
	return do_ioctl(vcpu, KVM_SET_XCRS, &x) ? fail("KVM_SET_XCRS") : 0;
}

static int set_singlestep(void)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };

	return do_ioctl(vcpu, KVM_SET_GUEST_DEBUG, &d) ? fail("KVM_SET_GUEST_DEBUG") : 0;
}

static int make_registers(void)
{
	u64 base = guest_kernel_base(), cr3 = sregs.cr3;

	if (do_ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return fail("KVM_GET_SREGS");
	sregs.cr3 = cr3;
	sregs.cr0 = CR0_BITS;
	sregs.cr4 = CR4_PAE_DE_OS | CR4_OSXSAVE;
	if (cpu.leaf7[1] & 1)
		sregs.cr4 |= CR4_FSGSBASE;
	if (cpu.leaf7[2] & 4)
		sregs.cr4 |= CR4_UMIP;
	sregs.efer = opt.legacy ? EFER_SCE | EFER_NXE : EFER_SCE | EFER_NXE | EFER_LME | EFER_LMA;
	sregs.gdt.base = base + GPA_GDT;
	sregs.gdt.limit = GDT_LIMIT;
	sregs.idt.base = base + GPA_IDT;
	sregs.idt.limit = opt.legacy ? 0x7ff : 0xfff;
	memset(&sregs.tr, 0, sizeof(sregs.tr));
	sregs.tr.base = base + GPA_TSS;
	sregs.tr.limit = 0x67;
	sregs.tr.selector = SEL_TSS;
	sregs.tr.type = 11;
	sregs.tr.present = 1;
	memset(&sregs.ldt, 0, sizeof(sregs.ldt));
	sregs.ldt.unusable = 1;
	if (opt.bits != 64) {
		sregs.ldt.unusable = 0;
		sregs.ldt.base = base + GPA_LDT;
		sregs.ldt.limit = 4 * 8 - 1;
		sregs.ldt.selector = SEL_LDT;
		sregs.ldt.type = 2;
		sregs.ldt.present = 1;
	}
	return 0;
}

int guest_init(void)
{
	int size;

	kvm = opt.kvm ? open(opt.kvm, O_RDWR | O_CLOEXEC) : anykvm_open(O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return fail("opening KVM");
	vm = do_ioctl(kvm, KVM_CREATE_VM, NULL);
	if (vm < 0)
		return fail("KVM_CREATE_VM");
	if (do_ioctl(vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000ul))
		return fail("KVM_SET_TSS_ADDR");
	if (make_memory())
		return -1;
	vcpu = do_ioctl(vm, KVM_CREATE_VCPU, NULL);
	if (vcpu < 0)
		return fail("KVM_CREATE_VCPU");
	size = do_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (size < 0 || run == MAP_FAILED)
		return fail("the run structure");
	if (make_cpuid() || make_registers())
		return -1;
	if (do_ioctl(vcpu, KVM_SET_SREGS, &sregs))
		return fail("KVM_SET_SREGS");
	if (set_xcr0() || (opt.singlestep && set_singlestep()))
		return -1;
	host_take_signals();
	return 0;
}

/* --- a test ------------------------------------------------------------------------ */

static int load_segments(const struct test *t)
{
	sregs.cr2 = 0;
	if (opt.bits == 64) {
		sregs.cs = guest_segment(SEL_USER64);
		sregs.ss = guest_segment(SEL_USERDS);
		sregs.ds = sregs.es = sregs.fs = sregs.gs = guest_segment(0);
		sregs.fs.base = t->fs_base;
		sregs.gs.base = t->gs_base;
	} else {
		if (opt.bits == 16)
			guest_set_code16((u32)t->at[0] & ~(CODE_WINDOW - 1u));
		sregs.cs = guest_segment(opt.bits == 16 ? SEL_CODE16 : SEL_USER32);
		sregs.ss = guest_segment(t->ss);
		sregs.ds = guest_segment(t->ds);
		sregs.es = guest_segment(t->es);
		sregs.fs = guest_segment(t->fs);
		sregs.gs = guest_segment(t->gs);
	}
	return do_ioctl(vcpu, KVM_SET_SREGS, &sregs);
}

static int load_registers(const struct test *t)
{
	struct kvm_regs r = {
		.rax = t->gpr[RAX], .rbx = t->gpr[RBX], .rcx = t->gpr[RCX], .rdx = t->gpr[RDX],
		.rsi = t->gpr[RSI], .rdi = t->gpr[RDI], .rsp = t->gpr[RSP], .rbp = t->gpr[RBP],
		.r8 = t->gpr[R8], .r9 = t->gpr[R9], .r10 = t->gpr[R10], .r11 = t->gpr[R11],
		.r12 = t->gpr[R12], .r13 = t->gpr[R13], .r14 = t->gpr[R14], .r15 = t->gpr[R15],
		.rip = opt.bits == 16 ? t->at[0] & 0xffff : t->at[0], .rflags = t->rflags | 2,
	};

	fp_to_xsave(&t->fp, (u8 *)&xsave);
	if (do_ioctl(vcpu, KVM_SET_XSAVE, &xsave))
		return -1;
	return do_ioctl(vcpu, KVM_SET_REGS, &r);
}

static int error_outcome(struct outcome *o, const char *what)
{
	o->kind = OUT_ERROR;
	snprintf(o->text, sizeof(o->text), "%s: %s", what, strerror(errno));
	return -1;
}

static int odd_exit(struct outcome *o)
{
	struct kvm_regs r = { 0 };
	const u8 *b = run->emulation_failure.insn_bytes;
	size_t n, i;

	do_ioctl(vcpu, KVM_GET_REGS, &r);
	o->kind = OUT_ERROR;
	n = (size_t)snprintf(o->text, sizeof(o->text), "exit reason %u at rip %#llx",
			     run->exit_reason, (long long)r.rip);
	if (run->exit_reason == KVM_EXIT_MMIO)
		snprintf(o->text + n, sizeof(o->text) - n, " address %#llx", run->mmio.phys_addr);
	if (run->exit_reason != KVM_EXIT_INTERNAL_ERROR)
		return -1;
	n += (size_t)snprintf(o->text + n, sizeof(o->text) - n, " suberror %u bytes",
			      run->internal.suberror);
	for (i = 0; i < 15 && i < run->emulation_failure.insn_size; i++)
		n += (size_t)snprintf(o->text + n, sizeof(o->text) - n, " %02x", b[i]);
	return -1;
}

static int run_to_halt(struct outcome *o)
{
	host_ticks = 0;
	for (;;) {
		if (do_ioctl(vcpu, KVM_RUN, NULL) == 0) {
			if (run->exit_reason == KVM_EXIT_HLT)
				return 0;
			if (run->exit_reason != KVM_EXIT_INTR &&
			    (run->exit_reason != KVM_EXIT_DEBUG || !opt.singlestep))
				return odd_exit(o);
		} else if (errno != EINTR && errno != EAGAIN) {
			return error_outcome(o, "KVM_RUN");
		}
		if (host_ticks >= HOST_TIMEOUT_TICKS) {
			o->kind = OUT_TIMEOUT;
			return -1;
		}
	}
}

static bool has_error_code(u32 vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

/* What the exception pushed: SS:RSP, RFLAGS, CS:RIP and maybe an error code. */
static void take_frame(struct outcome *o)
{
	u64 f[6] = { 0 };
	int i, n = 5 + has_error_code(o->vector), size = opt.legacy ? 4 : 8;

	for (i = 0; i < n; i++)
		memcpy(&f[i], guest_system + GPA_STACK_TOP - (n - i) * size, (size_t)size);
	o->error = n == 6 ? (u32)f[0] : 0;
	o->rip = f[n - 5];
	o->sel[1] = (u16)f[n - 4];
	o->rflags = f[n - 3];
	o->gpr[RSP] = f[n - 2];
	o->sel[2] = (u16)f[n - 1];
}

static int take_registers(struct outcome *o)
{
	struct kvm_sregs s;
	struct kvm_regs r;
	u64 vector;

	if (do_ioctl(vcpu, KVM_GET_REGS, &r) || do_ioctl(vcpu, KVM_GET_SREGS, &s) ||
	    do_ioctl(vcpu, KVM_GET_XSAVE, &xsave))
		return error_outcome(o, "reading registers");
	vector = (r.rip - 1 - guest_kernel_base() - GPA_HANDLERS) / 16;
	if (vector > 255)
		return odd_exit(o);
	o->vector = (u8)vector;
	o->kind = vector == END_VECTOR ? OUT_END : OUT_FAULT;
	memcpy(o->gpr, (u64[16]){ r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8,
				  r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15 },
	       sizeof(o->gpr));
	take_frame(o);
	o->cr2 = s.cr2;
	o->fs_base = s.fs.base;
	o->gs_base = s.gs.base;
	o->sel[0] = s.es.selector;
	o->sel[3] = s.ds.selector;
	o->sel[4] = s.fs.selector;
	o->sel[5] = s.gs.selector;
	fp_from_xsave(&o->fp, (u8 *)&xsave);
	return 0;
}

static void put_data(struct outcome *o)
{
	for (int i = 0; i < 2; i++)
		for (u64 off = 0; off < DATA_SIZE; off += 4096)
			memcpy(guest_system + guest_data_page(i, off), o->mem[i] + off, 4096);
}

static void take_data(struct outcome *o)
{
	for (int i = 0; i < 2; i++)
		for (u64 off = 0; off < DATA_SIZE; off += 4096)
			memcpy(o->mem[i] + off, guest_system + guest_data_page(i, off), 4096);
}

void guest_run(struct test *t, struct outcome *o)
{
	u8 *code = guest_code[t->high] + (t->at[0] - (t->high ? HIGH_BASE : LOW_BASE));

	host_guest_test = t;
	values_memory(t->mem_seed, o->mem);
	put_data(o);
	memcpy(code, t->code, t->code_len);
	memset(guest_system + GPA_STACK_TOP - 64, 0xee, 64);
	if (load_segments(t) || load_registers(t))
		error_outcome(o, "setting registers");
	else if (!run_to_halt(o))
		take_registers(o);
	take_data(o);
	memcpy(o->code, code, t->code_len);
	/* The engine may have put its handler first when it first ran. */
	if (runs++ < 4)
		host_take_signals();
	host_guest_test = NULL;
}

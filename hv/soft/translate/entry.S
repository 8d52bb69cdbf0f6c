/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Into translated code and out of it. The register assignment is described
 * in soft.h; offsets are relative to struct vcpu, which RSP holds inside.
 */
#include "asm.h"

#define GPR(n) (OFF_GPR + 8 * (n))

/* enum soft_exit */
#define SOFT_LINK 5
#define SOFT_LOOKUP 6
#define SOFT_HELPER 7
#define SOFT_HOST_FAULT 13
#define SOFT_REFETCH 12
#define SOFT_GROUP 16

	.text

.macro save_guest at
	mov	%rax, \at + GPR(0)(%rsp)
	mov	%rcx, \at + GPR(1)(%rsp)
	mov	%rdx, \at + GPR(2)(%rsp)
	mov	%rbx, \at + GPR(3)(%rsp)
	mov	%r15, \at + GPR(4)(%rsp)
	mov	%r10, \at + GPR(5)(%rsp)
	mov	%rsi, \at + GPR(6)(%rsp)
	mov	%rdi, \at + GPR(7)(%rsp)
	mov	%r8, \at + GPR(8)(%rsp)
	mov	%r9, \at + GPR(9)(%rsp)
	mov	%r12, \at + GPR(12)(%rsp)
	mov	%r13, \at + GPR(13)(%rsp)
	mov	%r14, \at + GPR(14)(%rsp)
.endm

/* What C functions may have changed. */
.macro load_volatile at
	mov	\at + GPR(0)(%rsp), %rax
	mov	\at + GPR(1)(%rsp), %rcx
	mov	\at + GPR(2)(%rsp), %rdx
	mov	\at + GPR(5)(%rsp), %r10
	mov	\at + GPR(6)(%rsp), %rsi
	mov	\at + GPR(7)(%rsp), %rdi
	mov	\at + GPR(8)(%rsp), %r8
	mov	\at + GPR(9)(%rsp), %r9
.endm

.macro load_guest at
	load_volatile \at
	mov	\at + GPR(3)(%rsp), %rbx
	mov	\at + GPR(4)(%rsp), %r15
	mov	\at + GPR(12)(%rsp), %r12
	mov	\at + GPR(13)(%rsp), %r13
	mov	\at + GPR(14)(%rsp), %r14
.endm

/* enum soft_exit soft_enter(struct vcpu *v, u8 *code): to an indirect entry */
func soft_enter
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, OFF_SCRATCH1(%rdi)
	mov	%rdi, %rsp
	mov	%rsi, OFF_SCRATCH0(%rsp)
	load_guest 0
	mov	OFF_RIP(%rsp), %rbp
	jmp	*OFF_SCRATCH0(%rsp)

/* The guest's registers are saved, EAX is the result. */
soft_leave:
	mov	OFF_SCRATCH1(%rsp), %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret

/*
 * Into C for an access that misses the TLB; as a fill routine is entered, and
 * left.
 */
tlb_miss:
	save_guest 8
	mov	(%rsp), %rax
	movslq	SITE_GPA32(%rax), %rcx
	add	8 + OFF_DELTA(%rsp), %rcx
	mov	%rcx, 8 + OFF_RIP(%rsp)
	mov	SITE_INFO(%rax), %edx
	mov	SITE_AT(%rax), %ecx
	mov	%rbp, %rsi
	lea	8(%rsp), %rdi
	sub	$(8 + C_STACK), %rsp
	call	soft_tlb_miss
	add	$(8 + C_STACK), %rsp
	mov	%rax, %r11
	sub	%rbp, %r11
	mov	%rax, %rbp
	test	%rax, %rax
	jz	2f
1:	load_volatile 8
	ret
2:	cmpq	$SOFT_GROUP, 8 + OFF_SCRATCH0(%rsp)
	je	1b
	add	$8, %rsp
	mov	OFF_SCRATCH0(%rsp), %eax
	jmp	soft_leave

/*
 * The fill routines, one for each class of site and set of translations.
 * Called where a site does not know RBP, the linear address; the return
 * address follows the SITE_* of the access. They look into the TLB, fill the
 * site if there is one, and come back with RBP the host's address and R11 the distance to it;
 * RBP is 0 where a check for several accesses fails. All flags are free.
 */
.macro site_fill mode, class
.set .Ltlb, 8 + OFF_TLB + TLB_MODE_SIZE * \mode
.set .Lvictim, 8 + OFF_VICTIM + VICTIM_MODE_SIZE * \mode
.set .Lsites, 8 + OFF_SITE + SITE_MODE_SIZE * \mode
	.p2align 4
.Lfill_\mode\()_\class:
	mov	%rax, 8 + OFF_SITE_SAVE(%rsp)
	mov	%rcx, 8 + OFF_SITE_SAVE + 8(%rsp)
	mov	(%rsp), %rax
	tlb_index %rbp, %r11, %r11d
	mov	.Ltlb + TLB_WTAG * (\class & 1)(%rsp,%r11,8), %rcx
	mov	.Ltlb + TLB_DELTA(%rsp,%r11,8), %r11
	xor	%rbp, %rcx
	cmp	$0xfff, %rcx
	ja	3f
2:	cmp	SITE_BOUND(%rax), %cx
	ja	8f
	test	SITE_MASK(%rax), %cx
	jnz	9f
.if \class == 4 || \class == 5
	cmp	$SITE_SEG_MAX, %ecx
	ja	7f
.endif
.if \class >= SITE_CLASSES
	movslq	SITE_AT(%rax), %rax
	incq	8 + OFF_FILLS + FILLS_SITES(%rsp)
	incq	8 + OFF_FILLS + FILLS_STACK(%rsp)
	mov	%r11, 8 + 8(%rsp,%rax)	/* for accesses to come, which share the check */
.if \class == FILL_STACK_READ
	tlb_index %rbp, %rcx, %ecx	/* other checks: it is to do for writing as well */
	mov	.Ltlb + TLB_WTAG(%rsp,%rcx,8), %rcx
	xor	%rbp, %rcx
	cmp	$0xfff, %rcx
	movabs	$SITE_EMPTY, %rcx
	ja	6f
.endif
	mov	%rbp, %rcx
	and	$-4096, %rcx
6:	mov	%rcx, 8(%rsp,%rax)
.else
	mov	SITE_AT(%rax), %eax
	test	%eax, %eax
	jz	7f			/* the TLB is all it has */
	lea	8(%rsp,%rax), %rax
	mov	(%rax), %rcx
	xor	%rbp, %rcx
	shr	$62, %rcx
	jnz	5f			/* it was empty, or of the other half */
4:	incq	8 + OFF_FILLS + FILLS_SITES(%rsp)
	mov	%rbp, %rcx
.if \class < 2
	and	$-4096, %rcx
	mov	%rcx, (%rax)
	mov	%r11, 8(%rax)
.else
	mov	%rcx, (%rax)
	add	%r11, %rcx
	mov	%rcx, 8(%rax)
.endif
	mov	%rbp, %rcx		/* its page: bit 12 says which half */
	mov	%rbp, %rax
	shr	$63, %rcx
	shr	$12, %eax
	shl	$12, %ecx
	and	$(SITE_PAGES - 1), %eax
	or	%eax, %ecx
	bts	%ecx, 8 + OFF_SITE_PAGES + 1024 * \mode(%rsp)
.endif
7:	mov	8 + OFF_SITE_SAVE(%rsp), %rax
	mov	8 + OFF_SITE_SAVE + 8(%rsp), %rcx
	add	%r11, %rbp
	ret

3:	/* A victim perhaps. */
	mov	%rbp, %rcx
	shr	$12, %rcx
	mov	%ecx, %r11d
	shr	$VICTIM_BITS, %ecx
	xor	%ecx, %r11d
	and	$((1 << VICTIM_BITS) - 1), %r11d
	shl	$5, %r11d
	mov	.Lvictim + 8 * (\class & 1)(%rsp,%r11), %rcx
	mov	.Lvictim + 16(%rsp,%r11), %r11
	xor	%rbp, %rcx
	cmp	$0xfff, %rcx
	ja	9f
	incq	8 + OFF_FILLS + FILLS_VICTIMS(%rsp)
	jmp	2b

.if \class < SITE_CLASSES
5:	/* It joins the list of its half. */
	mov	%rbp, %rcx
	shr	$63, %rcx
	push	%rdx
	mov	8 + 8 + OFF_SITE_COUNT + 8 * \mode(%rsp,%rcx,4), %edx
	cmp	$SITE_LIST_MAX, %edx
	jae	6f
	incl	8 + 8 + OFF_SITE_COUNT + 8 * \mode(%rsp,%rcx,4)
	imul	$SITE_LIST_MAX, %ecx
	add	%edx, %ecx
	lea	-8 - .Lsites(%rax), %rdx
	sub	%rsp, %rdx
	shr	$4, %edx
	mov	%dx, 8 + 8 + OFF_SITE_LIST + 4 * SITE_LIST_MAX * \mode(%rsp,%rcx,2)
	pop	%rdx
	jmp	4b

6:	pop	%rdx			/* the list is full: C makes room */
	jmp	9f
.endif
8:	testb	$SITE_GROUP_BIT, SITE_INFO + 1(%rax)
	jz	9f
	incq	8 + OFF_FILLS + FILLS_GROUPS(%rsp)
	mov	8 + OFF_SITE_SAVE(%rsp), %rax
	mov	8 + OFF_SITE_SAVE + 8(%rsp), %rcx
	xor	%ebp, %ebp
	ret
9:	mov	8 + OFF_SITE_SAVE(%rsp), %rax
	mov	8 + OFF_SITE_SAVE + 8(%rsp), %rcx
	jmp	tlb_miss
.endm

	.p2align 4
.irp	m, 0, 1, 2
.irp	k, 0, 1, 2, 3, 4, 5
	site_fill \m, \k
.endr
.endr
	site_fill 0, 6		/* STACK_FILLS, for programs: FILL_STACK_READ, */
	site_fill 0, 7		/* and for writing */

table soft_site_thunks
.irp	m, 0, 1, 2
.irp	k, 0, 1, 2, 3, 4, 5
	.quad	.Lfill_\m\()_\k
.endr
.endr
	.quad	.Lfill_0_6, .Lfill_0_7		/* STACK_FILLS */
	.text

/* Called with RBP = struct helper_call *; flags are saved. */
func soft_thunk_helper
	save_guest 8
	lea	8(%rsp), %rdi
	mov	%rbp, %rsi
	sub	$(8 + C_STACK), %rsp
	call	soft_helper
	add	$(8 + C_STACK), %rsp
	test	%rax, %rax
	jnz	1f
	load_guest 8
	ret
1:	cmp	$HELPER_LEAVES, %rax
	jne	go_to_code
	add	$8, %rsp
	mov	$SOFT_HELPER, %eax
	jmp	soft_leave

/* From a thunk that was called: on at code RAX, for OFF_RIP. */
go_to_code:
	add	$8, %rsp
	mov	%rax, OFF_SITE_SAVE(%rsp)
	load_guest 0
	mov	OFF_RIP(%rsp), %rbp
	jmp	*OFF_SITE_SAVE(%rsp)

.macro save_flags at
	mov	%rax, \at + GPR(0)(%rsp)
	lahf
	seto	%al
	mov	%ax, \at + OFF_ARITH(%rsp)
	mov	\at + GPR(0)(%rsp), %rax
.endm

/* Called from a direct jump without a target; behind the call: the exit_link. */
func soft_thunk_link_host
	save_flags 8
func soft_thunk_link_mem
	save_guest 8
	pop	%rax
	mov	(%rax), %rcx
	mov	%rcx, OFF_SCRATCH0(%rsp)
	mov	$SOFT_LINK, %eax
	jmp	soft_leave

/* The same for a far_jump, which C leads on. */
func soft_thunk_far_host
	save_flags 8
func soft_thunk_far_mem
	save_guest 8
	mov	(%rsp), %rax
	mov	(%rax), %rsi
	lea	8(%rsp), %rdi
	sub	$(8 + C_STACK), %rsp
	call	soft_far_jump
	add	$(8 + C_STACK), %rsp
	test	%rax, %rax
	jnz	go_to_code
	add	$8, %rsp
	mov	$SOFT_REFETCH, %eax
	jmp	soft_leave

/*
 * Called with RBP = rip when the jump cache does not know it; behind the call:
 * the branch's gpa32 and what it added to RSP.
 */
func soft_thunk_jc_miss
	save_guest 8
	mov	%rbp, 8 + OFF_RIP(%rsp)
	lea	8(%rsp), %rdi
	sub	$(8 + C_STACK), %rsp
	call	soft_indirect_jump
	add	$(8 + C_STACK), %rsp
	test	%rax, %rax
	jnz	go_to_code
	pop	%rax
	mov	%rax, OFF_SCRATCH0(%rsp)
	mov	$SOFT_LOOKUP, %eax
	jmp	soft_leave

/*
 * As soft_thunk_jc_miss, with a look into the jump cache's way 1 before. The
 * flags are saved.
 */
.macro jc_way1 mode
.set .Lway, 8 + OFF_JC + JC_MODE_SIZE * \mode + JC_WAY_SIZE
	.p2align 4
.Ljc_\mode:
	imul	$JC_HASH1, %ebp, %r11d
	shr	$JC_SHIFT, %r11d
	and	$-16, %r11d
	cmp	.Lway(%rsp,%r11), %rbp
	jne	soft_thunk_jc_miss
	add	$8, %rsp
	jmp	*.Lway(%rsp,%r11)	/* 8 + .Lway, less the 8 */
.endm

/*
 * Called with RBP = rip from a return that is not that of the last call: that
 * call is taken off the stack, so that the returns of those before it find
 * theirs, and the jump cache is asked. Behind the call as for soft_thunk_jc_miss.
 */
.macro ret_miss mode
.set .Lway, 8 + OFF_JC + JC_MODE_SIZE * \mode
.if \mode < 2
.set .Ltop, 8 + OFF_RET_TOP + 4 * \mode
.else
.set .Ltop, 8 + OFF_RET_TOP_LAST
.endif
	.p2align 4
.Lret_\mode:
	mov	.Ltop(%rsp), %r11d
	sub	$16, %r11d
	cmp	$(RET_BOTTOM + RET_MODE_SIZE * \mode), %r11d
	jb	1f
	mov	%r11d, .Ltop(%rsp)
1:	imul	$JC_HASH0, %ebp, %r11d
	shr	$JC_SHIFT, %r11d
	and	$-16, %r11d
	cmp	.Lway(%rsp,%r11), %rbp
	jne	.Ljc_\mode
	add	$8, %rsp
	jmp	*.Lway(%rsp,%r11)	/* 8 + .Lway, less the 8 */
.endm

.irp	m, 0, 1, 2
	jc_way1 \m
	ret_miss \m
.endr

/* A return to address 0 met the bottom of a stack and went below it: a look-up like any other. */
func soft_thunk_ret_none
	movl	$RET_BOTTOM, OFF_RET_TOP(%rsp)
	movl	$(RET_BOTTOM + RET_MODE_SIZE), OFF_RET_TOP + 4(%rsp)
	movl	$(RET_BOTTOM + 2 * RET_MODE_SIZE), OFF_RET_TOP_LAST(%rsp)
	call	soft_thunk_jc_miss
	.long	0, 0

table soft_jc_thunks
.irp	m, 0, 1, 2
	.quad	.Ljc_\m
.endr
table soft_ret_thunks
.irp	m, 0, 1, 2
	.quad	.Lret_\m
.endr
	.text

/* A fault's handler sent us here from translated code; v->rip and flags are set. */
func soft_thunk_fault
	save_guest 0
	mov	$SOFT_HOST_FAULT, %eax
	jmp	soft_leave

/* Called; behind the call: gpa32 of where the guest stands, enum soft_exit. */
func soft_thunk_exit_host
	save_flags 8
func soft_thunk_exit_mem
	save_guest 8
	pop	%rax
	movslq	(%rax), %rcx
	add	OFF_DELTA(%rsp), %rcx
	mov	%rcx, OFF_RIP(%rsp)
	mov	4(%rax), %eax
	jmp	soft_leave

	.section .note.GNU-stack, "", @progbits

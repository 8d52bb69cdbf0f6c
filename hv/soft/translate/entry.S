/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Into translated code and out of it. The register assignment is described
 * in soft.h; offsets are relative to struct vcpu, which RSP holds inside.
 */
#include "offsets.h"

#define GPR(n) (OFF_GPR + 8 * (n))

/* enum soft_exit */
#define SOFT_LINK 5
#define SOFT_LOOKUP 6
#define SOFT_HOST_FAULT 13

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

.macro func name
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 4
\name:
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
 * Called where a memory access missed the TLB: RBP is the linear address; at
 * the return address stand a 5-byte jump, the instruction's gpa32 and MISS_*.
 * Comes back with RBP the host address.
 */
func soft_thunk_tlb
	save_guest 8
	mov	(%rsp), %rax
	movslq	5(%rax), %rcx
	add	8 + OFF_DELTA(%rsp), %rcx
	mov	%rcx, 8 + OFF_RIP(%rsp)
	mov	9(%rax), %edx
	mov	%rbp, %rsi
	lea	8(%rsp), %rdi
	sub	$8, %rsp
	call	soft_tlb_miss
	add	$8, %rsp
	test	%rax, %rax
	jz	1f
	mov	%rax, %rbp
	load_volatile 8
	ret
1:	add	$8, %rsp
	mov	OFF_SCRATCH0(%rsp), %eax
	jmp	soft_leave

/* Called with RBP = struct helper_call *; flags are saved. */
func soft_thunk_helper
	save_guest 8
	lea	8(%rsp), %rdi
	mov	%rbp, %rsi
	sub	$8, %rsp
	call	soft_helper
	add	$8, %rsp
	test	%eax, %eax
	jnz	1f
	load_guest 8
	ret
1:	add	$8, %rsp
	jmp	soft_leave

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

/*
 * Called with RBP = rip when the jump cache does not know it; behind the call:
 * the branch's gpa32 and what it added to RSP.
 */
func soft_thunk_jc_miss
	save_guest 8
	pop	%rax
	mov	%rax, OFF_SCRATCH0(%rsp)
	mov	%rbp, OFF_RIP(%rsp)
	mov	$SOFT_LOOKUP, %eax
	jmp	soft_leave

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

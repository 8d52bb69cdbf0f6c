/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * REP MOVS and REP STOS of 64-bit code where they are short and plain: forwards,
 * within a page on each side, in pages that the TLB knows. Programs use them
 * for a few bytes at a time, to which a call of C would add many times their own cost.
 * Anything else goes on in soft_thunk_helper.
 *
 * Called as that is, with RBP = struct helper_call *; flags and R11 are free.
 */
#include "asm.h"

#define DF 0x400		/* in vcpu->sysflags */
#define SAVED_RBP (8 + OFF_SITE_SAVE)
#define SAVED_RAX (8 + OFF_SITE_SAVE + 8)

	.text

/*
 * RCX elements at \reg are in a page with a tag at \tag: its distance goes to \delta, or
 * the C function does it all. RAX and R11 are clobbered.
 */
.macro find reg, reg32, tag, delta, shift
	mov	\reg32, %eax
	and	$0xfff, %eax
	lea	(%rax,%rcx,1 << \shift), %eax
	cmp	$4096, %eax
	ja	8f
	tlb_index \reg, %rax, %eax
	mov	\tag(%rsp,%rax,8), %r11
	xor	\reg, %r11
	cmp	$0xfff, %r11
	ja	8f
	mov	.Ltlb + TLB_DELTA(%rsp,%rax,8), \delta
.endm

/* The next instruction, where the memory behind it may be gone. */
.macro guarded
6:
	.pushsection anykvm_guarded, "a", @progbits
	.balign	4
	.long	6b - ., 7f - .
	.popsection
.endm

.macro begin mode, shift
.set .Lmode, \mode
.set .Ltlb, 8 + OFF_TLB + TLB_MODE_SIZE * \mode
	testl	$DF, 8 + OFF_SYSFLAGS(%rsp)
	jnz	soft_thunk_helper
	cmp	$4096 >> \shift, %rcx
	ja	soft_thunk_helper
	test	%ecx, %ecx
	jz	9f
	mov	%rbp, SAVED_RBP(%rsp)
	mov	%rax, SAVED_RAX(%rsp)
.endm

.macro end
8:	mov	SAVED_RBP(%rsp), %rbp
	mov	SAVED_RAX(%rsp), %rax
	jmp	soft_thunk_helper
9:	ret
.endm

.macro movs mode, suffix, shift
	.p2align 4
.Lmovs\suffix\()_\mode:
	begin	\mode, \shift
	find	%rsi, %esi, .Ltlb, %rbp, \shift
	find	%rdi, %edi, .Ltlb + TLB_WTAG, %r11, \shift
	mov	SAVED_RAX(%rsp), %rax
	add	%rbp, %rsi
	add	%r11, %rdi
	guarded
	rep movs\suffix
	sub	%rbp, %rsi
	sub	%r11, %rdi
	ret
7:	sub	%rbp, %rsi
	sub	%r11, %rdi
	end
.endm

.macro stos mode, suffix, shift
	.p2align 4
.Lstos\suffix\()_\mode:
	begin	\mode, \shift
	find	%rdi, %edi, .Ltlb + TLB_WTAG, %r11, \shift
	mov	SAVED_RAX(%rsp), %rax
	add	%r11, %rdi
	guarded
	rep stos\suffix
	sub	%r11, %rdi
	ret
7:	sub	%r11, %rdi
	end
.endm

.irp	m, 0, 1, 2
	movs	\m, b, 0
	movs	\m, l, 2
	movs	\m, q, 3
	stos	\m, b, 0
	stos	\m, l, 2
	stos	\m, q, 3
.endr

/* In the order of THUNK_STRING: by mode, MOVS and STOS, the size of an element. */
table soft_string_thunks
.irp	m, 0, 1, 2
	.quad	.Lmovsb_\m, .Lmovsl_\m, .Lmovsq_\m
	.quad	.Lstosb_\m, .Lstosl_\m, .Lstosq_\m
.endr

	.section .note.GNU-stack, "", @progbits

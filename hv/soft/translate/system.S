/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RDTSC where everybody may and the guest's clock runs at the host's rate; else
 * it goes on in soft_thunk_helper. Called as that is, with RBP = struct
 * helper_call *; flags and R11 are free.
 */
#include "asm.h"

#define CR4_TSD 4

	.text
func soft_thunk_rdtsc
	testb	$CR4_TSD, 8 + OFF_CR4(%rsp)
	jnz	soft_thunk_helper
	movabs	$TSC_SAME_RATE, %r11
	cmp	8 + OFF_TSC_SCALE(%rsp), %r11
	jne	soft_thunk_helper
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	add	8 + OFF_TSC_OFFSET(%rsp), %rax
	mov	%rax, %rdx
	mov	%eax, %eax
	shr	$32, %rdx
	ret

	.section .note.GNU-stack, "", @progbits

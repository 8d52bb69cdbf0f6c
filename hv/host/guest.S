/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accesses to memory that may not be there, without a system call: a fault
 * between the labels host_guest_first and host_guest_end makes the function
 * return -EFAULT (signal.c). They use no stack.
 */
	.text
	.globl	host_guest_first, host_guest_end, host_guest_fault
	.hidden	host_guest_first, host_guest_end, host_guest_fault
	.globl	host_guest_move, host_guest_swap8
	.hidden	host_guest_move, host_guest_swap8

host_guest_first:

/* int host_guest_move(void *dst, const void *src, size_t n) */
	.type	host_guest_move, @function
host_guest_move:
	movq	%rdx, %rcx
	rep movsb
	xorl	%eax, %eax
	ret

/* int host_guest_swap8(u64 addr, u8 val): the old value */
	.type	host_guest_swap8, @function
host_guest_swap8:
	movl	%esi, %eax
	xchgb	%al, (%rdi)
	movzbl	%al, %eax
	ret

host_guest_end:

host_guest_fault:
	movl	$-14, %eax	/* -EFAULT */
	ret

	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way into a tested sequence on the host CPU and back. All of the state is
 * loaded from, and stored to, the context page at a fixed low address, which
 * every instruction here can name absolutely: no register is needed for it.
 * IRETQ loads RIP, CS, RFLAGS, RSP and SS at once. No thread-local variable may
 * be used between host_enter and its return: the FS base is the sequence's.
 */
#include "layout.h"

#define CTX(off) (CTX_BASE + off)

	.text
	.globl host_enter, host_exit, host_return, host_signal_entry, host_sigreturn
	.type host_enter, @function
host_enter:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, CTX(CTX_HOST_RSP)
	mov CTX(CTX_XMASK), %eax
	mov CTX(CTX_XMASK) + 4, %edx
	mov $CTX(CTX_XSAVE_IN), %edi
	xrstor64 (%rdi)
	mov CTX(CTX_SEGS), %ds
	mov CTX(CTX_SEGS) + 2, %es
	mov $CTX(CTX_POP), %esp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	iretq
	.size host_enter, . - host_enter

	/* The exit page jumps here, in 64-bit mode, with the sequence's state. */
	.type host_exit, @function
host_exit:
	mov %rax, CTX(CTX_OUT_GPR)
	mov %rcx, CTX(CTX_OUT_GPR) + 8
	mov %rdx, CTX(CTX_OUT_GPR) + 16
	mov %rbx, CTX(CTX_OUT_GPR) + 24
	mov %rsp, CTX(CTX_OUT_GPR) + 32
	mov %rbp, CTX(CTX_OUT_GPR) + 40
	mov %rsi, CTX(CTX_OUT_GPR) + 48
	mov %rdi, CTX(CTX_OUT_GPR) + 56
	mov %r8, CTX(CTX_OUT_GPR) + 64
	mov %r9, CTX(CTX_OUT_GPR) + 72
	mov %r10, CTX(CTX_OUT_GPR) + 80
	mov %r11, CTX(CTX_OUT_GPR) + 88
	mov %r12, CTX(CTX_OUT_GPR) + 96
	mov %r13, CTX(CTX_OUT_GPR) + 104
	mov %r14, CTX(CTX_OUT_GPR) + 112
	mov %r15, CTX(CTX_OUT_GPR) + 120
	mov %ss, CTX(CTX_OUT_SEGS) + 8
	mov $CTX(CTX_STACK), %esp
	pushfq
	pop CTX(CTX_OUT_FLAGS)
	push $0x202
	popfq
	mov %ds, CTX(CTX_OUT_SEGS)
	mov %es, CTX(CTX_OUT_SEGS) + 2
	mov %fs, CTX(CTX_OUT_SEGS) + 4
	mov %gs, CTX(CTX_OUT_SEGS) + 6
	mov CTX(CTX_XMASK), %eax
	mov CTX(CTX_XMASK) + 4, %edx
	mov $CTX(CTX_XSAVE_OUT), %edi
	xsave64 (%rdi)
	fninit
	xor %eax, %eax
	/* fall through */

	/* Back to host_enter's caller; eax: what it returns. */
	.type host_return, @function
host_return:
	mov CTX(CTX_HOST_RSP), %rsp
	push $0x202
	popfq
	mov $0x2b, %ecx
	mov %ecx, %ss
	xor %ecx, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	ldmxcsr CTX(CTX_MXCSR)
	vzeroupper
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret
	.size host_exit, . - host_exit

	/* Signal handlers are entered with the sequence's AC flag: drop it first. */
	.type host_signal_entry, @function
host_signal_entry:
	push $0x202
	popfq
	jmp host_signal
	.size host_signal_entry, . - host_signal_entry

	.type host_sigreturn, @function
host_sigreturn:
	mov $15, %eax
	syscall
	.size host_sigreturn, . - host_sigreturn

	.section .note.GNU-stack, "", @progbits

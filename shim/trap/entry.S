/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where program and shim meet. The stubs make the program's system calls on
 * its behalf, in its own context: signals interrupt and restart them there as
 * they would anywhere.
 */
	.text

#define SYS_rt_sigreturn 15
#define SYS_prctl 157
#define SYS_arch_prctl 158
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#define ARCH_SET_FS 0x1002

/* struct stub_args */
#define ARG_RDI 8
#define ARG_RSI 16
#define ARG_RDX 24
#define ARG_R10 32
#define ARG_R8 40
#define ARG_R9 48
#define ARGS_SIZE 96
#define RED_ZONE 128

.macro func name
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 4
\name:
.endm

/* What a new thread or process does not inherit. */
.macro dispatch_on
	push	%rdi
	push	%rsi
	push	%rdx
	push	%r10
	push	%r8
	mov	$SYS_prctl, %eax
	mov	$PR_SET_SYSCALL_USER_DISPATCH, %edi
	mov	$PR_SYS_DISPATCH_ON, %esi
	mov	trap_text(%rip), %rdx
	mov	trap_text_size(%rip), %r10
	xor	%r8d, %r8d
	syscall
	pop	%r8
	pop	%r10
	pop	%rdx
	pop	%rsi
	pop	%rdi
.endm

.macro restore_args
	mov	ARG_RDI(%rsp), %rdi
	mov	ARG_RSI(%rsp), %rsi
	mov	ARG_RDX(%rsp), %rdx
	mov	ARG_R10(%rsp), %r10
	mov	ARG_R8(%rsp), %r8
	mov	ARG_R9(%rsp), %r9
.endm

/* RSP: the return address, then the red zone. */
func trap_stub_pass
	syscall
	ret	$RED_ZONE

/* RSP: struct stub_args, then the red zone. */
func trap_stub_args
	syscall
	restore_args
	ret	$(RED_ZONE + ARGS_SIZE - 8)

/* The same for what makes a process. */
func trap_stub_fork
	syscall
	test	%rax, %rax
	jnz	1f
	movl	$0, trap_pid(%rip)
	dispatch_on
	xor	%eax, %eax
1:	restore_args
	ret	$(RED_ZONE + ARGS_SIZE - 8)

/* A child with a stack of its own: the return address is below its top. */
func trap_stub_clone
	syscall
	test	%rax, %rax
	jz	1f
	ret	$RED_ZONE
1:	sub	$8, %rsp
	dispatch_on
	xor	%eax, %eax
	ret

func trap_stub_sigreturn
	mov	$SYS_rt_sigreturn, %eax
	syscall

/* The unwinder of the C libraries knows these two instructions. */
	.p2align 4
	nop
func trap_restorer
	mov	$SYS_rt_sigreturn, %rax
	syscall

/*
 * The kernel comes here for every signal that the program handles, and goes
 * on to the program's handler as if it had come there directly.
 */
func trap_signal_entry
	push	%rdi
	push	%rsi
	push	%rdx
	call	trap_signal_target
	pop	%rdx
	pop	%rsi
	pop	%rdi
	test	%rax, %rax
	jz	1f
	jmp	*%rax
1:	ret

func trap_sigsys_entry
	push	%rdi
	push	%rsi
	push	%rdx
	call	trap_sigsys
	pop	%rdx
	pop	%rsi
	pop	%rdi
	test	%rax, %rax
	jz	1f
	jmp	*%rax
1:	ret

func trap_start
	mov	%rdi, %rsp
	mov	%rsi, %rbx
	mov	$SYS_arch_prctl, %eax
	mov	$ARCH_SET_FS, %edi
	xor	%esi, %esi
	syscall
	mov	%rbx, %r11
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx	/* no function for atexit */
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	jmp	*%r11

func trap_on_stack
	push	%rbp
	mov	%rsp, %rbp
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsp
	call	*%rax
	leave
	ret

/* The shim as a program: what crt1.o is to others. */
func shim_start
	xor	%ebp, %ebp
	mov	%rdx, %r9
	mov	(%rsp), %rsi
	lea	8(%rsp), %rdx
	and	$-16, %rsp
	push	%rax
	push	%rsp
	xor	%r8d, %r8d
	xor	%ecx, %ecx
	lea	shim_main(%rip), %rdi
	call	*__libc_start_main@GOTPCREL(%rip)
	hlt

	.section .interp, "a", @progbits
	.asciz	"/lib64/ld-linux-x86-64.so.2"

	.section .note.GNU-stack, "", @progbits

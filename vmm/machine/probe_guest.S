/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest of the probe. It does what a 64-bit kernel does first: builds page
 * tables in 32-bit protected mode, enters long mode, computes, walks page
 * tables, and takes exceptions. It tells each step through a port.
 */
#include "probe_guest.h"

	.section .rodata.probe_guest, "a"
	.globl probe_guest_start, probe_guest_end

	.macro step n
	mov	$\n, %eax
	out	%eax, %dx
	.endm

/* The link address of a label, as a guest address. */
#define AT(label) (label - probe_guest_start + PROBE_CODE)

	.code32
probe_guest_start:
	mov	$PROBE_STACK, %esp
	mov	$PROBE_PORT, %edx
	step	PROBE_STEP_START

	/* the first 2 MiB, page by page, as they are */
	movl	$(PROBE_PDPT + 3), PROBE_PML4
	movl	$(PROBE_PD_LOW + 3), PROBE_PDPT
	movl	$(PROBE_PT_LOW + 3), PROBE_PD_LOW
	xor	%ecx, %ecx
1:	mov	%ecx, %eax
	shl	$12, %eax
	add	$3, %eax
	mov	%eax, PROBE_PT_LOW(, %ecx, 8)
	inc	%ecx
	cmp	$512, %ecx
	jb	1b

	/* many linear pages on few physical ones */
	movl	$(PROBE_PD_WALK + 3), PROBE_PDPT + 8
	movl	$(PROBE_PT_WALK + 3), PROBE_PD_WALK
	movl	$(PROBE_PT_WALK + 0x1003), PROBE_PD_WALK + 8
	movl	$(PROBE_PT_WALK + 0x2003), PROBE_PD_WALK + 16
	movl	$(PROBE_PT_WALK + 0x3003), PROBE_PD_WALK + 24
	xor	%ecx, %ecx
2:	mov	%ecx, %eax
	and	$(PROBE_DATA_PAGES - 1), %eax
	shl	$12, %eax
	add	$(PROBE_DATA + 3), %eax
	mov	%eax, PROBE_PT_WALK(, %ecx, 8)
	inc	%ecx
	cmp	$PROBE_WALK_PAGES, %ecx
	jb	2b

	mov	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	mov	%eax, %cr4
	mov	$PROBE_PML4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	$0x80010013, %eax	/* PG, WP, ET, MP, PE */
	mov	%eax, %cr0
	lgdtl	AT(gdt_pointer)
	ljmpl	$0x08, $AT(long_mode)

	.code64
long_mode:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$PROBE_PORT, %edx
	step	PROBE_STEP_LONG

	/* gates for #UD and #PF */
	mov	$(PROBE_IDT + 6 * 16), %edi
	mov	$AT(on_ud), %eax
	call	set_gate
	mov	$(PROBE_IDT + 14 * 16), %edi
	mov	$AT(on_pf), %eax
	call	set_gate
	lidt	AT(idt_pointer)

	/* compute: rbx collects the sum of all steps */
	movabs	$PROBE_MUL, %r8
	movabs	$PROBE_ADD, %r9
	xor	%ebx, %ebx
	mov	$1, %eax
	mov	$PROBE_LOOPS, %ecx
3:	imul	%r8, %rax
	add	%r9, %rax
	rol	$7, %rbx
	xor	%rax, %rbx
	dec	%ecx
	jnz	3b
	step	PROBE_STEP_COMPUTED

	/* walk: every linear page adds one to its physical page */
	mov	$PROBE_ROUNDS, %esi
4:	mov	$PROBE_WALK_VA, %edi
	mov	$PROBE_WALK_PAGES, %ecx
5:	incq	(%rdi)
	add	$0x1000, %rdi
	dec	%ecx
	jnz	5b
	mov	%cr3, %rax
	mov	%rax, %cr3
	dec	%esi
	jnz	4b
	mov	$PROBE_DATA, %edi
	mov	$PROBE_DATA_PAGES, %ecx
6:	movq	(%rdi), %xmm0		/* and a little SSE */
	movq	%rbx, %xmm1
	paddq	%xmm1, %xmm0
	movq	%xmm0, %rbx
	add	$0x1000, %rdi
	dec	%ecx
	jnz	6b
	step	PROBE_STEP_WALKED

	/* exceptions: each handler adds to r15 and skips two bytes */
	xor	%r15d, %r15d
	mov	$PROBE_FAULT_VA, %edi
	mov	$PROBE_FAULTS, %ecx
7:	mov	(%rdi), %eax
	ud2
	dec	%ecx
	jnz	7b
	add	%r15, %rbx
	step	PROBE_STEP_FAULTED

	mov	%ebx, %eax
	out	%eax, %dx
	shr	$32, %rbx
	mov	%ebx, %eax
	out	%eax, %dx
8:	hlt
	jmp	8b

/* edi: the gate, eax: the handler; an interrupt gate of code segment 8 */
set_gate:
	mov	%ax, (%rdi)
	movw	$0x08, 2(%rdi)
	movw	$0x8e00, 4(%rdi)
	shr	$16, %eax
	mov	%ax, 6(%rdi)
	ret

on_ud:
	add	$1, %r15
	addq	$2, (%rsp)
	iretq

on_pf:
	mov	%cr2, %rax
	add	%rax, %r15
	pop	%rax			/* the error code */
	add	%rax, %r15
	addq	$2, (%rsp)
	iretq

	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 64-bit code */
	.quad	0x00cf93000000ffff	/* data */
gdt_pointer:
	.word	3 * 8 - 1
	.long	AT(gdt)
idt_pointer:
	.word	16 * 16 - 1
	.quad	PROBE_IDT
probe_guest_end:

	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves of one vector or opmask register that is chosen at run time: tables
 * of functions of 8 bytes, one a register. They change nothing else.
 */
	.text

/* name: n functions of one move each. how: the macro below that writes it. */
.macro table name, n, how, insn, reg
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 3
\name:
	.set	i, 0
	.rept	\n
	entry	\how, \insn, \reg
	.set	i, i + 1
	.endr
.endm

.altmacro
.macro store insn, reg, number
	\insn	%\reg\number, (%rdi)
.endm
.macro load insn, reg, number
	\insn	(%rdi), %\reg\number
.endm
.macro from_k insn, reg, number
	\insn	%\reg\number, %rax
.endm
.macro from_k32 insn, reg, number
	\insn	%\reg\number, %eax
.endm
.macro to_k insn, reg, number
	\insn	%rdi, %\reg\number
.endm
.macro to_k32 insn, reg, number
	\insn	%edi, %\reg\number
.endm
.macro entry how, insn, reg
	.p2align 3
	\how	\insn, \reg, %i
	ret
.endm

	table	soft_zmm_get, 32, store, vmovdqu64, zmm
	table	soft_zmm_put, 32, load, vmovdqu64, zmm
	table	soft_ymm_get, 16, store, vmovdqu, ymm
	table	soft_ymm_put, 16, load, vmovdqu, ymm
	table	soft_k64_get, 8, from_k, kmovq, k
	table	soft_k64_put, 8, to_k, kmovq, k
	table	soft_k16_get, 8, from_k32, kmovw, k
	table	soft_k16_put, 8, to_k32, kmovw, k

	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The smallest guest: an ELF image with a PVH entry point (the note of type 18
 * that the Xen x86/HVM direct boot ABI defines), which says a line on the
 * first serial port and stops.
 */
	.code32
	.globl _start
_start:
	mov $0x3f8, %edx
	mov $text, %esi
	mov $end - text, %ecx
	cld
	rep outsb
1:	hlt
	jmp 1b

text:	.ascii "FIRST\r\n"
end:

	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.long _start

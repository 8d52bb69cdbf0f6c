/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The little assembler of tests with a structure.
 */
#ifndef TESTS_NATIVE_PROGRAM_H
#define TESTS_NATIVE_PROGRAM_H

#include "gen.h"

struct insn *program_raw(struct maker *m, const char *bytes, int len);
#define RAW(m, s) program_raw(m, s, (int)sizeof(s) - 1)

/* The field at off shall name instruction number to (enum fix_kind). */
void program_fix(struct insn *in, int kind, int off, int size, int to, int add);
/* A short relative branch to instruction number to. */
struct insn *program_branch8(struct maker *m, u8 opcode, int to);
/* A near one: E8, E9 or 0F 8x. */
struct insn *program_branch(struct maker *m, u16 opcode, int to);
/* The address of instruction number to into RAX (EAX, AX). */
void program_load_label(struct maker *m, int to);
/* The program itself uses a register: nothing else may write it, or point with it. */
void program_claim(struct maker *m, int reg);
/* A few instructions that leave claimed registers and pointers alone. */
void program_body(struct maker *m, int n);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where translated code and entry.S find things relative to RSP, as plain
 * numbers that the assembler can read. engine.c asserts them.
 */
#ifndef HV_SOFT_OFFSETS_H
#define HV_SOFT_OFFSETS_H

#define OFF_DELTA 0
#define OFF_REQUEST 8
#define OFF_ARITH 12
#define OFF_IF 14
#define OFF_SHADOW 15
#define OFF_SCRATCH0 16
#define OFF_SCRATCH1 24
#define OFF_GPR 32
#define OFF_SEG 160
#define SIZEOF_SEG 24
#define OFF_RIP 352
#define OFF_SYSFLAGS 360

#endif

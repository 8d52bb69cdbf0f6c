/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the fuzzers of the machine share: random numbers by a seed, and errors told to nobody. */
#ifndef TESTS_FUZZ_CHANCE_H
#define TESTS_FUZZ_CHANCE_H

#include "../../vmm/types.h"

/* Of this thread; a seed, or where the numbers have come to. */
extern __thread u64 chance_state;

/* A number below n; any for n = 0. */
u64 chance(u64 n);
/* The seed that text gives, else one of this moment. */
u64 chance_seed(const char *text);

#endif

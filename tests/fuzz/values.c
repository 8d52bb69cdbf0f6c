/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chance: a generator for each thread (splitmix64), and the values that
 * programs are known to get wrong.
 */
#include <string.h>

#include "fuzz.h"

static __thread uint64_t state;

void seed_thread(uint64_t seed)
{
	state = seed;
}

uint64_t rnd(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t below(uint32_t n)
{
	return (uint32_t)(rnd() % n);
}

bool percent(uint32_t p)
{
	return below(100) < p;
}

uint64_t number(void)
{
	uint64_t n;

	switch (below(8)) {
	case 0:
		return rnd();
	case 1:
		return below(16);
	case 2:
		return below(65536);
	case 3:
		return (uint32_t)rnd();
	case 4:
		n = ~0ull << below(64);
		break;
	default:
		n = 1ull << below(64);
		break;
	}
	return n + below(3) - 1;
}

void random_bytes(void *p, size_t n)
{
	uint8_t *b = p;
	uint64_t x;

	for (; n >= 8; n -= 8, b += 8) {
		x = rnd();
		memcpy(b, &x, 8);
	}
	x = rnd();
	memcpy(b, &x, n);
}

void mutate(void *p, size_t n)
{
	uint8_t *b = p;
	uint64_t x;

	for (uint32_t i = below(6); i && n; i--) {
		size_t at = below((uint32_t)n), size = 1u << below(4);

		if (percent(40)) {
			b[at] ^= (uint8_t)(1u << below(8));
			continue;
		}
		at &= ~(size - 1);
		x = number();
		memcpy(b + at, &x, at + size > n ? n - at : size);
	}
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory: a chain of pointers, independent reads and writes at random places,
 * and copies, each within a given number of KiB.
 *   memory chase|random|copy KIB COUNT
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252ull;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/*
 * One cycle through all cache lines, in an order that no prefetcher foresees: a
 * linear congruential sequence, which has the full period modulo a power of two.
 */
static uint64_t chase(char *memory, size_t size, long count)
{
	uint64_t lines = size / 64;
	void **p = (void **)memory;

	for (uint64_t i = 0; i < lines; i++)
		*(void **)(memory + i * 64) =
			memory + ((i * 2891336453u + 12345) & (lines - 1)) * 64;
	while (count--)
		p = *p;
	return (uint64_t)((char *)p - memory);
}

static uint64_t random_access(char *memory, size_t size, long count)
{
	uint64_t *words = (uint64_t *)memory, mask = size / 8 - 1, sum = 0;

	for (uint64_t i = 0; i <= mask; i++)
		words[i] = i;
	while (count--) {
		uint64_t r = next();

		sum += words[r & mask];
		words[r >> 32 & mask] = sum;
	}
	return sum;
}

static uint64_t copy(char *memory, size_t size, long count)
{
	uint64_t sum = 0;

	memset(memory, 1, size);
	while (count--) {
		memory[count % 4096] = (char)count;
		memcpy(memory + size / 2, memory, size / 2);
		sum += (unsigned char)memory[size / 2 + (size_t)count % 4096];
		__asm__ volatile("" : : "r"(memory) : "memory");
	}
	return sum;
}

int main(int argc, char **argv)
{
	size_t size = argc == 4 ? strtoul(argv[2], NULL, 10) << 10 : 0;
	long count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
	uint64_t (*work)(char *, size_t, long) = NULL;
	char *memory;

	if (argc == 4)
		work = !strcmp(argv[1], "chase") ? chase :
		       !strcmp(argv[1], "random") ? random_access :
		       !strcmp(argv[1], "copy") ? copy : NULL;
	if (!work || size < 8192 || (size & (size - 1)) || count <= 0)
		return 2;
	memory = aligned_alloc(4096, size);
	if (!memory)
		return 1;
	printf("%llu\n", (unsigned long long)work(memory, size, count));
	return 0;
}

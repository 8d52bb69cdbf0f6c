/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls and indirect branches: methods picked at run time, deep recursion, a
 * small interpreter around a switch.
 *   calls virtual|recursion|switch COUNT
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define noipa __attribute__((noipa))

struct shape {
	const struct ops *ops;
	uint32_t a, b;
};

struct ops {
	uint32_t (*area)(const struct shape *s);
	void (*grow)(struct shape *s, uint32_t by);
};

static noipa uint32_t area0(const struct shape *s) { return s->a * s->a; }
static noipa uint32_t area1(const struct shape *s) { return s->a * s->b; }
static noipa uint32_t area2(const struct shape *s) { return s->a * s->b / 2; }
static noipa uint32_t area3(const struct shape *s) { return s->a + s->b; }
static noipa void grow0(struct shape *s, uint32_t by) { s->a += by; }
static noipa void grow1(struct shape *s, uint32_t by) { s->b += by; }

static const struct ops kinds[] = {
	{ area0, grow0 }, { area1, grow1 }, { area2, grow0 }, { area3, grow1 },
};

#define SHAPES 1000

static uint64_t virtual_calls(long count)
{
	static struct shape shapes[SHAPES];
	uint64_t sum = 0;

	for (uint32_t i = 0; i < SHAPES; i++)
		shapes[i] = (struct shape){ &kinds[(i * 2654435761u) >> 30], i, i ^ 5 };
	while (count--)
		for (int i = 0; i < SHAPES; i++) {
			struct shape *s = &shapes[i];

			sum += s->ops->area(s);
			s->ops->grow(s, (uint32_t)sum & 3);
		}
	return sum;
}

__attribute__((optimize("no-optimize-sibling-calls")))
static noipa uint64_t fib(uint32_t n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

enum op { PUSH, ADD, MUL, XOR, DUP, SWAP, DEC, LOOP, HALT };

static const uint8_t program[] = {
	DUP, PUSH, 7, MUL, PUSH, 3, XOR, SWAP, DEC, DUP, PUSH, 1, ADD, SWAP, XOR, PUSH, 13, ADD,
	LOOP, HALT,
};

static noipa uint64_t interpret(const uint8_t *code, uint64_t rounds)
{
	uint64_t stack[64] = { 1, 2 }, sum = 0;
	unsigned sp = 2;

	for (const uint8_t *pc = code;;) {
		switch ((enum op)*pc++) {
		case PUSH:
			stack[sp++ & 63] = *pc++;
			break;
		case ADD:
			sp--;
			stack[(sp - 1) & 63] += stack[sp & 63];
			break;
		case MUL:
			sp--;
			stack[(sp - 1) & 63] *= stack[sp & 63];
			break;
		case XOR:
			sp--;
			stack[(sp - 1) & 63] ^= stack[sp & 63];
			break;
		case DUP:
			stack[sp & 63] = stack[(sp - 1) & 63];
			sp++;
			break;
		case SWAP: {
			uint64_t t = stack[(sp - 1) & 63];

			stack[(sp - 1) & 63] = stack[(sp - 2) & 63];
			stack[(sp - 2) & 63] = t;
			break;
		}
		case DEC:
			stack[(sp - 1) & 63]--;
			break;
		case LOOP:
			sum += stack[(sp - 1) & 63];
			sp = 2;
			if (--rounds)
				pc = code;
			break;
		case HALT:
			return sum;
		}
	}
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	uint64_t sum;

	if (count <= 0)
		return 2;
	if (!strcmp(argv[1], "virtual"))
		sum = virtual_calls(count);
	else if (!strcmp(argv[1], "recursion"))
		sum = fib((uint32_t)count);
	else if (!strcmp(argv[1], "switch"))
		sum = interpret(program, (uint64_t)count);
	else
		return 2;
	printf("%llu\n", (unsigned long long)sum);
	return 0;
}

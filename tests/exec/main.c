/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program.h"

static const struct {
	const char *name;
	int (*fn)(int argc, char **argv);
} tests[] = {
	{ "hello", test_hello },
	{ "device", test_device },
	{ "missing", test_missing },
	{ "descriptors", test_descriptors },
	{ "fork", test_fork },
	{ "foreign", test_foreign },
	{ "threads", test_threads },
	{ "signals", test_signals },
	{ "signal-mask", test_signal_mask },
	{ "handlers", test_handlers },
	{ "leaks", test_leaks },
	{ "latency", test_latency },
	{ "children", test_children },
	{ "environment", test_environment },
};

int main(int argc, char **argv)
{
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; argc > 1 && i < sizeof(tests) / sizeof(tests[0]); i++)
		if (!strcmp(argv[1], tests[i].name))
			return tests[i].fn(argc, argv);
	fprintf(stderr, "usage: program TEST\n");
	return 2;
}

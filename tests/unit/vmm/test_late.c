/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Libraries that are loaded when they are needed: names, what is found, and what is not there. */
#include "../../../vmm/error.h"
#include "../../../vmm/late.h"
#include "vmm_test.h"

#define LIBRARY "libm.so.6"
#define header_name ldexp	/* as headers do that rename functions */

static void test_loads(void **state)
{
	static const char *const names[] = { LATE_NAME(scalbln), LATE_NAME(header_name) };
	struct {
		double (*scalbln)(double x, long n);
		double (*header_name)(double x, int n);
	} m = { NULL, NULL };

	(void)state;
	assert_string_equal(names[1], "ldexp");
	assert_int_equal(late_load(LIBRARY, names, &m, 2), 0);
	assert_true(m.scalbln(3, 2) == 12);
	assert_true(m.header_name(3, 1) == 6);
	assert_int_equal(late_load(LIBRARY, names, &m, 2), 0);
	assert_true(m.scalbln(3, 2) == 12);
}

static void test_not_there(void **state)
{
	static const char *const names[] = { "scalbln", "no_such_function" };
	char text[256];
	void *to[2];

	(void)state;
	error_catch(text, sizeof(text));
	assert_int_equal(late_load(LIBRARY, names, to, 2), -1);
	assert_non_null(strstr(text, LIBRARY));
	assert_non_null(strstr(text, "no_such_function"));
	error_catch(text, sizeof(text));
	assert_int_equal(late_load("libno-such-library.so.0", names, to, 2), -1);
	assert_non_null(strstr(text, "libno-such-library.so.0"));
	error_catch(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads),
		cmocka_unit_test(test_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Properties of devices: their form, their values, and what is refused. */
#include "../../../vmm/devices/props.h"
#include "vmm_test.h"

static void test_values(void **state)
{
	static const char *const modes[] = { "slow", "fast", NULL };
	struct props p;

	(void)state;
	assert_int_equal(props_parse(&p, "disk,file=a,,b,n=0x10,size=2M,ro,mode=fast,q=off"), 0);
	assert_string_equal(p.type, "disk");
	assert_string_equal(props_string(&p, "file", ""), "a,b");
	assert_int_equal(props_number(&p, "n", 0, 1, 16), 16);
	assert_int_equal(props_size(&p, "size", 0), 2 * MIB);
	assert_true(props_bool(&p, "ro", false));
	assert_false(props_bool(&p, "q", true));
	assert_int_equal(props_choice(&p, "mode", 0, modes), 1);
	assert_int_equal(props_number(&p, "absent", 7, 0, 9), 7);
	assert_null(props_string(&p, "absent", NULL));
	assert_int_equal(props_finish(&p), 0);
	props_free(&p);
}

static void refuse_number(const char *text)
{
	struct props p;

	assert_int_equal(props_parse(&p, text), 0);
	props_number(&p, "n", 0, 1, 16);
	assert_int_equal(props_finish(&p), -1);
	props_free(&p);
}

static void refuse(const char *text)
{
	struct props p;

	assert_int_equal(props_parse(&p, text), -1);
	props_free(&p);
}

static void test_refused(void **state)
{
	(void)state;
	refuse_number("d,n=17");
	refuse_number("d,n=0");
	refuse_number("d,n=-1");
	refuse_number("d,n=");
	refuse_number("d,n=1x");
	refuse_number("d,n=99999999999999999999999");
	refuse_number("d,other=1");
	refuse("");
	refuse(",a=b");
	refuse("a=b");
	refuse("d,=b");
	refuse("d,,a=1=");
	refuse("d,a=1,a=2");
	refuse("d,");
}

static void test_lists(void **state)
{
	struct props p;
	char text[16];
	FILE *f;

	(void)state;
	assert_int_equal(props_parse_lists(&p, "d,to=1,x=2,to=3,to", "to"), 0);
	assert_string_equal(props_next(&p, "to"), "1");
	assert_string_equal(props_next(&p, "to"), "3");
	assert_int_equal(props_finish(&p), -1);
	assert_string_equal(props_next(&p, "to"), "on");
	assert_null(props_next(&p, "to"));
	props_free(&p);
	assert_int_equal(props_parse_lists(&p, "d,to=1,x=2,x=3", "to"), -1);
	props_free(&p);
	f = fmemopen(text, sizeof(text), "w");
	props_print_value(f, "a,b,,");
	fclose(f);
	assert_string_equal(text, "a,,b,,,,");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

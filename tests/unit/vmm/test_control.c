/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the control makes of the machine's states, with a stand-in for the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/registry.h"
#include "control/address.h"
#include "control/client.h"
#include "control/state.h"
#include "devices/pci/pci.h"
#include "machine/machine.h"

/* --- the machine ---------------------------------------------------------------------- */

static bool paused;
static char removed[16];

void machine_pause(struct machine *m, bool on) { (void)m; paused = on; }
void machine_power_button(struct machine *m) { (void)m; }
void machine_set_end(struct machine *m, enum machine_end why) { (void)m, (void)why; }
int machine_add_device(struct machine *m, struct props *p) { (void)m, (void)p; return 0; }

int machine_del_device(struct machine *m, const char *id)
{
	(void)m;
	snprintf(removed, sizeof(removed), "%s", id);
	return 0;
}

const char *pci_hotplug_bus(struct pci_host *h) { (void)h; return "port3"; }
const char *kvm_engine_name(enum kvm_engine e) { (void)e; return "soft"; }

static int unplug(struct device *d) { (void)d; return 0; }
static const struct device_class class = { .name = "virtio-thing", .unplug = unplug };
static const struct device_class fixed = { .name = "fixed" };

const struct device_class *device_find_class(const char *name)
{
	if (!strcmp(name, fixed.name))
		return &fixed;
	return strcmp(name, class.name) ? NULL : &class;
}

struct device *device_find(const struct devices *all, const char *id)
{
	(void)all;
	return strcmp(id, "here") ? NULL : (struct device *)&fixed;
}

/* --- the test's own ---------------------------------------------------------------------- */

static char dir[64];
static struct machine_config config;
static struct machine machine;
static struct pci_host pci;
static struct control *control;
static struct loop *loop;
static struct qmp qmp;
static char answer[4096];

static void receive(void *client, const char *text, size_t n)
{
	(void)client;
	assert_true(strlen(answer) + n < sizeof(answer));
	strncat(answer, text, n);
}

static const char *say(const char *text)
{
	answer[0] = 0;
	qmp_input(&qmp, text, strlen(text));
	return answer;
}

static int start(void **state)
{
	struct control_config c = { .machine = &config };

	(void)state;
	strcpy(dir, "/tmp/anykvm-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	setenv("XDG_RUNTIME_DIR", dir, 1);
	memset(&config, 0, sizeof(config));
	machine.board.pci = &pci;
	loop = loop_new();
	c.backends = registry_new();
	control = control_new(loop, &c);
	assert_non_null(control);
	control_start(control, &machine);
	memset(&qmp, 0, sizeof(qmp));
	qmp.ops = &control->ops;
	qmp.send = receive;
	qmp.passed = -1;
	qmp.ready = true;
	paused = false;
	return 0;
}

static int end(void **state)
{
	char path[80];
	struct registry *r = control->config.backends;

	(void)state;
	control_free(control);
	registry_free(r);
	loop_free(loop);
	snprintf(path, sizeof(path), "%s/anykvm", dir);
	return rmdir(path) || rmdir(dir);
}

/* --- the tests ---------------------------------------------------------------------------- */

/* The machine goes on when no disk is full any more, and not before. */
static void full_disks(void **state)
{
	struct disk a = { .id = (char *)"a" }, b = { .id = (char *)"b" };

	(void)state;
	control_full_disk(control, &a, true);
	assert_true(paused);
	control_full_disk(control, &b, true);
	control_full_disk(control, &a, false);
	assert_true(paused);
	assert_non_null(strstr(say("{\"execute\": \"query-status\"}"), "io-error"));
	say("{\"execute\": \"cont\"}");
	assert_true(paused);
	say("{\"execute\": \"stop\"}");
	control_full_disk(control, &b, false);
	assert_true(paused);
	assert_non_null(strstr(say("{\"execute\": \"query-status\"}"), "\"paused\""));
	say("{\"execute\": \"cont\"}");
	assert_false(paused);
}

/* What came is noted as an option would say it, for the next life, until it goes. */
static void plugged(void **state)
{
	static const char add[] = "{\"execute\": \"device_add\", \"arguments\": {\"driver\": "
		"\"virtio-thing-pci\", \"id\": \"here\", \"netdev\": \"a,b\", \"n\": 5, "
		"\"on\": true}}";
	static const char del[] = "{\"execute\": \"device_del\", \"arguments\": "
		"{\"id\": \"here\"}}";

	(void)state;
	assert_non_null(strstr(say(add), "\"return\": {}"));
	assert_int_equal(config.ndevices, 1);
	assert_string_equal(config.devices[0],
			    "virtio-thing,id=here,net=a,,b,n=5,on=on,bus=port3");
	assert_non_null(strstr(say(del), "\"return\": {}"));
	assert_string_equal(removed, "here");
	assert_int_equal(config.ndevices, 1);
	config.on_removed(config.on_removed_ctx, "other");
	assert_int_equal(config.ndevices, 1);
	config.on_removed(config.on_removed_ctx, "here");
	assert_int_equal(config.ndevices, 0);
	/* one that was asked to go and has not: it does not come back */
	say(add);
	say(del);
	control_end(control, MACHINE_RESET, true, false);
	assert_int_equal(config.ndevices, 0);
	control_start(control, &machine);
}

static void refused(void **state)
{
	static const char *const bad[][2] = {
		{ "{\"driver\": \"fixed\"}", "hotplugging" },
		{ "{\"driver\": \"-pci\"}", "no device" },
		{ "{\"driver\": \"virtio-thing\", \"x\": []}", "'x'" },
		{ "{\"driver\": \"virtio-thing\", \"x\": 1.5}", "'x'" },
		{ "{\"driver\": \"virtio-thing\", \"a=b\": \"c\"}", "'a=b'" },
		{ "{\"driver\": \"virtio-thing\", \"\": \"c\"}", "''" },
	};
	char text[256];
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "{\"execute\": \"device_add\", \"arguments\": %s}",
			 bad[i][0]);
		assert_non_null(strstr(say(text), "GenericError"));
		assert_non_null(strstr(answer, bad[i][1]));
		assert_int_equal(config.ndevices, 0);
	}
}

/* At most as many as a machine has. */
static void many(void **state)
{
	static const char add[] = "{\"execute\": \"device_add\", \"arguments\": "
		"{\"driver\": \"virtio-thing\"}}";
	unsigned int i;

	(void)state;
	for (i = 0; i < MACHINE_DEVICES_MAX; i++)
		assert_non_null(strstr(say(add), "return"));
	assert_non_null(strstr(say(add), "too many"));
	assert_int_equal(config.ndevices, MACHINE_DEVICES_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(full_disks), TEST(plugged), TEST(refused), TEST(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The watchdog's key, stages and actions; the sound card's streams, with lists that have no end. */
#include <stdio.h>
#include <unistd.h>

#include "../../../vmm/backends/audio.h"
#include "pc_fake.h"

#define LIST 0x10000
#define BUFFER 0x20000

extern const struct device_class ac97_class, i6300esb_class;

static struct device *dev;
static pthread_t thread;
static char action[16];
static unsigned int told;

static void on_watchdog(struct board *b, const char *name)
{
	(void)b;
	strncpy(action, name, sizeof(action) - 1);
	__atomic_fetch_add(&told, 1, __ATOMIC_SEQ_CST);
}

static void *run(void *arg)
{
	loop_run(arg);
	return NULL;
}

static int setup(const struct device_class *class, const char *text)
{
	if (pc_setup(NULL))
		return -1;
	told = 0;
	pc.board.watchdog = on_watchdog;
	if (!audio_open(pc.board.backends, "wav,path=sound.wav"))
		return -1;
	dev = pc_device(class, text);
	return dev && pthread_create(&thread, NULL, run, pc.board.loop) == 0 ? 0 : -1;
}

static int setup_watchdog(void **state)
{
	(void)state;
	return setup(&i6300esb_class, "i6300esb,action=poweroff");
}

static int setup_sound(void **state)
{
	(void)state;
	return setup(&ac97_class, "ac97,audio=audio0");
}

static int teardown(void **state)
{
	loop_stop(pc.board.loop);
	pthread_join(thread, NULL);
	dev->class->destroy(dev);
	unlink("sound.wav");
	return pc_teardown(state);
}

/* --- the watchdog --------------------------------------------------------------------- */

static void behind_key(unsigned int reg, u32 v)
{
	pc_write(0, 0x0c, 0x80, 2);
	pc_write(0, 0x0c, 0x86, 2);
	pc_write(0, reg, v, 4);
}

static bool soon(const unsigned int *what)
{
	unsigned int i;

	for (i = 0; i < 3000 && !__atomic_load_n(what, __ATOMIC_SEQ_CST); i++)
		usleep(1000);
	return __atomic_load_n(what, __ATOMIC_SEQ_CST);
}

static void hanging(void **state)
{
	unsigned int i;

	(void)state;
	behind_key(0, 400);			/* a tick is nearly a millisecond */
	behind_key(4, 400);
	pc_config_write(0x68, 2, 1);
	for (i = 0; i < 10; i++) {		/* fed for longer than both stages take */
		usleep(100000);
		behind_key(0x0c, 0x100);
	}
	assert_int_equal(told, 0);
	assert_true(soon(&told));
	assert_string_equal(action, "poweroff");
	assert_true(soon(&pc.offs));
	assert_int_equal(pc_read(0, 0x0c, 2) & 0x200, 0x200);
	assert_int_equal(pc_read(0, 0x08, 2), 1);	/* the first stage's */
	assert_true(pc_intx());
	pc_write(0, 0x08, 1, 2);
	assert_false(pc_intx());
	behind_key(0x0c, 0x200);
	assert_int_equal(pc_read(0, 0x0c, 2), 0);
}

static void key_and_lock(void **state)
{
	(void)state;
	behind_key(0, 5);
	behind_key(4, 5);
	pc_write(0, 0, 0xfffff, 4);		/* without the key: nothing */
	pc_write(0, 0x0c, 0x86, 2);
	pc_write(0, 0, 0xfffff, 4);
	pc_config_write(0x68, 3, 1);		/* on, for ever */
	pc_config_write(0x68, 0, 1);
	assert_true(soon(&told));
}

/* Nearly ten minutes each: products of this number just exceed 64 bits. */
static void long_stages(void **state)
{
	(void)state;
	behind_key(0, 562950);
	behind_key(4, 562950);
	pc_config_write(0x68, 2, 1);
	usleep(50000);
	assert_int_equal(pc_read(0, 0x08, 2), 0);
	assert_int_equal(told, 0);
}

static void switched_off(void **state)
{
	(void)state;
	behind_key(0, 50);
	behind_key(4, 50);
	pc_config_write(0x68, 2, 1);
	pc_config_write(0x68, 0, 1);
	usleep(200000);
	assert_int_equal(told, 0);
	pc_config_write(0x60, 0x20, 2);		/* no output: noted, not acted on */
	pc_config_write(0x68, 2, 1);
	usleep(250000);
	assert_int_equal(told, 0);
	assert_int_equal(pc_read(0, 0x0c, 2) & 0x200, 0x200);
}

/* --- the sound card ---------------------------------------------------------------------- */

static void entry(unsigned int n, u32 addr, u32 control)
{
	const u32 e[2] = { addr, control };

	memcpy(pc_at(LIST + n * 8), e, sizeof(e));
}

static bool halts(unsigned int base)
{
	unsigned int i;

	for (i = 0; i < 2000 && !(pc_read(1, base + 6, 2) & 1); i++)
		usleep(1000);
	return pc_read(1, base + 6, 2) & 1;
}

static void playing(void **state)
{
	u8 head[48];
	FILE *f;

	(void)state;
	memset(pc_at(BUFFER), 0x11, 4000);
	memset(pc_at(BUFFER + 4000), 0x22, 4000);
	entry(0, BUFFER, 2000 | 1u << 31);
	entry(1, BUFFER + 4000, 2000);
	pc_write(1, 0x10, LIST, 4);
	pc_write(1, 0x15, 1, 1);
	pc_write(1, 0x1b, 0x1d, 1);
	assert_int_equal(pc_read(1, 0x16, 2) & 1, 0);
	assert_true(halts(0x10));
	assert_int_equal(pc_read(1, 0x16, 2), 0x0f);	/* both interrupts, at the last */
	assert_int_equal(pc_read(1, 0x14, 1), 1);
	assert_true(pc_intx());
	assert_int_equal(pc_read(1, 0x30, 4) & 0x140, 0x140);
	pc_write(1, 0x16, 0x1c, 2);
	assert_false(pc_intx());
	pc_write(1, 0x1b, 2, 1);			/* reset */
	assert_int_equal(pc_read(1, 0x10, 4), 0);
	f = fopen("sound.wav", "r");
	assert_int_equal(fread(head, 1, sizeof(head), f), sizeof(head));
	assert_memory_equal(head + 36, "data\x40\x1f\0\0\x11\x11\x11\x11", 12);
	fseek(f, 44 + 4000, SEEK_SET);
	assert_int_equal(fgetc(f), 0x22);
	fclose(f);
}

static void recording(void **state)
{
	(void)state;
	memset(pc_at(BUFFER), 0x11, 512);
	entry(0, BUFFER, 128);
	pc_write(1, 0x00, LIST, 4);
	pc_write(1, 0x05, 0, 1);
	pc_write(1, 0x0b, 1, 1);
	assert_true(halts(0));
	assert_int_equal(*(u8 *)pc_at(BUFFER + 255), 0);
	assert_int_equal(*(u8 *)pc_at(BUFFER + 256), 0x11);
}

/* Empty buffers in a ring that never reaches its end, and a list outside of memory. */
static void endless(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 32; i++)
		entry(i, 0xfffffffe, 0x80000000);
	pc_write(1, 0x10, LIST, 4);
	pc_write(1, 0x15, 31, 1);
	pc_write(1, 0x1b, 0x1d, 1);
	for (i = 0; i < 100; i++) {
		pc_write(1, 0x15, (pc_read(1, 0x14, 1) + 31) % 32, 1);
		usleep(100);
	}
	pc_write(1, 0x1b, 2, 1);
	pc_write(1, 0x10, 0xfffffff8, 4);
	pc_write(1, 0x15, 200, 1);
	pc_write(1, 0x1b, 1, 1);
	assert_true(halts(0x10) || pc_read(1, 0x15, 1) < 32);
}

static void mixer(void **state)
{
	(void)state;
	assert_int_equal(pc_read(0, 0x7c, 2), 0x8384);
	assert_int_equal(pc_read(0, 0x02, 2), 0x8000);
	pc_write(0, 0x02, 0xffff, 2);
	assert_int_equal(pc_read(0, 0x02, 2), 0x9f1f);
	pc_write(0, 0x2c, 8000, 2);			/* there is one rate */
	assert_int_equal(pc_read(0, 0x2c, 2), 48000);
	pc_write(0, 0x00, 0, 2);
	assert_int_equal(pc_read(0, 0x02, 2), 0x8000);
	assert_int_equal(pc_read(0, 0x80, 2), 0xffff);
	assert_int_equal(pc_read(1, 0x34, 1), 0);	/* the codec is free, then taken */
	assert_int_equal(pc_read(1, 0x34, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hanging, setup_watchdog, teardown),
		cmocka_unit_test_setup_teardown(key_and_lock, setup_watchdog, teardown),
		cmocka_unit_test_setup_teardown(long_stages, setup_watchdog, teardown),
		cmocka_unit_test_setup_teardown(switched_off, setup_watchdog, teardown),
		cmocka_unit_test_setup_teardown(playing, setup_sound, teardown),
		cmocka_unit_test_setup_teardown(recording, setup_sound, teardown),
		cmocka_unit_test_setup_teardown(endless, setup_sound, teardown),
		cmocka_unit_test_setup_teardown(mixer, setup_sound, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

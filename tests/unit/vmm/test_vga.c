/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VGA's registers, its window and its pictures, against IBM's description
 * and Bochs' interface. Modes are set by the values that every VGA BIOS uses.
 */
#include "../../../vmm/devices/display/vga.h"
#include "vmm_test.h"

#define MEMORY (4 * MIB)
#define RED 0xff0000

static struct vga v;
static struct display *d;
static const u64 *dirty;		/* what the next drawing is told */

static void on_refresh(void *ctx, struct display *to, bool all)
{
	(void)ctx, (void)all;
	vga_draw(&v, &v.r, dirty, to);
}

static int set_up(void **state)
{
	const struct display_source s = { on_refresh, NULL, &v };

	(void)state;
	dirty = NULL;
	v.mem_size = MEMORY;
	v.mem = calloc(1, MEMORY);
	v.touched = calloc(MEMORY / VGA_PAGE / 64, sizeof(u64));
	vga_reset(&v);
	d = display_new();
	return !v.mem || !v.touched || !d || display_add(d, &s, true) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	display_free(d);
	free(v.mem);
	free(v.touched);
	return 0;
}

static void out(unsigned int port, unsigned int index, u8 value)
{
	vga_port_write(&v, port, (u8)index);
	vga_port_write(&v, port + 1, value);
}

static u8 in(unsigned int port, unsigned int index)
{
	vga_port_write(&v, port, (u8)index);
	return vga_port_read(&v, port + 1);
}

struct mode {
	u8 misc, seq[5], cr[25], gr[9], ar[21];
};

static const struct mode text80 = {
	0x67, { 0x03, 0x00, 0x03, 0x00, 0x02 },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0,
	  0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff },
	{ 0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff },
	{ 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0, 0x0f,
	  8, 0 },
};
static const struct mode planar640 = {		/* mode 0x12 */
	0xe3, { 0x03, 0x01, 0x0f, 0x00, 0x06 },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0, 0, 0, 0, 0, 0,
	  0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff },
	{ 0, 0, 0, 0, 0, 0, 0x05, 0x0f, 0xff },
	{ 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 1, 0, 0x0f,
	  0, 0 },
};
static const struct mode linear320 = {		/* mode 0x13 */
	0x63, { 0x03, 0x01, 0x0f, 0x00, 0x0e },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0, 0, 0, 0, 0, 0,
	  0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff },
	{ 0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff },
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0 },
};
static const struct mode cga320 = {		/* mode 4 */
	0x63, { 0x03, 0x09, 0x03, 0x00, 0x02 },
	{ 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0, 0, 0, 0, 0, 0,
	  0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff },
	{ 0, 0, 0, 0, 0, 0x30, 0x0f, 0x0f, 0xff },
	{ 0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 1, 0,
	  3, 0, 0 },
};

static void set_mode(const struct mode *m)
{
	unsigned int i;

	vga_port_write(&v, 0x3c2, m->misc);
	for (i = 0; i < ARRAY_SIZE(m->seq); i++)
		out(0x3c4, i, m->seq[i]);
	out(0x3d4, 0x11, 0);
	for (i = 0; i < ARRAY_SIZE(m->cr); i++)
		out(0x3d4, i, m->cr[i]);
	for (i = 0; i < ARRAY_SIZE(m->gr); i++)
		out(0x3ce, i, m->gr[i]);
	vga_port_read(&v, 0x3da);
	for (i = 0; i < ARRAY_SIZE(m->ar); i++) {
		vga_port_write(&v, 0x3c0, (u8)i);
		vga_port_write(&v, 0x3c0, m->ar[i]);
	}
	vga_port_write(&v, 0x3c0, 0x20);
}

/* Makes a colour of the DAC, six bits each. */
static void set_colour(u8 index, u8 r, u8 g, u8 b)
{
	vga_port_write(&v, 0x3c8, index);
	vga_port_write(&v, 0x3c9, r);
	vga_port_write(&v, 0x3c9, g);
	vga_port_write(&v, 0x3c9, b);
}

static struct surface *shot(unsigned int width, unsigned int height)
{
	struct surface *s = display_snapshot(d);

	assert_non_null(s);
	assert_int_equal(s->width, width);
	assert_int_equal(s->height, height);
	return s;
}

static u32 pixel(unsigned int x, unsigned int y, unsigned int width, unsigned int height)
{
	struct surface *s = shot(width, height);
	u32 p = s->pixels[y * s->stride + x];

	free(s);
	return p;
}

/* --- registers ------------------------------------------------------------------------- */

static void test_registers(void **state)
{
	(void)state;
	set_mode(&text80);
	assert_int_equal(in(0x3d4, 1), 0x4f);
	assert_int_equal(in(0x3c4, 4), 0x02);
	assert_int_equal(in(0x3ce, 6), 0x0e);
	/* register 0x11 protects 0 to 7, but for one bit */
	out(0x3d4, 1, 0x11);
	assert_int_equal(in(0x3d4, 1), 0x4f);
	out(0x3d4, 7, 0x00);
	assert_int_equal(in(0x3d4, 7), 0x0f);
	out(0x3d4, 0x0c, 0x12);
	assert_int_equal(in(0x3d4, 0x0c), 0x12);
	/* the CRT controller is at one of two places */
	assert_int_equal(vga_port_read(&v, 0x3b4), 0xff);
	vga_port_write(&v, 0x3c2, 0x66);
	assert_int_equal(vga_port_read(&v, 0x3d4), 0xff);
	assert_int_equal(in(0x3b4, 1), 0x4f);
	/* the retrace bits move, and reading them makes the next write an index */
	assert_int_not_equal(vga_port_read(&v, 0x3ba), vga_port_read(&v, 0x3ba));
	vga_port_write(&v, 0x3c0, 0x32);
	assert_int_equal(vga_port_read(&v, 0x3c1), 0x0f);
}

static void test_dac(void **state)
{
	(void)state;
	set_colour(5, 63, 32, 1);
	vga_port_write(&v, 0x3c7, 5);
	assert_int_equal(vga_port_read(&v, 0x3c9), 63);
	assert_int_equal(vga_port_read(&v, 0x3c9), 32);
	assert_int_equal(vga_port_read(&v, 0x3c9), 1);
	assert_int_equal(vga_port_read(&v, 0x3c8), 6);
}

/* --- the window ------------------------------------------------------------------------- */

static void test_planes(void **state)
{
	(void)state;
	set_mode(&planar640);
	/* write mode 0: set/reset in plane 1, data in the others that are mapped */
	out(0x3c4, 2, 0x07);
	out(0x3ce, 0, 0x02);
	out(0x3ce, 1, 0x02);
	vga_window_write(&v, 5, 0x3c);
	assert_memory_equal(v.mem + 20, "\x3c\xff\x3c\0", 4);
	/* the bit mask keeps what the latches have */
	out(0x3ce, 1, 0);
	out(0x3c4, 2, 0x0f);
	vga_window_read(&v, 5);
	out(0x3ce, 8, 0xf0);
	vga_window_write(&v, 5, 0xaa);
	assert_memory_equal(v.mem + 20, "\xac\xaf\xac\xa0", 4);
	/* rotation and the operation xor */
	out(0x3ce, 8, 0xff);
	out(0x3ce, 3, 0x18 | 4);
	vga_window_read(&v, 5);
	vga_window_write(&v, 5, 0x0f);
	assert_memory_equal(v.mem + 20, "\x5c\x5f\x5c\x50", 4);
	/* write mode 1 copies latches */
	out(0x3ce, 5, 1);
	vga_window_read(&v, 5);
	vga_window_write(&v, 6, 0);
	assert_memory_equal(v.mem + 24, v.mem + 20, 4);
	/* write mode 2: a colour under the mask */
	out(0x3ce, 3, 0);
	out(0x3ce, 5, 2);
	out(0x3ce, 8, 0x01);
	v.latch = 0;
	vga_window_write(&v, 7, 0x09);
	assert_memory_equal(v.mem + 28, "\1\0\0\1", 4);
	/* write mode 3: the data is the mask, set/reset the colour */
	out(0x3ce, 5, 3);
	out(0x3ce, 8, 0xff);
	out(0x3ce, 0, 0x06);
	vga_window_write(&v, 8, 0x81);
	assert_memory_equal(v.mem + 32, "\0\x81\x81\0", 4);
	/* reading a plane, and comparing colours */
	out(0x3ce, 4, 1);
	assert_int_equal(vga_window_read(&v, 8), 0x81);
	out(0x3ce, 5, 8);
	out(0x3ce, 2, 0x06);
	assert_int_equal(vga_window_read(&v, 8), 0x81);
	out(0x3ce, 7, 0);
	assert_int_equal(vga_window_read(&v, 8), 0xff);
	assert_int_equal(v.touched[0], 1);
}

static void test_places(void **state)
{
	(void)state;
	set_mode(&text80);
	vga_window_write(&v, 0x18000, 'A');
	vga_window_write(&v, 0x18001, 7);
	vga_window_write(&v, 0x10000, 'x');
	assert_memory_equal(v.mem, "A\7\0\0", 4);
	assert_int_equal(vga_window_read(&v, 0x18000), 'A');
	assert_int_equal(vga_window_read(&v, 0x18001), 7);
	assert_int_equal(vga_window_read(&v, 0), 0xff);
	out(0x3ce, 6, 0x0a);
	assert_int_equal(vga_window_read(&v, 0x10000), 'A');
	assert_int_equal(vga_window_read(&v, 0x18000), 0xff);
}

/* --- pictures ------------------------------------------------------------------------------ */

static void test_text(void **state)
{
	unsigned int i;

	(void)state;
	set_mode(&text80);
	set_colour(7, 42, 42, 42);
	set_colour(4, 63, 0, 0);
	for (i = 0; i < 16; i++) {	/* 'A' has its left column, and 0xc4 its right one */
		v.mem[('A' * 32 + i) * 4 + 2] = 0x80;
		v.mem[(0xc4 * 32 + i) * 4 + 2] = 0x01;
	}
	memcpy(v.mem + (80 * 2 + 3) * 4, "A\x47", 2);
	memcpy(v.mem + (80 * 2 + 4) * 4, "\xc4\x47", 2);
	assert_int_equal(pixel(3 * 9, 2 * 16, 720, 400), 0xaaaaaa);
	assert_int_equal(pixel(3 * 9 + 1, 2 * 16, 720, 400), RED);
	assert_int_equal(pixel(3 * 9 + 8, 2 * 16 + 15, 720, 400), RED);
	assert_int_equal(pixel(4 * 9 + 8, 2 * 16 + 15, 720, 400), 0xaaaaaa);
	assert_int_equal(pixel(3 * 9, 3 * 16, 720, 400), 0);
	/* the cursor */
	v.mem[1] = 7;
	assert_int_equal(pixel(8, 13, 720, 400), 0xaaaaaa);
	assert_int_equal(pixel(8, 12, 720, 400), 0);
	out(0x3d4, 0x0a, 0x2d);
	assert_int_equal(pixel(8, 13, 720, 400), 0);
	/* the start moves, and from the split on it is memory's */
	out(0x3d4, 0x0d, 160);
	assert_int_equal(pixel(3 * 9 + 1, 0, 720, 400), RED);
	out(0x3d4, 0x18, 63);
	out(0x3d4, 7, 0x0f);
	out(0x3d4, 9, 0x0f);
	assert_int_equal(pixel(3 * 9 + 1, 64 + 2 * 16, 720, 400), RED);
	/* 8 columns a character; and the screen off */
	out(0x3c4, 1, 1);
	assert_int_equal(pixel(3 * 8 + 1, 0, 640, 400), RED);
	out(0x3c4, 1, 0x21);
	assert_int_equal(pixel(3 * 8 + 1, 0, 640, 400), 0);
}

static void test_graphics(void **state)
{
	(void)state;
	set_colour(0x3a, 63, 0, 0);
	set_mode(&planar640);
	memcpy(v.mem + (80 * 479 + 79) * 4, "\0\1\0\1", 4);	/* colour 10 */
	assert_int_equal(pixel(639, 479, 640, 480), RED);
	assert_int_equal(pixel(638, 479, 640, 480), 0);

	set_mode(&linear320);
	vga_window_write(&v, 320 * 199 + 319, 0x3a);
	assert_int_equal(pixel(319, 199, 320, 200), RED);
	assert_int_equal(pixel(318, 199, 320, 200), 0);

	memset(v.mem, 0, 0x10000);
	set_colour(0x15, 63, 0, 0);
	set_mode(&cga320);
	vga_window_write(&v, 0x18000, 0x80);		/* colour 2 at the left of row 0 */
	vga_window_write(&v, 0x18000 + 0x2000 + 81, 0x02);	/* and row 3, right of byte 1 */
	assert_int_equal(pixel(0, 0, 320, 200), RED);
	assert_int_equal(pixel(1, 0, 320, 200), 0);
	assert_int_equal(pixel(7, 3, 320, 200), RED);
	assert_int_equal(pixel(7, 2, 320, 200), 0);
}

static void set_dispi(u16 width, u16 height, u16 bpp)
{
	vga_dispi_write(&v, DISPI_ENABLE, 0);
	vga_dispi_write(&v, DISPI_XRES, width);
	vga_dispi_write(&v, DISPI_YRES, height);
	vga_dispi_write(&v, DISPI_BPP, bpp);
	vga_dispi_write(&v, DISPI_ENABLE, DISPI_ENABLED);
}

static void test_dispi(void **state)
{
	static const struct {
		u16 bpp;
		u32 memory, shown;
	} deep[] = {
		{ 15, 0x7c00, RED }, { 16, 0xf800, RED }, { 16, 0x07e0, 0x00ff00 },
		{ 24, 0x123456, 0x123456 }, { 32, 0x99123456, 0x123456 }, { 8, 0x3a, RED },
	};
	unsigned int i;
	u32 at;

	(void)state;
	set_colour(0x3a, 63, 0, 0);
	vga_port_write(&v, 0x3c0, 0x20);
	assert_int_equal(vga_dispi_read(&v, DISPI_ID), 0xb0c5);
	assert_int_equal(vga_dispi_read(&v, DISPI_MEMORY), MEMORY >> 16);
	for (i = 0; i < ARRAY_SIZE(deep); i++) {
		u32 bytes = (deep[i].bpp + 7u) / 8;

		set_dispi(800, 600, deep[i].bpp);
		assert_true(vga_dispi_on(&v.r));
		memcpy(v.mem + (800 * 599 + 799) * bytes, &deep[i].memory, bytes);
		assert_int_equal(pixel(799, 599, 800, 600), deep[i].shown);
		assert_int_equal(pixel(798, 599, 800, 600), 0);
	}
	/* a window that moves over a larger picture; memory is cleared by enabling */
	set_dispi(640, 480, 32);
	vga_dispi_write(&v, DISPI_VIRT_WIDTH, 1000);
	vga_dispi_write(&v, DISPI_X, 100);
	vga_dispi_write(&v, DISPI_Y, 50);
	assert_int_equal(vga_dispi_read(&v, DISPI_VIRT_HEIGHT), MEMORY / 4000);
	at = 0x00ff00;
	memcpy(v.mem + (1000 * 51 + 102) * 4, &at, 4);
	assert_int_equal(pixel(2, 1, 640, 480), 0x00ff00);
	/* beyond memory nothing is drawn */
	vga_dispi_write(&v, DISPI_Y, 0xffff);
	free(shot(640, 480));
	/* banks of the window */
	set_dispi(640, 480, 8);
	vga_dispi_write(&v, DISPI_BANK, 2);
	vga_window_write(&v, 7, 0x55);
	assert_int_equal(v.mem[0x20007], 0x55);
	assert_int_equal(vga_window_read(&v, 7), 0x55);
	/* 16 colours */
	set_dispi(640, 480, 4);
	v.mem[(80 * 2 + 1) * 4] = 0x80;
	out(0x3ce, 5, 0);
	vga_port_read(&v, 0x3da);
	vga_port_write(&v, 0x3c0, 0x12);
	vga_port_write(&v, 0x3c0, 0x0f);
	vga_port_write(&v, 0x3c0, 0x21);
	vga_port_write(&v, 0x3c0, 0x3a);
	assert_int_equal(pixel(8, 2, 640, 480), RED);
}

static void test_dispi_refusals(void **state)
{
	static const u16 modes[][3] = {
		{ 0, 480, 32 }, { 640, 0, 32 }, { 640, 480, 7 }, { 2048, 2048, 32 },
		{ 65535, 65535, 32 }, { 8193, 2, 8 }, { 1, 480, 4 },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		set_dispi(modes[i][0], modes[i][1], modes[i][2]);
		assert_false(vga_dispi_on(&v.r));
	}
	set_dispi(640, 480, 32);
	vga_dispi_write(&v, DISPI_XRES, 8000);
	assert_int_equal(vga_dispi_read(&v, DISPI_XRES), 640);
	vga_dispi_write(&v, DISPI_VIRT_WIDTH, 60000);
	assert_int_equal(vga_dispi_read(&v, DISPI_VIRT_WIDTH), 640);
	assert_int_equal(vga_dispi_read(&v, 60000), 0);
	vga_dispi_write(&v, 60000, 1);
}

static void test_dirty(void **state)
{
	u64 bits[MEMORY / VGA_PAGE / 64] = { 0 };
	u32 red = RED;

	(void)state;
	vga_port_write(&v, 0x3c0, 0x20);
	set_dispi(1024, 768, 32);
	free(shot(1024, 768));
	memcpy(v.mem + 100 * 4096, &red, 4);
	memcpy(v.mem + 200 * 4096, &red, 4);
	dirty = bits;
	assert_int_equal(pixel(0, 100, 1024, 768), 0);
	bits[1] = 1ULL << (100 - 64);
	assert_int_equal(pixel(0, 100, 1024, 768), RED);
	assert_int_equal(pixel(0, 200, 1024, 768), 0);
}

/* Whatever the registers are, drawing stays within memory (ASan looks). */
static void test_chaos(void **state)
{
	unsigned int round, i;

	(void)state;
	srand(1);
	for (i = 0; i < MEMORY; i += 4096)
		v.mem[i] = (u8)rand();
	for (round = 0; round < 400; round++) {
		for (i = 0; i < 60; i++)
			vga_port_write(&v, 0x3b0 + (unsigned int)rand() % 0x30, (u8)rand());
		for (i = 0; i < 6; i++)
			vga_dispi_write(&v, (unsigned int)rand() % 14,
					(u16)(rand() >> rand() % 16));
		for (i = 0; i < 200; i++) {
			vga_window_write(&v, (u32)rand() % 0x20000, (u8)rand());
			vga_window_read(&v, (u32)rand() % 0x20000);
			vga_port_read(&v, 0x3b0 + (unsigned int)rand() % 0x30);
		}
		v.r.ar_index |= 0x20;
		free(display_snapshot(d));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dac, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_planes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_places, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_graphics, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dispi, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dispi_refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dirty, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_chaos, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The screen: what sinks are told of what sources draw; pictures in files; EDID; keys. */
#include <errno.h>
#include <linux/input-event-codes.h>
#include <png.h>
#include <stdio.h>
#include <unistd.h>

#include "../../../vmm/display/display.h"
#include "../../../vmm/display/edid.h"
#include "../../../vmm/display/image.h"
#include "../../../vmm/display/keys.h"
#include "vmm_test.h"

#define RECTS_MAX 64

static struct display *d;

/* A sink that notes what it is told. */
static struct seen {
	unsigned int resizes, width, height, rects, cursors;
	struct display_rect rect[RECTS_MAX];
	bool cursor;
} seen[2];

static void on_resize(void *ctx, const struct surface *s)
{
	struct seen *n = ctx;

	n->resizes++;
	n->width = s->width;
	n->height = s->height;
}

static void on_update(void *ctx, const struct surface *s, const struct display_rect *r)
{
	struct seen *n = ctx;

	assert_true(r->w && r->h && r->x + r->w <= s->width && r->y + r->h <= s->height);
	assert_true(n->rects < RECTS_MAX);
	n->rect[n->rects++] = *r;
}

static void on_cursor(void *ctx, const struct display_cursor *c)
{
	struct seen *n = ctx;

	n->cursors++;
	n->cursor = c;
}

static struct display_sink *sink(unsigned int i)
{
	const struct display_sink_ops ops = { on_resize, on_update, on_cursor, &seen[i] };

	return display_sink_new(d, &ops);
}

static void poll_sink(struct display_sink *k, unsigned int i)
{
	seen[i] = (struct seen){ 0 };
	display_poll(k);
}

/* A source that draws what a test wants. */
static struct source {
	unsigned int width, height, calls, alls;
	unsigned int x, y, n;		/* a row of it is given this colour */
	u32 colour;
} source[2];

static void on_refresh(void *ctx, struct display *to, bool all)
{
	struct source *s = ctx;
	u32 row[DISPLAY_WIDTH_MAX];
	unsigned int i;

	s->calls++;
	s->alls += all;
	display_resize(to, s->width, s->height);
	for (i = 0; i < s->n; i++)
		row[i] = s->colour;
	display_row(to, s->x, s->y, row, s->n);
}

static int set_up(void **state)
{
	(void)state;
	memset(source, 0, sizeof(source));
	source[0].width = source[1].width = 100;
	source[0].height = source[1].height = 50;
	d = display_new();
	return d ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	display_free(d);
	return 0;
}

static void assert_rect(unsigned int i, unsigned int n, unsigned int x, unsigned int y,
			unsigned int w, unsigned int h)
{
	assert_true(n < seen[i].rects);
	assert_int_equal(seen[i].rect[n].x, x);
	assert_int_equal(seen[i].rect[n].y, y);
	assert_int_equal(seen[i].rect[n].w, w);
	assert_int_equal(seen[i].rect[n].h, h);
}

static void test_updates(void **state)
{
	const struct display_source s = { on_refresh, NULL, &source[0] };
	struct display_sink *a = sink(0), *b;

	(void)state;
	assert_int_equal(display_add(d, &s, true), 0);
	poll_sink(a, 0);
	assert_int_equal(seen[0].resizes, 1);
	assert_int_equal(seen[0].width, 100);
	assert_rect(0, 0, 0, 0, 100, 50);
	poll_sink(a, 0);
	assert_int_equal(seen[0].resizes + seen[0].rects, 0);

	/* only what differs is told, and to a late sink everything */
	source[0] = (struct source){ 100, 50, 0, 0, 10, 7, 20, 0xff };
	poll_sink(a, 0);
	assert_int_equal(seen[0].rects, 1);
	assert_rect(0, 0, 10, 7, 20, 1);
	source[0].n = 30;
	source[0].y = 49;
	b = sink(1);
	poll_sink(b, 1);
	assert_int_equal(seen[1].resizes, 1);
	assert_rect(1, 0, 0, 0, 100, 50);
	source[0].n = 40;
	poll_sink(b, 1);
	assert_int_equal(seen[1].rects, 1);
	assert_rect(1, 0, 40, 49, 10, 1);
	poll_sink(a, 0);
	assert_int_equal(seen[0].rects, 1);
	assert_rect(0, 0, 10, 49, 40, 1);

	/* clipped */
	source[0] = (struct source){ 100, 50, 0, 0, 90, 49, 500, 0x123456 };
	poll_sink(a, 0);
	assert_rect(0, 0, 90, 49, 10, 1);
	source[0].y = 50;
	poll_sink(a, 0);
	assert_int_equal(seen[0].rects, 0);
	display_sink_free(a);
	poll_sink(b, 1);
	display_sink_free(b);
	display_remove(d, &source[0]);
}

static void test_rows_join(void **state)
{
	const struct display_source s = { on_refresh, NULL, &source[0] };
	struct display_sink *a = sink(0);
	struct surface *shot;
	unsigned int y;

	(void)state;
	assert_int_equal(display_add(d, &s, true), 0);
	poll_sink(a, 0);
	for (y = 5; y < 9; y++) {
		source[0] = (struct source){ 100, 50, 0, 0, 3, y == 8 ? 20 : y, 4, 0xabcdef };
		shot = display_snapshot(d);	/* draws without telling the sink */
		assert_int_equal(shot->pixels[(y == 8 ? 20 : y) * 100 + 3], 0xabcdef);
		free(shot);
	}
	poll_sink(a, 0);
	assert_int_equal(seen[0].rects, 2);
	assert_rect(0, 0, 3, 5, 4, 3);
	assert_rect(0, 1, 3, 20, 4, 1);
	display_sink_free(a);
}

static void test_sources(void **state)
{
	const struct display_source s0 = { on_refresh, NULL, &source[0] };
	const struct display_source s1 = { on_refresh, NULL, &source[1] };
	struct display_sink *a = sink(0);

	(void)state;
	source[1].width = 200;
	poll_sink(a, 0);
	assert_int_equal(seen[0].width, 640);
	assert_int_equal(display_add(d, &s0, true), 0);
	assert_int_equal(display_add(d, &s1, false), 0);
	poll_sink(a, 0);
	assert_int_equal(seen[0].width, 100);
	assert_int_equal(source[0].alls, 1);
	display_show(d, &source[1], true);
	poll_sink(a, 0);
	assert_int_equal(seen[0].width, 200);
	assert_int_equal(source[0].calls, 1);
	assert_int_equal(source[1].alls, 1);
	poll_sink(a, 0);
	assert_int_equal(source[1].alls, 1);
	display_remove(d, &source[1]);
	poll_sink(a, 0);
	assert_int_equal(seen[0].width, 100);
	assert_int_equal(source[0].alls, 2);
	assert_false(display_wish(d, 800, 600));

	/* what is too large leaves the surface as it is */
	source[0].width = DISPLAY_WIDTH_MAX;
	source[0].height = DISPLAY_HEIGHT_MAX;
	poll_sink(a, 0);
	assert_int_equal(seen[0].resizes, 0);
	display_remove(d, &source[0]);
	display_sink_free(a);
}

static void test_cursor(void **state)
{
	static const struct display_cursor c = { .visible = true };
	struct display_sink *a = sink(0);

	(void)state;
	poll_sink(a, 0);
	assert_int_equal(seen[0].cursors, 1);
	assert_false(seen[0].cursor);
	display_cursor(d, &c);
	poll_sink(a, 0);
	assert_int_equal(seen[0].cursors, 1);
	assert_true(seen[0].cursor);
	poll_sink(a, 0);
	assert_int_equal(seen[0].cursors, 0);
	display_sink_free(a);
}

/* --- files --------------------------------------------------------------------------- */

static void test_png(void **state)
{
	u32 pixels[6] = { 0xff0000, 0x00ff00, 0x0000ff, 0x123456, 0, 0xffffff };
	const struct surface s = { pixels, 2, 2, 3 };	/* a column is not shown */
	char path[] = "/tmp/anykvm-image-XXXXXX";
	png_image image = { .version = PNG_IMAGE_VERSION };
	u8 rgb[12];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(image_write(path, &s, IMAGE_PNG), 0);
	assert_int_equal(png_image_begin_read_from_file(&image, path), 1);
	assert_int_equal(image.width, 2);
	assert_int_equal(image.height, 2);
	image.format = PNG_FORMAT_RGB;
	assert_int_equal(png_image_finish_read(&image, NULL, rgb, 0, NULL), 1);
	assert_memory_equal(rgb, "\xff\0\0\0\xff\0\x12\x34\x56\0\0\0", 12);
	unlink(path);
	assert_int_equal(image_write("/nowhere/at/all.png", &s, IMAGE_PNG), -ENOENT);
	assert_int_equal(image_write("/dev/full", &s, IMAGE_PPM), -ENOSPC);
	assert_int_equal(image_write("/dev/full", &s, IMAGE_PNG), -ENOSPC);
}

static void test_ppm(void **state)
{
	u32 pixels[2] = { 0x010203, 0xfffefd };
	const struct surface s = { pixels, 1, 2, 1 };
	char path[] = "/tmp/anykvm-image-XXXXXX", text[64];
	FILE *f;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(image_write(path, &s, IMAGE_PPM), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fread(text, 1, sizeof(text), f), 17);
	assert_memory_equal(text, "P6\n1 2\n255\n\1\2\3\xff\xfe\xfd", 17);
	fclose(f);
	unlink(path);
}

/* --- EDID and keys --------------------------------------------------------------------- */

static void test_edid(void **state)
{
	static const unsigned int sizes[][2] = { { 1024, 768 }, { 64, 64 }, { 4095, 4095 } };
	u8 e[EDID_SIZE];
	unsigned int i, k, sum;

	(void)state;
	for (k = 0; k < ARRAY_SIZE(sizes); k++) {
		edid_make(e, sizes[k][0], sizes[k][1]);
		for (i = sum = 0; i < EDID_SIZE; i++)
			sum += e[i];
		assert_int_equal(sum & 0xff, 0);
		assert_memory_equal(e, "\0\xff\xff\xff\xff\xff\xff\0", 8);
		assert_int_equal(e[56] | (e[58] & 0xf0) << 4, sizes[k][0]);
		assert_int_equal(e[59] | (e[61] & 0xf0) << 4, sizes[k][1]);
	}
}

static void test_keys(void **state)
{
	bool shift;

	(void)state;
	assert_int_equal(key_of_name("a"), KEY_A);
	assert_int_equal(key_of_name("ctrl_r"), KEY_RIGHTCTRL);
	assert_int_equal(key_of_name("nothing"), 0);
	assert_int_equal(key_of_number(0x1e), KEY_A);
	assert_int_equal(key_of_number(0xc8), KEY_UP);
	assert_int_equal(key_of_number(0x7f), 0);
	assert_int_equal(key_of_number(0xff), 0);
	assert_int_equal(button_of_name("middle"), BTN_MIDDLE);
	assert_int_equal(key_of_keysym('a', &shift), KEY_A);
	assert_false(shift);
	assert_int_equal(key_of_keysym('A', &shift), KEY_A);
	assert_true(shift);
	assert_int_equal(key_of_keysym('|', &shift), KEY_BACKSLASH);
	assert_true(shift);
	assert_int_equal(key_of_keysym('-', &shift), KEY_MINUS);
	assert_int_equal(key_of_keysym('/', &shift), KEY_SLASH);
	assert_int_equal(key_of_keysym('`', &shift), KEY_GRAVE);
	assert_int_equal(key_of_keysym(0xff0d, &shift), KEY_ENTER);
	assert_int_equal(key_of_keysym(0xffbe, &shift), KEY_F1);
	assert_int_equal(key_of_keysym(0xffc7, &shift), KEY_F10);
	assert_int_equal(key_of_keysym(0xffc9, &shift), KEY_F12);
	assert_int_equal(key_of_keysym(0x12345678, &shift), 0);
	assert_int_equal(key_of_keysym(0, &shift), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_updates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rows_join, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sources, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cursor, set_up, tear_down),
		cmocka_unit_test(test_png),
		cmocka_unit_test(test_ppm),
		cmocka_unit_test(test_edid),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

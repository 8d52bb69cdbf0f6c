/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The graphics card: pictures, the screen, the pointer, and commands that are wrong. */
#include "../../../vmm/devices/virtio/gpu.h"
#include "../../../vmm/display/edid.h"
#include "virtio_fake.h"

extern const struct device_class virtio_gpu_class;

#define SIZE 16
#define ANSWER (FAKE_DATA + 0x8000)
#define PIXELS (FAKE_DATA + 0x10000)
#define EDID_FEATURE VIRTIO_BIT(1)
#define FENCE 1u
#define BGRX 2u

static struct device *card;
static struct display *d;
static const struct display_cursor *cursor;
static struct display_cursor seen;

/* A command in words of 32 bits: its answer's type, or 0 when there is none. */
static u32 command(unsigned int queue, const u32 *words, unsigned int count)
{
	static u16 head;
	u32 type;

	memcpy(fake_at(FAKE_DATA), words, count * 4);
	memset(fake_at(ANSWER), 0, 2048);
	head = (u16)((head + 2) % SIZE);
	fake_desc(queue, head, FAKE_DATA, count * 4, VIRTQ_DESC_NEXT, (u16)(head + 1));
	fake_desc(queue, head + 1u, ANSWER, 2048, VIRTQ_DESC_WRITE, 0);
	fake_add(queue, head);
	memcpy(&type, fake_at(ANSWER), 4);
	return type;
}

#define COMMAND(type, ...) ({ \
	const u32 words_[] = { type, FENCE, 77, 0, 0, 0, __VA_ARGS__ }; \
	command(0, words_, ARRAY_SIZE(words_)); })

static int set_up(void **state)
{
	struct props p;

	if (fake_setup(state))
		return -1;
	d = display_new();
	fake.board.display = d;
	props_parse(&p, "virtio-gpu,max_hostmem=1M,xres=800,yres=600");
	card = d ? virtio_gpu_class.create(&fake.board, &p) : NULL;
	props_free(&p);
	if (!card)
		return -1;
	card->board = &fake.board;
	fake_start(EDID_FEATURE, SIZE);
	return 0;
}

static int tear_down(void **state)
{
	virtio_gpu_class.destroy(card);
	display_free(d);
	return fake_teardown(state);
}

/* A resource of 64x32 pixels, in two pieces of memory. */
static void make(u32 id)
{
	assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, id, BGRX, 64, 32), GPU_OK);
	assert_int_equal(COMMAND(GPU_RESOURCE_ATTACH_BACKING, id, 2, PIXELS, 0, 4100, 0,
				 PIXELS + 0x10000, 0, 4092, 0), GPU_OK);
}

/* Where byte `at` of the pixels is. */
static u32 *backing(u32 at)
{
	return fake_at(at < 4100 ? PIXELS + at : PIXELS + 0x10000 + at - 4100);
}

static u32 shown(unsigned int x, unsigned int y, unsigned int width, unsigned int height)
{
	struct surface *s = display_snapshot(d);
	u32 p;

	assert_int_equal(s->width, width);
	assert_int_equal(s->height, height);
	p = s->pixels[y * s->stride + x];
	free(s);
	return p;
}

static void test_show(void **state)
{
	(void)state;
	make(5);
	*backing((20 * 64 + 10) * 4) = 0xff123456;
	*backing((3 * 64 + 4) * 4) = 0x00abcdef;
	shown(0, 0, 640, 480);
	assert_int_equal(COMMAND(GPU_SET_SCANOUT, 0, 0, 64, 32, 0, 5), GPU_OK);
	assert_int_equal(COMMAND(GPU_TRANSFER_TO_HOST_2D, 0, 0, 64, 32, 0, 0, 5, 0), GPU_OK);
	assert_int_equal(COMMAND(GPU_RESOURCE_FLUSH, 0, 0, 64, 32, 5, 0), GPU_OK);
	assert_int_equal(shown(10, 20, 64, 32), 0x123456);
	assert_int_equal(shown(4, 3, 64, 32), 0xabcdef);
	/* a part: what lies at the offset goes to the rectangle */
	*backing((21 * 64 + 11) * 4) = 0x777777;
	assert_int_equal(COMMAND(GPU_TRANSFER_TO_HOST_2D, 11, 21, 2, 2, (21 * 64 + 11) * 4, 0, 5,
				 0), GPU_OK);
	assert_int_equal(shown(11, 21, 64, 32), 0);
	assert_int_equal(COMMAND(GPU_RESOURCE_FLUSH, 11, 21, 1, 1, 5, 0), GPU_OK);
	assert_int_equal(shown(11, 21, 64, 32), 0x777777);
	/* the screen is a part of the picture */
	assert_int_equal(COMMAND(GPU_SET_SCANOUT, 10, 20, 16, 8, 0, 5), GPU_OK);
	assert_int_equal(shown(0, 0, 16, 8), 0x123456);
	/* the fence comes back */
	assert_int_equal(((u32 *)fake_at(ANSWER))[1], FENCE);
	assert_int_equal(((u32 *)fake_at(ANSWER))[2], 77);
	/* without a picture there is nothing new to show */
	assert_int_equal(COMMAND(GPU_RESOURCE_UNREF, 5, 0), GPU_OK);
	shown(0, 0, 16, 8);
	make(5);
	assert_int_equal(COMMAND(GPU_SET_SCANOUT, 0, 0, 0, 0, 0, 0), GPU_OK);
}

static void test_formats(void **state)
{
	/* the name of a format says which colour its bytes have; all are 0x112233 with alpha 0 */
	static const struct {
		u32 format, memory;
	} formats[] = {
		{ 1, 0x00112233 }, { 2, 0x00112233 },	/* B8G8R8A8, X8 */
		{ 3, 0x33221100 }, { 4, 0x33221100 },	/* A8R8G8B8, X8 */
		{ 67, 0x00332211 }, { 134, 0x00332211 },	/* R8G8B8A8, X8 */
		{ 121, 0x11223300 }, { 68, 0x11223300 },	/* A8B8G8R8, X8 */
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, 9, formats[i].format, 1, 1),
				 GPU_OK);
		assert_int_equal(COMMAND(GPU_RESOURCE_ATTACH_BACKING, 9, 1, PIXELS, 0, 4, 0),
				 GPU_OK);
		*backing(0) = formats[i].memory;
		COMMAND(GPU_TRANSFER_TO_HOST_2D, 0, 0, 1, 1, 0, 0, 9, 0);
		COMMAND(GPU_SET_SCANOUT, 0, 0, 1, 1, 0, 9);
		assert_int_equal(shown(0, 0, 1, 1), 0x112233);
		COMMAND(GPU_RESOURCE_UNREF, 9, 0);
	}
}

static void test_refusals(void **state)
{
	(void)state;
	make(1);
	assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, 1, BGRX, 4, 4), GPU_ERR_RESOURCE);
	assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, 0, BGRX, 4, 4), GPU_ERR_RESOURCE);
	assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, 2, 5, 4, 4), GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, 2, BGRX, 0, 4), GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, 2, BGRX, ~0u, ~0u), GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, 2, BGRX, 512, 512),
			 GPU_ERR_OUT_OF_MEMORY);
	assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, 2), GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_RESOURCE_UNREF, 2, 0), GPU_ERR_RESOURCE);
	assert_int_equal(COMMAND(GPU_SET_SCANOUT, 0, 0, 64, 32, 1, 1), GPU_ERR_SCANOUT);
	assert_int_equal(COMMAND(GPU_SET_SCANOUT, 0, 0, 64, 32, 0, 2), GPU_ERR_RESOURCE);
	assert_int_equal(COMMAND(GPU_SET_SCANOUT, 1, 0, 64, 32, 0, 1), GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_SET_SCANOUT, 0, ~0u, 64, 2, 0, 1), GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_SET_SCANOUT, 0, 0, 0, 32, 0, 1), GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_RESOURCE_FLUSH, 0, 1, 64, 32, 1, 0), GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_RESOURCE_FLUSH, 0, 0, 64, 32, 7, 0), GPU_ERR_RESOURCE);
	assert_int_equal(COMMAND(GPU_TRANSFER_TO_HOST_2D, 0, 0, 65, 1, 0, 0, 1, 0),
			 GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_TRANSFER_TO_HOST_2D, 0, 0, 64, 32, 4, 0, 1, 0),
			 GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_TRANSFER_TO_HOST_2D, 0, 0, 1, 1, ~0u, ~0u, 1, 0),
			 GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_RESOURCE_ATTACH_BACKING, 1, 1, PIXELS, 0, 4, 0),
			 GPU_ERR_UNSPEC);
	assert_int_equal(COMMAND(GPU_RESOURCE_DETACH_BACKING, 1, 0), GPU_OK);
	assert_int_equal(COMMAND(GPU_TRANSFER_TO_HOST_2D, 0, 0, 1, 1, 0, 0, 1, 0), GPU_ERR_UNSPEC);
	assert_int_equal(COMMAND(GPU_RESOURCE_ATTACH_BACKING, 1, 1, FAKE_RAM - 4, 0, 8, 0),
			 GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_RESOURCE_ATTACH_BACKING, 1, 3, PIXELS, 0, 4, 0),
			 GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(GPU_RESOURCE_ATTACH_BACKING, 1, ~0u, PIXELS, 0, 4, 0),
			 GPU_ERR_PARAMETER);
	assert_int_equal(COMMAND(0x10c, 0), GPU_ERR_UNSPEC);
	assert_int_equal(COMMAND(GPU_GET_EDID, 1, 0), GPU_ERR_SCANOUT);
}

static void test_monitor(void **state)
{
	u32 *answer = fake_at(ANSWER), events, one = 1;
	u8 edid[EDID_SIZE];

	(void)state;
	assert_int_equal(COMMAND(GPU_GET_DISPLAY_INFO), GPU_OK_DISPLAY_INFO);
	assert_int_equal(answer[8], 800);
	assert_int_equal(answer[9], 600);
	assert_int_equal(answer[10], 1);
	assert_int_equal(answer[16], 0);
	assert_int_equal(COMMAND(GPU_GET_EDID, 0, 0), GPU_OK_EDID);
	edid_make(edid, 800, 600);
	assert_memory_equal(answer + 8, edid, EDID_SIZE);
	/* the user wants another size */
	make(1);
	assert_int_equal(COMMAND(GPU_SET_SCANOUT, 0, 0, 64, 32, 0, 1), GPU_OK);
	assert_true(display_wish(d, 1280, 720));
	assert_int_equal(fake.config_interrupts, 1);
	virtio_config_get(fake.v, 0, &events, 4);
	assert_int_equal(events, 1);
	virtio_config_set(fake.v, 4, &one, 4);
	virtio_config_get(fake.v, 0, &events, 4);
	assert_int_equal(events, 0);
	assert_int_equal(COMMAND(GPU_GET_DISPLAY_INFO), GPU_OK_DISPLAY_INFO);
	assert_int_equal(answer[8], 1280);
	assert_int_equal(answer[9], 720);
}

#define PIECES 16384

/* Gives a picture as much backing as one may have: empty pieces, by the same zeros four times. */
static u32 attach_all(u32 id)
{
	const u32 words[] = { GPU_RESOURCE_ATTACH_BACKING, 0, 0, 0, 0, 0, id, PIECES };
	unsigned int i;
	u32 type;

	memcpy(fake_at(FAKE_DATA), words, sizeof(words));
	fake_desc(0, 0, FAKE_DATA, sizeof(words), VIRTQ_DESC_NEXT, 1);
	for (i = 1; i <= 4; i++)
		fake_desc(0, i, PIXELS, PIECES * 16 / 4, VIRTQ_DESC_NEXT, (u16)(i + 1));
	fake_desc(0, 5, ANSWER, 2048, VIRTQ_DESC_WRITE, 0);
	fake_add(0, 0);
	memcpy(&type, fake_at(ANSWER), 4);
	return type;
}

static void test_backing_of_all(void **state)
{
	u32 id;

	(void)state;
	memset(fake_at(PIXELS), 0, PIECES * 16 / 4);
	for (id = 1; id <= 17; id++) {
		assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, id, BGRX, 1, 1), GPU_OK);
		assert_int_equal(attach_all(id), id <= 16 ? GPU_OK : GPU_ERR_OUT_OF_MEMORY);
	}
	assert_int_equal(COMMAND(GPU_RESOURCE_UNREF, 1, 0), GPU_OK);
	assert_int_equal(attach_all(17), GPU_OK);
	assert_int_equal(COMMAND(GPU_RESOURCE_DETACH_BACKING, 2, 0), GPU_OK);
	make(1);
}

static void no_resize(void *ctx, const struct surface *s)
{
	(void)ctx, (void)s;
}

static void no_update(void *ctx, const struct surface *s, const struct display_rect *r)
{
	(void)ctx, (void)s, (void)r;
}

static void note_cursor(void *ctx, const struct display_cursor *c)
{
	(void)ctx;
	cursor = c ? &seen : NULL;
	if (c)
		seen = *c;
}

static void test_cursor(void **state)
{
	const struct display_sink_ops ops = { no_resize, no_update, note_cursor, NULL };
	struct display_sink *k = display_sink_new(d, &ops);
	const u32 show[] = { GPU_UPDATE_CURSOR, 0, 0, 0, 0, 0, 0, 1, 2, 0, 3, 9, 8, 0 };
	const u32 hide[] = { GPU_UPDATE_CURSOR, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 99, 8, 0 };

	(void)state;
	assert_int_equal(COMMAND(GPU_RESOURCE_CREATE_2D, 3, 1, 64, 64), GPU_OK);
	assert_int_equal(COMMAND(GPU_RESOURCE_ATTACH_BACKING, 3, 1, PIXELS, 0, 64 * 64 * 4, 0),
			 GPU_OK);
	((u32 *)fake_at(PIXELS))[64 * 2 + 1] = 0x80402010;
	COMMAND(GPU_TRANSFER_TO_HOST_2D, 0, 0, 64, 64, 0, 0, 3, 0);
	command(1, show, ARRAY_SIZE(show));
	display_poll(k);
	assert_non_null(cursor);
	assert_true(seen.visible);
	assert_int_equal(seen.hot_x, 9);
	assert_int_equal(seen.pixels[64 * 2 + 1], 0x80402010);
	command(1, hide, ARRAY_SIZE(hide));
	display_poll(k);
	assert_non_null(cursor);
	assert_false(seen.visible);
	virtio_set_status(fake.v, 0);
	display_poll(k);
	assert_null(cursor);
	display_sink_free(k);
	fake_start(0, SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_show, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_formats, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_monitor, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backing_of_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cursor, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

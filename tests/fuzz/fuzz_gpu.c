/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver of the virtio graphics card and the tablet that has lost its mind:
 * commands that are nearly right, or not at all, in chains that are or are not,
 * while the screen is looked at and the user moves. Nothing may crash or hang.
 *
 *	fuzz-gpu SECONDS [SEED]
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../../vmm/backends/input.h"
#include "../../vmm/devices/virtio/gpu.h"
#include "../../vmm/error.h"
#include "../unit/vmm/virtio_fake.h"
#include "chance.h"

#define HANG_SECONDS 30
#define SIZE 16
#define AREA (FAKE_RAM - FAKE_DATA)

extern const struct device_class virtio_gpu_class, virtio_tablet_class;

static unsigned long pictures;		/* looks at the screen that found one of the driver's */

/* A number that is small, or not. */
static u32 number(void)
{
	static const u32 odd[] = { 0, 1, 63, 64, 65, 8192, 8193, 0x7fffffff, 0x80000000, ~0u };

	return chance(6) ? (u32)chance(70) : chance(2) ? odd[chance(ARRAY_SIZE(odd))] :
		(u32)chance(0);
}

static u64 address(void)
{
	return chance(10) ? FAKE_DATA + chance(AREA) : chance(0) >> chance(64);
}

/* A command at guest-physical `at`: its length. */
static u32 put_command(u64 at)
{
	static const u32 types[] = {
		GPU_GET_DISPLAY_INFO, GPU_RESOURCE_CREATE_2D, GPU_RESOURCE_CREATE_2D,
		GPU_RESOURCE_UNREF, GPU_SET_SCANOUT, GPU_SET_SCANOUT, GPU_RESOURCE_FLUSH,
		GPU_TRANSFER_TO_HOST_2D, GPU_TRANSFER_TO_HOST_2D, GPU_RESOURCE_ATTACH_BACKING,
		GPU_RESOURCE_ATTACH_BACKING, GPU_RESOURCE_DETACH_BACKING, GPU_GET_EDID,
		GPU_UPDATE_CURSOR, GPU_MOVE_CURSOR,
	};
	u32 w[64], type = chance(40) ? types[chance(ARRAY_SIZE(types))] : (u32)chance(0);
	unsigned int i, rect = 6, n = 6 + (unsigned int)chance(20);
	u64 a;

	for (i = 0; i < ARRAY_SIZE(w); i++)
		w[i] = number();
	w[0] = type;
	w[1] = (u32)chance(3);
	switch (type) {
	case GPU_RESOURCE_CREATE_2D:
		w[6] = (u32)chance(6);
		w[7] = 1 + (u32)chance(4);
		w[8] = chance(8) ? 64 : number();
		w[9] = chance(8) ? 64 : number();
		break;
	case GPU_RESOURCE_UNREF:
	case GPU_RESOURCE_DETACH_BACKING:
		w[6] = (u32)chance(6);
		break;
	case GPU_RESOURCE_ATTACH_BACKING:
		w[6] = (u32)chance(6);
		w[7] = (u32)(chance(8) ? chance(10) : chance(0));
		for (i = 8; i + 4 <= ARRAY_SIZE(w); i += 4) {
			a = address();
			memcpy(&w[i], &a, 8);
			w[i + 2] = chance(4) ? (u32)chance(9000) : number();
		}
		break;
	case GPU_SET_SCANOUT:
		w[10] = chance(8) ? 0 : number();
		w[11] = (u32)chance(6);
		break;
	case GPU_RESOURCE_FLUSH:
		w[10] = (u32)chance(6);
		break;
	case GPU_TRANSFER_TO_HOST_2D:
		w[10] = chance(3) ? 0 : number();
		w[11] = chance(8) ? 0 : number();
		w[12] = (u32)chance(6);
		break;
	case GPU_UPDATE_CURSOR:
		w[6] = 0;
		w[10] = (u32)chance(6);
		break;
	default:
		break;
	}
	if (chance(3) && w[rect] + w[rect + 2] > 64 && type != GPU_RESOURCE_ATTACH_BACKING &&
	    type != GPU_RESOURCE_CREATE_2D)
		w[rect] = w[rect + 1] = 0, w[rect + 2] = w[rect + 3] = 64;
	memcpy(fake_at(at), w, sizeof(w));
	return chance(10) ? (u32)sizeof(w) : n * 4;
}

static void put_chain(unsigned int queue, u16 i)
{
	u64 at = FAKE_DATA + align_down(chance(AREA - 0x2000), 16);
	u32 len = put_command(at), cut = chance(3) ? 24 : (u32)chance(len + 1);

	if (chance(20) == 0)
		fake_desc(queue, i, address(), number(), (u16)chance(8), (u16)chance(SIZE));
	else
		fake_desc(queue, i, at, cut, VIRTQ_DESC_NEXT, (u16)((i + 1) % SIZE));
	fake_desc(queue, (i + 1u) % SIZE, at + cut, len - cut, VIRTQ_DESC_NEXT,
		  (u16)((i + 2) % SIZE));
	fake_desc(queue, (i + 2u) % SIZE, at + 0x1000, chance(4) ? 2048 : number(),
		  chance(20) ? VIRTQ_DESC_WRITE : 0, 0);
}

static void play_gpu(struct display *d)
{
	unsigned int k, i, queue;
	struct surface *s;
	u32 word;

	fake_start(chance(2) ? VIRTIO_BIT(1) : 0, SIZE);
	for (k = 0; k < 200; k++) {
		queue = chance(6) == 0;
		i = (unsigned int)(chance(20) ? 3 * chance(5) : chance(SIZE));
		put_chain(queue, (u16)i);
		fake_add(queue, (u16)(chance(200) ? i : chance(65536)));
		if (chance(10) == 0) {
			s = display_snapshot(d);
			pictures += s && s->width == 64 && s->height == 64 && s->pixels[0];
			free(s);
		}
		if (chance(30) == 0)
			display_wish(d, (unsigned int)chance(9000), (unsigned int)chance(9000));
		word = number();
		if (chance(20) == 0)
			virtio_config_set(fake.v, (unsigned int)chance(20), &word, 4);
	}
}

static void play_tablet(struct input *in)
{
	unsigned int k;
	u8 byte;

	fake_start(0, SIZE);
	for (k = 0; k < 60; k++) {
		byte = (u8)chance(chance(2) ? 32 : 256);
		virtio_config_set(fake.v, (unsigned int)chance(4), &byte, 1);
		virtio_config_get(fake.v, (unsigned int)chance(140), &byte, 1);
		fake_desc(0, (unsigned int)chance(SIZE), address(), number(), (u16)chance(8),
			  (u16)chance(SIZE));
		fake_desc(0, k % SIZE, FAKE_DATA + chance(AREA - 8), 8, VIRTQ_DESC_WRITE, 0);
		fake_add((unsigned int)chance(2), (u16)(chance(50) ? k % SIZE : chance(65536)));
		input_position(in, (unsigned int)chance(0), (unsigned int)chance(0));
		input_button(in, (u16)chance(0), chance(2));
		if (chance(3))
			input_sync(in);
	}
}

static void on_alarm(int sig)
{
	(void)sig;
	abort();
}

static struct device *make(const struct device_class *class, const char *text)
{
	struct device *dev;
	struct props p;

	props_parse(&p, text);
	dev = class->create(&fake.board, &p);
	props_free(&p);
	if (dev)
		dev->board = &fake.board;
	return dev;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	struct display *d = display_new();
	struct input *in = input_new();
	unsigned long rounds = 0;
	struct device *dev;

	chance_state = chance_seed(argc > 2 ? argv[2] : NULL);
	printf("fuzz-gpu: seed %llu\n", (unsigned long long)chance_state);
	fflush(stdout);
	signal(SIGALRM, on_alarm);
	if (!d || !in || fake_setup(NULL))
		return 2;
	fake.board.display = d;
	fake.board.input = in;
	for (; time(NULL) < end; rounds++) {
		alarm(HANG_SECONDS);
		dev = make(&virtio_gpu_class, "virtio-gpu,max_hostmem=4M");
		if (!dev)
			return 2;
		play_gpu(d);
		virtio_gpu_class.destroy(dev);
		dev = make(&virtio_tablet_class, "virtio-tablet");
		if (!dev)
			return 2;
		play_tablet(in);
		virtio_tablet_class.destroy(dev);
		alarm(0);
	}
	fake_teardown(NULL);
	input_free(in);
	display_free(d);
	printf("fuzz-gpu: %lu rounds, %lu pictures\n", rounds, pictures);
	return !pictures;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The graphics device (5.7): one screen, 2D, with EDID and a pointer. The
 * driver copies pictures to the device, says which part of one is the screen
 * and flushes what it has changed; that is drawn when somebody looks. Commands
 * are done on the vCPU's thread, in order, so a fence is reached with its
 * command's answer.
 */
#include <stdlib.h>
#include <string.h>

#include "../../display/edid.h"
#include "../../error.h"
#include "gpu.h"

#define CONTROL_SIZE 256
#define CURSOR_SIZE 16
#define CHAIN_MAX 128			/* pieces of a command */

#define F_EDID VIRTIO_BIT(1)
#define FLAG_FENCE 1u
#define EVENT_DISPLAY 1u
#define SCANOUTS_MAX 16
#define EDID_ROOM 1024

#define MEMORY_DEFAULT (256 * MIB)
#define WIDTH_DEFAULT 1024
#define HEIGHT_DEFAULT 768
#define SIDE_MAX 4095			/* what EDID can say */

enum { CONTROL, CURSOR };

struct gpu_config {
	u32 events_read, events_clear, scanouts, capsets;
};

struct gpu {
	struct virtio_device v;		/* first */
	pthread_mutex_t lock;		/* of what follows */
	struct gpu_resources resources;
	u32 width, height;		/* that the user likes */
	u32 events;
	u32 shown;			/* resource on the screen, or 0 */
	struct gpu_rect scanout;	/* the part of it */
	u32 dirty_y0, dirty_y1;		/* rows of the screen that were flushed */
	bool on_display;
};

/* --- the picture ----------------------------------------------------------------------- */

static void refresh(void *ctx, struct display *d, bool all)
{
	struct gpu *g = ctx;
	u32 row[DISPLAY_WIDTH_MAX], y;
	struct gpu_resource *r;

	pthread_mutex_lock(&g->lock);
	r = gpu_resource_find(&g->resources, g->shown);
	if (r) {
		if (display_resize(d, g->scanout.width, g->scanout.height) || all) {
			g->dirty_y0 = 0;
			g->dirty_y1 = g->scanout.height;
		}
		for (y = g->dirty_y0; y < g->dirty_y1; y++) {
			gpu_resource_row(r, g->scanout.x, g->scanout.y + y, row, g->scanout.width);
			display_row(d, 0, y, row, g->scanout.width);
		}
	}
	g->dirty_y0 = g->dirty_y1 = 0;
	pthread_mutex_unlock(&g->lock);
}

/* The user made the window another size: the driver hears of it and may follow. */
static void wish(void *ctx, unsigned int width, unsigned int height)
{
	struct gpu *g = ctx;
	u32 events;

	pthread_mutex_lock(&g->lock);
	g->width = width < SIDE_MAX ? width : SIDE_MAX;
	g->height = height < SIDE_MAX ? height : SIDE_MAX;
	events = g->events |= EVENT_DISPLAY;
	pthread_mutex_unlock(&g->lock);
	virtio_config_update(&g->v, 0, &events, sizeof(events));
}

static void config_write(struct virtio_device *v, unsigned int offset, const void *data,
			 unsigned int size)
{
	struct gpu *g = (struct gpu *)v;
	u32 events, clear;

	if (offset != offsetof(struct gpu_config, events_clear) || size != sizeof(clear))
		return;
	memcpy(&clear, data, sizeof(clear));
	pthread_mutex_lock(&g->lock);
	events = g->events &= ~clear;
	pthread_mutex_unlock(&g->lock);
	virtio_config_update(v, 0, &events, sizeof(events));
}

/* --- commands: each gives the type of its answer -------------------------------------------- */

static u32 display_info(struct gpu *g, const struct virtq_chain *c, u32 *written)
{
	struct {
		struct gpu_rect rect;
		u32 enabled, flags;
	} mode[SCANOUTS_MAX] = { 0 };

	mode[0].rect = (struct gpu_rect){ 0, 0, g->width, g->height };
	mode[0].enabled = 1;
	if (!virtq_write(c, sizeof(struct gpu_header), mode, sizeof(mode)))
		return GPU_ERR_UNSPEC;
	*written = sizeof(mode);
	return GPU_OK_DISPLAY_INFO;
}

static u32 get_edid(struct gpu *g, const struct virtq_chain *c, u32 *written)
{
	struct {
		u32 size, padding;
		u8 edid[EDID_ROOM];
	} answer = { .size = EDID_SIZE };
	u32 scanout;

	if (!virtio_has(&g->v, F_EDID) ||
	    !virtq_read(c, sizeof(struct gpu_header), &scanout, sizeof(scanout)))
		return GPU_ERR_UNSPEC;
	if (scanout)
		return GPU_ERR_SCANOUT;
	edid_make(answer.edid, g->width, g->height);
	if (!virtq_write(c, sizeof(struct gpu_header), &answer, sizeof(answer)))
		return GPU_ERR_UNSPEC;
	*written = sizeof(answer);
	return GPU_OK_EDID;
}

static u32 create_2d(struct gpu *g, const struct virtq_chain *c)
{
	struct {
		u32 id, format, width, height;
	} a;
	u32 err;

	if (!virtq_read(c, sizeof(struct gpu_header), &a, sizeof(a)))
		return GPU_ERR_PARAMETER;
	err = gpu_resource_create(&g->resources, a.id, a.format, a.width, a.height);
	return err ? err : GPU_OK;
}

static struct gpu_resource *resource_at(struct gpu *g, const struct virtq_chain *c, u64 offset)
{
	u32 id;

	if (!virtq_read(c, sizeof(struct gpu_header) + offset, &id, sizeof(id)))
		return NULL;
	return gpu_resource_find(&g->resources, id);
}

static u32 unref(struct gpu *g, const struct virtq_chain *c)
{
	struct gpu_resource *r = resource_at(g, c, 0);

	if (!r)
		return GPU_ERR_RESOURCE;
	if (r->id == g->shown)
		g->shown = 0;
	gpu_resource_free(&g->resources, r);
	return GPU_OK;
}

static u32 set_scanout(struct gpu *g, const struct virtq_chain *c)
{
	struct {
		struct gpu_rect rect;
		u32 scanout, id;
	} a;
	struct gpu_resource *r;

	if (!virtq_read(c, sizeof(struct gpu_header), &a, sizeof(a)))
		return GPU_ERR_PARAMETER;
	if (a.scanout)
		return GPU_ERR_SCANOUT;
	if (!a.id) {
		g->shown = 0;
		return GPU_OK;
	}
	r = gpu_resource_find(&g->resources, a.id);
	if (!r)
		return GPU_ERR_RESOURCE;
	if (!gpu_resource_holds(r, &a.rect))
		return GPU_ERR_PARAMETER;
	g->shown = a.id;
	g->scanout = a.rect;
	g->dirty_y0 = 0;
	g->dirty_y1 = a.rect.height;
	return GPU_OK;
}

static u32 flush(struct gpu *g, const struct virtq_chain *c)
{
	struct {
		struct gpu_rect rect;
		u32 id, padding;
	} a;
	struct gpu_resource *r;
	u32 y0, y1;

	if (!virtq_read(c, sizeof(struct gpu_header), &a, sizeof(a)))
		return GPU_ERR_PARAMETER;
	r = gpu_resource_find(&g->resources, a.id);
	if (!r)
		return GPU_ERR_RESOURCE;
	if (!gpu_resource_holds(r, &a.rect))
		return GPU_ERR_PARAMETER;
	if (a.id != g->shown || a.rect.y + a.rect.height <= g->scanout.y ||
	    a.rect.y >= g->scanout.y + g->scanout.height)
		return GPU_OK;
	y0 = a.rect.y > g->scanout.y ? a.rect.y - g->scanout.y : 0;
	y1 = a.rect.y + a.rect.height - g->scanout.y;
	if (y1 > g->scanout.height)
		y1 = g->scanout.height;
	if (g->dirty_y0 >= g->dirty_y1) {
		g->dirty_y0 = y0;
		g->dirty_y1 = y1;
	}
	g->dirty_y0 = y0 < g->dirty_y0 ? y0 : g->dirty_y0;
	g->dirty_y1 = y1 > g->dirty_y1 ? y1 : g->dirty_y1;
	return GPU_OK;
}

static u32 transfer(struct gpu *g, const struct virtq_chain *c)
{
	struct {
		struct gpu_rect rect;
		u64 offset;
		u32 id, padding;
	} a;
	struct gpu_resource *r;
	u32 err;

	if (!virtq_read(c, sizeof(struct gpu_header), &a, sizeof(a)))
		return GPU_ERR_PARAMETER;
	r = gpu_resource_find(&g->resources, a.id);
	if (!r)
		return GPU_ERR_RESOURCE;
	err = gpu_resource_transfer(r, &a.rect, a.offset);
	return err ? err : GPU_OK;
}

static u32 attach(struct gpu *g, const struct virtq_chain *c)
{
	struct gpu_resource *r = resource_at(g, c, 0);
	u32 pieces, err;

	if (!r)
		return GPU_ERR_RESOURCE;
	if (!virtq_read(c, sizeof(struct gpu_header) + 4, &pieces, sizeof(pieces)))
		return GPU_ERR_PARAMETER;
	err = gpu_resource_attach(&g->resources, r, g->v.board->mem, c,
				  sizeof(struct gpu_header) + 8, pieces);
	return err ? err : GPU_OK;
}

static u32 detach(struct gpu *g, const struct virtq_chain *c)
{
	struct gpu_resource *r = resource_at(g, c, 0);

	if (!r)
		return GPU_ERR_RESOURCE;
	gpu_resource_detach(&g->resources, r);
	return GPU_OK;
}

static u32 execute(struct gpu *g, const struct virtq_chain *c, u32 type, u32 *written)
{
	switch (type) {
	case GPU_GET_DISPLAY_INFO:
		return display_info(g, c, written);
	case GPU_GET_EDID:
		return get_edid(g, c, written);
	case GPU_RESOURCE_CREATE_2D:
		return create_2d(g, c);
	case GPU_RESOURCE_UNREF:
		return unref(g, c);
	case GPU_SET_SCANOUT:
		return set_scanout(g, c);
	case GPU_RESOURCE_FLUSH:
		return flush(g, c);
	case GPU_TRANSFER_TO_HOST_2D:
		return transfer(g, c);
	case GPU_RESOURCE_ATTACH_BACKING:
		return attach(g, c);
	case GPU_RESOURCE_DETACH_BACKING:
		return detach(g, c);
	default:
		return GPU_ERR_UNSPEC;
	}
}

/* --- queues ---------------------------------------------------------------------------------- */

/* Answers a command of the control queue: the bytes written. */
static u32 control(struct gpu *g, const struct virtq_chain *c)
{
	struct gpu_header h, answer = { 0 };
	u32 written = 0;
	bool shown;

	if (!virtq_read(c, 0, &h, sizeof(h)))
		return 0;
	pthread_mutex_lock(&g->lock);
	answer.type = execute(g, c, h.type, &written);
	shown = g->shown;
	pthread_mutex_unlock(&g->lock);
	if (h.type == GPU_SET_SCANOUT || h.type == GPU_RESOURCE_UNREF)
		display_show(g->v.board->display, g, shown);
	if (h.flags & FLAG_FENCE) {
		answer.flags = FLAG_FENCE;
		answer.fence = h.fence;
		answer.context = h.context;
	}
	if (!virtq_write(c, 0, &answer, sizeof(answer)))
		return 0;
	return (u32)sizeof(answer) + written;
}

static void copy_cursor(struct gpu *g, u32 id, struct display_cursor *k)
{
	struct gpu_resource *r;
	u32 y;

	pthread_mutex_lock(&g->lock);
	r = id ? gpu_resource_find(&g->resources, id) : NULL;
	k->visible = r && r->width == DISPLAY_CURSOR_SIZE && r->height == DISPLAY_CURSOR_SIZE;
	for (y = 0; k->visible && y < DISPLAY_CURSOR_SIZE; y++)
		gpu_resource_row_alpha(r, 0, y, k->pixels + y * DISPLAY_CURSOR_SIZE,
				       DISPLAY_CURSOR_SIZE);
	pthread_mutex_unlock(&g->lock);
}

/* The user's own pointer is where he points: only its image is of interest. */
static void cursor(struct gpu *g, const struct virtq_chain *c)
{
	struct {
		struct gpu_header h;
		u32 scanout, x, y, padding, id, hot_x, hot_y;
	} a;
	struct display_cursor k;

	if (!virtq_read(c, 0, &a, sizeof(a)) || a.h.type != GPU_UPDATE_CURSOR || a.scanout)
		return;
	k.hot_x = a.hot_x < DISPLAY_CURSOR_SIZE ? a.hot_x : 0;
	k.hot_y = a.hot_y < DISPLAY_CURSOR_SIZE ? a.hot_y : 0;
	copy_cursor(g, a.id, &k);
	display_cursor(g->v.board->display, &k);
}

static void notify(struct virtio_device *v, unsigned int queue)
{
	struct gpu *g = (struct gpu *)v;
	struct virtqueue *q = &v->queue[queue];
	struct iovec iov[CHAIN_MAX];
	struct virtq_chain c = { .iov = iov, .max = CHAIN_MAX };

	while (virtqueue_pop(q, &c)) {
		u32 written = 0;

		if (queue == CONTROL)
			written = control(g, &c);
		else
			cursor(g, &c);
		virtqueue_push(q, &c, written);
	}
	virtqueue_signal(q);
}

/* --- life ------------------------------------------------------------------------------ */

/* The driver is gone, and what it made with it. */
static void stop(struct virtio_device *v)
{
	struct gpu *g = (struct gpu *)v;

	pthread_mutex_lock(&g->lock);
	g->shown = 0;
	while (g->resources.first)
		gpu_resource_free(&g->resources, g->resources.first);
	pthread_mutex_unlock(&g->lock);
	display_show(v->board->display, g, false);
	display_cursor(v->board->display, NULL);
}

static void destroy(struct device *d)
{
	struct gpu *g = (struct gpu *)d;

	/* nobody calls wish() any more when the device is taken apart */
	if (g->on_display)
		display_remove(g->v.board->display, g);
	virtio_detach(&g->v);
	while (g->resources.first)
		gpu_resource_free(&g->resources, g->resources.first);
	free(g);
}

static const struct virtio_ops ops = {
	.name = "virtio-gpu",
	.type = VIRTIO_GPU,
	.pci_class = 0x038000,
	.notify = notify,
	.stop = stop,
	.config_write = config_write,
};

static struct device *create(struct board *b, struct props *p)
{
	const struct gpu_config config = { .scanouts = 1 };
	struct gpu *g = calloc(1, sizeof(*g));
	const struct display_source source = { refresh, wish, g };

	if (!g) {
		error("out of memory");
		return NULL;
	}
	pthread_mutex_init(&g->lock, NULL);
	g->width = (u32)props_number(p, "xres", WIDTH_DEFAULT, 64, SIDE_MAX);
	g->height = (u32)props_number(p, "yres", HEIGHT_DEFAULT, 64, SIDE_MAX);
	g->resources.limit = props_size(p, "max_hostmem", MEMORY_DEFAULT);
	if (virtio_init(&g->v, b, &ops, F_EDID) == 0 &&
	    virtio_config(&g->v, &config, sizeof(config)) == 0 &&
	    virtio_add_queue(&g->v, CONTROL_SIZE, NULL) >= 0 &&
	    virtio_add_queue(&g->v, CURSOR_SIZE, NULL) >= 0 && virtio_attach(&g->v, p) == 0) {
		g->on_display = display_add(b->display, &source, false) == 0;
		if (g->on_display)
			return &g->v.dev;
		error("virtio-gpu: there are too many screens");
	}
	destroy(&g->v.dev);
	return NULL;
}

const struct device_class virtio_gpu_class = {
	.name = "virtio-gpu",
	.summary = "a graphics card, 2D",
	.usage = "xres=N, yres=N (default 1024x768), max_hostmem=SIZE (of its pictures; 256M)",
	.create = create,
	.destroy = destroy,
	.unplug = virtio_unplug,
};

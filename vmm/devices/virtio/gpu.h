/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The graphics device (5.7), without 3D: gpu.c has its queues and commands,
 * gpu_resource.c the pictures that the driver makes.
 */
#ifndef VMM_DEVICES_VIRTIO_GPU_H
#define VMM_DEVICES_VIRTIO_GPU_H

#include "../../display/display.h"
#include "virtio.h"

/* Types of commands and answers (5.7.6.7) */
enum {
	GPU_GET_DISPLAY_INFO = 0x100, GPU_RESOURCE_CREATE_2D, GPU_RESOURCE_UNREF,
	GPU_SET_SCANOUT, GPU_RESOURCE_FLUSH, GPU_TRANSFER_TO_HOST_2D,
	GPU_RESOURCE_ATTACH_BACKING, GPU_RESOURCE_DETACH_BACKING, GPU_GET_EDID = 0x10a,
	GPU_UPDATE_CURSOR = 0x300, GPU_MOVE_CURSOR,
	GPU_OK = 0x1100, GPU_OK_DISPLAY_INFO, GPU_OK_EDID = 0x1104,
	GPU_ERR_UNSPEC = 0x1200, GPU_ERR_OUT_OF_MEMORY, GPU_ERR_SCANOUT, GPU_ERR_RESOURCE,
	GPU_ERR_CONTEXT, GPU_ERR_PARAMETER,
};

struct gpu_rect {
	u32 x, y, width, height;
};

struct gpu_header {
	u32 type, flags;
	u64 fence;
	u32 context;
	u8 ring, padding[3];
};

/* A picture: the device's copy of it, and the guest's memory that it is made from. */
struct gpu_resource {
	struct gpu_resource *next;
	u32 id, format, width, height;
	u8 *pixels;			/* four bytes each, rows without gaps */
	struct iovec *backing;
	u32 pieces;			/* of it */
};

struct gpu_resources {
	struct gpu_resource *first;
	u64 used, limit;		/* bytes of all pixels */
	unsigned int count;
	u32 pieces;			/* of the backing of all */
};

/* --- gpu_resource.c: under the device's lock ---------------------------------------- */

/* 0, or the type of an error. */
u32 gpu_resource_create(struct gpu_resources *all, u32 id, u32 format, u32 width, u32 height);
struct gpu_resource *gpu_resource_find(const struct gpu_resources *all, u32 id);
void gpu_resource_free(struct gpu_resources *all, struct gpu_resource *r);
/* Takes `pieces` entries at offset of the chain's out buffers. */
u32 gpu_resource_attach(struct gpu_resources *all, struct gpu_resource *r,
			const struct guest_memory *mem, const struct virtq_chain *c, u64 offset,
			u32 pieces);
void gpu_resource_detach(struct gpu_resources *all, struct gpu_resource *r);
/* Copies a rectangle from the backing, in which it begins at offset. */
u32 gpu_resource_transfer(struct gpu_resource *r, const struct gpu_rect *rect, u64 offset);
/* True when the rectangle has pixels and lies within the picture. */
bool gpu_resource_holds(const struct gpu_resource *r, const struct gpu_rect *rect);
/* n pixels from x, y on, as the screen has them. */
void gpu_resource_row(const struct gpu_resource *r, u32 x, u32 y, u32 *row, u32 n);
/* The same with transparency. */
void gpu_resource_row_alpha(const struct gpu_resource *r, u32 x, u32 y, u32 *row, u32 n);

#endif

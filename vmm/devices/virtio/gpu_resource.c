/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pictures of a graphics device: 2D resources (5.7.6.8). Their number,
 * size and backing are the driver's wish and bounded here; the pixels of all
 * together may not take more memory than the device was given.
 */
#include <stdlib.h>
#include <string.h>

#include "gpu.h"

#define RESOURCES_MAX 4096
#define SIZE_MAX_2D 8192
#define PIECES_MAX 16384
#define PIECES_ALL (1U << 18)		/* of all resources: a gigabyte in single pages */
#define CHUNK 256			/* entries that are read at once */

/* Where the colours are in a pixel's bytes; alpha 4: there is none. */
static const struct format {
	u32 id;
	u8 red, green, blue, alpha;
} formats[] = {
	{ 1, 2, 1, 0, 3 }, { 2, 2, 1, 0, 4 },		/* B8G8R8A8, X8 */
	{ 3, 1, 2, 3, 0 }, { 4, 1, 2, 3, 4 },		/* A8R8G8B8, X8 */
	{ 67, 0, 1, 2, 3 }, { 134, 0, 1, 2, 4 },	/* R8G8B8A8, X8 */
	{ 121, 3, 2, 1, 0 }, { 68, 3, 2, 1, 4 },	/* A8B8G8R8, X8 */
};

static const struct format *find_format(u32 id)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].id == id)
			return &formats[i];
	return NULL;
}

struct gpu_resource *gpu_resource_find(const struct gpu_resources *all, u32 id)
{
	struct gpu_resource *r;

	for (r = all->first; r; r = r->next)
		if (r->id == id)
			return r;
	return NULL;
}

u32 gpu_resource_create(struct gpu_resources *all, u32 id, u32 format, u32 width, u32 height)
{
	u64 size = (u64)width * height * 4;
	struct gpu_resource *r;

	if (!id || gpu_resource_find(all, id))
		return GPU_ERR_RESOURCE;
	if (!find_format(format) || !width || !height || width > SIZE_MAX_2D ||
	    height > SIZE_MAX_2D)
		return GPU_ERR_PARAMETER;
	if (all->count == RESOURCES_MAX || size > all->limit - all->used)
		return GPU_ERR_OUT_OF_MEMORY;
	r = calloc(1, sizeof(*r));
	if (!r)
		return GPU_ERR_OUT_OF_MEMORY;
	*r = (struct gpu_resource){ all->first, id, format, width, height, calloc(1, size),
				    NULL, 0 };
	if (!r->pixels) {
		free(r);
		return GPU_ERR_OUT_OF_MEMORY;
	}
	all->first = r;
	all->used += size;
	all->count++;
	return 0;
}

void gpu_resource_free(struct gpu_resources *all, struct gpu_resource *r)
{
	struct gpu_resource **at;

	for (at = &all->first; *at != r; at = &(*at)->next)
		;
	*at = r->next;
	all->used -= (u64)r->width * r->height * 4;
	all->count--;
	gpu_resource_detach(all, r);
	free(r->pixels);
	free(r);
}

/* --- backing ---------------------------------------------------------------------------- */

void gpu_resource_detach(struct gpu_resources *all, struct gpu_resource *r)
{
	all->pieces -= r->pieces;
	free(r->backing);
	r->backing = NULL;
	r->pieces = 0;
}

u32 gpu_resource_attach(struct gpu_resources *all, struct gpu_resource *r,
			const struct guest_memory *mem, const struct virtq_chain *c, u64 offset,
			u32 pieces)
{
	struct entry {
		u64 addr;
		u32 length, padding;
	} e[CHUNK];
	struct iovec *backing;
	u32 i;

	if (r->backing)
		return GPU_ERR_UNSPEC;
	if (!pieces || pieces > PIECES_MAX)
		return GPU_ERR_PARAMETER;
	if (pieces > PIECES_ALL - all->pieces)
		return GPU_ERR_OUT_OF_MEMORY;
	backing = calloc(pieces, sizeof(*backing));
	if (!backing)
		return GPU_ERR_OUT_OF_MEMORY;
	for (i = 0; i < pieces; i++) {
		u32 n = pieces - i < CHUNK ? pieces - i : CHUNK, k = i % CHUNK;

		if (!k && !virtq_read(c, offset + (u64)i * sizeof(*e), e, n * sizeof(*e)))
			break;
		backing[i].iov_base = memory_ptr(mem, e[k].addr, e[k].length);
		backing[i].iov_len = e[k].length;
		if (!backing[i].iov_base)
			break;
	}
	if (i < pieces) {
		free(backing);
		return GPU_ERR_PARAMETER;
	}
	r->backing = backing;
	r->pieces = pieces;
	all->pieces += pieces;
	return 0;
}

/* A place in the backing, which only moves forward. */
struct place {
	const struct iovec *piece, *end;
	u64 start;			/* where the piece begins */
};

/* Copies n bytes at an offset; false when the backing ends before. */
static bool copy_from(struct place *p, u64 offset, u8 *to, u64 n)
{
	while (n) {
		u64 at, part;

		while (p->piece < p->end && offset >= p->start + p->piece->iov_len)
			p->start += (p->piece++)->iov_len;
		if (p->piece == p->end)
			return false;
		at = offset - p->start;
		part = p->piece->iov_len - at < n ? p->piece->iov_len - at : n;
		memcpy(to, (const u8 *)p->piece->iov_base + at, part);
		to += part;
		offset += part;
		n -= part;
	}
	return true;
}

bool gpu_resource_holds(const struct gpu_resource *r, const struct gpu_rect *rect)
{
	return rect->width && rect->height && rect->x < r->width && rect->y < r->height &&
	       rect->width <= r->width - rect->x && rect->height <= r->height - rect->y;
}

u32 gpu_resource_transfer(struct gpu_resource *r, const struct gpu_rect *rect, u64 offset)
{
	struct place p = { r->backing, r->backing + r->pieces, 0 };
	u64 pitch = (u64)r->width * 4, y;

	if (!r->backing)
		return GPU_ERR_UNSPEC;
	if (!gpu_resource_holds(r, rect) || offset > 1ULL << 40)
		return GPU_ERR_PARAMETER;
	for (y = 0; y < rect->height; y++)
		if (!copy_from(&p, offset + y * pitch,
			       r->pixels + (rect->y + y) * pitch + (u64)rect->x * 4,
			       (u64)rect->width * 4))
			return GPU_ERR_PARAMETER;
	return 0;
}

/* --- pixels ------------------------------------------------------------------------------- */

void gpu_resource_row_alpha(const struct gpu_resource *r, u32 x, u32 y, u32 *row, u32 n)
{
	const struct format *f = find_format(r->format);
	const u8 *from = r->pixels + ((u64)y * r->width + x) * 4;
	u32 i;

	for (i = 0; i < n; i++, from += 4)
		row[i] = (u32)from[f->red] << 16 | (u32)from[f->green] << 8 | from[f->blue] |
			 (u32)(f->alpha < 4 ? from[f->alpha] : 0xff) << 24;
}

void gpu_resource_row(const struct gpu_resource *r, u32 x, u32 y, u32 *row, u32 n)
{
	u32 i;

	if (r->format == 1 || r->format == 2)	/* as they are */
		memcpy(row, r->pixels + ((u64)y * r->width + x) * 4, (u64)n * 4);
	else
		gpu_resource_row_alpha(r, x, y, row, n);
	for (i = 0; i < n; i++)
		row[i] &= 0xffffff;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fw_cfg: a selector at port 0x510, the selected item byte by byte at 0x511,
 * and at 0x514 the guest-physical address of a request that moves many bytes
 * at once. Numbers of the interface are big-endian, except the selector.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "fw_cfg.h"

#define PORT 0x510
#define PORTS 12
#define OFFSET_SELECT 0
#define OFFSET_DATA 1
#define OFFSET_DMA_HIGH 4
#define OFFSET_DMA_LOW 8

#define KEY_SIGNATURE 0x00
#define KEY_ID 0x01
#define KEY_DIRECTORY 0x19
#define KEY_FILES 0x20
#define KEY_MASK 0xbfff		/* bit 14 asked for writing once; bit 15 is a key of its own */
#define ID_FEATURES 3		/* the ports, and DMA */

#define DMA_ERROR (1 << 0)
#define DMA_READ (1 << 1)
#define DMA_SKIP (1 << 2)
#define DMA_SELECT (1 << 3)
#define DMA_WRITE (1 << 4)
#define DMA_SIGNATURE_HIGH 0x51454d55	/* "QEMU" */
#define DMA_SIGNATURE_LOW 0x20434647	/* " CFG" */

#define ITEMS_MAX 64
#define BOOTS_MAX 32
#define BOOT_ORDER_SIZE 4096

struct item {
	u16 key;
	u32 size;
	u8 *data;
	char name[FW_CFG_FILE_NAME];	/* "": a numbered one */
	struct fw_cfg_ops ops;
};

struct fw_cfg {
	pthread_mutex_t lock;
	const struct guest_memory *mem;
	struct item item[ITEMS_MAX];
	unsigned int items;
	struct item *selected;		/* or NULL: reads as zeroes */
	u32 offset;
	u32 dma_high;
	struct {
		unsigned int index;
		char *path;
	} boot[BOOTS_MAX];
	unsigned int boots;
};

struct directory_entry {
	u32 size;
	u16 key, reserved;
	char name[FW_CFG_FILE_NAME];
};

/* --- items ------------------------------------------------------------------------ */

static struct item *add(struct fw_cfg *f, u16 key, const void *data, u32 size)
{
	struct item *i = &f->item[f->items];

	if (f->items == ITEMS_MAX) {
		error("the firmware configuration is full");
		return NULL;
	}
	memset(i, 0, sizeof(*i));
	i->data = calloc(1, size ? size : 1);
	if (!i->data) {
		error("out of memory");
		return NULL;
	}
	if (data)
		memcpy(i->data, data, size);
	i->key = key;
	i->size = size;
	f->items++;
	return i;
}

int fw_cfg_item(struct fw_cfg *f, u16 key, const void *data, u32 size)
{
	return add(f, key, data, size) ? 0 : -1;
}

int fw_cfg_item16(struct fw_cfg *f, u16 key, u16 value)
{
	return fw_cfg_item(f, key, &value, sizeof(value));
}

static struct item *add_file(struct fw_cfg *f, const char *name, const void *data, u32 size)
{
	u16 key = KEY_FILES;
	unsigned int i;
	struct item *item;

	if (strlen(name) >= FW_CFG_FILE_NAME) {
		error("'%s' is too long a name for firmware", name);
		return NULL;
	}
	for (i = 0; i < f->items; i++)
		key = (u16)(key + (*f->item[i].name != 0));
	item = add(f, key, data, size);
	if (item)
		strcpy(item->name, name);
	return item;
}

int fw_cfg_file(struct fw_cfg *f, const char *name, const void *data, u32 size)
{
	return add_file(f, name, data, size) ? 0 : -1;
}

int fw_cfg_live_file(struct fw_cfg *f, const char *name, u32 size, const struct fw_cfg_ops *ops)
{
	struct item *i = add_file(f, name, NULL, size);

	if (i)
		i->ops = *ops;
	return i ? 0 : -1;
}

static void fill_directory(void *ctx, u8 *data, u32 size)
{
	struct fw_cfg *f = ctx;
	u32 count = 0, be;
	unsigned int i;

	for (i = 0; i < f->items; i++) {
		struct directory_entry e;

		if (!*f->item[i].name || 4 + (count + 1) * sizeof(e) > size)
			continue;
		memset(&e, 0, sizeof(e));
		e.size = __builtin_bswap32(f->item[i].size);
		e.key = __builtin_bswap16(f->item[i].key);
		memcpy(e.name, f->item[i].name, sizeof(e.name));
		memcpy(data + 4 + count++ * sizeof(e), &e, sizeof(e));
	}
	be = __builtin_bswap32(count);
	memcpy(data, &be, sizeof(be));
}

/* --- the boot order --------------------------------------------------------------- */

int fw_cfg_boot(struct fw_cfg *f, unsigned int index, const char *path)
{
	unsigned int at = f->boots;

	if (f->boots == BOOTS_MAX)
		return error("there are too many places to boot from");
	while (at > 0 && f->boot[at - 1].index > index) {
		f->boot[at] = f->boot[at - 1];
		at--;
	}
	f->boot[at].index = index;
	f->boot[at].path = strdup(path);
	f->boots++;
	return f->boot[at].path ? 0 : error("out of memory");
}

static void fill_boot_order(void *ctx, u8 *data, u32 size)
{
	struct fw_cfg *f = ctx;
	unsigned int i;
	u32 at = 0;

	for (i = 0; i < f->boots; i++) {
		u32 len = (u32)strlen(f->boot[i].path);

		if (at + len + 2 > size)
			break;
		memcpy(data + at, f->boot[i].path, len);
		data[at + len] = '\n';
		at += len + 1;
	}
}

/* --- the guest's accesses: under the lock -------------------------------------------- */

static void select_item(struct fw_cfg *f, u16 key)
{
	unsigned int i;

	f->selected = NULL;
	f->offset = 0;
	for (i = 0; i < f->items; i++)
		if (f->item[i].key == (key & KEY_MASK))
			f->selected = &f->item[i];
	if (!f->selected || !f->selected->ops.fill)
		return;
	memset(f->selected->data, 0, f->selected->size);
	f->selected->ops.fill(f->selected->ops.ctx, f->selected->data, f->selected->size);
}

/* How many of n bytes the selected item still has. */
static u32 left(const struct fw_cfg *f, u32 n)
{
	u32 rest = f->selected ? f->selected->size - f->offset : 0;

	return n < rest ? n : rest;
}

static u8 read_byte(struct fw_cfg *f)
{
	return left(f, 1) ? f->selected->data[f->offset++] : 0;
}

static void dma_read(struct fw_cfg *f, u8 *to, u32 length)
{
	u32 n = left(f, length);

	if (n)
		memcpy(to, f->selected->data + f->offset, n);
	memset(to + n, 0, length - n);
	f->offset += n;
}

static bool dma_write(struct fw_cfg *f, const u8 *from, u32 length)
{
	u32 n = left(f, length);

	if (!f->selected || !f->selected->ops.written || n < length)
		return false;
	memcpy(f->selected->data + f->offset, from, n);
	f->offset += n;
	if (f->offset == f->selected->size)
		f->selected->ops.written(f->selected->ops.ctx, f->selected->data,
					 f->selected->size);
	return true;
}

static bool dma_do(struct fw_cfg *f, u32 control, u32 length, u64 address)
{
	u8 *p;

	if (control & DMA_SELECT)
		select_item(f, (u16)(control >> 16));
	if (control & (DMA_READ | DMA_WRITE) && length) {
		p = memory_ptr(f->mem, address, length);
		if (!p)
			return false;
		if (control & DMA_WRITE)
			return dma_write(f, p, length);
		dma_read(f, p, length);
	} else if (control & DMA_SKIP) {
		f->offset += left(f, length);
	}
	return true;
}

static void dma(struct fw_cfg *f, u64 request)
{
	u32 word[4], result;

	if (!memory_read(f->mem, request, word, sizeof(word)))
		return;
	result = dma_do(f, __builtin_bswap32(word[0]), __builtin_bswap32(word[1]),
			(u64)__builtin_bswap32(word[2]) << 32 | __builtin_bswap32(word[3])) ?
			0 : __builtin_bswap32(DMA_ERROR);
	memory_write(f->mem, request, &result, sizeof(result));
}

static u64 ports_read(void *dev, u64 offset, unsigned int size)
{
	struct fw_cfg *f = dev;
	u64 v = 0;

	pthread_mutex_lock(&f->lock);
	if (offset == OFFSET_DATA)
		v = read_byte(f);
	else if (offset == OFFSET_DMA_HIGH && size == 4)
		v = __builtin_bswap32(DMA_SIGNATURE_HIGH);
	else if (offset == OFFSET_DMA_LOW && size == 4)
		v = __builtin_bswap32(DMA_SIGNATURE_LOW);
	pthread_mutex_unlock(&f->lock);
	return v;
}

static void ports_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct fw_cfg *f = dev;

	pthread_mutex_lock(&f->lock);
	if (offset == OFFSET_SELECT && size == 2) {
		select_item(f, (u16)value);
	} else if (offset == OFFSET_DMA_HIGH && size == 4) {
		f->dma_high = __builtin_bswap32((u32)value);
	} else if (offset == OFFSET_DMA_LOW && size == 4) {
		dma(f, (u64)f->dma_high << 32 | __builtin_bswap32((u32)value));
		f->dma_high = 0;
	}
	pthread_mutex_unlock(&f->lock);
}

/* --- life ------------------------------------------------------------------------------ */

static int add_standard(struct fw_cfg *f)
{
	const struct fw_cfg_ops directory = { .fill = fill_directory, .ctx = f };
	const struct fw_cfg_ops order = { .fill = fill_boot_order, .ctx = f };
	const u32 id = ID_FEATURES;
	struct item *i;

	if (fw_cfg_item(f, KEY_SIGNATURE, "QEMU", 4) < 0 || fw_cfg_item(f, KEY_ID, &id, 4) < 0)
		return -1;
	i = add(f, KEY_DIRECTORY, NULL, 4 + ITEMS_MAX * sizeof(struct directory_entry));
	if (!i)
		return -1;
	i->ops = directory;
	return fw_cfg_live_file(f, "bootorder", BOOT_ORDER_SIZE, &order);
}

struct fw_cfg *fw_cfg_new(struct bus *ports, const struct guest_memory *mem)
{
	struct fw_cfg *f = calloc(1, sizeof(*f));
	const struct bus_region r = { "fw-cfg", PORT, PORTS, 4, ports_read, ports_write, f };

	if (!f) {
		error("out of memory");
		return NULL;
	}
	pthread_mutex_init(&f->lock, NULL);
	f->mem = mem;
	if (bus_add(ports, &r) == 0 && add_standard(f) == 0)
		return f;
	fw_cfg_free(f);
	return NULL;
}

void fw_cfg_free(struct fw_cfg *f)
{
	unsigned int i;

	if (!f)
		return;
	for (i = 0; i < f->items; i++)
		free(f->item[i].data);
	for (i = 0; i < f->boots; i++)
		free(f->boot[i].path);
	free(f);
}

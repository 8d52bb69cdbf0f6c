/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parallel flash with Intel's command set (CFI command set 0001), as much of it
 * as OVMF's variable driver and a probing system use: bytes or words are
 * programmed, blocks of 4 KiB erased, the status read. While it reads as an
 * array it is a read-only memory slot; while it answers commands the slot is
 * gone and every access comes here.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "flash.h"

#define BLOCK 0x1000u

#define CMD_PROGRAM 0x10
#define CMD_PROGRAM2 0x40
#define CMD_ERASE 0x20
#define CMD_CLEAR_STATUS 0x50
#define CMD_STATUS 0x70
#define CMD_ID 0x90
#define CMD_CONFIRM 0xd0
#define CMD_ARRAY 0xff

#define STATUS_READY 0x80
#define STATUS_ERROR 0x30	/* a command sequence that is none */

struct flash {
	struct board *b;
	u64 gpa, size;
	u8 *data;
	pthread_mutex_t lock;
	int slot;		/* -1: it answers commands */
	u8 command, status;
};

/* --- under the lock --------------------------------------------------------------- */

static void enter(struct flash *f, u8 command)
{
	f->command = command;
	if (command == CMD_ARRAY && f->slot < 0) {
		f->slot = vm_map(f->b->vm, f->gpa, f->size, f->data, VM_MAP_READONLY);
	} else if (command != CMD_ARRAY && f->slot >= 0) {
		vm_unmap(f->b->vm, f->slot);
		f->slot = -1;
	}
}

static void new_command(struct flash *f, u8 command)
{
	switch (command) {
	case CMD_PROGRAM:
	case CMD_PROGRAM2:
	case CMD_ERASE:
	case CMD_STATUS:
	case CMD_ID:
		enter(f, command);
		break;
	case CMD_CLEAR_STATUS:
		f->status = 0;
		enter(f, CMD_ARRAY);
		break;
	default:
		enter(f, CMD_ARRAY);
	}
}

static void write_flash(struct flash *f, u64 offset, u64 value, unsigned int size)
{
	unsigned int i;

	switch (f->command) {
	case CMD_PROGRAM:
	case CMD_PROGRAM2:
		/* programming only clears bits */
		for (i = 0; i < size; i++)
			f->data[offset + i] &= (u8)(value >> (i * 8));
		f->status |= STATUS_READY;
		enter(f, CMD_STATUS);
		break;
	case CMD_ERASE:
		if ((u8)value == CMD_CONFIRM)
			memset(f->data + align_down(offset, BLOCK), 0xff, BLOCK);
		else
			f->status |= STATUS_ERROR;
		f->status |= STATUS_READY;
		enter(f, CMD_STATUS);
		break;
	default:
		new_command(f, (u8)value);
	}
}

static u64 read_flash(const struct flash *f, u64 offset, unsigned int size)
{
	u64 v = 0;

	if (f->command == CMD_ARRAY)
		memcpy(&v, f->data + offset, size);
	else if (f->command != CMD_ID)
		v = f->status * 0x0101010101010101ULL;
	return v;
}

static u64 flash_read(void *dev, u64 offset, unsigned int size)
{
	struct flash *f = dev;
	u64 v;

	pthread_mutex_lock(&f->lock);
	v = read_flash(f, offset, size);
	pthread_mutex_unlock(&f->lock);
	return v;
}

static void flash_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct flash *f = dev;

	pthread_mutex_lock(&f->lock);
	write_flash(f, offset, value, size);
	pthread_mutex_unlock(&f->lock);
}

/* --- life --------------------------------------------------------------------------- */

struct flash *flash_new(struct board *b, u64 gpa, u8 *data, u64 size)
{
	struct flash *f = calloc(1, sizeof(*f));
	const struct bus_region r = { "flash", gpa, size, 8, flash_read, flash_write, f };

	if (!f) {
		error("out of memory");
		return NULL;
	}
	*f = (struct flash){ .b = b, .gpa = gpa, .size = size, .data = data, .slot = -1 };
	pthread_mutex_init(&f->lock, NULL);
	f->status = STATUS_READY;
	enter(f, CMD_ARRAY);
	if (f->slot >= 0 && bus_add(b->mmio, &r) == 0)
		return f;
	error("cannot map the firmware's flash");
	free(f);
	return NULL;
}

void flash_free(struct flash *f)
{
	free(f);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ACPI Machine Language, written by hand (ACPI specification, chapter 20). A
 * package length counts itself; blocks here always use the three-byte form, so
 * closing a block needs no moving of what it holds.
 */
#include <string.h>

#include "aml.h"

#define OP_NAME 0x08
#define OP_BYTE 0x0a
#define OP_WORD 0x0b
#define OP_DWORD 0x0c
#define OP_STRING 0x0d
#define OP_QWORD 0x0e
#define OP_SCOPE 0x10
#define OP_BUFFER 0x11
#define OP_PACKAGE 0x12
#define OP_EXT 0x5b
#define OP_EXT_DEVICE 0x82

#define PKG_LENGTH_BYTES 3
#define PKG_LENGTH_MAX 0xfffff

void aml_init(struct aml *a, u8 *data, size_t cap)
{
	a->data = data;
	a->cap = cap;
	a->len = 0;
	a->failed = false;
}

void aml_bytes(struct aml *a, const void *p, size_t n)
{
	if (a->failed || n > a->cap - a->len) {
		a->failed = true;
		return;
	}
	memcpy(a->data + a->len, p, n);
	a->len += n;
}

void aml_byte(struct aml *a, u8 v)
{
	aml_bytes(a, &v, 1);
}

static size_t open_block(struct aml *a)
{
	static const u8 zero[PKG_LENGTH_BYTES];
	size_t start = a->len;

	aml_bytes(a, zero, sizeof(zero));
	return start;
}

void aml_end(struct aml *a, size_t start)
{
	size_t n = a->len - start;

	if (a->failed || n > PKG_LENGTH_MAX) {
		a->failed = true;
		return;
	}
	/* two bytes follow the lead byte, which holds the lowest four bits */
	a->data[start] = (u8)(2 << 6 | (n & 0xf));
	a->data[start + 1] = (u8)(n >> 4);
	a->data[start + 2] = (u8)(n >> 12);
}

/* A path of one segment, padded to four characters, with or without the root. */
static void name_string(struct aml *a, const char *s)
{
	char seg[4] = "____";
	size_t i;

	if (*s == '\\') {
		aml_byte(a, '\\');
		s++;
	}
	for (i = 0; i < sizeof(seg) && s[i]; i++)
		seg[i] = s[i];
	aml_bytes(a, seg, sizeof(seg));
}

size_t aml_scope(struct aml *a, const char *path)
{
	size_t start;

	aml_byte(a, OP_SCOPE);
	start = open_block(a);
	name_string(a, path);
	return start;
}

size_t aml_device(struct aml *a, const char *name)
{
	size_t start;

	aml_byte(a, OP_EXT);
	aml_byte(a, OP_EXT_DEVICE);
	start = open_block(a);
	name_string(a, name);
	return start;
}

size_t aml_package(struct aml *a, u8 elements)
{
	size_t start;

	aml_byte(a, OP_PACKAGE);
	start = open_block(a);
	aml_byte(a, elements);
	return start;
}

void aml_buffer(struct aml *a, const void *p, u8 n)
{
	size_t start;

	aml_byte(a, OP_BUFFER);
	start = open_block(a);
	aml_integer(a, n);
	aml_bytes(a, p, n);
	aml_end(a, start);
}

void aml_name(struct aml *a, const char *name)
{
	aml_byte(a, OP_NAME);
	name_string(a, name);
}

void aml_integer(struct aml *a, u64 v)
{
	if (v <= 1) {
		aml_byte(a, (u8)v);
	} else if (v <= 0xff) {
		aml_byte(a, OP_BYTE);
		aml_bytes(a, &v, 1);
	} else if (v <= 0xffff) {
		aml_byte(a, OP_WORD);
		aml_bytes(a, &v, 2);
	} else if (v <= 0xffffffff) {
		aml_byte(a, OP_DWORD);
		aml_bytes(a, &v, 4);
	} else {
		aml_byte(a, OP_QWORD);
		aml_bytes(a, &v, 8);
	}
}

void aml_string(struct aml *a, const char *s)
{
	aml_byte(a, OP_STRING);
	aml_bytes(a, s, strlen(s) + 1);
}

static u8 hex_digit(char c)
{
	return (u8)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisa_id(struct aml *a, const char *id)
{
	/* three letters of five bits and four hexadecimal digits, big-endian */
	u16 letters = (u16)((id[0] - 0x40) << 10 | (id[1] - 0x40) << 5 | (id[2] - 0x40));
	u8 v[4] = {
		(u8)(letters >> 8),
		(u8)letters,
		(u8)(hex_digit(id[3]) << 4 | hex_digit(id[4])),
		(u8)(hex_digit(id[5]) << 4 | hex_digit(id[6])),
	};

	aml_byte(a, OP_DWORD);
	aml_bytes(a, v, sizeof(v));
}

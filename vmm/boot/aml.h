/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A growing byte buffer with the encodings of ACPI Machine Language (ACPI
 * specification, chapter 20) that the DSDT needs. A block (scope, device,
 * package, buffer) is opened, filled and closed; closing puts its length in.
 */
#ifndef VMM_BOOT_AML_H
#define VMM_BOOT_AML_H

#include "../types.h"

struct aml {
	u8 *data;
	size_t len, cap;
	bool failed;	/* out of memory or room; nothing is added any more */
};

void aml_init(struct aml *a, u8 *data, size_t cap);
void aml_bytes(struct aml *a, const void *p, size_t n);
void aml_byte(struct aml *a, u8 v);

/* The place of a block, for aml_end. */
size_t aml_scope(struct aml *a, const char *path);
size_t aml_device(struct aml *a, const char *name);
size_t aml_package(struct aml *a, u8 elements);
/* A buffer of constant bytes. */
void aml_buffer(struct aml *a, const void *p, u8 n);
void aml_end(struct aml *a, size_t start);

/* Name (name, <what is added next>) */
void aml_name(struct aml *a, const char *name);
void aml_integer(struct aml *a, u64 v);
void aml_string(struct aml *a, const char *s);
/* A compressed EISA id such as "PNP0501". */
void aml_eisa_id(struct aml *a, const char *id);

#endif

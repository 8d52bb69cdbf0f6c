/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The statistics of a VM or vCPU (KVM API, section 4.133), for tests through the API. */
#ifndef TESTS_UNIT_STATS_H
#define TESTS_UNIT_STATS_H

#include "api.h"

/* What KVM_GET_STATS_FD's file holds. */
struct stats_file {
	struct kvm_stats_header head;
	unsigned char *bytes;
	size_t size;
};

static inline struct kvm_stats_desc *stats_desc(const struct stats_file *f, uint32_t i)
{
	size_t each = sizeof(struct kvm_stats_desc) + f->head.name_size;

	return (void *)(f->bytes + f->head.desc_offset + i * each);
}

static inline void read_stats(int from, struct stats_file *f)
{
	int fd = anykvm_ioctl(from, KVM_GET_STATS_FD, 0);
	ssize_t n;

	assert_true(fd >= 0);
	f->size = 1 << 20;
	f->bytes = calloc(1, f->size);
	assert_non_null(f->bytes);
	n = pread(fd, f->bytes, f->size, 0);
	assert_true(n >= (ssize_t)sizeof(f->head));
	f->size = (size_t)n;
	memcpy(&f->head, f->bytes, sizeof(f->head));
	assert_int_equal(close(fd), 0);
}

static inline uint64_t stats_value(const struct stats_file *f, const char *name)
{
	for (uint32_t i = 0; i < f->head.num_desc; i++)
		if (!strcmp(stats_desc(f, i)->name, name)) {
			size_t at = f->head.data_offset + stats_desc(f, i)->offset;
			uint64_t v;

			memcpy(&v, f->bytes + at, sizeof(v));
			return v;
		}
	fail_msg("no counter is called %s", name);
	return 0;
}

/* One of them, of the VM or vCPU behind a descriptor. */
static inline uint64_t counter(int from, const char *name)
{
	struct stats_file f;
	uint64_t v;

	read_stats(from, &f);
	v = stats_value(&f, name);
	free(f.bytes);
	return v;
}

#endif

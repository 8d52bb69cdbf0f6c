/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading KVM_GET_STATS_FD (KVM API, section 4.133): a header that says where
 * the descriptors of the counters and their values stand. Nothing is known here
 * of what is counted: names, units and order come from the file. A name with a
 * dot belongs to a family, whose members are printed together, the largest
 * first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "stats.h"
#include "vcpu.h"

#define COUNTERS_MAX 4096	/* more than any KVM has */
#define CPUS_SHOWN 8
#define FAMILY_SHOWN 24

struct counter {
	char name[64];
	u32 flags;
	int exponent;
	u64 sum;
	u64 of_cpu[CPUS_SHOWN];
};

struct table {
	u32 count;
	u32 cpus;		/* that have columns of their own */
	struct counter *c;
};

static bool read_at(int fd, void *buf, size_t size, u64 at)
{
	return pread(fd, buf, size, (off_t)at) == (ssize_t)size;
}

/* The descriptors: all that is kept from one file to the next. */
static bool read_names(int fd, const struct kvm_stats_header *h, struct table *t)
{
	size_t size = sizeof(struct kvm_stats_desc) + h->name_size;
	struct kvm_stats_desc *d = malloc(size);
	u32 i;

	t->c = calloc(h->num_desc, sizeof(*t->c));
	t->count = h->num_desc;
	for (i = 0; d && t->c && i < t->count; i++) {
		struct counter *c = &t->c[i];

		if (!read_at(fd, d, size, h->desc_offset + i * size))
			break;
		c->flags = d->flags;
		c->exponent = d->exponent;
		snprintf(c->name, sizeof(c->name), "%.*s", (int)h->name_size, d->name);
	}
	free(d);
	return t->c && i == t->count;
}

static bool add_values(int fd, const struct kvm_stats_header *h, struct table *t, u32 cpu)
{
	size_t size = sizeof(struct kvm_stats_desc) + h->name_size;
	u32 i;

	for (i = 0; i < t->count; i++) {
		struct kvm_stats_desc d;
		u64 val;

		if (!read_at(fd, &d, sizeof(d), h->desc_offset + i * size) ||
		    !read_at(fd, &val, sizeof(val), h->data_offset + d.offset))
			return false;
		if ((t->c[i].flags & KVM_STATS_TYPE_MASK) == KVM_STATS_TYPE_PEAK)
			t->c[i].sum = t->c[i].sum > val ? t->c[i].sum : val;
		else
			t->c[i].sum += val;
		if (cpu < CPUS_SHOWN)
			t->c[i].of_cpu[cpu] = val;
	}
	return true;
}

static int read_file(int fd, struct table *t, u32 cpu)
{
	struct kvm_stats_header h;
	bool good;

	good = read_at(fd, &h, sizeof(h), 0) && h.num_desc <= COUNTERS_MAX && h.name_size <= 4096;
	if (good && !t->c)
		good = read_names(fd, &h, t);
	good = good && h.num_desc == t->count && add_values(fd, &h, t, cpu);
	return good ? 0 : error("the engine's statistics cannot be read");
}

/* --- printing ---------------------------------------------------------------------- */

static void print_value(FILE *out, const struct counter *c, u64 val)
{
	bool seconds = (c->flags & KVM_STATS_UNIT_MASK) == KVM_STATS_UNIT_SECONDS;
	double f = (double)val;
	int e;

	if (!seconds) {
		fprintf(out, " %14llu", (unsigned long long)val);
		return;
	}
	for (e = c->exponent; e < 0; e++)
		f /= 10;
	fprintf(out, " %12.3f s", f);
}

static void print_counter(FILE *out, const struct table *t, const struct counter *c,
			  const char *name, int indent)
{
	u32 i;

	fprintf(out, "  %*s%-*s", indent, "", 32 - indent, name);
	print_value(out, c, c->sum);
	for (i = 0; t->cpus > 1 && i < t->cpus; i++)
		print_value(out, c, c->of_cpu[i]);
	fprintf(out, "\n");
}

static size_t family(const struct counter *c)
{
	const char *dot = strchr(c->name, '.');

	return dot ? (size_t)(dot - c->name) : 0;
}

static int by_sum(const void *a, const void *b)
{
	const struct counter *x = a, *y = b;

	return x->sum < y->sum ? 1 : x->sum > y->sum ? -1 : strcmp(x->name, y->name);
}

/* The family that begins at c: how many counters it has. */
static u32 print_family(FILE *out, const struct table *t, struct counter *c)
{
	size_t len = family(c);
	u32 n = 0, i, left = t->count - (u32)(c - t->c);

	while (n < left && family(&c[n]) == len && !memcmp(c[n].name, c->name, len))
		n++;
	qsort(c, n, sizeof(*c), by_sum);
	if (c->sum)
		fprintf(out, "  %.*s\n", (int)len, c->name);
	for (i = 0; i < n && i < FAMILY_SHOWN && c[i].sum; i++)
		print_counter(out, t, &c[i], c[i].name + len + 1, 2);
	return n;
}

static void print_table(FILE *out, const struct table *t)
{
	u32 i = 0;

	while (i < t->count) {
		if (family(&t->c[i])) {
			i += print_family(out, t, &t->c[i]);
			continue;
		}
		if (t->c[i].sum)
			print_counter(out, t, &t->c[i], t->c[i].name, 0);
		i++;
	}
}

static void print_head(FILE *out, const struct table *t)
{
	u32 i;

	fprintf(out, "%-34s %14s", "anykvm: statistics", "all CPUs");
	for (i = 0; t->cpus > 1 && i < t->cpus; i++)
		fprintf(out, "%12s %2u", "CPU", i);
	fprintf(out, "\n");
}

int stats_print(const struct machine *m, FILE *out)
{
	struct table cpus = { .cpus = m->cpus < CPUS_SHOWN ? m->cpus : CPUS_SHOWN };
	struct table vm = { .cpus = 1 };
	unsigned int i;
	int err = 0, fd = kvm_ioctl(m->kvm, m->vm.fd, KVM_GET_STATS_FD, 0);

	if (fd < 0)
		return error("the engine keeps no statistics: %s", strerror(-fd));
	for (i = 0; i < m->cpus && !err; i++) {
		int of_cpu = __atomic_load_n(&m->vcpus[i].stats, __ATOMIC_ACQUIRE);

		if (of_cpu >= 0)
			err = read_file(of_cpu, &cpus, i);
	}
	if (!err)
		err = read_file(fd, &vm, 0);
	close(fd);
	if (!err) {
		print_head(out, &cpus);
		print_table(out, &cpus);
		print_table(out, &vm);
		fflush(out);
	}
	free(cpus.c);
	free(vm.c);
	return err;
}

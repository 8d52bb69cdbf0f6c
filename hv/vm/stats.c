/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM_GET_STATS_FD: counters of a VM or a vCPU as a file to read (KVM API
 * section 4.133): a header, the object's name, a descriptor for each counter
 * and the counters, those of the vCPU's engine last.
 *
 * The file is memory of ours. A vCPU's counters are copied there when KVM_RUN
 * returns, a VM's when they change.
 */
#include <errno.h>

#include "vm.h"

#define NAME_SIZE ENGINE_STAT_NAME

struct desc {
	u32 flags;
	s16 exponent;
	u16 size;
	u32 offset, bucket_size;
	char name[NAME_SIZE];
};

/* Followed by the values. */
struct file {
	struct kvm_stats_header head;
	char id[NAME_SIZE];
	struct desc desc[];
};

struct stats {
	int fd;
	u64 size;
	struct file *file;
	u64 *data;
};

static const char *const vcpu_names[] = {
	"exits", "io_exits", "mmio_exits", "irq_injections", "halt_exits", "hypercalls",
	"insn_emulation", "signal_exits", "nmi_injections", "request_irq_exits", "halt_wait_ns",
	"page_walks",
};

static const char *const vm_names[] = { "remote_tlb_flush_requests" };

static u32 put_text(char *to, u32 at, const char *text)
{
	while (*text && at < NAME_SIZE - 1)
		to[at++] = *text++;
	to[at] = 0;
	return at;
}

static u32 put_number(char *to, u32 at, u32 n)
{
	char digits[12];
	u32 i = sizeof(digits) - 1;

	digits[i] = 0;
	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return put_text(to, at, digits + i);
}

static void describe(struct desc *d, u32 i, enum engine_stat kind)
{
	bool ns = kind == ENGINE_STAT_NS;

	d->flags = (kind == ENGINE_STAT_PEAK ? KVM_STATS_TYPE_PEAK : KVM_STATS_TYPE_CUMULATIVE) |
		   KVM_STATS_BASE_POW10 |
		   (ns ? KVM_STATS_UNIT_SECONDS : KVM_STATS_UNIT_NONE);
	d->exponent = ns ? -9 : 0;
	d->size = 1;
	d->offset = i * (u32)sizeof(u64);
}

/* As KVM's own of nanoseconds are called. */
static bool ends_in_ns(const char *name)
{
	u32 n = 0;

	while (name[n])
		n++;
	return n > 3 && !host_memcmp(name + n - 3, "_ns", 3);
}

/* The counters in common code, then the engine's. */
static void describe_all(struct file *f, const char *const *names, u32 count,
			 const struct engine_ops *engine)
{
	for (u32 i = 0; i < f->head.num_desc; i++) {
		enum engine_stat kind = ENGINE_STAT_COUNT;

		if (i < count) {
			put_text(f->desc[i].name, 0, names[i]);
			kind = ends_in_ns(names[i]) ? ENGINE_STAT_NS : ENGINE_STAT_COUNT;
		} else {
			engine->stat_name(i - count, f->desc[i].name, &kind);
		}
		describe(&f->desc[i], i, kind);
	}
}

static u32 engine_count(const struct engine_ops *engine)
{
	char name[NAME_SIZE];
	u32 n = 0;
	enum engine_stat kind;

	while (engine && engine->stat_name && engine->stat_name(n, name, &kind))
		n++;
	return n;
}

/* engine: whose counters follow those with names, or NULL. */
static struct stats *make(const char *const *names, u32 count, const struct engine_ops *engine)
{
	u32 all = count + engine_count(engine);
	u64 data = sizeof(struct file) + all * sizeof(struct desc);
	struct stats *s = host_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->size = ALIGN_UP(data + all * sizeof(u64), PAGE_SIZE);
	s->fd = host_memfd("kvm-stats", s->size);
	if (s->fd >= 0)
		s->file = host_map_fd(s->fd, s->size);
	if (!s->file) {
		if (s->fd >= 0)
			host_close(s->fd);
		host_free(s);
		return NULL;
	}
	s->data = (u64 *)((u8 *)s->file + data);
	s->file->head.name_size = NAME_SIZE;
	s->file->head.num_desc = all;
	s->file->head.id_offset = offsetof(struct file, id);
	s->file->head.desc_offset = offsetof(struct file, desc);
	s->file->head.data_offset = (u32)data;
	describe_all(s->file, names, count, engine);
	return s;
}

void stats_close(struct stats *s)
{
	if (!s)
		return;
	host_unmap(s->file, s->size);
	host_close(s->fd);
	host_free(s);
}

void stats_update(struct vcpu *v)
{
	_Static_assert(sizeof(v->stat) == ARRAY_SIZE(vcpu_names) * sizeof(u64), "a name each");
	host_memcpy(v->stats->data, &v->stat, sizeof(v->stat));
	if (v->vm->engine->stat_values)
		v->vm->engine->stat_values(v, v->stats->data + ARRAY_SIZE(vcpu_names));
}

int stats_open_vcpu(struct vcpu *v)
{
	if (!v->stats) {
		struct stats *s = make(vcpu_names, ARRAY_SIZE(vcpu_names), v->vm->engine);
		u32 at;

		if (!s)
			return -ENOMEM;
		at = put_text(s->file->id, 0, "kvm-");
		at = put_number(s->file->id, at, host_getpid());
		at = put_text(s->file->id, at, "/vcpu-");
		put_number(s->file->id, at, v->id);
		v->stats = s;
	}
	stats_update(v);
	return host_reopen(v->stats->fd);
}

void stats_update_vm(struct vm *vm)
{
	struct stats *s = __atomic_load_n(&vm->stats, __ATOMIC_ACQUIRE);

	if (s)
		s->data[0] = __atomic_load_n(&vm->flush_requests, __ATOMIC_RELAXED);
}

int stats_open_vm(struct vm *vm)
{
	struct stats *s;
	u32 at;

	host_mutex_lock(&vm->lock);
	if (!vm->stats) {
		s = make(vm_names, ARRAY_SIZE(vm_names), NULL);
		if (s) {
			at = put_text(s->file->id, 0, "kvm-");
			put_number(s->file->id, at, host_getpid());
		}
		__atomic_store_n(&vm->stats, s, __ATOMIC_RELEASE);
	}
	host_mutex_unlock(&vm->lock);
	if (!vm->stats)
		return -ENOMEM;
	stats_update_vm(vm);
	return host_reopen(vm->stats->fd);
}

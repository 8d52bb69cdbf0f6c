/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM_GET_STATS_FD: counters of a VM or a vCPU as a file to read (KVM API
 * section 4.133): a header, the object's name, a descriptor for each counter
 * and the counters.
 *
 * The file is memory of ours. A vCPU's counters are copied there when KVM_RUN
 * returns, a VM's when they change.
 */
#include <errno.h>

#include "vm.h"

#define NAME_SIZE 48
#define MAX_COUNTERS 16
#define FILE_SIZE PAGE_SIZE

struct desc {
	u32 flags;
	s16 exponent;
	u16 size;
	u32 offset, bucket_size;
	char name[NAME_SIZE];
};

struct file {
	struct kvm_stats_header head;
	char id[NAME_SIZE];
	struct desc desc[MAX_COUNTERS];
	u64 data[MAX_COUNTERS];
};

struct stats {
	int fd;
	struct file *file;
};

_Static_assert(sizeof(struct file) <= FILE_SIZE, "the file is one page");

static const char *const vcpu_names[] = {
	"exits", "io_exits", "mmio_exits", "irq_injections", "halt_exits", "hypercalls",
	"insn_emulation", "signal_exits", "nmi_injections", "request_irq_exits",
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

static void describe(struct file *f, const char *const *names, u32 count)
{
	u32 i;

	f->head.name_size = NAME_SIZE;
	f->head.num_desc = count;
	f->head.id_offset = offsetof(struct file, id);
	f->head.desc_offset = offsetof(struct file, desc);
	f->head.data_offset = offsetof(struct file, data);
	for (i = 0; i < count; i++) {
		f->desc[i].flags = KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE |
				   KVM_STATS_BASE_POW10;
		f->desc[i].size = 1;
		f->desc[i].offset = i * sizeof(u64);
		put_text(f->desc[i].name, 0, names[i]);
	}
}

static struct stats *make(const char *const *names, u32 count)
{
	struct stats *s = host_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->fd = host_memfd("kvm-stats", FILE_SIZE);
	if (s->fd >= 0)
		s->file = host_map_fd(s->fd, FILE_SIZE);
	if (!s->file) {
		if (s->fd >= 0)
			host_close(s->fd);
		host_free(s);
		return NULL;
	}
	describe(s->file, names, count);
	return s;
}

void stats_close(struct stats *s)
{
	if (!s)
		return;
	host_unmap(s->file, FILE_SIZE);
	host_close(s->fd);
	host_free(s);
}

void stats_update(struct vcpu *v)
{
	_Static_assert(sizeof(v->stat) == ARRAY_SIZE(vcpu_names) * sizeof(u64), "a name each");
	host_memcpy(v->stats->file->data, &v->stat, sizeof(v->stat));
}

int stats_open_vcpu(struct vcpu *v)
{
	if (!v->stats) {
		struct stats *s = make(vcpu_names, ARRAY_SIZE(vcpu_names));
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
		s->file->data[0] = __atomic_load_n(&vm->flush_requests, __ATOMIC_RELAXED);
}

int stats_open_vm(struct vm *vm)
{
	struct stats *s;
	u32 at;

	host_mutex_lock(&vm->lock);
	if (!vm->stats) {
		s = make(vm_names, ARRAY_SIZE(vm_names));
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

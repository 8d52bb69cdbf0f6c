/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MSI-X (PCI 3.0, 6.8.2): a table of messages and an array of pending bits, in
 * a BAR of their own. A vector that is raised while masked is noted and goes
 * out when it is unmasked. An irqfd is tied to its vector only while that is
 * open; what its eventfd counts meanwhile rings when it is tied again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pci.h"

#define MSIX_CONTROL 2
#define MSIX_TABLE 4
#define MSIX_PBA 8
#define MSIX_SIZE 12

#define ENTRY_SIZE 16
#define ENTRY_CONTROL 12		/* offset of the word with the mask bit */
#define ENTRY_MASKED 1

struct msix_irqfd {
	int fd, gsi;			/* -1: none */
	bool tied;
};

struct pci_msix {
	struct pci_device *d;
	u8 cap;
	unsigned int vectors;
	u64 pba;			/* its offset in the BAR */
	u8 *table, *pending;
	struct msix_irqfd *irqfd;
};

static u16 control(const struct pci_msix *m)
{
	return pci_get16(m->d, m->cap + MSIX_CONTROL);
}

bool pci_msix_enabled(const struct pci_device *d)
{
	return d->msix && control(d->msix) & PCI_MSIX_ENABLE;
}

static u32 entry_word(const struct pci_msix *m, unsigned int vector, unsigned int offset)
{
	u32 v;

	memcpy(&v, m->table + vector * ENTRY_SIZE + offset, 4);
	return v;
}

static bool is_open(const struct pci_msix *m, unsigned int vector)
{
	return (control(m) & (PCI_MSIX_ENABLE | PCI_MSIX_MASK_ALL)) == PCI_MSIX_ENABLE &&
	       !(entry_word(m, vector, ENTRY_CONTROL) & ENTRY_MASKED);
}

static u64 entry_address(const struct pci_msix *m, unsigned int vector)
{
	return entry_word(m, vector, 0) | (u64)entry_word(m, vector, 4) << 32;
}

/* --- raising: under msi_lock ----------------------------------------------------- */

static void send(struct pci_msix *m, unsigned int vector)
{
	pci_send_msi(m->d, entry_address(m, vector), entry_word(m, vector, 8));
}

static void tie(struct pci_msix *m, unsigned int vector, bool on)
{
	struct msix_irqfd *f = &m->irqfd[vector];
	struct vm *vm = m->d->bus->host->vm;

	if (on)
		vm_msi_gsi_set(vm, f->gsi, entry_address(m, vector), entry_word(m, vector, 8));
	if (on != f->tied && vm_irqfd(vm, f->gsi, f->fd, -1, on) == 0)
		f->tied = on;
}

/* After the masks or the message of a vector changed. */
static void update(struct pci_msix *m, unsigned int vector)
{
	bool open = is_open(m, vector);
	u8 bit = (u8)(1 << (vector & 7));

	if (m->irqfd[vector].fd >= 0)
		tie(m, vector, open);
	if (open && m->pending[vector / 8] & bit) {
		m->pending[vector / 8] &= (u8)~bit;
		send(m, vector);
	}
}

void pci_msix_raise(struct pci_device *d, unsigned int vector)
{
	struct pci_msix *m = d->msix;

	if (!m || vector >= m->vectors || !pci_msix_enabled(d))
		return;
	pthread_mutex_lock(&d->msi_lock);
	if (is_open(m, vector))
		send(m, vector);
	else
		m->pending[vector / 8] |= (u8)(1 << (vector & 7));
	pthread_mutex_unlock(&d->msi_lock);
}

void pci_msix_written(struct pci_device *d, unsigned int offset, unsigned int size)
{
	struct pci_msix *m = d->msix;
	unsigned int vector;

	if (offset + size <= m->cap || offset >= m->cap + (unsigned int)MSIX_SIZE)
		return;
	pthread_mutex_lock(&d->msi_lock);
	for (vector = 0; vector < m->vectors; vector++)
		update(m, vector);
	pthread_mutex_unlock(&d->msi_lock);
}

int pci_msix_irqfd(struct pci_device *d, unsigned int vector, int fd)
{
	struct pci_msix *m = d->msix;
	struct msix_irqfd *f;
	int err = 0;

	if (!m || vector >= m->vectors)
		return -EINVAL;
	f = &m->irqfd[vector];
	pthread_mutex_lock(&d->msi_lock);
	if (f->fd >= 0) {
		tie(m, vector, false);
		vm_msi_gsi_free(d->bus->host->vm, f->gsi);
		f->fd = f->gsi = -1;
	}
	if (fd >= 0) {
		f->gsi = vm_msi_gsi(d->bus->host->vm);
		err = f->gsi < 0 ? f->gsi : 0;
		if (!err)
			f->fd = fd;
		update(m, vector);
	}
	pthread_mutex_unlock(&d->msi_lock);
	return err;
}

/* --- the BAR ------------------------------------------------------------------------ */

/* The table and the pending bits, as bytes; NULL beyond them. */
static u8 *bytes_at(struct pci_msix *m, u64 offset, unsigned int size)
{
	if (offset + size <= (u64)m->vectors * ENTRY_SIZE)
		return m->table + offset;
	if (offset >= m->pba && offset + size <= m->pba + align_up(m->vectors, 64) / 8)
		return m->pending + (offset - m->pba);
	return NULL;
}

static u64 table_read(void *dev, u64 offset, unsigned int size)
{
	struct pci_msix *m = dev;
	const u8 *p = bytes_at(m, offset, size);
	u64 v = 0;

	pthread_mutex_lock(&m->d->msi_lock);
	if (p)
		memcpy(&v, p, size);
	pthread_mutex_unlock(&m->d->msi_lock);
	return v;
}

static void table_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct pci_msix *m = dev;
	u8 *p = bytes_at(m, offset, size);

	if (!p || offset >= m->pba)
		return;
	pthread_mutex_lock(&m->d->msi_lock);
	memcpy(p, &value, size);
	update(m, (unsigned int)(offset / ENTRY_SIZE));
	pthread_mutex_unlock(&m->d->msi_lock);
}

/* --- life ------------------------------------------------------------------------------ */

static struct pci_msix *alloc_msix(unsigned int vectors)
{
	struct pci_msix *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->vectors = vectors;
	m->table = calloc(vectors, ENTRY_SIZE);
	m->pending = calloc(1, align_up(vectors, 64) / 8);
	m->irqfd = calloc(vectors, sizeof(*m->irqfd));
	if (m->table && m->pending && m->irqfd)
		return m;
	free(m->table);
	free(m->pending);
	free(m->irqfd);
	free(m);
	return NULL;
}

int pci_msix_init(struct pci_device *d, unsigned int bar, unsigned int vectors)
{
	struct bus_region region = { "msix", 0, 0, 8, table_read, table_write, NULL };
	struct pci_msix *m;
	unsigned int i;
	u64 size = 0x1000;

	if (!vectors || vectors > PCI_MSIX_MAX)
		return -EINVAL;
	m = alloc_msix(vectors);
	if (!m)
		return -ENOMEM;
	m->d = d;
	d->msix = m;
	m->cap = pci_capability(d, PCI_CAP_MSIX, MSIX_SIZE);
	if (!m->cap) {
		pci_msix_fini(d);
		return -ENOSPC;
	}
	for (i = 0; i < vectors; i++) {
		m->table[i * ENTRY_SIZE + ENTRY_CONTROL] = ENTRY_MASKED;
		m->irqfd[i].fd = m->irqfd[i].gsi = -1;
	}
	m->pba = align_up((u64)vectors * ENTRY_SIZE, 0x800);
	while (size < m->pba + align_up(vectors, 64) / 8)
		size *= 2;
	pci_put16(d->config, m->cap + MSIX_CONTROL, (u16)(vectors - 1));
	pci_put16(d->writable, m->cap + MSIX_CONTROL, PCI_MSIX_ENABLE | PCI_MSIX_MASK_ALL);
	pci_put32(d->config, m->cap + MSIX_TABLE, bar);
	pci_put32(d->config, m->cap + MSIX_PBA, (u32)m->pba | bar);
	region.dev = m;
	pci_bar(d, bar, PCI_BAR_MEM32, size, &region);
	return 0;
}

void pci_msix_fini(struct pci_device *d)
{
	struct pci_msix *m = d->msix;
	unsigned int i;

	if (!m)
		return;
	for (i = 0; d->bus && i < m->vectors; i++)
		if (m->irqfd[i].fd >= 0)
			pci_msix_irqfd(d, i, -1);
	d->msix = NULL;
	free(m->table);
	free(m->pending);
	free(m->irqfd);
	free(m);
}

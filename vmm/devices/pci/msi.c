/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Message signalled interrupts (PCI 3.0, 6.8.1): one capability with a 64-bit
 * address, one message and a mask and pending bit a vector. The vector's number
 * goes into the message's low bits, of which the guest says how many are his.
 */
#include <errno.h>

#include "pci.h"

#define MSI_CONTROL 2
#define MSI_ADDRESS 4
#define MSI_DATA 12
#define MSI_MASK 16
#define MSI_PENDING 20
#define MSI_SIZE 24

#define CONTROL_COUNT_SHIFT 4		/* log2 of the vectors enabled */
#define CONTROL_64BIT (1 << 7)
#define CONTROL_MASKABLE (1 << 8)

#define APIC_WINDOW 0xfee00000u
#define APIC_WINDOW_MASK 0xfff00000u

void pci_send_msi(struct pci_device *d, u64 addr, u32 data)
{
	if (!d->bus || !(pci_get16(d, PCI_COMMAND) & PCI_COMMAND_MASTER) ||
	    ((u32)addr & APIC_WINDOW_MASK) != APIC_WINDOW)
		return;
	vm_msi(d->bus->host->vm, addr, data);
}

int pci_msi_init(struct pci_device *d, unsigned int vectors)
{
	unsigned int log = 0;
	u8 at;

	while (1u << log < vectors)
		log++;
	at = pci_capability(d, PCI_CAP_MSI, MSI_SIZE);
	if (!at || log > 5)
		return -ENOSPC;
	d->msi = at;
	pci_put16(d->config, at + MSI_CONTROL,
		  (u16)(CONTROL_64BIT | CONTROL_MASKABLE | log << 1));
	pci_put16(d->writable, at + MSI_CONTROL, PCI_MSI_ENABLE | 7 << CONTROL_COUNT_SHIFT);
	pci_put32(d->writable, at + MSI_ADDRESS, ~3u);
	pci_put32(d->writable, at + MSI_ADDRESS + 4, ~0u);
	pci_put16(d->writable, at + MSI_DATA, 0xffff);
	pci_put32(d->writable, at + MSI_MASK, (u32)((1ULL << (1u << log)) - 1));
	return 0;
}

bool pci_msi_enabled(const struct pci_device *d)
{
	return d->msi && d->config[d->msi + MSI_CONTROL] & PCI_MSI_ENABLE;
}

/* Under msi_lock. */
static void send(struct pci_device *d, unsigned int vector)
{
	unsigned int log = d->config[d->msi + MSI_CONTROL] >> CONTROL_COUNT_SHIFT & 7;
	unsigned int count = 1u << (log > 5 ? 5 : log);
	u64 addr = pci_get32(d, d->msi + MSI_ADDRESS) |
		   (u64)pci_get32(d, d->msi + MSI_ADDRESS + 4) << 32;
	u32 data = pci_get16(d, d->msi + MSI_DATA);

	pci_send_msi(d, addr, (data & ~(count - 1)) | (vector & (count - 1)));
}

void pci_msi_raise(struct pci_device *d, unsigned int vector)
{
	u32 bit = 1u << (vector & 31), pending;

	if (!pci_msi_enabled(d))
		return;
	pthread_mutex_lock(&d->msi_lock);
	if (pci_get32(d, d->msi + MSI_MASK) & bit) {
		pending = pci_get32(d, d->msi + MSI_PENDING);
		pci_put32(d->config, d->msi + MSI_PENDING, pending | bit);
	} else {
		send(d, vector);
	}
	pthread_mutex_unlock(&d->msi_lock);
}

/* Vectors that were raised while masked go out when the mask opens. */
void pci_msi_written(struct pci_device *d, unsigned int offset, unsigned int size)
{
	unsigned int vector;
	u32 due;

	if (offset + size <= d->msi || offset >= d->msi + (unsigned int)MSI_SIZE)
		return;
	if (!pci_msi_enabled(d))
		return;
	pthread_mutex_lock(&d->msi_lock);
	due = pci_get32(d, d->msi + MSI_PENDING) & ~pci_get32(d, d->msi + MSI_MASK);
	for (vector = 0; vector < 32; vector++)
		if (due >> vector & 1)
			send(d, vector);
	pci_put32(d->config, d->msi + MSI_PENDING, pci_get32(d, d->msi + MSI_PENDING) & ~due);
	pthread_mutex_unlock(&d->msi_lock);
}

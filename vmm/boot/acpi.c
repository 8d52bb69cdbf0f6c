/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ACPI tables (ACPI specification 6.x, chapter 5): RSDP, XSDT, FADT
 * (fixed hardware without SMI, always in ACPI mode), FACS, MADT, and a DSDT
 * with the S5 state, the CPUs, the serial port and the clock. They lie in the
 * BIOS area, where guests also find the RSDP by its signature.
 */
#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "acpi.h"
#include "aml.h"
#include "boot.h"

#define TABLE_ALIGN 64
#define REST_MAX 0x8000		/* room kept for what follows the DSDT */

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem_id[6], oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 checksum2, reserved[3];
} __attribute__((packed));

/* Generic address structure; space 1 is I/O ports. */
struct acpi_gas {
	u8 space, width, offset, access;
	u64 address;
} __attribute__((packed));

/* Revision 4 of the table: up to and with X_GPE1_BLK. */
struct acpi_fadt {
	struct acpi_header h;
	u32 facs, dsdt;
	u8 reserved0, profile;
	u16 sci;
	u32 smi_cmd;
	u8 acpi_enable, acpi_disable, s4bios, pstate_cnt;
	u32 pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	u8 cst_cnt;
	u16 c2_latency, c3_latency, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 boot_arch;
	u8 reserved1;
	u32 flags;
	struct acpi_gas reset;
	u8 reset_value;
	u16 arm_boot;
	u8 minor;
	u64 x_facs, x_dsdt;
	struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr;
	struct acpi_gas x_gpe0, x_gpe1;
} __attribute__((packed));

#define FADT_WBINVD (1 << 0)
#define FADT_PROC_C1 (1 << 2)
#define FADT_PWR_BUTTON (1 << 4)	/* none in fixed hardware */
#define FADT_SLP_BUTTON (1 << 5)	/* the same */
#define FADT_FIX_RTC (1 << 6)		/* no wake status in fixed hardware */
#define FADT_TMR_VAL_EXT (1 << 8)	/* the timer has 32 bits */
#define FADT_RESET_REG (1 << 10)
#define FADT_HEADLESS (1 << 12)

#define BOOT_LEGACY_DEVICES (1 << 0)
#define BOOT_NO_VGA (1 << 2)

struct acpi_facs {
	char signature[4];
	u32 length, hardware_signature, waking_vector, global_lock, flags;
	u64 x_waking_vector;
	u8 version, reserved[31];
} __attribute__((packed));

/* What is being built: the next free place. */
struct tables {
	const struct guest_memory *m;
	u64 next;
	u64 xsdt[4];	/* tables the XSDT names */
	unsigned int count;
};

static u8 checksum(const void *p, size_t n)
{
	const u8 *b = p;
	u8 sum = 0;

	while (n--)
		sum += *b++;
	return (u8)-sum;
}

static void put_header(struct acpi_header *h, const char *sig, u8 revision, u32 length)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->signature, sig, 4);
	h->length = length;
	h->revision = revision;
	memcpy(h->oem_id, "ANYKVM", 6);
	memcpy(h->oem_table_id, "ANYKVM  ", 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, "AKVM", 4);
	h->creator_revision = 1;
}

/* Ends a table: the checksum, the list of the XSDT, the next place. */
static void finish(struct tables *t, struct acpi_header *h, u64 at, bool in_xsdt)
{
	h->checksum = 0;
	h->checksum = checksum(h, h->length);
	if (in_xsdt)
		t->xsdt[t->count++] = at;
	t->next = align_up(at + h->length, TABLE_ALIGN);
}

static void *at(struct tables *t, u64 gpa, size_t size)
{
	return memory_ptr(t->m, gpa, size);
}

static struct acpi_gas port(u16 address, u8 bytes)
{
	return (struct acpi_gas){
		.space = 1,
		.width = (u8)(bytes * 8),
		.access = bytes == 4 ? 3 : bytes,
		.address = address,
	};
}

static void build_fadt(struct tables *t, u64 facs, u64 dsdt)
{
	struct acpi_fadt *f = at(t, t->next, sizeof(*f));

	memset(f, 0, sizeof(*f));
	put_header(&f->h, "FACP", 4, sizeof(*f));
	f->facs = (u32)facs;
	f->dsdt = (u32)dsdt;
	f->x_dsdt = dsdt;
	f->sci = ACPI_SCI_IRQ;
	f->pm1a_evt = ACPI_PM1_EVT;
	f->pm1a_cnt = ACPI_PM1_CNT;
	f->pm_tmr = ACPI_PM_TMR;
	f->pm1_evt_len = 4;
	f->pm1_cnt_len = 2;
	f->pm_tmr_len = 4;
	f->c2_latency = 0xfff;	/* no such state */
	f->c3_latency = 0xfff;
	f->century = 0x32;
	f->boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA;
	f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON |
		   FADT_FIX_RTC | FADT_TMR_VAL_EXT | FADT_RESET_REG | FADT_HEADLESS;
	f->reset = port(ACPI_RESET_PORT, 1);
	f->reset_value = ACPI_RESET_VALUE;
	f->x_pm1a_evt = port(ACPI_PM1_EVT, 4);
	f->x_pm1a_cnt = port(ACPI_PM1_CNT, 2);
	f->x_pm_tmr = port(ACPI_PM_TMR, 4);
	finish(t, &f->h, t->next, true);
}

static void build_facs(struct tables *t)
{
	struct acpi_facs *f = at(t, t->next, sizeof(*f));

	memset(f, 0, sizeof(*f));
	memcpy(f->signature, "FACS", 4);
	f->length = sizeof(*f);
	f->version = 1;
	t->next = align_up(t->next + sizeof(*f), TABLE_ALIGN);
}

/* The entries of the MADT, written with the byte buffer. */
static void madt_cpu(struct aml *a, u8 id)
{
	const u32 enabled = 1;

	aml_byte(a, 0);		/* local APIC */
	aml_byte(a, 8);
	aml_byte(a, id);	/* UID; the DSDT gives the same */
	aml_byte(a, id);
	aml_bytes(a, &enabled, 4);
}

static void madt_override(struct aml *a, u8 irq, u32 gsi, u16 flags)
{
	aml_byte(a, 2);
	aml_byte(a, 10);
	aml_byte(a, 0);			/* ISA */
	aml_byte(a, irq);
	aml_bytes(a, &gsi, 4);
	aml_bytes(a, &flags, 2);
}

static void madt_ioapic(struct aml *a)
{
	const u32 base = IOAPIC_BASE, gsi = 0;

	aml_byte(a, 1);
	aml_byte(a, 12);
	aml_byte(a, 0);			/* its id */
	aml_byte(a, 0);
	aml_bytes(a, &base, 4);
	aml_bytes(a, &gsi, 4);
}

/* LINT1 of every CPU is NMI. */
static void madt_nmi(struct aml *a)
{
	aml_bytes(a, "\x04\x06\xff\0\0\x01", 6);
}

static int build_madt(struct tables *t, unsigned int cpus)
{
	struct acpi_header *h = at(t, t->next, sizeof(*h));
	const u32 lapic = LAPIC_BASE, flags = 1;	/* there are PICs, too */
	struct aml a;
	u32 i;

	aml_init(&a, (u8 *)(h + 1), BOOT_ACPI_END - t->next - sizeof(*h));
	aml_bytes(&a, &lapic, 4);
	aml_bytes(&a, &flags, 4);
	for (i = 0; i < cpus; i++)
		madt_cpu(&a, (u8)i);
	madt_ioapic(&a);
	madt_override(&a, 0, 2, 0);				/* the PIT is on pin 2 */
	madt_override(&a, ACPI_SCI_IRQ, ACPI_SCI_IRQ, 0xd);	/* level, active high */
	madt_nmi(&a);
	if (a.failed)
		return -1;
	put_header(h, "APIC", 4, (u32)(sizeof(*h) + a.len));
	finish(t, h, t->next, true);
	return 0;
}

/* A device with _HID and _CRS: one range of ports, one interrupt. */
static void dsdt_isa_device(struct aml *a, const char *name, const char *hid, u16 base, u8 len,
			    u8 irq)
{
	const u16 irqs = (u16)(1 << irq);
	const u8 crs[] = {
		0x47, 1, (u8)base, (u8)(base >> 8), (u8)base, (u8)(base >> 8), 1, len,
		0x22, (u8)irqs, (u8)(irqs >> 8),
		0x79, 0,	/* end, without checksum */
	};
	size_t dev = aml_device(a, name);

	aml_name(a, "_HID");
	aml_eisa_id(a, hid);
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_name(a, "_STA");
	aml_integer(a, 0xf);
	aml_name(a, "_CRS");
	aml_buffer(a, crs, sizeof(crs));
	aml_end(a, dev);
}

static void dsdt_cpu(struct aml *a, unsigned int id)
{
	char name[8];
	size_t dev;

	snprintf(name, sizeof(name), "C%03X", id & 0xfff);
	dev = aml_device(a, name);
	aml_name(a, "_HID");
	aml_string(a, "ACPI0007");
	aml_name(a, "_UID");
	aml_integer(a, id);
	aml_end(a, dev);
}

static int build_dsdt(struct tables *t, unsigned int cpus)
{
	struct acpi_header *h = at(t, t->next, sizeof(*h));
	unsigned int i;
	size_t block;
	struct aml a;

	aml_init(&a, (u8 *)(h + 1), BOOT_ACPI_END - REST_MAX - t->next - sizeof(*h));
	aml_name(&a, "\\_S5");
	block = aml_package(&a, 4);
	aml_integer(&a, ACPI_SLP_TYP_S5);
	aml_integer(&a, ACPI_SLP_TYP_S5);
	aml_integer(&a, 0);
	aml_integer(&a, 0);
	aml_end(&a, block);
	block = aml_scope(&a, "\\_SB");
	for (i = 0; i < cpus; i++)
		dsdt_cpu(&a, i);
	dsdt_isa_device(&a, "COM1", "PNP0501", 0x3f8, 8, 4);
	dsdt_isa_device(&a, "RTC", "PNP0B00", 0x70, 2, 8);
	aml_end(&a, block);
	if (a.failed)
		return -1;
	put_header(h, "DSDT", 2, (u32)(sizeof(*h) + a.len));
	finish(t, h, t->next, false);
	return 0;
}

static u64 build_xsdt(struct tables *t)
{
	u32 size = (u32)(sizeof(struct acpi_header) + t->count * 8);
	struct acpi_header *h = at(t, t->next, size);
	u64 where = t->next;

	put_header(h, "XSDT", 1, size);
	memcpy(h + 1, t->xsdt, t->count * 8);
	finish(t, h, where, false);
	return where;
}

static void build_rsdp(struct tables *t, u64 where, u64 xsdt)
{
	struct acpi_rsdp *r = at(t, where, sizeof(*r));

	memset(r, 0, sizeof(*r));
	memcpy(r->signature, "RSD PTR ", 8);
	memcpy(r->oem_id, "ANYKVM", 6);
	r->revision = 2;
	r->length = sizeof(*r);
	r->xsdt = xsdt;
	r->checksum = checksum(r, 20);	/* the part of revision 0 */
	r->checksum2 = checksum(r, sizeof(*r));
}

int acpi_build(const struct guest_memory *m, unsigned int cpus)
{
	struct tables t = { .m = m, .next = BOOT_ACPI + TABLE_ALIGN };
	u64 facs, dsdt;

	facs = t.next;
	build_facs(&t);
	dsdt = t.next;
	if (build_dsdt(&t, cpus) < 0)
		return error("the ACPI tables of %u CPUs do not fit", cpus);
	build_fadt(&t, facs, dsdt);
	if (build_madt(&t, cpus) < 0 || t.next + 256 > BOOT_ACPI_END)
		return error("the ACPI tables of %u CPUs do not fit", cpus);
	build_rsdp(&t, BOOT_ACPI, build_xsdt(&t));
	return 0;
}

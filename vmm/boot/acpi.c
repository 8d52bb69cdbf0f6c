/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ACPI tables (ACPI specification 6.x, chapter 5): RSDP, RSDT and XSDT,
 * FADT (fixed hardware without SMI, always in ACPI mode), FACS, MADT, MCFG and
 * HPET (their own specifications), a machine's DSDT, which is compiled ASL, and
 * an SSDT with what differs between machines of a kind: the CPUs, virtio devices.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "acpi.h"
#include "aml.h"

#define CAPACITY 0x20000		/* of the image */

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
#define FADT_SLP_BUTTON (1 << 5)	/* none in fixed hardware */
#define FADT_FIX_RTC (1 << 6)		/* no wake status in fixed hardware */
#define FADT_TMR_VAL_EXT (1 << 8)	/* the timer has 32 bits */
#define FADT_RESET_REG (1 << 10)
#define FADT_HEADLESS (1 << 12)

#define BOOT_LEGACY_DEVICES (1 << 0)
#define BOOT_8042 (1 << 1)
#define BOOT_NO_VGA (1 << 2)

struct acpi_facs {
	char signature[4];
	u32 length, hardware_signature, waking_vector, global_lock, flags;
	u64 x_waking_vector;
	u8 version, reserved[31];
} __attribute__((packed));


struct acpi_mcfg {
	struct acpi_header h;
	u64 reserved;
	u64 base;
	u16 segment;
	u8 first_bus, last_bus;
	u32 reserved2;
} __attribute__((packed));

struct acpi_hpet {
	struct acpi_header h;
	u32 id;
	struct acpi_gas base;
	u8 number;
	u16 min_tick;
	u8 protection;
} __attribute__((packed));

#define HPET_ID 0x8086a201	/* Intel, 64-bit, three comparators, revision 1, legacy routing */

u8 acpi_checksum(const void *p, size_t n)
{
	const u8 *b = p;
	u8 sum = 0;

	while (n--)
		sum += *b++;
	return (u8)-sum;
}

/* --- the image ------------------------------------------------------------------- */

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

/* A byte buffer for the rest of the image; the table's header is kept free in it. */
static struct aml open_table(struct acpi_image *img)
{
	struct aml a;
	struct acpi_header none = { .length = 0 };

	img->size = align_up(img->size, ACPI_IMAGE_ALIGN);
	aml_init(&a, img->data + img->size, img->capacity - img->size);
	aml_bytes(&a, &none, sizeof(none));
	return a;
}

/* Adds a table to the image and its list: its offset, or -1 when it does not fit. */
static int close_table(struct acpi_image *img, const struct aml *a)
{
	u32 at = (u32)img->size;
	struct acpi_header *h = (struct acpi_header *)(img->data + at);

	if (a->failed || img->tables == ACPI_TABLES_MAX)
		return -1;
	h->checksum = 0;
	h->checksum = acpi_checksum(h, a->len);
	img->table[img->tables++] = at;
	img->size += a->len;
	return (int)at;
}

/* The same with a header made for it. */
static int finish(struct acpi_image *img, struct aml *a, const char *sig, u8 revision)
{
	if (!a->failed)
		put_header((struct acpi_header *)a->data, sig, revision, (u32)a->len);
	return close_table(img, a);
}

/* Adds a table that is a struct with its header. */
static int add_struct(struct acpi_image *img, const void *table, size_t size)
{
	struct aml a = open_table(img);

	a.len = 0;
	aml_bytes(&a, table, size);
	return close_table(img, &a);
}

static void add_pointer(struct acpi_image *img, u32 at, u8 size)
{
	if (img->pointers < ACPI_POINTERS_MAX)
		img->pointer[img->pointers++] = (struct acpi_pointer){ at, size };
}

/* --- FADT, FACS --------------------------------------------------------------------- */

static struct acpi_gas port(u16 address, u8 bytes)
{
	return (struct acpi_gas){
		.space = 1,
		.width = (u8)(bytes * 8),
		.access = bytes > 4 ? 1 : bytes == 4 ? 3 : bytes,
		.address = address,
	};
}

static void fadt_hardware(struct acpi_fadt *f, const struct acpi_config *c)
{
	f->sci = ACPI_SCI_IRQ;
	f->pm1a_evt = c->pm_base;
	f->pm1a_cnt = c->pm_base + 4u;
	f->pm_tmr = c->pm_base + 8u;
	f->pm1_evt_len = 4;
	f->pm1_cnt_len = 2;
	f->pm_tmr_len = 4;
	f->x_pm1a_evt = port(c->pm_base, 4);
	f->x_pm1a_cnt = port((u16)(c->pm_base + 4), 2);
	f->x_pm_tmr = port((u16)(c->pm_base + 8), 4);
	if (c->gpe) {
		f->gpe0 = c->gpe;
		f->gpe0_len = c->gpe_len;
		f->x_gpe0 = port(c->gpe, c->gpe_len);
	}
	f->reset = port(ACPI_RESET_PORT, 1);
	f->reset_value = ACPI_RESET_VALUE;
}

static int add_fadt(struct acpi_image *img, const struct acpi_config *c, u32 facs, u32 dsdt)
{
	struct acpi_fadt f;
	int at;

	memset(&f, 0, sizeof(f));
	put_header(&f.h, "FACP", 4, sizeof(f));
	f.facs = facs;
	f.dsdt = dsdt;
	f.x_dsdt = dsdt;
	f.c2_latency = 0xfff;	/* no such state */
	f.c3_latency = 0xfff;
	f.century = 0x32;
	f.boot_arch = BOOT_LEGACY_DEVICES | (c->keyboard ? BOOT_8042 : 0) |
		      (c->vga ? 0 : BOOT_NO_VGA);
	f.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC |
		  FADT_TMR_VAL_EXT | FADT_RESET_REG | (c->vga ? 0 : FADT_HEADLESS);
	fadt_hardware(&f, c);
	at = add_struct(img, &f, sizeof(f));
	if (at < 0)
		return -1;
	add_pointer(img, (u32)at + offsetof(struct acpi_fadt, facs), 4);
	add_pointer(img, (u32)at + offsetof(struct acpi_fadt, dsdt), 4);
	add_pointer(img, (u32)at + offsetof(struct acpi_fadt, x_dsdt), 8);
	return at;
}

/* It has no checksum, and comes first, as it must be aligned. */
static void add_facs(struct acpi_image *img)
{
	struct acpi_facs *f = (struct acpi_facs *)img->data;

	memset(f, 0, sizeof(*f));
	memcpy(f->signature, "FACS", 4);
	f->length = sizeof(*f);
	f->version = 1;
	img->size = sizeof(*f);
}

/* --- MADT ------------------------------------------------------------------------------ */

static void madt_cpu(struct aml *a, u8 id)
{
	const u32 enabled = 1;

	aml_byte(a, 0);		/* local APIC */
	aml_byte(a, 8);
	aml_byte(a, id);	/* UID; the SSDT gives the same */
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

static int add_madt(struct acpi_image *img, const struct acpi_config *c)
{
	const u32 lapic = LAPIC_BASE, flags = 1;	/* there are PICs, too */
	struct aml a = open_table(img);
	u32 i;

	aml_bytes(&a, &lapic, 4);
	aml_bytes(&a, &flags, 4);
	for (i = 0; i < c->cpus; i++)
		madt_cpu(&a, (u8)i);
	madt_ioapic(&a);
	madt_override(&a, 0, 2, 0);		/* the PIT is on pin 2 */
	for (i = 1; i < 16; i++)
		if (i == ACPI_SCI_IRQ || c->level_irqs >> i & 1)
			madt_override(&a, (u8)i, i, 0xd);	/* level, active high */
	aml_bytes(&a, "\x04\x06\xff\0\0\x01", 6);	/* LINT1 of every CPU is NMI */
	return finish(img, &a, "APIC", 4);
}

/* --- MCFG, HPET ------------------------------------------------------------------------- */

static int add_mcfg(struct acpi_image *img, const struct acpi_config *c)
{
	struct acpi_mcfg t;

	memset(&t, 0, sizeof(t));
	put_header(&t.h, "MCFG", 1, sizeof(t));
	t.base = c->ecam;
	t.last_bus = (u8)(c->ecam_size / MIB - 1);
	return add_struct(img, &t, sizeof(t));
}

static int add_hpet(struct acpi_image *img)
{
	struct acpi_hpet t;

	memset(&t, 0, sizeof(t));
	put_header(&t.h, "HPET", 1, sizeof(t));
	t.id = HPET_ID;
	t.base.width = 64;
	t.base.address = HPET_BASE;
	return add_struct(img, &t, sizeof(t));
}

/* --- the DSDT of a machine without its own, and the SSDT ----------------------------------- */

/* A device with _HID and _CRS: one range of ports, one interrupt. */
static void isa_device(struct aml *a, const char *name, const char *hid, u16 base, u8 len, u8 irq)
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

static void mmio_device(struct aml *a, unsigned int n, const struct acpi_mmio_device *d)
{
	u8 crs[] = {
		0x86, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,	/* 32-bit memory: base, size */
		0x89, 6, 0, 1, 1, 0, 0, 0, 0,		/* interrupt: level, active high */
		0x79, 0,
	};
	char name[8];
	size_t dev;

	memcpy(crs + 4, &d->base, 4);
	memcpy(crs + 8, &d->size, 4);
	memcpy(crs + 17, &d->gsi, 4);
	snprintf(name, sizeof(name), "VR%02X", n & 0xff);
	dev = aml_device(a, name);
	aml_name(a, "_HID");
	aml_string(a, "LNRO0005");
	aml_name(a, "_UID");
	aml_integer(a, n);
	aml_name(a, "_CCA");
	aml_integer(a, 1);
	aml_name(a, "_CRS");
	aml_buffer(a, crs, sizeof(crs));
	aml_end(a, dev);
}

static void processor(struct aml *a, unsigned int id)
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

static int add_ssdt(struct acpi_image *img, const struct acpi_config *c)
{
	struct aml a = open_table(img);
	size_t block = aml_scope(&a, "\\_SB");
	unsigned int i;

	for (i = 0; i < c->cpus; i++)
		processor(&a, i);
	for (i = 0; i < c->mmio_count; i++)
		mmio_device(&a, i, &c->mmio[i]);
	aml_end(&a, block);
	return finish(img, &a, "SSDT", 2);
}

/* Puts a value into the object Name (NAME, <an integer of 64 bits>) of a table. */
static bool patch(u8 *table, size_t size, const char *name, u64 value)
{
	u8 object[6] = { 0x08, 0, 0, 0, 0, 0x0e };
	u8 *at;

	memcpy(object + 1, name, 4);
	at = memmem(table, size, object, sizeof(object));
	if (!at || at + sizeof(object) + 8 > table + size)
		return false;
	memcpy(at + sizeof(object), &value, 8);
	return true;
}

/* A compiled DSDT, with the values of this machine. */
static int add_own_dsdt(struct acpi_image *img, const struct acpi_config *c)
{
	const struct {
		const char *name;
		u64 value;
	} all[] = {
		{ "ECMB", c->ecam }, { "ECML", c->ecam_size },
		{ "PM1B", c->mem }, { "PM1E", c->mem_end - 1 },
		{ "PM2B", c->mem2 }, { "PM2E", c->mem2_end - 1 },
		{ "PM6B", c->mem64 }, { "PM6E", c->mem64_end - 1 },
	};
	struct aml a = open_table(img);
	unsigned int i;

	a.len = 0;
	aml_bytes(&a, c->dsdt, c->dsdt_size);
	for (i = 0; i < ARRAY_SIZE(all) && !a.failed; i++)
		a.failed = !patch(a.data, a.len, all[i].name, all[i].value);
	return close_table(img, &a);
}

static int add_dsdt(struct acpi_image *img, const struct acpi_config *c)
{
	struct aml a;
	size_t block;

	if (c->dsdt)
		return add_own_dsdt(img, c);
	a = open_table(img);
	aml_name(&a, "\\_S5");
	block = aml_package(&a, 4);
	aml_integer(&a, ACPI_SLP_TYP_S5);
	aml_integer(&a, ACPI_SLP_TYP_S5);
	aml_integer(&a, 0);
	aml_integer(&a, 0);
	aml_end(&a, block);
	block = aml_scope(&a, "\\_SB");
	isa_device(&a, "COM1", "PNP0501", 0x3f8, 8, 4);
	isa_device(&a, "RTC", "PNP0B00", 0x70, 2, 8);
	aml_end(&a, block);
	return finish(img, &a, "DSDT", 2);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* A table of pointers, of 4 or 8 bytes each, to others: its offset or -1. */
static int add_roots(struct acpi_image *img, const char *sig, u8 size, const int *table,
		     unsigned int n)
{
	struct aml a = open_table(img);
	u32 at = (u32)img->size;
	unsigned int i;

	for (i = 0; i < n; i++) {
		u64 offset = (u64)table[i];

		add_pointer(img, at + (u32)a.len, size);
		aml_bytes(&a, &offset, size);
	}
	return finish(img, &a, sig, 1);
}

static int make(struct acpi_image *img, const struct acpi_config *c)
{
	int dsdt, table[ACPI_TABLES_MAX], rsdt, xsdt;
	unsigned int n = 0, i;

	add_facs(img);
	dsdt = add_dsdt(img, c);
	if (dsdt < 0)
		return -1;
	table[n++] = add_fadt(img, c, 0, (u32)dsdt);
	table[n++] = add_madt(img, c);
	if (c->ecam_size)
		table[n++] = add_mcfg(img, c);
	if (c->hpet)
		table[n++] = add_hpet(img);
	table[n++] = add_ssdt(img, c);
	for (i = 0; i < n; i++)
		if (table[i] < 0)
			return -1;
	rsdt = add_roots(img, "RSDT", 4, table, n);
	xsdt = add_roots(img, "XSDT", 8, table, n);
	if (rsdt < 0 || xsdt < 0)
		return -1;
	img->rsdt = (u32)rsdt;
	img->xsdt = (u32)xsdt;
	return 0;
}

int acpi_image_make(struct acpi_image *img, const struct acpi_config *c)
{
	memset(img, 0, sizeof(*img));
	img->data = calloc(1, CAPACITY);
	if (!img->data)
		return error("out of memory");
	img->capacity = CAPACITY;
	if (make(img, c) < 0)
		return error("the ACPI tables of %u CPUs do not fit", c->cpus);
	return 0;
}

void acpi_image_free(struct acpi_image *img)
{
	free(img->data);
	memset(img, 0, sizeof(*img));
}

void acpi_rsdp(const struct acpi_image *img, u64 base, u8 rsdp[ACPI_RSDP_SIZE])
{
	struct acpi_rsdp r;

	memset(&r, 0, sizeof(r));
	memcpy(r.signature, "RSD PTR ", 8);
	memcpy(r.oem_id, "ANYKVM", 6);
	r.revision = 2;
	r.rsdt = (u32)base + img->rsdt;
	r.length = sizeof(r);
	r.xsdt = base + img->xsdt;
	r.checksum = acpi_checksum(&r, 20);	/* the part of revision 0 */
	r.checksum2 = acpi_checksum(&r, sizeof(r));
	memcpy(rsdp, &r, sizeof(r));
}

/* Turns offsets into addresses and sums the tables again. */
static void relocate(const struct acpi_image *img, u8 *data, u64 base)
{
	unsigned int i;

	for (i = 0; i < img->pointers; i++) {
		const struct acpi_pointer *p = &img->pointer[i];
		u64 v = 0;

		memcpy(&v, data + p->at, p->size);
		v += base;
		memcpy(data + p->at, &v, p->size);
	}
	for (i = 0; i < img->tables; i++) {
		struct acpi_header *h = (struct acpi_header *)(data + img->table[i]);

		h->checksum = 0;
		h->checksum = acpi_checksum(h, h->length);
	}
}

int acpi_place(const struct guest_memory *m, const struct acpi_image *img, u64 gpa, u64 end)
{
	u64 base = gpa + ACPI_IMAGE_ALIGN;
	u8 *to = base + img->size <= end ? memory_ptr(m, gpa, end - gpa) : NULL;

	if (!to)
		return error("the ACPI tables do not fit: they take %zu bytes", img->size);
	memcpy(to + ACPI_IMAGE_ALIGN, img->data, img->size);
	relocate(img, to + ACPI_IMAGE_ALIGN, base);
	acpi_rsdp(img, base, to);
	return 0;
}

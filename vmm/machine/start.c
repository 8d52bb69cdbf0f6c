/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a machine starts; start.h tells the two ways. */
#include <stdlib.h>
#include <string.h>

#include "../boot/acpi_loader.h"
#include "../boot/firmware.h"
#include "../boot/smbios.h"
#include "../devices/display/vga_device.h"
#include "../devices/firmware/flash.h"
#include "../devices/firmware/fw_cfg.h"
#include "../devices/pci/pci.h"
#include "../devices/power/power.h"
#include "../devices/rtc/mc146818.h"
#include "../error.h"
#include "start.h"

#define ROM_END 0x100000000ULL
#define SHADOW_ROM_SIZE 0x20000u

#define ACPI_FILE_SIZE 0x10000u
#define ACPI_SCRIPT_SIZE 0x2000u

#define DIRECT_SMBIOS 0xf0000u
#define DIRECT_SMBIOS_TABLES 0xf0020u

/* --- what both ways tell ----------------------------------------------------------- */

static void describe(struct machine *m, struct acpi_config *c)
{
	*c = (struct acpi_config){
		.cpus = m->config->boot.cpus,
		.pm_base = acpi_pm_base(m->acpi_pm),
		.hpet = m->hpet,
		.keyboard = m->config->type->keyboard,
	};
	m->config->type->describe(m, c);
}

static int make_smbios(struct machine *m, struct smbios *s, u32 base)
{
	const struct smbios_config c = {
		.machine = m->config->type->name,
		.cpus = m->config->boot.cpus,
		.bios = m->config->boot.kernel,
		.memory = m->mem.size,
		.low = m->mem.low,
		.high = m->mem.high,
	};

	if (smbios_make(s, &c, base) < 0)
		return error("the SMBIOS tables of %u CPUs do not fit", c.cpus);
	return 0;
}

/* --- without firmware ---------------------------------------------------------------- */

static int direct_acpi(struct machine *m, const struct acpi_config *c)
{
	struct acpi_image img;
	int r = acpi_image_make(&img, c);

	if (r == 0)
		r = acpi_place(&m->mem, &img, BOOT_ACPI, DIRECT_SMBIOS);
	acpi_image_free(&img);
	return r;
}

static int direct_smbios(struct machine *m)
{
	struct smbios *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return error("out of memory");
	r = make_smbios(m, s, DIRECT_SMBIOS_TABLES);
	if (r == 0) {
		memory_write(&m->mem, DIRECT_SMBIOS, s->anchor, SMBIOS_ANCHOR_SIZE);
		memory_write(&m->mem, DIRECT_SMBIOS_TABLES, s->tables, s->size);
	}
	free(s);
	return r;
}

static int load_direct(struct machine *m)
{
	struct boot_config boot = m->config->boot;
	struct acpi_config c;

	if (m->config->type->assign)
		m->config->type->assign(m);
	if (m->board.vga)
		vga_boot_screen(m->board.vga, &boot.screen);
	describe(m, &c);
	if (c.ecam_size)
		boot.reserved[boot.nreserved++] =
			(struct boot_range){ c.ecam, c.ecam_size, E820_RESERVED };
	if (boot_load(&m->mem, &boot, &m->entry) < 0 || direct_acpi(m, &c) < 0)
		return -1;
	return direct_smbios(m);
}

/* --- with firmware -------------------------------------------------------------------- */

/* The tables as the machine is when firmware asks: it may have moved things before. */
static void fill_tables(void *ctx, u8 *data, u32 size, u8 *rsdp, u8 *script)
{
	struct acpi_config c;
	struct acpi_image img;

	describe(ctx, &c);
	if (acpi_image_make(&img, &c) == 0 && img.size <= size) {
		acpi_loader_files(&img, data, rsdp);
		acpi_loader_script(&img, script, ACPI_SCRIPT_SIZE);
	}
	acpi_image_free(&img);
}

static void fill_one(void *ctx, u8 *tables, u8 *rsdp, u8 *script)
{
	u8 *room = calloc(1, ACPI_FILE_SIZE + ACPI_RSDP_SIZE + ACPI_SCRIPT_SIZE);

	if (!room) {
		error("out of memory for the ACPI tables");
		return;
	}
	fill_tables(ctx, tables ? tables : room, ACPI_FILE_SIZE,
		    rsdp ? rsdp : room + ACPI_FILE_SIZE,
		    script ? script : room + ACPI_FILE_SIZE + ACPI_RSDP_SIZE);
	free(room);
}

static void fill_acpi(void *ctx, u8 *data, u32 size)
{
	(void)size;
	fill_one(ctx, data, NULL, NULL);
}

static void fill_rsdp(void *ctx, u8 *data, u32 size)
{
	(void)size;
	fill_one(ctx, NULL, data, NULL);
}

static void fill_script(void *ctx, u8 *data, u32 size)
{
	(void)size;
	fill_one(ctx, NULL, NULL, data);
}

static int add_acpi(struct machine *m)
{
	const struct fw_cfg_ops tables = { .fill = fill_acpi, .ctx = m };
	const struct fw_cfg_ops rsdp = { .fill = fill_rsdp, .ctx = m };
	const struct fw_cfg_ops script = { .fill = fill_script, .ctx = m };
	struct fw_cfg *f = m->board.fw_cfg;

	if (fw_cfg_live_file(f, ACPI_FILE_TABLES, ACPI_FILE_SIZE, &tables) < 0 ||
	    fw_cfg_live_file(f, ACPI_FILE_RSDP, ACPI_RSDP_SIZE, &rsdp) < 0)
		return -1;
	return fw_cfg_live_file(f, ACPI_FILE_LOADER, ACPI_SCRIPT_SIZE, &script);
}

static int add_smbios(struct machine *m)
{
	struct smbios *s = malloc(sizeof(*s));
	int r = -1;

	if (!s)
		return error("out of memory");
	if (make_smbios(m, s, 0) == 0 &&
	    fw_cfg_file(m->board.fw_cfg, "etc/smbios/smbios-anchor", s->anchor,
			SMBIOS_ANCHOR_SIZE) == 0)
		r = fw_cfg_file(m->board.fw_cfg, "etc/smbios/smbios-tables", s->tables, s->size);
	free(s);
	return r;
}

static int add_memory_map(struct machine *m)
{
	struct e820 {
		u64 start, size;
		u32 type;
	} __attribute__((packed)) map[] = {
		{ 0, m->mem.low, E820_RAM },
		{ MACHINE_KVM_PAGES, MACHINE_KVM_PAGES_SIZE, E820_RESERVED },
		{ MEMORY_HIGH_BASE, m->mem.high, E820_RAM },
	};

	return fw_cfg_file(m->board.fw_cfg, "etc/e820", map,
			   (u32)(sizeof(map) - (m->mem.high ? 0 : sizeof(map[0]))));
}

/* What SeaBIOS reads of the clock's memory: disk, CD and network in this order, the CPUs. */
static void put_cmos(struct machine *m)
{
	rtc_set(m->rtc, 0x3d, 0x32);
	rtc_set(m->rtc, 0x38, 0x40);
	rtc_set(m->rtc, 0x5f, (u8)(m->config->boot.cpus - 1));
}

/* Without a VGA SeaBIOS shows text on the serial port, for boot loaders, too. */
static int add_options(struct machine *m)
{
	const u16 serial = 0x3f8;
	const u16 menu_wait = 0;

	if (!m->board.vga &&
	    fw_cfg_file(m->board.fw_cfg, "etc/sercon-port", &serial, sizeof(serial)) < 0)
		return -1;
	return fw_cfg_file(m->board.fw_cfg, "etc/boot-menu-wait", &menu_wait, sizeof(menu_wait));
}

static int load_firmware(struct machine *m)
{
	struct fw_cfg *f = m->board.fw_cfg;
	u16 cpus = (u16)m->config->boot.cpus;

	if (fw_cfg_item16(f, FW_CFG_CPUS, cpus) < 0 ||
	    fw_cfg_item16(f, FW_CFG_MAX_CPUS, cpus) < 0 || add_acpi(m) < 0 ||
	    add_smbios(m) < 0 || add_memory_map(m) < 0)
		return -1;
	put_cmos(m);
	return add_options(m);
}

const u8 *start_shadow_rom(const struct machine *m)
{
	const struct firmware *f = m->config->firmware;

	if (m->config->boot.kernel || !f || f->size < SHADOW_ROM_SIZE)
		return NULL;
	return f->rom + f->size - SHADOW_ROM_SIZE;
}

int start_prepare(struct machine *m)
{
	const struct firmware *f = m->config->firmware;
	int slot;

	if (m->config->boot.kernel)
		return 0;
	if (!m->config->type->shadow)
		return error("the machine %s has no firmware: it needs --kernel FILE",
			     m->config->type->name);
	slot = vm_map(&m->vm, ROM_END - f->size, f->size, f->rom, VM_MAP_READONLY);
	if (slot < 0)
		return error("cannot map the firmware: %s", strerror(-slot));
	if (f->vars) {
		m->flash = flash_new(&m->board, ROM_END - f->size - f->vars_size, f->vars,
				     f->vars_size);
		if (!m->flash)
			return -1;
	}
	m->board.fw_cfg = fw_cfg_new(&m->ports, &m->mem);
	return m->board.fw_cfg ? 0 : -1;
}

int start_load(struct machine *m)
{
	return m->config->boot.kernel ? load_direct(m) : load_firmware(m);
}

void start_free(struct machine *m)
{
	fw_cfg_free(m->board.fw_cfg);
	flash_free(m->flash);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What firmware talks to: fw_cfg by ports and by memory, the flash of its
 * variables, the script that links ACPI tables, SMBIOS.
 */
#include "../../../vmm/boot/acpi_loader.h"
#include "../../../vmm/boot/smbios.h"
#include "../../../vmm/devices/firmware/flash.h"
#include "../../../vmm/devices/firmware/fw_cfg.h"
#include "fake_vm.h"
#include "vmm_test.h"

static struct bus ports, mmio;
static struct guest_memory mem;
static struct vm vm;
static struct board board;
static struct fw_cfg *cfg;

static int setup(void **state)
{
	(void)state;
	memset(&ports, 0, sizeof(ports));
	memset(&mmio, 0, sizeof(mmio));
	memset(&fake_vm, 0, sizeof(fake_vm));
	board = (struct board){ .vm = &vm, .mem = &mem, .ports = &ports, .mmio = &mmio };
	cfg = fw_cfg_new(&ports, &mem);
	return memory_create(&mem, 4 * MIB, MEMORY_LOW_MAX) || !cfg;
}

static int teardown(void **state)
{
	(void)state;
	fw_cfg_free(cfg);
	memory_destroy(&mem);
	return 0;
}

/* --- fw_cfg ----------------------------------------------------------------------- */

static void select_key(u16 key)
{
	bus_access(&ports, 0x510, &key, 2, true);
}

static u32 read_be(unsigned int n)
{
	u32 v = 0;

	while (n--)
		v = v << 8 | inb(&ports, 0x511);
	return v;
}

/* The key of a file, by the directory; its size. */
static u16 find_file(const char *name, u32 *size)
{
	u32 count, i, n;
	u16 key;
	char found[56];

	select_key(0x19);
	count = read_be(4);
	assert_true(count < 64);
	while (count--) {
		*size = read_be(4);
		key = (u16)read_be(2);
		assert_int_equal(read_be(2), 0);
		for (i = 0; i < 56; i++)
			found[i] = (char)inb(&ports, 0x511);
		n = strcmp(found, name) == 0;
		if (n)
			return key;
	}
	return 0;
}

static u32 dma(u32 control, u32 length, u64 address)
{
	const u32 request[4] = {
		__builtin_bswap32(control), __builtin_bswap32(length),
		__builtin_bswap32((u32)(address >> 32)), __builtin_bswap32((u32)address),
	};
	u32 where = __builtin_bswap32(0x1000), result;

	memory_write(&mem, 0x1000, request, sizeof(request));
	bus_access(&ports, 0x518, &where, 4, true);
	memory_read(&mem, 0x1000, &result, 4);
	return __builtin_bswap32(result);
}

static unsigned int fills, writes;

static void fill(void *ctx, u8 *data, u32 size)
{
	(void)ctx;
	memset(data, 'a' + (int)fills++, size - 1);
}

static void written(void *ctx, const u8 *data, u32 size)
{
	(void)ctx;
	assert_int_equal(size, 8);
	assert_memory_equal(data, "written!", 8);
	writes++;
}

static void test_items(void **state)
{
	u32 size;
	u16 key;

	(void)state;
	select_key(0);
	assert_int_equal(read_be(4), 0x51454d55);
	assert_int_equal(read_be(4), 0);		/* zeroes behind the end */
	select_key(1);
	assert_int_equal(inb(&ports, 0x511), 3);
	assert_int_equal(fw_cfg_item16(cfg, FW_CFG_CPUS, 7), 0);
	select_key(FW_CFG_CPUS);
	assert_int_equal(read_be(2), 0x0700);
	select_key(0x8000);				/* nothing, and not the signature */
	assert_int_equal(read_be(4), 0);
	assert_int_equal(fw_cfg_file(cfg, "etc/one", "111", 3), 0);
	assert_int_equal(fw_cfg_file(cfg, "etc/two", "22222", 5), 0);
	assert_int_equal(fw_cfg_file(cfg, "a name that has more characters than the fifty-five "
				     "it may have", "", 0), -1);
	key = find_file("etc/two", &size);
	assert_int_equal(size, 5);
	select_key(key);
	assert_int_equal(read_be(4), 0x32323232);
	assert_int_equal(find_file("etc/three", &size), 0);
}

static void test_dma(void **state)
{
	u32 size, signature = 0;
	u64 key;
	char text[9] = "";

	(void)state;
	bus_access(&ports, 0x514, &signature, 4, false);
	assert_memory_equal(&signature, "QEMU", 4);
	fw_cfg_file(cfg, "etc/file", "0123456789", 10);
	key = find_file("etc/file", &size);
	assert_int_equal(dma((u32)key << 16 | 8 | 2, 4, 0x2000), 0);
	memory_read(&mem, 0x2000, text, 4);
	assert_string_equal(text, "0123");
	assert_int_equal(dma(4, 2, 0), 0);
	memset(mem.host + 0x2000, 0xff, 16);
	assert_int_equal(dma(2, 8, 0x2000), 0);		/* four are left */
	memory_read(&mem, 0x2000, text, 8);
	assert_memory_equal(text, "6789\0\0\0\0", 8);
	assert_int_equal(dma(2, 8, 4 * MIB - 4), 1);	/* not in RAM */
	assert_int_equal(dma(2, 0xffffffff, 0), 1);
	assert_int_equal(dma(4, 0xffffffff, 0), 0);
	assert_int_equal(dma((u32)key << 16 | 8 | 16, 4, 0x2000), 1);	/* read-only */
}

static void test_live(void **state)
{
	const struct fw_cfg_ops fills_it = { .fill = fill };
	const struct fw_cfg_ops takes = { .written = written };
	u32 size;
	u64 key;

	(void)state;
	fills = writes = 0;
	fw_cfg_live_file(cfg, "etc/live", 4, &fills_it);
	fw_cfg_live_file(cfg, "etc/taken", 8, &takes);
	key = find_file("etc/live", &size);
	select_key((u16)key);
	assert_int_equal(read_be(4), 0x61616100);
	select_key((u16)key);
	assert_int_equal(read_be(4), 0x62626200);
	key = find_file("etc/taken", &size);
	memory_write(&mem, 0x2000, "written!", 8);
	assert_int_equal(dma((u32)key << 16 | 8 | 16, 4, 0x2000), 0);
	assert_int_equal(writes, 0);
	assert_int_equal(dma(16, 5, 0x2004), 1);	/* too long */
	assert_int_equal(dma(16, 4, 0x2004), 0);
	assert_int_equal(writes, 1);
}

static void test_boot_order(void **state)
{
	static const char want[] = "/first\n/second\n/third\n";
	char got[sizeof(want)];
	unsigned int i;
	u32 size;

	(void)state;
	fw_cfg_boot(cfg, 2, "/second");
	fw_cfg_boot(cfg, 3, "/third");
	fw_cfg_boot(cfg, 1, "/first");
	select_key(find_file("bootorder", &size));
	for (i = 0; i < sizeof(got); i++)
		got[i] = (char)inb(&ports, 0x511);
	assert_string_equal(got, want);
}

/* --- flash ------------------------------------------------------------------------------ */

#define FLASH 0xffc00000u

static u8 flash_data[0x3000] __attribute__((aligned(4096)));

static void put_flash(u64 offset, u8 v)
{
	bus_access(&mmio, FLASH + offset, &v, 1, true);
}

static u8 get_flash(u64 offset)
{
	u8 v;

	bus_access(&mmio, FLASH + offset, &v, 1, false);
	return v;
}

static void test_flash(void **state)
{
	struct flash *f;

	(void)state;
	memset(flash_data, 0x5a, sizeof(flash_data));
	f = flash_new(&board, FLASH, flash_data, sizeof(flash_data));
	assert_non_null(f);
	assert_int_equal(fake_vm.slot[0].gpa, FLASH);
	assert_int_equal(fake_vm.slot[0].flags, VM_MAP_READONLY);
	put_flash(0x10, 0x50);			/* OVMF's probe: clear the status, read it */
	assert_int_equal(get_flash(0x10), 0x5a);
	put_flash(0x10, 0x70);
	assert_int_equal(fake_vm.slot[0].size, 0);
	assert_int_equal(get_flash(0x10), 0);
	put_flash(0x10, 0xff);
	assert_int_equal(fake_vm.slot[0].size, sizeof(flash_data));
	put_flash(0x1010, 0x20);
	put_flash(0x1010, 0xd0);
	assert_int_equal(get_flash(0), 0x80);
	assert_int_equal(flash_data[0xfff], 0x5a);
	assert_int_equal(flash_data[0x1000], 0xff);
	assert_int_equal(flash_data[0x1fff], 0xff);
	assert_int_equal(flash_data[0x2000], 0x5a);
	put_flash(0x1234, 0x10);
	put_flash(0x1234, 0xc3);
	put_flash(0x1234, 0x40);
	put_flash(0x1234, 0x7e);		/* bits only become zero */
	assert_int_equal(flash_data[0x1234], 0x42);
	put_flash(0x1234, 0x20);
	put_flash(0x1234, 0x11);		/* no confirmation */
	assert_int_equal(get_flash(0) & 0x30, 0x30);
	assert_int_equal(flash_data[0x1234], 0x42);
	put_flash(0x1234, 0xff);
	assert_int_equal(get_flash(0x1234), 0x42);
	flash_free(f);
}

/* --- ACPI by the script ----------------------------------------------------------------------- */

struct loaded {
	u64 at;
	u8 *data;
	u32 size;
};

static struct loaded *pick(struct loaded *files, const char *name)
{
	if (!strcmp(name, ACPI_FILE_TABLES))
		return &files[0];
	assert_string_equal(name, ACPI_FILE_RSDP);
	return &files[1];
}

/* Does what firmware does. */
static void run_script(const u8 *script, u32 size, struct loaded *files)
{
	u32 at, command, offset, start, length, i;
	u64 v;
	u8 sum;

	for (at = 0; at < size; at += 128) {
		const u8 *c = script + at;
		struct loaded *f;

		memcpy(&command, c, 4);
		if (!command)
			break;
		f = pick(files, (const char *)c + 4);
		if (command == 2) {
			memcpy(&offset, c + 116, 4);
			assert_true(offset + c[120] <= f->size);
			v = 0;
			memcpy(&v, f->data + offset, c[120]);
			v += pick(files, (const char *)c + 60)->at;
			memcpy(f->data + offset, &v, c[120]);
		} else if (command == 3) {
			memcpy(&offset, c + 60, 4);
			memcpy(&start, c + 64, 4);
			memcpy(&length, c + 68, 4);
			assert_true(start + length <= f->size && offset < f->size);
			for (sum = 0, i = 0; i < length; i++)
				sum = (u8)(sum + f->data[start + i]);
			f->data[offset] = (u8)(f->data[offset] - sum);
		}
	}
}

/* The firmware's result is that of placing the tables without it. */
static void test_loader(void **state)
{
	const struct acpi_config c = { .cpus = 3, .pm_base = ACPI_PM_BASE, .hpet = true };
	static u8 script[0x2000], tables[0x10000], rsdp[ACPI_RSDP_SIZE];
	struct loaded files[2];
	struct acpi_image img;

	(void)state;
	assert_int_equal(acpi_image_make(&img, &c), 0);
	assert_int_equal(acpi_place(&mem, &img, 0x100000, 0x120000), 0);
	acpi_loader_files(&img, tables, rsdp);
	assert_int_equal(acpi_loader_script(&img, script, sizeof(script)), 0);
	files[0] = (struct loaded){ 0x100000 + ACPI_IMAGE_ALIGN, tables, (u32)img.size };
	files[1] = (struct loaded){ 0x100000, rsdp, ACPI_RSDP_SIZE };
	run_script(script, sizeof(script), files);
	assert_memory_equal(tables, mem.host + 0x100000 + ACPI_IMAGE_ALIGN, img.size);
	assert_memory_equal(rsdp, mem.host + 0x100000, ACPI_RSDP_SIZE);
	assert_int_equal(acpi_loader_script(&img, script, 512), -1);
	acpi_image_free(&img);
}

/* --- SMBIOS ----------------------------------------------------------------------------------- */

static u8 sum(const u8 *p, unsigned int n)
{
	u8 v = 0;

	while (n--)
		v = (u8)(v + *p++);
	return v;
}

static void check_smbios(const struct smbios_config *c, unsigned int dimms)
{
	static struct smbios s;
	unsigned int at = 0, count[256] = { 0 }, n = 0, largest = 0;
	u16 word;
	u32 address;

	assert_int_equal(smbios_make(&s, c, 0xf0020), 0);
	assert_memory_equal(s.anchor, "_SM_", 4);
	assert_int_equal(sum(s.anchor, 31), 0);
	assert_int_equal(sum(s.anchor + 16, 15), 0);
	memcpy(&address, s.anchor + 24, 4);
	assert_int_equal(address, 0xf0020);
	while (at < s.size) {
		const u8 *t = s.tables + at;
		unsigned int end = at + t[1];

		assert_true(t[1] >= 4);
		while (s.tables[end] || s.tables[end + 1])
			end++;
		end += 2;
		if (end - at > largest)
			largest = end - at;
		count[t[0]]++;
		n++;
		at = end;
	}
	assert_int_equal(at, s.size);
	memcpy(&word, s.anchor + 22, 2);
	assert_int_equal(word, s.size);
	memcpy(&word, s.anchor + 28, 2);
	assert_int_equal(word, n);
	memcpy(&word, s.anchor + 8, 2);
	assert_int_equal(word, largest);
	assert_int_equal(count[1], 1);
	assert_int_equal(count[4], c->cpus);
	assert_int_equal(count[17], dimms);
	assert_int_equal(count[19], c->high ? 2 : 1);
	assert_int_equal(count[127], 1);
	assert_int_equal(count[0], c->bios);
}

static void test_smbios(void **state)
{
	const struct smbios_config small = {
		.machine = "q35", .cpus = 1, .memory = 512 * MIB, .low = 512 * MIB, .bios = true,
	};
	const struct smbios_config large = {
		.machine = "pc", .cpus = 255, .memory = 64 * 1024 * GIB, .low = 3 * GIB,
		.high = 64 * 1024 * GIB - 3 * GIB,
	};

	(void)state;
	check_smbios(&small, 1);
	check_smbios(&large, 64);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_items), TEST(test_dma), TEST(test_live), TEST(test_boot_order),
		TEST(test_flash), TEST(test_loader), TEST(test_smbios),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

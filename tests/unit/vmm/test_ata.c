/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks and CD drives on the SATA and the IDE controller, as a driver uses them
 * by the specifications, and as none should.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../../../vmm/backends/disk.h"
#include "pc_fake.h"

#define HBA 5
#define PORT(n, reg) (0x100 + (n) * 0x80 + (reg))
#define CLB 0x10000
#define FB 0x11000
#define TABLE(slot) (0x12000 + (slot) * 0x400)
#define BUFFER 0x40000
#define PRDT 0x30000
#define SECTORS 2048
#define FAILED 0x40000000u	/* task file error */
#define LONG_TABLE(slot) (0x200000 + (slot) * 0x1000)
#define LONG_BUFFER 0x300000
#define LONG_PIECES 128
#define LONG_PIECE (256 * KIB)

extern const struct device_class sata_disk_class, sata_cd_class, ide_disk_class, ide_cd_class,
	cdrom_class;

static struct device *disk, *cd;
static off_t disk_bytes = SECTORS * 512;

static void on_pause(void *ctx, struct disk *d, bool on)
{
	(void)ctx, (void)d, (void)on;
}

/* Every sector begins with its number. */
static void make_image(const char *name, unsigned int sectors)
{
	u8 sector[512];
	FILE *f = fopen(name, "w");
	u32 i;

	memset(sector, 'x', sizeof(sector));
	for (i = 0; i < sectors; i++) {
		memcpy(sector, &i, sizeof(i));
		assert_int_equal(fwrite(sector, sizeof(sector), 1, f), 1);
	}
	fclose(f);
}

static int setup(const struct device_class *disk_class, const struct device_class *cd_class)
{
	if (pc_setup(NULL))
		return -1;
	make_image("ata-disk", SECTORS);
	make_image("ata-cd", 400);
	if (truncate("ata-disk", disk_bytes) < 0)
		return -1;
	if (!disk_open(pc.board.backends, pc.board.loop, "ata-disk,format=raw,id=d", on_pause,
		       NULL) ||
	    !disk_open(pc.board.backends, pc.board.loop, "ata-cd,format=raw,if=cdrom,id=c",
		       on_pause, NULL))
		return -1;
	disk = pc_device(disk_class, "disk,drive=d");
	cd = pc_device(cd_class, "cd,drive=c");
	return disk && cd ? 0 : -1;
}

static int teardown(void **state)
{
	disk->class->destroy(disk);
	cd->class->destroy(cd);
	unlink("ata-disk");
	unlink("ata-cd");
	return pc_teardown(state);
}

/* --- SATA ----------------------------------------------------------------------------- */

static u32 in(unsigned int port, unsigned int reg)
{
	return pc_read(HBA, PORT(port, reg), 4);
}

static void out(unsigned int port, unsigned int reg, u32 v)
{
	pc_write(HBA, PORT(port, reg), v, 4);
}

static int setup_sata(void **state)
{
	unsigned int i;

	(void)state;
	if (setup(&sata_disk_class, &sata_cd_class))
		return -1;
	pc_write(HBA, 4, 0x80000002, 4);
	for (i = 0; i < 2; i++) {
		out(i, 0x00, CLB);
		out(i, 0x08, FB);
		out(i, 0x14, 0x7dc0007f);
		out(i, 0x18, 0x16);
		out(i, 0x18, 0x17);
	}
	return 0;
}

/* A command in a slot with one piece of data at BUFFER. */
static void prepare(unsigned int slot, u8 command, u64 lba, u16 count, u16 feature, u32 bytes)
{
	u32 header[4] = { 5 | (bytes ? 1 << 16 : 0), 0, TABLE(slot), 0 };
	u32 piece[4] = { BUFFER, 0, 0, bytes - 1 };
	u8 *fis = pc_at(TABLE(slot));

	memcpy(pc_at(CLB + 32 * slot), header, sizeof(header));
	memset(fis, 0, 0x80);
	fis[0] = 0x27;
	fis[1] = 0x80;
	fis[2] = command;
	fis[3] = (u8)feature;
	memcpy(fis + 4, &lba, 3);
	fis[7] = 0x40;
	fis[8] = (u8)(lba >> 24);
	fis[9] = (u8)(lba >> 32);
	fis[10] = (u8)(lba >> 40);
	fis[11] = (u8)(feature >> 8);
	fis[12] = (u8)count;
	fis[13] = (u8)(count >> 8);
	memcpy(fis + 0x80, piece, sizeof(piece));
}

/* Waits until a register has no bit of the mask: whether that came. */
static bool clears(unsigned int port, unsigned int reg, u32 mask)
{
	unsigned int i;

	for (i = 0; i < 2000 && in(port, reg) & mask; i++)
		usleep(1000);
	return !(in(port, reg) & mask);
}

static bool issue(unsigned int port, unsigned int slot)
{
	unsigned int i;

	out(port, 0x10, ~0u);
	pc_write(HBA, 8, ~0u, 4);
	out(port, 0x38, 1u << slot);
	for (i = 0; i < 2000 && in(port, 0x38) & 1u << slot && !(in(port, 0x10) & FAILED); i++)
		usleep(1000);
	return !(in(port, 0x38) & 1u << slot) && !(in(port, 0x10) & FAILED);
}

static void restart(unsigned int port)
{
	out(port, 0x18, 0x16);
	assert_int_equal(in(port, 0x38), 0);
	assert_int_equal(in(port, 0x18) & 0x8000, 0);
	out(port, 0x18, 0x17);
}

static void sata_identity(void **state)
{
	const u16 *id = pc_at(BUFFER);

	(void)state;
	assert_int_equal(in(0, 0x28), 0x123);
	assert_int_equal(in(0, 0x24), 0x101);
	assert_int_equal(in(1, 0x24), 0xeb140101);
	assert_int_equal(in(2, 0x28), 0);
	prepare(0, 0xec, 0, 0, 0, 512);
	assert_true(issue(0, 0));
	assert_int_equal(id[0], 0x40);
	assert_int_equal(id[60] | id[61] << 16, SECTORS);
	assert_int_equal(id[75], 31);
	assert_memory_equal(id + 27, "nakymvd si k", 12);
	assert_int_equal(in(0, 0x10) & 2, 2);	/* a PIO setup FIS came */
	assert_true(pc_intx());
	out(0, 0x10, 2);
	assert_true(pc_intx());			/* still set in the controller */
	pc_write(HBA, 8, 1, 4);
	assert_false(pc_intx());
	prepare(0, 0xec, 0, 0, 0, 512);
	assert_false(issue(1, 0));		/* a CD drive refuses */
	assert_int_equal(in(1, 0x20), 0x451);
	restart(1);
	prepare(0, 0xa1, 0, 0, 0, 512);
	assert_true(issue(1, 0));
	assert_int_equal(id[0], 0x85c0);
}

static void sata_transfers(void **state)
{
	u32 n, moved;

	(void)state;
	prepare(3, 0x25, 100, 8, 0, 8 * 512);		/* READ DMA EXT */
	assert_true(issue(0, 3));
	memcpy(&n, pc_at(BUFFER + 7 * 512), 4);
	memcpy(&moved, pc_at(CLB + 3 * 32 + 4), 4);
	assert_int_equal(n, 107);
	assert_int_equal(moved, 8 * 512);
	assert_int_equal(*(u8 *)pc_at(FB + 0x40), 0x34);
	strcpy(pc_at(BUFFER), "written");
	prepare(4, 0x35, 101, 1, 0, 512);		/* WRITE DMA EXT */
	assert_true(issue(0, 4));
	prepare(5, 0xea, 0, 0, 0, 0);			/* FLUSH CACHE EXT */
	assert_true(issue(0, 5));
	memset(pc_at(BUFFER), 0, 512);
	out(0, 0x34, 1 << 7);				/* READ FPDMA QUEUED */
	prepare(7, 0x60, 101, 7 << 3, 1, 512);
	assert_true(issue(0, 7));
	assert_true(clears(0, 0x34, 1 << 7));
	assert_string_equal(pc_at(BUFFER), "written");
	assert_int_equal(*(u8 *)pc_at(FB + 0x58), 0xa1);
	memcpy(&n, pc_at(FB + 0x5c), 4);
	assert_int_equal(n, 1 << 7);
}

static void sata_many(void **state)
{
	unsigned int i;
	u32 n, buffer;

	(void)state;
	for (i = 0; i < 32; i++) {
		prepare(i, 0x60, 10 * i, (u16)(i << 3), 1, 512);
		buffer = BUFFER + i * 4096;
		memcpy(pc_at(TABLE(i) + 0x80), &buffer, 4);
	}
	out(0, 0x34, ~0u);
	out(0, 0x38, ~0u);
	assert_true(clears(0, 0x38, ~0u));
	assert_true(clears(0, 0x34, ~0u));
	for (i = 0; i < 32; i++) {
		memcpy(&n, pc_at(BUFFER + i * 4096), 4);
		assert_int_equal(n, 10 * i);
	}
}

static int setup_long(void **state)
{
	disk_bytes = LONG_PIECES * LONG_PIECE;
	return setup_sata(state);
}

static int teardown_long(void **state)
{
	disk_bytes = SECTORS * 512;
	return teardown(state);
}

static u64 cpu_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (u64)t.tv_sec * NSEC + (u64)t.tv_nsec;
}

/* Much work, which is not all done while the driver writes to a register. */
static void sata_long(void **state)
{
	u64 mine = cpu_ns(CLOCK_THREAD_CPUTIME_ID), all = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	u32 list, *piece;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < 32; i++) {
		prepare(i, 0x61, 0, (u16)(i << 3), 0, 512);	/* WRITE FPDMA QUEUED: all */
		memcpy(pc_at(LONG_TABLE(i)), pc_at(TABLE(i)), 0x80);
		piece = pc_at(LONG_TABLE(i) + 0x80);
		for (k = 0; k < LONG_PIECES; k++, piece += 4)
			memcpy(piece, &(u32[4]){ LONG_BUFFER, 0, 0, LONG_PIECE - 1 }, 16);
		list = 5 | LONG_PIECES << 16;
		memcpy(pc_at(CLB + 32 * i), &list, 4);
		list = LONG_TABLE(i);
		memcpy(pc_at(CLB + 32 * i + 8), &list, 4);
	}
	out(0, 0x34, ~0u);
	out(0, 0x38, ~0u);
	mine = cpu_ns(CLOCK_THREAD_CPUTIME_ID) - mine;
	for (i = 0; i < 10 && !clears(0, 0x34, ~0u); i++)
		;
	assert_int_equal(in(0, 0x34), 0);
	assert_int_equal(in(0, 0x38), 0);
	assert_int_equal(in(0, 0x20) & 0x81, 0);
	all = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - all;
	assert_true(mine > 0 && mine < all / 2);
}

static void sata_trim(void **state)
{
	u64 range[64] = { 8 | 8ULL << 48, 0, 64 | 1ULL << 48 };

	(void)state;
	memcpy(pc_at(BUFFER), range, sizeof(range));
	prepare(0, 0x06, 0, 1, 1, 512);
	assert_true(issue(0, 0));
	prepare(0, 0x25, 8, 8, 0, 8 * 512);
	assert_true(issue(0, 0));
	assert_int_equal(*(u32 *)pc_at(BUFFER), 0);
	range[2] = SECTORS | 1ULL << 48;		/* behind the end */
	memcpy(pc_at(BUFFER), range, sizeof(range));
	prepare(0, 0x06, 0, 1, 1, 512);
	assert_false(issue(0, 0));
	assert_int_equal(in(0, 0x20) & 1, 1);
}

static void packet(unsigned int slot, const u8 *bytes, u32 room)
{
	prepare(slot, 0xa0, 0, 0, 1, room);
	*(u32 *)pc_at(CLB + 32 * slot) |= 1 << 5;
	memcpy(pc_at(TABLE(slot) + 0x40), bytes, 12);
}

static void sata_cd(void **state)
{
	static const u8 capacity[12] = { 0x25 }, read[12] = { 0x28, 0, 0, 0, 0, 10, 0, 0, 2 };
	static const u8 beyond[12] = { 0x28, 0, 0, 0, 0, 99, 0, 0, 2 };
	static const u8 sense[12] = { 3, 0, 0, 0, 18 };
	static const u8 toc[12] = { 0x43, 2, 0, 0, 0, 0, 0, 0, 20 }, odd[12] = { 0xff };
	const u8 *data = pc_at(BUFFER);
	u32 n;

	(void)state;
	packet(0, capacity, 8);
	assert_true(issue(1, 0));
	assert_memory_equal(data, "\0\0\0\x63\0\0\x08\0", 8);
	packet(0, read, 4096);
	assert_true(issue(1, 0));
	memcpy(&n, data + 2048, 4);
	assert_int_equal(n, 44);
	packet(0, beyond, 4096);
	assert_false(issue(1, 0));
	assert_int_equal(in(1, 0x20), 0x5441);
	restart(1);
	packet(0, sense, 18);
	assert_true(issue(1, 0));
	assert_int_equal(data[2], 5);
	assert_int_equal(data[12], 0x21);
	packet(0, toc, 20);
	assert_true(issue(1, 0));
	assert_memory_equal(data, "\0\x12\1\1\0\x14\1\0\0\0\2\0\0\x14\xaa\0\0\0\3\x19", 20);
	packet(0, odd, 0);
	assert_false(issue(1, 0));
}

/* What the drive says of itself: all features, those from one on, one, and none. */
static void sata_features(void **state)
{
	static const struct {
		u8 type, from, length, answer[52];
	} all[] = {
		{ 0, 0, 52, { 0, 0, 0, 48, 0, 0, 0, 8, 0, 0, 3, 8, 0, 0x10, 0, 0, 0, 8, 1, 0, 0, 1, 3,
			8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3, 3, 4, 0x29, 0, 0, 0, 0, 0x10, 1, 8, 0, 0,
			8, 0, 0, 1, 0, 0 } },
		{ 0, 3, 28, { 0, 0, 0, 24, 0, 0, 0, 8, 0, 3, 3, 4, 0x29, 0, 0, 0, 0, 0x10, 1, 8, 0,
			0, 8, 0, 0, 1, 0, 0 } },
		{ 2, 3, 16, { 0, 0, 0, 12, 0, 0, 0, 8, 0, 3, 3, 4, 0x29, 0, 0, 0 } },
		{ 2, 7, 8, { 0, 0, 0, 4, 0, 0, 0, 8 } },
	};
	static const u8 event[12] = { 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8 };
	static const u8 later[12] = { 0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8 };
	static const u8 track[12] = { 0x52, 1, 0, 0, 0, 1, 0, 0, 36 };
	const u8 *data = pc_at(BUFFER);
	unsigned int i;
	u32 moved;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		const u8 ask[12] = { 0x46, all[i].type, 0, all[i].from, 0, 0, 0, 0, 64 };

		packet(0, ask, 64);
		assert_true(issue(1, 0));
		memcpy(&moved, pc_at(CLB + 4), 4);
		assert_int_equal(moved, all[i].length);
		assert_memory_equal(data, all[i].answer, all[i].length);
	}
	packet(0, event, 8);
	assert_true(issue(1, 0));
	assert_memory_equal(data, "\0\6\4\x10\0\2\0\0", 8);
	packet(0, track, 36);
	assert_true(issue(1, 0));
	assert_memory_equal(data + 24, "\0\0\0\x64", 4);
	packet(0, later, 8);
	assert_false(issue(1, 0));			/* there are no other events to wait for */
	assert_int_equal(in(1, 0x20), 0x5441);
}

/* What a driver must not do ends in an error, and a stop mends it. */
static void sata_bad(void **state)
{
	u32 far = 0xfffff000, odd[4] = { BUFFER, 0, 0, 99 };

	(void)state;
	prepare(0, 0x25, SECTORS - 1, 2, 0, 1024);
	assert_false(issue(0, 0));			/* behind the end */
	assert_int_equal(in(0, 0x20), 0x1051);
	assert_int_equal(in(0, 0x10) & 0x40000000, 0x40000000);
	restart(0);
	prepare(0, 0x25, 0, 1, 0, 512);
	memcpy(pc_at(TABLE(0) + 0x80), &far, 4);
	assert_false(issue(0, 0));			/* data to where no memory is */
	assert_int_equal(in(0, 0x10) & 0x20000000, 0x20000000);
	restart(0);
	prepare(0, 0x25, 0, 1, 0, 512);
	memcpy(pc_at(TABLE(0) + 0x80), odd, 16);
	assert_false(issue(0, 0));			/* data without room */
	assert_int_equal(in(0, 0x10) & 0x01000000, 0x01000000);
	restart(0);
	prepare(0, 0x60, 0, 9 << 3, 1, 512);
	assert_false(issue(0, 0));			/* another slot's tag */
	restart(0);
	out(0, 0x00, 0xfffffc00);
	assert_false(issue(0, 0));			/* no list of commands */
	out(0, 0x18, 0x16);
	out(0, 0x00, CLB);
	out(0, 0x38, 1);
	assert_int_equal(in(0, 0x38), 0);		/* the port stands */
	out(0, 0x18, 0x17);
	out(4, 0x18, 0x17);
	out(4, 0x38, 1);				/* nothing is connected */
	prepare(0, 0x25, 5, 1, 0, 512);
	assert_true(issue(0, 0));
	pc_write(HBA, 4, 0x80000001, 4);
	assert_int_equal(pc_read(HBA, 4, 4), 0x80000000);
	assert_int_equal(in(0, 0x18) & 0xffff, 6);
}

/* --- IDE --------------------------------------------------------------------------------- */

static int setup_ide(void **state)
{
	(void)state;
	return setup(&ide_disk_class, &cdrom_class);
}

static u8 status(void)
{
	unsigned int i;

	for (i = 0; i < 2000 && inb(&pc.ports, 0x3f6) & 0x80; i++)
		usleep(1000);
	return inb(&pc.ports, 0x1f7);
}

static void command(u8 device, u8 c, u32 lba, u8 count)
{
	outb(&pc.ports, 0x1f6, (u8)(device | (lba >> 24)));
	outb(&pc.ports, 0x1f2, count);
	outb(&pc.ports, 0x1f3, (u8)lba);
	outb(&pc.ports, 0x1f4, (u8)(lba >> 8));
	outb(&pc.ports, 0x1f5, (u8)(lba >> 16));
	outb(&pc.ports, 0x1f7, c);
}

static void take(u8 *to, unsigned int bytes)
{
	unsigned int i;

	for (i = 0; i < bytes; i += 4) {
		u32 v = inl(&pc.ports, 0x1f0);

		memcpy(to + i, &v, 4);
	}
}

static void ide_pio(void **state)
{
	u8 data[2048];
	u32 n, i;

	(void)state;
	assert_int_equal(status(), 0x50);
	command(0xa0, 0xec, 0, 0);
	assert_int_equal(status(), 0x58);
	take(data, 512);
	assert_int_equal(data[0], 0x40);
	assert_int_equal(data[512 - 2], 0xa5);
	assert_int_equal(status(), 0x50);
	command(0xe0, 0x20, 77, 2);
	for (i = 0; i < 2; i++) {
		assert_int_equal(status(), 0x58);
		take(data, 512);
		memcpy(&n, data, 4);
		assert_int_equal(n, 77 + i);
	}
	command(0xe0, 0x30, 5, 1);
	assert_int_equal(status(), 0x58);
	for (i = 0; i < 128; i++) {
		n = 0xabcd0000 + i;
		bus_access(&pc.ports, 0x1f0, &n, 4, true);
	}
	assert_int_equal(status(), 0x50);
	assert_true(fake_vm.rises[14] >= 4);
	command(0xe0, 0x20, 5, 1);
	assert_int_equal(status(), 0x58);
	take(data, 512);
	assert_memory_equal(data + 4, "\1\0\xcd\xab", 4);
	command(0xe0, 0x20, SECTORS, 1);
	assert_int_equal(status(), 0x51);
	assert_int_equal(inb(&pc.ports, 0x1f1), 0x10);
	outb(&pc.ports, 0x3f6, 4);			/* reset */
	outb(&pc.ports, 0x3f6, 0);
	assert_int_equal(status(), 0x50);
	outb(&pc.ports, 0x1f6, 0x10);
	assert_int_equal(inb(&pc.ports, 0x1f4), 0x14);	/* the CD's signature */
	assert_int_equal(inb(&pc.ports, 0x1f5), 0xeb);
}

/* The CD is the channel's second drive. */
static void ide_packet(void **state)
{
	static const u8 read[12] = { 0x28, 0, 0, 0, 0, 10, 0, 0, 2 };
	u8 data[2048];
	unsigned int i;
	u32 v;

	(void)state;
	outb(&pc.ports, 0x1f1, 0);
	command(0xb0, 0xa0, 2048 << 8, 0);
	assert_int_equal(status() & 8, 8);
	assert_int_equal(inb(&pc.ports, 0x1f2), 1);
	for (i = 0; i < 12; i += 4) {
		memcpy(&v, read + i, 4);
		bus_access(&pc.ports, 0x1f0, &v, 4, true);
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(status() & 8, 8);
		assert_int_equal(inb(&pc.ports, 0x1f2), 2);
		assert_int_equal(inb(&pc.ports, 0x1f4) | inb(&pc.ports, 0x1f5) << 8, 2048);
		take(data, 2048);
		memcpy(&v, data, 4);
		assert_int_equal(v, 40 + 4 * i);
	}
	assert_int_equal(status() & 0x89, 0);
	assert_int_equal(inb(&pc.ports, 0x1f2), 3);
}

static void master(u32 table, u8 direction)
{
	pc_write(4, 4, table, 4);
	pc_write(4, 2, 6, 1);
	pc_write(4, 0, direction, 1);
	pc_write(4, 0, direction | 1, 1);
}

static void ide_dma(void **state)
{
	const u32 pieces[4] = { BUFFER, 512, BUFFER + 0x2000, 0x80000000 | 1536 };
	const u32 few[2] = { BUFFER, 0x80000000 | 512 }, far[2] = { 0xfffff000, 0x80000000 };
	u32 n;

	(void)state;
	memcpy(pc_at(PRDT), pieces, sizeof(pieces));
	command(0xe0, 0xc8, 200, 4);
	master(PRDT, 8);
	assert_int_equal(status(), 0x50);
	assert_int_equal(pc_read(4, 2, 1) & 7, 4);
	memcpy(&n, pc_at(BUFFER + 0x2000 + 512), 4);
	assert_int_equal(n, 202);
	pc_write(4, 0, 0, 1);
	memcpy(pc_at(PRDT), few, sizeof(few));
	command(0xe0, 0xc8, 200, 4);
	master(PRDT, 8);
	assert_int_equal(status() & 1, 1);
	assert_int_equal(pc_read(4, 2, 1) & 3, 2);
	pc_write(4, 0, 0, 1);
	memcpy(pc_at(PRDT), far, sizeof(far));
	command(0xe0, 0xca, 200, 4);
	master(PRDT, 0);
	assert_int_equal(status() & 1, 1);
	pc_write(4, 0, 0, 1);
	command(0xe0, 0xc8, 200, 4);
	master(0xfffffff0, 8);				/* no table */
	assert_int_equal(status() & 1, 1);
}

static void refused(void **state)
{
	(void)state;
	assert_null(pc_device(&sata_disk_class, "disk,drive=nobody"));
	assert_null(pc_device(&sata_disk_class, "disk,drive=d"));	/* has one */
	assert_null(pc_device(&ide_disk_class, "disk"));
	assert_null(pc_device(&sata_cd_class, "cd,drive=c,port=6"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sata_identity, setup_sata, teardown),
		cmocka_unit_test_setup_teardown(sata_transfers, setup_sata, teardown),
		cmocka_unit_test_setup_teardown(sata_many, setup_sata, teardown),
		cmocka_unit_test_setup_teardown(sata_long, setup_long, teardown_long),
		cmocka_unit_test_setup_teardown(sata_trim, setup_sata, teardown),
		cmocka_unit_test_setup_teardown(sata_cd, setup_sata, teardown),
		cmocka_unit_test_setup_teardown(sata_features, setup_sata, teardown),
		cmocka_unit_test_setup_teardown(sata_bad, setup_sata, teardown),
		cmocka_unit_test_setup_teardown(refused, setup_sata, teardown),
		cmocka_unit_test_setup_teardown(ide_pio, setup_ide, teardown),
		cmocka_unit_test_setup_teardown(ide_packet, setup_ide, teardown),
		cmocka_unit_test_setup_teardown(ide_dma, setup_ide, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

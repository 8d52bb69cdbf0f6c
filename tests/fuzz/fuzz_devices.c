/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drivers of the PC's devices that have lost their minds, two at a time for each:
 * registers, descriptors, tables and commands at random, some of them nearly
 * right. Nothing may crash, hang, or reach beyond the guest's memory.
 *
 *	fuzz-devices SECONDS [SEED] [DEVICE]
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../../vmm/backends/disk.h"
#include "../../vmm/backends/net/net.h"
#include "../../vmm/error.h"
#include "../unit/vmm/pc_fake.h"
#include "chance.h"

#define HANG_SECONDS 60
#define DISK (1 * MIB)
#define STEPS 3000
#define DRIVERS 2

extern const struct device_class ac97_class, e1000_class, i6300esb_class, ide_cd_class,
	ide_disk_class, sata_cd_class, sata_disk_class;

static unsigned long accesses, interrupts;

static u64 address(void)
{
	switch (chance(16)) {
	case 0:
		return chance(0);
	case 1:
		return PC_RAM - chance(4096);
	default:
		return align_down(chance(PC_RAM), 128);
	}
}

static void put32(u64 at, u32 v)
{
	if (at <= PC_RAM - 4)
		memcpy(pc_at(at), &v, 4);
}

/* --- what each driver does ------------------------------------------------------------ */

static const u8 commands[] = { 0x00, 0x06, 0x20, 0x24, 0x25, 0x29, 0x2f, 0x30, 0x35, 0x3d, 0x47,
	0x60, 0x60, 0x61, 0x61, 0x90, 0xa0, 0xa0, 0xa1, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xe7, 0xea,
	0xec, 0xef };
static const u8 packets[] = { 0x00, 0x03, 0x12, 0x1b, 0x25, 0x28, 0x28, 0x43, 0x46, 0x4a, 0x51,
	0x52, 0x5a, 0xa8, 0xbd, 0xbe };

/* A command of SATA with its table, and the slot issued. */
static void sata(void)
{
	const u64 list = 0x10000, table = 0x20000 + chance(32) * 0x1000;
	const unsigned int slot = (unsigned int)chance(32), port = 0x100 + (u32)chance(2) * 0x80;
	const unsigned int pieces = (unsigned int)chance(chance(20) ? 6 : 65536);
	const u8 command = commands[chance(sizeof(commands))];
	unsigned int i;

	put32(list + slot * 32, 5 | (chance(2) ? 1 << 5 : 0) | pieces << 16);
	put32(list + slot * 32 + 8, (u32)(chance(30) ? table : address()));
	put32(table, (chance(40) ? 0x8027 : (u32)chance(0)) | (u32)command << 16 |
	      (u32)chance(64) << 24);
	put32(table + 4, (u32)chance(chance(8) ? DISK / 512 : 0x1000000) | 0x40000000);
	put32(table + 8, chance(20) ? 0 : (u32)chance(0));
	put32(table + 12, command >> 1 == 0x30 ? slot << 3 : (u32)chance(chance(8) ? 80 : 65536));
	put32(table + 0x40, packets[chance(sizeof(packets))] | (u32)chance(0) << 8);
	put32(table + 0x44, (u32)chance(200) << 8);
	for (i = 0; i < pieces && i < 8; i++) {
		put32(table + 0x80 + i * 16, (u32)address());
		put32(table + 0x84 + i * 16, 0);
		put32(table + 0x8c + i * 16, (u32)chance(chance(4) ? 65536 : 0));
	}
	if (chance(10) == 0)
		pc_write(5, port + 0x18, 0x16, 4);
	pc_write(5, port + 0x00, (u32)(chance(50) ? list : address()), 4);
	pc_write(5, port + 0x08, (u32)(chance(50) ? 0x18000 : address()), 4);
	pc_write(5, port + 0x18, chance(20) ? 0x17 : (u32)chance(0), 4);
	pc_write(5, port + 0x34, 1u << slot, 4);
	pc_write(5, port + 0x38, chance(20) ? 1u << slot : (u32)chance(0), 4);
	if (chance(100) == 0)
		pc_write(5, 4, 0x80000003, 4);
	if (chance(40) == 0)
		pc_write(5, port + 0x2c, (u32)chance(2), 4);
}

static void ide(void)
{
	const u64 base = chance(8) ? 0x1f0 : 0x170;
	unsigned int i, n = (unsigned int)chance(600);
	const u64 table = chance(20) ? 0x30000 : address();
	u32 v;

	for (i = 0; i < 4; i++) {
		put32(table + i * 8, (u32)address());
		put32(table + i * 8 + 4, (u32)chance(0));
	}
	outb(&pc.ports, base + 6, (u8)(0x40 | chance(2) << 4));
	for (i = 1; i < 6; i++)
		outb(&pc.ports, base + i, (u8)chance(chance(2) ? 16 : 256));
	outb(&pc.ports, base + 7, commands[chance(sizeof(commands))]);
	if (chance(2)) {
		pc_write(4, 4, (u32)table, 4);
		pc_write(4, 0, 9, 1);
	}
	for (i = 0; i < n; i++) {
		v = i ? (u32)chance(0) : packets[chance(sizeof(packets))];
		bus_access(&pc.ports, base, &v, 1u << chance(3), chance(2));
	}
	pc_write(4, 0, 0, 1);
	inb(&pc.ports, base + 7);
	if (chance(20) == 0) {
		outb(&pc.ports, base + 0x206, 4);
		outb(&pc.ports, base + 0x206, 0);
	}
}

static struct net wire;

static void wire_send(struct net *n, const struct net_header *h, u8 *frame, size_t len)
{
	(void)net_checksum(h, frame, len);
	if (chance(4) == 0)
		net_deliver(n, h, frame, len);
}

static void wire_destroy(struct net *n)
{
	(void)n;
}

static void network(void)
{
	static const struct net_header none;
	const u64 rx = 0x40000, tx = 0x50000;
	u8 frame[2000] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	unsigned int i;

	for (i = 0; i < 16; i++) {
		put32(rx + i * 16, (u32)address());
		put32(rx + i * 16 + 4, 0);
		put32(tx + i * 16, chance(2) ? (u32)address() : 0x2822180e);
		put32(tx + i * 16 + 4, chance(2) ? 0 : 0x32);
		put32(tx + i * 16 + 8, (u32)chance(chance(4) ? 3000 : 0x100000) |
		      (u32)chance(2) << 20 | (u32)chance(256) << 24);
		put32(tx + i * 16 + 12, chance(2) ? (u32)chance(0) : 0x05b43600);
	}
	pc_write(0, 0x2800, (u32)(chance(30) ? rx : address()), 4);
	pc_write(0, 0x2808, chance(10) ? 256 : (u32)chance(0), 4);
	pc_write(0, 0x3800, (u32)(chance(30) ? tx : address()), 4);
	pc_write(0, 0x3808, chance(10) ? 256 : (u32)chance(0), 4);
	pc_write(0, 0x0100, (u32)chance(0) | 0x800a, 4);
	pc_write(0, 0x0400, 2, 4);
	if (chance(3) == 0)
		pc_write(0, 0, (u32)chance(0) & ~(1u << 26), 4);
	pc_write(0, 0x2818, (u32)chance(chance(10) ? 16 : 65536), 4);
	pc_write(0, 0x3818, (u32)chance(chance(10) ? 16 : 65536), 4);
	net_lock(&wire);
	net_deliver(&wire, &none, frame, 14 + chance(sizeof(frame) - 14));
	net_unlock(&wire);
}

static void sound(void)
{
	unsigned int i, base = 16 * (unsigned int)chance(3);

	for (i = 0; i < 32; i++) {
		put32(0x60000 + i * 8, (u32)address());
		put32(0x60004 + i * 8, (u32)chance(chance(2) ? 64 : 0));
	}
	pc_write(1, base, chance(20) ? 0x60000 : (u32)address(), 4);
	pc_write(1, base + 5, (u8)chance(64), 1);
	pc_write(1, base + 11, (u8)(chance(4) ? 0x1d : chance(256)), 1);
	pc_read(1, base + chance(12), 4);
}

static void nothing(void)
{
}

/* --- all devices ------------------------------------------------------------------------- */

static const struct subject {
	const char *name;
	const struct device_class *first, *second;
	const char *text[2];
	void (*step)(void);
} subjects[] = {
	{ "sata", &sata_disk_class, &sata_cd_class, { "d,drive=d", "c,drive=c" }, sata },
	{ "ide", &ide_disk_class, &ide_cd_class, { "d,drive=d", "c,drive=c" }, ide },
	{ "e1000", &e1000_class, NULL, { "e,net=wire", NULL }, network },
	{ "ac97", &ac97_class, NULL, { "a", NULL }, sound },
	{ "i6300esb", &i6300esb_class, NULL, { "w,action=none", NULL }, nothing },
};

/* Any register, in any width. */
static void random_access_(void)
{
	unsigned int bar = (unsigned int)chance(6), size = 1u << chance(3);
	u64 offset;

	if (!pc.dev->bar[bar].size)
		return;
	offset = chance(chance(4) ? 0x40 : pc.dev->bar[bar].size);
	if (chance(2))
		pc_write(bar, offset, (u32)chance(0), size);
	else
		pc_read(bar, offset, size);
	if (chance(50) == 0)
		pc_config_write(0x60 + (unsigned int)chance(12), (u32)chance(0), 1);
}

struct driver {
	const struct subject *s;
	u64 seed;
	pthread_t thread;
};

static void *drive(void *arg)
{
	const struct driver *d = arg;
	unsigned int i;

	chance_state = d->seed;
	for (i = 0; i < STEPS; i++) {
		if (chance(4))
			d->s->step();
		else
			random_access_();
	}
	__atomic_fetch_add(&accesses, STEPS, __ATOMIC_RELAXED);
	return NULL;
}

static void on_pause(void *ctx, struct disk *d, bool on)
{
	(void)ctx, (void)d, (void)on;
}

static bool make_board(const struct subject *s, struct device *dev[2])
{
	static const struct net_ops ops = { .send = wire_send, .destroy = wire_destroy };

	if (pc_setup(NULL) || truncate("disk", DISK) || truncate("cd", DISK))
		return false;
	memset(&wire, 0, sizeof(wire));
	net_init(&wire, &ops);
	wire.takes = chance(2) ? NET_CSUM | NET_TSO4 : chance(2) ? NET_CSUM : 0;
	if (registry_add(pc.board.backends, "net", "wire", &wire, (void (*)(void *))wire_destroy) ||
	    !disk_open(pc.board.backends, pc.board.loop, "disk,format=raw,cache=unsafe,id=d",
		       on_pause, NULL) ||
	    !disk_open(pc.board.backends, pc.board.loop, "cd,format=raw,if=cdrom,id=c",
		       on_pause, NULL))
		return false;
	dev[0] = pc_device(s->first, s->text[0]);
	dev[1] = s->second ? pc_device(s->second, s->text[1]) : NULL;
	return dev[0] && (dev[1] || !s->second);
}

static bool one_round(const struct subject *s)
{
	struct driver d[DRIVERS];
	struct device *dev[2];
	unsigned int i;

	if (!make_board(s, dev))
		return false;
	for (i = 0; i < DRIVERS; i++) {
		d[i] = (struct driver){ s, chance(0), 0 };
		pthread_create(&d[i].thread, NULL, drive, &d[i]);
	}
	for (i = 0; i < DRIVERS; i++)
		pthread_join(d[i].thread, NULL);
	for (i = 0; i < FAKE_LINES; i++)
		interrupts += fake_vm.rises[i];
	for (i = 0; i < 2; i++)
		if (dev[i])
			dev[i]->class->destroy(dev[i]);
	pc_teardown(NULL);
	return true;
}

static void on_alarm(int sig)
{
	(void)sig;
	abort();
}

int main(int argc, char **argv)
{
	char folder[] = "/dev/shm/anykvm-fuzz-XXXXXX", command[64];
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	unsigned int rounds = 0, i;

	chance_state = chance_seed(argc > 2 ? argv[2] : NULL);
	printf("fuzz-devices: seed %llu\n", (unsigned long long)chance_state);
	fflush(stdout);
	if (!mkdtemp(folder) || chdir(folder) < 0 || system("touch disk cd"))
		return 2;
	signal(SIGALRM, on_alarm);
	while (time(NULL) < end)
		for (i = 0; i < ARRAY_SIZE(subjects); i++) {
			if (argc > 3 && strcmp(argv[3], subjects[i].name))
				continue;
			alarm(HANG_SECONDS);
			if (!one_round(&subjects[i]))
				return 2;
			alarm(0);
			rounds++;
		}
	printf("fuzz-devices: %u rounds, %lu steps, %lu interrupts\n", rounds, accesses,
	       interrupts);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") < 0 || system(command) || !interrupts;
}

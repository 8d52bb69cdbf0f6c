/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of "run": their table, what each sets, and whether they go together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/anykvm.h"
#include "../control/address.h"
#include "../error.h"
#include "../machine/trace.h"
#include "../sandbox/policy.h"
#include "commands.h"
#include "run.h"
#include "tables.h"

#define DEFAULT_MEMORY (512 * MIB)
#define DEFAULT_CMDLINE "console=ttyS0"
#define SCREEN_CMDLINE "console=tty0 console=ttyS0"
#define VIRTIO_CMDLINE "console=hvc0"
#ifdef ANYKVM_SANDBOX_OFF
#define DEFAULT_SANDBOX "off"
#else
#define DEFAULT_SANDBOX "on"
#endif

/* One more text in a list of the run's. */
#define ADD(run, list, option, value)						\
	options_add(option, value, (run)->list, &(run)->n##list, ARRAY_SIZE((run)->list))

OPTION_TEXT(set_audio, struct run, audio)
OPTION_TEXT(set_kernel, struct run, config.boot.kernel)
OPTION_TEXT(set_initrd, struct run, config.boot.initrd)
OPTION_TEXT(set_append, struct run, config.boot.cmdline)
OPTION_TEXT(set_firmware, struct run, firmware_option)
OPTION_TEXT(set_qmp, struct run, control_config.path)
OPTION_FLAG(set_no_reboot, struct run, no_reboot)
OPTION_FLAG(set_debug_port, struct run, config.debug_port)
OPTION_FLAG(set_stats, struct run, stats)

/* --- devices and what they are connected to ------------------------------------------- */

int run_set_device(void *ctx, const char *value)
{
	struct machine_config *c = &((struct run *)ctx)->config;

	return ADD(c, devices, "--device", value);
}

int run_set_disk(void *ctx, const char *value)
{
	struct run *r = ctx;

	return ADD(r, disks, "--disk", value);
}

/* A disk with an interface of its own. */
static int set_cdrom(void *ctx, const char *value)
{
	struct run *r = ctx;
	char *text;

	if (asprintf(&text, "%s,if=cdrom", value) < 0)
		return error("out of memory");
	if (options_add("--cdrom", text, (const char **)r->cdroms, &r->ncdroms,
			ARRAY_SIZE(r->cdroms)) < 0) {
		free(text);
		return -1;
	}
	return run_set_disk(r, text);
}

static int set_net(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (strcmp(value, "none"))
		return ADD(r, nets, "--net", value);
	r->no_net = true;
	return 0;
}

static int set_display(void *ctx, const char *value)
{
	struct run *r = ctx;

	return strcmp(value, "none") ? ADD(r, displays, "--display", value) : 0;
}

static int set_vga(void *ctx, const char *value)
{
	static const char *const kinds[] = { "std", "none", NULL };
	struct run *r = ctx;
	int kind = options_choice("--vga", value, kinds);

	r->vga = kind == 0;
	r->vga_given = true;
	return kind;
}

static int set_chardev(void *ctx, const char *value)
{
	struct run *r = ctx;

	return ADD(r, chardevs, "--chardev", value);
}

static int set_share(void *ctx, const char *value)
{
	struct run *r = ctx;

	return ADD(r, shares, "--share", value);
}

static int set_vsock(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (r->vsock)
		return error("a machine has one --vsock");
	r->vsock = value;
	return 0;
}

static int set_console(void *ctx, const char *value)
{
	static const char *const kinds[] = { "serial", "virtio", "none", NULL };
	int kind = options_choice("--console", value, kinds);

	if (kind >= 0)
		((struct run *)ctx)->console_kind = (enum console)kind;
	return kind;
}

/* --- the machine ---------------------------------------------------------------------- */

static int set_machine(void *ctx, const char *value)
{
	struct run *r = ctx;
	unsigned int i;

	for (i = 0; machine_types[i]; i++)
		if (!strcmp(value, machine_types[i]->name)) {
			r->config.type = machine_types[i];
			return 0;
		}
	return error("--machine takes q35, pc or micro, not '%s'", value);
}

static int set_engine(void *ctx, const char *value)
{
	static const char *const engines[] = { "auto", "soft", "kvm", NULL };
	int engine = options_choice("--engine", value, engines);

	if (engine >= 0)
		((struct run *)ctx)->engine = (enum engine_choice)engine;
	return engine;
}

static int set_cpus(void *ctx, const char *value)
{
	struct run *r = ctx;
	u64 n;

	if (parse_number(value, &n) < 0 || n < 1 || n > MACHINE_CPUS_MAX)
		return error("--cpus takes a number from 1 to %d, not '%s'", MACHINE_CPUS_MAX,
			     value);
	r->config.boot.cpus = (unsigned int)n;
	return 0;
}

static int set_code_cache(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (parse_size(value, &r->code_cache) < 0 || r->code_cache < ANYKVM_CODE_CACHE_MIN ||
	    r->code_cache > ANYKVM_CODE_CACHE_MAX)
		return error("--code-cache takes a size from %lluM to %lluM, not '%s'",
			     ANYKVM_CODE_CACHE_MIN / MIB, ANYKVM_CODE_CACHE_MAX / MIB, value);
	return 0;
}

static int set_memory(void *ctx, const char *value)
{
	struct run *r = ctx;
	u64 size;

	if (parse_size(value, &size) < 0)
		return error("--memory takes a size such as 512M or 2G, not '%s'", value);
	if (size < 2 * MIB)
		return error("--memory %s is too small: at least 2M are needed", value);
	if (size > 64 * 1024 * GIB)
		return error("--memory %s is too large: at most 64T can be given", value);
	r->config.memory = align_down(size, 4096);
	return 0;
}

static int set_name(void *ctx, const char *value)
{
	if (!address_name_ok(value))
		return error("--name takes at most %d letters, digits, '.', '_', '+' and '-', "
			     "which are no number, not '%s'", ADDRESS_NAME_MAX, value);
	((struct run *)ctx)->control_config.name = value;
	return 0;
}

static int set_sandbox(void *ctx, const char *value)
{
	static const char *const states[] = { "on", "off", NULL };
	int state = options_choice("--sandbox", value, states);

	((struct run *)ctx)->no_sandbox = state > 0;
	return state;
}

static int set_allow(void *ctx, const char *value)
{
	((struct run *)ctx)->allows = true;
	return sandbox_allow(value, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_REMOVE | SANDBOX_TREE);
}

static int set_trace(void *ctx, const char *value)
{
	struct run *r = ctx;

	return ADD(r, traces, "--trace", value);
}

static int set_config(void *ctx, const char *value)
{
	return options_file(run_options, ctx, value);
}

const struct option_def run_options[] = {
	{ "--config", "FILE", "options of a file: a line each, without the dashes, as in\n"
	  "memory 2G; lines that begin with # are remarks", set_config },
	{ "--kernel", "FILE", "the kernel: a Linux bzImage, or ELF with a PVH entry", set_kernel },
	{ "--initrd", "FILE", "its initial ramdisk", set_initrd },
	{ "--append", "STR", "its command line (default: " DEFAULT_CMDLINE "; with a\n"
	  "--display console=tty0, too; with --console virtio\n" VIRTIO_CMDLINE ")", set_append },
	{ "--machine", "q35|pc|micro", "q35 (default): PCI Express, as Intel's Q35 with ICH9\n"
	  "pc: PCI, as Intel's 440FX with PIIX3\nmicro: no PCI, virtio-mmio: the quickest start",
	  set_machine },
	{ "--disk", "FILE[,K=V]...", "a disk image, raw or qcow2:\n"
	  "format=raw|qcow2  readonly=on  serial=TEXT\n"
	  "snapshot=on: what is written vanishes with the machine\n"
	  "cache=writeback|none|writethrough|directsync|unsafe\n"
	  "if=ahci|ide: on such a controller\n"
	  "if=none,id=ID: for a --device of your choice",
	  run_set_disk },
	{ "--cdrom", "FILE[,K=V]...", "a CD or DVD image in a drive", set_cdrom },
	{ "--net", "KIND[,K=V]...", "a network with a card for it; mac=ADDRESS sets the card's\n"
	  "user (default): through this process, as 10.0.2.15; 10.0.2.2 is this host\n"
	  "  hostfwd=tcp|udp:[ADDR]:PORT-[ADDR]:PORT  restrict=on  mtu=N\n"
	  "tap,ifname=NAME or tap,fd=N: an interface of the host\n"
	  "unix,path=FILE[,listen=on]: a wire to another machine\n"
	  "if=e1000: with such a card\n"
	  "if=none,id=ID: for a --device of your choice\n"
	  "none: no network", set_net },
	{ "--share", "FOLDER[,K=V]...", "a folder of this host, as a 9p file system of the guest:\n"
	  "tag=NAME to mount it by (default: share0, share1, ...)  readonly=on\n"
	  "security=none: files are this user's own; mapped: the guest's owners and\n"
	  "  modes are kept in extended attributes", set_share },
	{ "--vsock", "PATH[,cid=N]", "sockets between host and guest: a program of the host that\n"
	  "sends CONNECT PORT to the socket PATH gets that port of the guest;\n"
	  "the guest's connections to port N go to the socket PATH_N", set_vsock },
	{ "--console", "KIND", "what this terminal is: serial (default): the serial port\n"
	  "virtio: a virtio-console, hvc0 in Linux\nnone: of a --device, as chardev=stdio",
	  set_console },
	{ "--chardev", "KIND[,K=V]...", "what a --device is connected to, by its id=ID:\n"
	  "file,path=FILE[,append=on]  unix,path=FILE: a socket\n"
	  "pty[,link=FILE]: a terminal of this host  null", set_chardev },
	{ "--audio", "KIND[,K=V]...", "a sound card, Intel AC '97\n"
	  "none: nobody hears it; wav,path=FILE: what it plays goes to a file", set_audio },
	{ "--device", "TYPE[,K=V]...", "add a device; --device help lists them", run_set_device },
	{ "--firmware", "NAME[,vars=FILE]", "bios (default without --kernel): SeaBIOS\n"
	  "uefi: OVMF, which keeps its variables in FILE; or the path of an image",
	  set_firmware },
	{ "--display", "KIND[,K=V]...", "show the screen, and take keys and movements:\n"
	  "none (default): nowhere\n"
	  "vnc[=unix:PATH|ADDR:N]: by VNC; ADDR:N is a port of loopback and needs\n"
	  "  password-file=FILE\n"
	  "web[=ADDR:PORT]: in a browser on this host; its address is printed", set_display },
	{ "--vga", "KIND", "std: a standard VGA (default with a --display)\nnone: no VGA",
	  set_vga },
	{ "--cpus", "N", "number of CPUs (default: 1)", set_cpus },
	{ "--memory", "SIZE", "memory, such as 512M or 2G (default: 512M)", set_memory },
	{ "--engine", "auto|soft|kvm", "auto (default): /dev/kvm if it serves, else soft\n"
	  "soft: the software engine\nkvm: the kernel's /dev/kvm", set_engine },
	{ "--code-cache", "SIZE", "memory of the software engine for translated code, from 4M\n"
	  "to 1G (default: 128M)", set_code_cache },
	{ "--name", "NAME", "what anykvm ps, stop and qmp call it (default: the process id)",
	  set_name },
	{ "--qmp", "PATH", "a control socket at this path, too, which speaks QMP", set_qmp },
	{ "--sandbox", "on|off", "on: before the guest starts, give up all rights that the\n"
	  "machine does not need; files are opened only if named here\n"
	  "(default: " DEFAULT_SANDBOX ")", set_sandbox },
	{ "--allow", "PATH", "a file, or a folder with all below it, that the machine may\n"
	  "open while it runs: images for blockdev-add, screenshots", set_allow },
	{ "--no-reboot", NULL, "end, with status 0, when the guest reboots", set_no_reboot },
	{ "--debug-port", NULL, "print what the guest writes to ports 0x402 and 0xe9",
	  set_debug_port },
	{ "--trace", "WHAT[=FILE]", "exits: print each exit to this program\n"
	  "time: tell at the end where the CPUs' time went", set_trace },
	{ "--stats", NULL, "print the engine's counters at the end; SIGUSR1 prints them, too",
	  set_stats },
	{ NULL, NULL, NULL, NULL },
};

void help_run(void)
{
	printf("usage: anykvm run [DISK]... [OPTION]...\n\n"
	       "Boots a virtual machine: from disk images, of which each is short for a --disk\n"
	       "option, or a kernel (--kernel). Its serial port is this terminal:\n"
	       "Ctrl-A x ends the machine, Ctrl-A h lists what else there is. The guest's\n"
	       "power-off ends anykvm with status 0; a crash of the machine with 1.\n\n"
	       "options:\n");
	options_print(run_options);
}

bool run_list_devices(const struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->config.ndevices && strcmp(r->config.devices[i], "help"); i++)
		;
	if (i == r->config.ndevices)
		return false;
	for (i = 0; device_classes[i]; i++)
		printf("%-16s %s\n%-16s   %s\n", device_classes[i]->name,
		       device_classes[i]->summary, "", device_classes[i]->usage);
	return true;
}

void run_defaults(struct run *r)
{
	*r = (struct run){
		.config = {
			.boot = { .cpus = 1 },
			.memory = DEFAULT_MEMORY,
			.type = &machine_q35,
		},
		.no_sandbox = !strcmp(DEFAULT_SANDBOX, "off"),
		.kvm = { .fd = -1 },
		.firmware = { .vars_fd = -1 },
		.status = 1,
	};
}

/* Without anything that a system could come from the firmware would wait for ever. */
static bool nothing_to_boot(const struct run *r)
{
	return !r->config.boot.kernel && !r->ndisks && !r->config.ndevices &&
	       !r->firmware_option && !r->config.debug_port && !r->no_net;
}

static const char *default_cmdline(const struct run *r)
{
	if (r->console_kind == CONSOLE_VIRTIO)
		return VIRTIO_CMDLINE;
	return r->ndisplays ? SCREEN_CMDLINE : DEFAULT_CMDLINE;
}

int run_check_options(struct run *r)
{
	const struct boot_config *b = &r->config.boot;

	if (nothing_to_boot(r))
		return error("there is nothing to boot from: name a disk image, or a --kernel "
			     "(try --help)");
	if (b->kernel && r->firmware_option)
		return error("--kernel starts without firmware: --firmware is of no use");
	if (!b->kernel && b->initrd)
		return error("--initrd needs --kernel");
	if (r->engine == ENGINE_KVM && r->code_cache)
		return error("--code-cache is the software engine's: --engine kvm has none");
	if (r->no_net && r->nnets)
		return error("--net none is of no use with another --net");
	if (!b->cmdline)
		r->config.boot.cmdline = default_cmdline(r);
	return 0;
}

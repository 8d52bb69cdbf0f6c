/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command "run": a machine from its start through its resets to its end.
 * The main thread runs the event loop (terminal, signals, timers) while the
 * CPUs' threads run the guest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../backends/audio.h"
#include "../backends/chardev.h"
#include "../backends/console_tap.h"
#include "../backends/disk.h"
#include "../backends/input.h"
#include "../backends/net/net.h"
#include "../backends/registry.h"
#include "../backends/share.h"
#include "../backends/signals.h"
#include "../backends/terminal.h"
#include "../backends/vsock.h"
#include "../boot/firmware.h"
#include "../control/address.h"
#include "../control/balloon.h"
#include "../control/control.h"
#include "../control/screen.h"
#include "../devices/display/vga_device.h"
#include "../display/display.h"
#include "../display/show.h"
#include "../error.h"
#include "../machine/machine.h"
#include "../machine/probe.h"
#include "../machine/stats.h"
#include "../machine/trace.h"
#include "../sandbox/sandbox.h"
#include "commands.h"
#include "tables.h"

#define DEFAULT_MEMORY (512 * MIB)
#define DEFAULT_CMDLINE "console=ttyS0"
#define SCREEN_CMDLINE "console=tty0 console=ttyS0"
#define VIRTIO_CMDLINE "console=hvc0"
#define VIRTIO_CONSOLE "virtio-console,chardev=stdio"
#ifdef ANYKVM_SANDBOX_OFF
#define DEFAULT_SANDBOX "off"
#else
#define DEFAULT_SANDBOX "on"
#endif
#define TRACES_MAX 4
#define REFRESH_NS 10000000ULL	/* time for the CPUs to leave the guest once */
#define DISKS_MAX 32
#define CDROMS_MAX 6
#define NETS_MAX 16
#define DISPLAYS_MAX 8
#define CHARDEVS_MAX 16
#define SHARES_MAX 16
#define QUEUES_OF_DISK 4		/* as many as virtio-blk takes by itself */
#define SPARE_QUEUES 4		/* for disks that come later */

enum console { CONSOLE_SERIAL, CONSOLE_VIRTIO, CONSOLE_NONE };
enum engine_choice { ENGINE_AUTO, ENGINE_SOFT, ENGINE_KVM };

struct run {
	struct machine_config config;
	enum engine_choice engine;
	bool no_reboot;
	bool stats;		/* printed when a machine ends */
	const char *firmware_option;
	struct firmware firmware;
	const char *traces[TRACES_MAX];
	unsigned int ntraces;
	const char *disks[DISKS_MAX];
	unsigned int ndisks;
	char *cdrom[CDROMS_MAX];	/* the texts of their disks */
	unsigned int ncdroms;
	const char *nets[NETS_MAX];
	unsigned int nnets;
	bool no_net;
	const char *displays[DISPLAYS_MAX];
	unsigned int ndisplays;
	bool vga, vga_given;
	const char *vsock;
	const char *shares[SHARES_MAX];
	unsigned int nshares;
	const char *chardevs[CHARDEVS_MAX];
	unsigned int nchardevs;
	enum console console_kind;
	struct chardev *serial;		/* the other end of the serial port */
	const char *audio;		/* or NULL */
	bool no_sandbox, allows;

	struct control_config control_config;

	struct kvm kvm;
	struct loop *loop;
	struct registry *backends;
	struct input *input;
	struct display *display;
	struct show *shows[DISPLAYS_MAX];
	unsigned int nshows;
	struct signals *signals;
	struct terminal *terminal;
	struct console_tap *console;	/* between the serial port and the terminal */
	struct control *control;
	struct screen *screen;
	struct timer *sampler;
	struct timer *refreshed;	/* runs when the statistics are wanted */
	struct machine *machine;	/* NULL between two */
	int status;
};

/* --- options -------------------------------------------------------------------- */

static int set_engine(void *ctx, const char *value)
{
	static const char *const name[] = { "auto", "soft", "kvm" };
	struct run *r = ctx;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(name); i++)
		if (!strcmp(value, name[i])) {
			r->engine = (enum engine_choice)i;
			return 0;
		}
	return error("--engine takes auto, soft or kvm, not '%s'", value);
}

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

static int set_device(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (r->config.ndevices == MACHINE_DEVICES_MAX)
		return error("too many --device options: at most %d", MACHINE_DEVICES_MAX);
	r->config.devices[r->config.ndevices++] = value;
	return 0;
}

static int set_disk(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (r->ndisks == DISKS_MAX)
		return error("too many --disk options: at most %d", DISKS_MAX);
	r->disks[r->ndisks++] = value;
	return 0;
}

/* A disk with an interface of its own. */
static int set_cdrom(void *ctx, const char *value)
{
	struct run *r = ctx;
	char **text = &r->cdrom[r->ncdroms];

	if (r->ncdroms == CDROMS_MAX)
		return error("too many --cdrom options: at most %d", CDROMS_MAX);
	if (asprintf(text, "%s,if=cdrom", value) < 0)
		return error("out of memory");
	r->ncdroms++;
	return set_disk(r, *text);
}

static int set_net(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (!strcmp(value, "none")) {
		r->no_net = true;
		return 0;
	}
	if (r->nnets == NETS_MAX)
		return error("too many --net options: at most %d", NETS_MAX);
	r->nets[r->nnets++] = value;
	return 0;
}

static int set_display(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (!strcmp(value, "none"))
		return 0;
	if (r->ndisplays == DISPLAYS_MAX)
		return error("too many --display options: at most %d", DISPLAYS_MAX);
	r->displays[r->ndisplays++] = value;
	return 0;
}

static int set_vga(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (strcmp(value, "std") && strcmp(value, "none"))
		return error("--vga takes std or none, not '%s'", value);
	r->vga = !strcmp(value, "std");
	r->vga_given = true;
	return 0;
}

static int set_chardev(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (r->nchardevs == CHARDEVS_MAX)
		return error("too many --chardev options: at most %d", CHARDEVS_MAX);
	r->chardevs[r->nchardevs++] = value;
	return 0;
}

static int set_share(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (r->nshares == SHARES_MAX)
		return error("too many --share options: at most %d", SHARES_MAX);
	r->shares[r->nshares++] = value;
	return 0;
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
	static const char *const name[] = { "serial", "virtio", "none" };
	struct run *r = ctx;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(name); i++)
		if (!strcmp(value, name[i])) {
			r->console_kind = (enum console)i;
			return 0;
		}
	return error("--console takes serial, virtio or none, not '%s'", value);
}

static int set_audio(void *ctx, const char *value)
{
	((struct run *)ctx)->audio = value;
	return 0;
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

static int set_kernel(void *ctx, const char *value)
{
	((struct run *)ctx)->config.boot.kernel = value;
	return 0;
}

static int set_initrd(void *ctx, const char *value)
{
	((struct run *)ctx)->config.boot.initrd = value;
	return 0;
}

static int set_append(void *ctx, const char *value)
{
	((struct run *)ctx)->config.boot.cmdline = value;
	return 0;
}

static int set_firmware(void *ctx, const char *value)
{
	((struct run *)ctx)->firmware_option = value;
	return 0;
}

static int set_no_reboot(void *ctx, const char *value)
{
	(void)value;
	((struct run *)ctx)->no_reboot = true;
	return 0;
}

static int set_debug_port(void *ctx, const char *value)
{
	(void)value;
	((struct run *)ctx)->config.debug_port = true;
	return 0;
}

static int set_name(void *ctx, const char *value)
{
	if (!address_name_ok(value))
		return error("--name takes at most %d letters, digits, '.', '_', '+' and '-', which "
			     "are no number, not '%s'", ADDRESS_NAME_MAX, value);
	((struct run *)ctx)->control_config.name = value;
	return 0;
}

static int set_qmp(void *ctx, const char *value)
{
	((struct run *)ctx)->control_config.path = value;
	return 0;
}

static int set_sandbox(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (strcmp(value, "on") && strcmp(value, "off"))
		return error("--sandbox takes on or off, not '%s'", value);
	r->no_sandbox = !strcmp(value, "off");
	return 0;
}

static int set_allow(void *ctx, const char *value)
{
	((struct run *)ctx)->allows = true;
	return sandbox_allow(value, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_REMOVE | SANDBOX_TREE);
}

static int set_stats(void *ctx, const char *value)
{
	(void)value;
	((struct run *)ctx)->stats = true;
	return 0;
}

static int set_trace(void *ctx, const char *value)
{
	struct run *r = ctx;

	if (r->ntraces == TRACES_MAX)
		return error("too many --trace options");
	r->traces[r->ntraces++] = value;
	return 0;
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
	  set_disk },
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
	{ "--device", "TYPE[,K=V]...", "add a device; --device help lists them", set_device },
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

/* True when the user asked for the list of devices, which it prints. */
static bool list_devices(const struct run *r)
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

/* --- the engine ------------------------------------------------------------------- */

static int open_engine(struct run *r)
{
	enum kvm_engine engine = KVM_ENGINE_SOFT;
	struct probe_result probe;
	int err;

	if (r->engine == ENGINE_AUTO) {
		engine = probe_choose(&probe);
		fprintf(stderr, "anykvm: engine: %s (/dev/kvm: %s)\n", kvm_engine_name(engine),
			probe.why);
	} else if (r->engine == ENGINE_KVM) {
		engine = KVM_ENGINE_KERNEL;
	}
	err = kvm_open(&r->kvm, engine);
	if (err < 0)
		return error("cannot open %s: %s", engine == KVM_ENGINE_KERNEL ? "/dev/kvm" :
			     "the software engine", strerror(-err));
	return 0;
}

/* --- events ------------------------------------------------------------------------- */

static void end_machine(struct run *r, enum machine_end why)
{
	if (r->machine)
		machine_set_end(r->machine, why);
	else
		loop_stop(r->loop);
}

static void on_quit(void *ctx)
{
	end_machine(ctx, MACHINE_QUIT);
}

static void on_gone(void *ctx)
{
	end_machine(ctx, MACHINE_FAILED);
}

static void on_power(void *ctx)
{
	struct run *r = ctx;

	if (r->machine)
		machine_power_button(r->machine);
}

static void on_info(void *ctx)
{
	struct run *r = ctx;

	if (r->machine)
		machine_info(r->machine);
}

static void on_sample(void *ctx)
{
	struct run *r = ctx;

	if (r->machine)
		machine_sample(r->machine);
	timer_set(r->sampler, monotonic_ns() + TRACE_SAMPLE_NS);
}

static void on_tell(void *ctx)
{
	struct run *r = ctx;

	if (!r->machine)
		return;
	machine_refresh(r->machine);
	timer_set(r->refreshed, monotonic_ns() + REFRESH_NS);
}

static void on_refreshed(void *ctx)
{
	struct run *r = ctx;

	if (r->machine)
		stats_print(r->machine, stderr);
}

/* A disk of the host is full, or no longer. */
static void on_full_disk(void *ctx, struct disk *d, bool full)
{
	struct run *r = ctx;

	if (r->control)
		control_full_disk(r->control, d, full);
}

static void on_watchdog(void *ctx, const char *action)
{
	struct run *r = ctx;

	if (r->control)
		control_watchdog(r->control, action);
}

/* --- running ------------------------------------------------------------------------- */

/* One life of the machine: why it ended. */
static enum machine_end run_once(struct run *r)
{
	enum machine_end end = MACHINE_FAILED;

	r->machine = machine_new(&r->kvm, &r->config, r->loop, r->serial);
	if (!r->machine)
		return end;
	control_start(r->control, r->machine);
	terminal_raw();
	terminal_hurry(r->terminal, false);
	if (machine_start(r->machine) < 0)
		machine_set_end(r->machine, MACHINE_FAILED);
	loop_run(r->loop);
	/* nobody empties the terminal's buffer while the CPUs are waited for */
	terminal_hurry(r->terminal, true);
	if (machine_stop(r->machine) < 0) {
		terminal_free(r->terminal);
		_exit(1);	/* nothing that the CPU still uses may be freed */
	}
	if (r->stats)
		stats_print(r->machine, stderr);
	end = machine_get_end(r->machine);
	machine_free(r->machine);
	r->machine = NULL;
	return end;
}

static void run_machine(struct run *r)
{
	enum machine_end end;
	bool again, signal;

	do {
		end = run_once(r);
		signal = signals_received(r->signals);
		again = end == MACHINE_RESET && !r->no_reboot && !signal;
		control_end(r->control, end, again, signal);
	} while (again);
	r->status = end == MACHINE_FAILED || end == MACHINE_RUNNING;
}

/* Opens the disks, and adds the devices for them. */
static int open_disks(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->ndisks; i++) {
		struct disk *d = disk_open(r->backends, r->loop, r->disks[i], on_full_disk, r);

		if (!d || (d->device && set_device(r, d->device) < 0))
			return -1;
	}
	return 0;
}

/* Opens the networks, one for those who asked for nothing, and adds the cards. */
static int open_nets(struct run *r)
{
	unsigned int i;

	if (!r->nnets && !r->no_net)
		r->nets[r->nnets++] = "user";
	for (i = 0; i < r->nnets; i++) {
		struct net *n = net_open(r->backends, r->loop, r->nets[i]);

		if (!n || (n->device && set_device(r, n->device) < 0))
			return -1;
	}
	return 0;
}

/* The VGA comes first, so that it has the first slot. */
static int add_vga(struct run *r)
{
	if (!(r->vga_given ? r->vga : r->ndisplays && r->config.type != &machine_micro))
		return 0;
	if (set_device(r, "vga") < 0)
		return -1;
	memmove(r->config.devices + 1, r->config.devices,
		(r->config.ndevices - 1) * sizeof(r->config.devices[0]));
	r->config.devices[0] = "vga";
	return 0;
}

/* Where a screen is shown, the pointer of who looks at it is to be the guest's. */
static int add_tablet(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->config.ndevices; i++)
		if (!strncmp(r->config.devices[i], "virtio-tablet", strlen("virtio-tablet")))
			return 0;
	return r->ndisplays ? set_device(r, "virtio-tablet") : 0;
}

static int open_displays(struct run *r)
{
	const struct show_config c = {
		.display = r->display,
		.input = r->input,
		.tap = r->console,
		.name = r->control_config.name,
	};

	for (; r->nshows < r->ndisplays; r->nshows++) {
		r->shows[r->nshows] = show_open(&c, r->displays[r->nshows]);
		if (!r->shows[r->nshows])
			return -1;
	}
	return 0;
}

/* Makes the character devices and gives the terminal to what it is to be. */
static int open_chardevs(struct run *r)
{
	struct chardev *stdio = console_tap_chardev(r->console);
	unsigned int i;

	if (registry_add(r->backends, "chardev", "stdio", stdio, NULL) < 0)
		return -1;
	for (i = 0; i < r->nchardevs; i++)
		if (chardev_open(r->backends, r->loop, r->chardevs[i]) < 0)
			return -1;
	r->serial = chardev_null();
	if (r->console_kind == CONSOLE_SERIAL)
		r->serial = registry_claim(r->backends, "chardev", "stdio");
	else if (r->console_kind == CONSOLE_VIRTIO)
		return set_device(r, VIRTIO_CONSOLE);
	return 0;
}

static int open_vsock(struct run *r)
{
	struct vsock_backend *b = r->vsock ? vsock_open(r->backends, r->vsock) : NULL;

	return b ? set_device(r, b->device) : r->vsock ? -1 : 0;
}

static int open_shares(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->nshares; i++) {
		struct share *s = share_open(r->backends, r->shares[i]);

		if (!s || set_device(r, s->device) < 0)
			return -1;
		if (s->server < 0 && !r->no_sandbox)
			return error("--share: apart=off takes --sandbox off");
	}
	return 0;
}

static int open_audio(struct run *r)
{
	struct audio *a = r->audio ? audio_open(r->backends, r->audio) : NULL;

	if (!r->audio || !a)
		return r->audio ? -1 : 0;
	return a->device ? set_device(r, a->device) : 0;
}

static int set_up(struct run *r)
{
	static const struct qmp_command *const more[] = { screen_commands, balloon_commands, NULL };
	const struct terminal_ops ops = { on_quit, on_power, on_info, on_gone, r };
	unsigned int i;

	for (i = 0; i < r->ntraces; i++)
		if (trace_add(&r->config.trace, r->traces[i], r->config.boot.cpus) < 0)
			return -1;
	if (!r->config.boot.kernel &&
	    firmware_load(&r->firmware, r->firmware_option ? r->firmware_option : "bios") < 0)
		return -1;
	r->config.firmware = &r->firmware;
	if (open_engine(r) < 0)
		return -1;
	r->loop = loop_new();
	if (!r->loop)
		return error("cannot create the event loop");
	r->backends = registry_new();
	r->input = input_new();
	r->display = display_new();
	if (!r->backends || !r->input || !r->display)
		return error("out of memory");
	r->config.backends = r->backends;
	r->config.input = r->input;
	r->config.on_watchdog = on_watchdog;
	r->config.on_watchdog_ctx = r;
	r->config.display = r->display;
	if (add_vga(r) < 0 || add_tablet(r) < 0)
		return -1;
	if (open_disks(r) < 0 || open_nets(r) < 0 || open_vsock(r) < 0 ||
	    open_shares(r) < 0 || open_audio(r) < 0)
		return -1;
	r->signals = signals_new(r->loop, on_quit, on_tell, r);
	if (!r->signals)
		return -1;
	r->screen = screen_new(r->loop, r->display, r->input);
	if (!r->screen)
		return error("out of memory");
	r->control_config.machine = &r->config;
	r->control_config.backends = r->backends;
	r->control_config.more = more;
	r->control = control_new(r->loop, &r->control_config);
	if (!r->control)
		return -1;
	r->refreshed = timer_new(r->loop, on_refreshed, r);
	if (!r->refreshed)
		return error("cannot create a timer");
	r->terminal = terminal_new(r->loop, &ops);
	if (!r->terminal)
		return -1;
	r->console = console_tap_new(terminal_chardev(r->terminal));
	if (!r->console)
		return error("out of memory");
	if (control_console(r->control, r->console) < 0 || open_chardevs(r) < 0)
		return -1;
	if (open_displays(r) < 0)
		return -1;
	if (trace_samples(r->config.trace)) {
		r->sampler = timer_new(r->loop, on_sample, r);
		if (!r->sampler)
			return error("cannot create the sampling timer");
		on_sample(r);
	}
	return 0;
}

/* From here on only what a running machine needs. */
static int enter_sandbox(struct run *r)
{
	const struct boot_config *b = &r->config.boot;
	unsigned int queues = b->cpus < QUEUES_OF_DISK ? b->cpus : QUEUES_OF_DISK;

	if (r->no_sandbox)
		return 0;
	/* they are read again at each reset */
	if ((b->kernel && sandbox_allow(b->kernel, SANDBOX_READ) < 0) ||
	    (b->initrd && sandbox_allow(b->initrd, SANDBOX_READ) < 0) ||
	    (r->kvm.engine == KVM_ENGINE_KERNEL && sandbox_need(SANDBOX_KVM, "/dev/kvm") < 0))
		return -1;
	if (sandbox_allow(VGA_BIOS, SANDBOX_READ) < 0)
		return -1;
	block_reserve_queues(r->ndisks * queues + (r->allows ? SPARE_QUEUES : 0));
	return sandbox_enter(terminal_restore);
}

static void tear_down(struct run *r)
{
	while (r->nshows)
		show_free(r->shows[--r->nshows]);
	while (r->ncdroms)
		free(r->cdrom[--r->ncdroms]);
	control_free(r->control);
	screen_free(r->screen);
	trace_finish(r->config.trace);
	timer_free(r->sampler);
	timer_free(r->refreshed);
	if (r->kvm.fd >= 0)
		kvm_close(&r->kvm);
	registry_free(r->backends);
	console_tap_free(r->console);
	terminal_free(r->terminal);
	input_free(r->input);
	display_free(r->display);
	firmware_free(&r->firmware);
	signals_free(r->signals);	/* may end the process */
	loop_free(r->loop);
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

int command_run(int argc, char **argv)
{
	struct run r = {
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
	int err = options_parse_mixed(run_options, &r, argc, argv, set_disk);

	if (err > 0) {
		help_run();
		return 0;
	}
	if (err < 0)
		return EXIT_USAGE;
	if (list_devices(&r))
		return 0;
	if (nothing_to_boot(&r))
		return error("there is nothing to boot from: name a disk image, or a --kernel "
			     "(try --help)"), EXIT_USAGE;
	if (r.config.boot.kernel && r.firmware_option)
		return error("--kernel starts without firmware: --firmware is of no use"),
		       EXIT_USAGE;
	if (!r.config.boot.kernel && r.config.boot.initrd)
		return error("--initrd needs --kernel"), EXIT_USAGE;
	if (!r.config.boot.cmdline)
		r.config.boot.cmdline = default_cmdline(&r);
	if (r.no_net && r.nnets)
		return error("--net none is of no use with another --net"), EXIT_USAGE;
	if (set_up(&r) == 0 && enter_sandbox(&r) == 0)
		run_machine(&r);
	tear_down(&r);
	return r.status;
}

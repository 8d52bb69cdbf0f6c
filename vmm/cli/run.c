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

#include "../backends/console_tap.h"
#include "../backends/disk.h"
#include "../backends/input.h"
#include "../backends/registry.h"
#include "../backends/signals.h"
#include "../backends/terminal.h"
#include "../control/balloon.h"
#include "../control/screen.h"
#include "../devices/display/vga_device.h"
#include "../display/display.h"
#include "../display/show.h"
#include "../error.h"
#include "../machine/probe.h"
#include "../machine/stats.h"
#include "../machine/trace.h"
#include "../sandbox/sandbox.h"
#include "commands.h"
#include "run.h"
#include "tables.h"

#define REFRESH_NS 10000000ULL	/* time for the CPUs to leave the guest once */
#define QUEUES_OF_DISK 4	/* as many as virtio-blk takes by itself */
#define SPARE_QUEUES 4		/* for disks that come later */

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
	r->kvm.code_cache = r->code_cache;
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

void run_on_full_disk(void *run, struct disk *d, bool full)
{
	struct run *r = run;

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

/* --- setting up ------------------------------------------------------------------------ */

/* The parts of this process that the devices find in the board. */
static int make_common(struct run *r)
{
	r->loop = loop_new();
	if (!r->loop)
		return error("cannot create the event loop");
	r->backends = registry_new();
	r->input = input_new();
	r->display = display_new();
	if (!r->backends || !r->input || !r->display)
		return error("out of memory");
	r->config.firmware = &r->firmware;
	r->config.backends = r->backends;
	r->config.input = r->input;
	r->config.display = r->display;
	r->config.on_watchdog = on_watchdog;
	r->config.on_watchdog_ctx = r;
	return 0;
}

static int make_control(struct run *r)
{
	static const struct qmp_command *const more[] = { screen_commands, balloon_commands, NULL };

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
	return r->refreshed ? 0 : error("cannot create a timer");
}

static int make_terminal(struct run *r)
{
	const struct terminal_ops ops = { on_quit, on_power, on_info, on_gone, r };

	r->terminal = terminal_new(r->loop, &ops);
	if (!r->terminal)
		return -1;
	r->console = console_tap_new(terminal_chardev(r->terminal));
	if (!r->console)
		return error("out of memory");
	return control_console(r->control, r->console);
}

static int set_up(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->ntraces; i++)
		if (trace_add(&r->config.trace, r->traces[i], r->config.boot.cpus) < 0)
			return -1;
	if (!r->config.boot.kernel &&
	    firmware_load(&r->firmware, r->firmware_option ? r->firmware_option : "bios") < 0)
		return -1;
	if (open_engine(r) < 0 || make_common(r) < 0 || run_open_backends(r) < 0)
		return -1;
	if (make_control(r) < 0 || make_terminal(r) < 0)
		return -1;
	if (run_open_chardevs(r) < 0 || run_open_displays(r) < 0)
		return -1;
	if (!trace_samples(r->config.trace))
		return 0;
	r->sampler = timer_new(r->loop, on_sample, r);
	if (!r->sampler)
		return error("cannot create the sampling timer");
	on_sample(r);
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
		free(r->cdroms[--r->ncdroms]);
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

int command_run(int argc, char **argv)
{
	struct run r;
	int err;

	run_defaults(&r);
	err = options_parse_mixed(run_options, &r, argc, argv, run_set_disk);
	if (err > 0) {
		help_run();
		return 0;
	}
	if (err < 0)
		return EXIT_USAGE;
	if (run_list_devices(&r))
		return 0;
	if (run_check_options(&r) < 0)
		return EXIT_USAGE;
	if (set_up(&r) == 0 && enter_sandbox(&r) == 0)
		run_machine(&r);
	tear_down(&r);
	return r.status;
}

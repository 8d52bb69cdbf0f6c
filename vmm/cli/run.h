/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command "run", in three files: what its options say (run_options.c), the
 * back ends that they ask for (run_backends.c), and the machine's life (run.c).
 */
#ifndef VMM_CLI_RUN_H
#define VMM_CLI_RUN_H

#include "../backends/disk.h"
#include "../boot/firmware.h"
#include "../control/control.h"
#include "../machine/machine.h"

#define RUN_TRACES_MAX 4
#define RUN_DISKS_MAX 32
#define RUN_CDROMS_MAX 6
#define RUN_NETS_MAX 16
#define RUN_DISPLAYS_MAX 8
#define RUN_CHARDEVS_MAX 16
#define RUN_SHARES_MAX 16

enum console { CONSOLE_SERIAL, CONSOLE_VIRTIO, CONSOLE_NONE };
enum engine_choice { ENGINE_AUTO, ENGINE_SOFT, ENGINE_KVM };

struct run {
	struct machine_config config;
	enum engine_choice engine;
	u64 code_cache;		/* 0: as large as the engine makes it */
	bool no_reboot;
	bool stats;		/* printed when a machine ends */
	const char *firmware_option;
	struct firmware firmware;
	const char *traces[RUN_TRACES_MAX];
	unsigned int ntraces;
	const char *disks[RUN_DISKS_MAX];
	unsigned int ndisks;
	char *cdroms[RUN_CDROMS_MAX];	/* the texts of their disks */
	unsigned int ncdroms;
	const char *nets[RUN_NETS_MAX];
	unsigned int nnets;
	bool no_net;
	const char *displays[RUN_DISPLAYS_MAX];
	unsigned int ndisplays;
	bool vga, vga_given;
	const char *vsock;
	const char *shares[RUN_SHARES_MAX];
	unsigned int nshares;
	const char *chardevs[RUN_CHARDEVS_MAX];
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
	struct show *shows[RUN_DISPLAYS_MAX];
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

/* --- run_options.c ------------------------------------------------------------------- */

/* What is there before the options. */
void run_defaults(struct run *r);
/* Whether they go together, and what depends on several: 0, or -1 after an error line. */
int run_check_options(struct run *r);
/* True when the user asked for the list of devices, which it prints. */
bool run_list_devices(const struct run *r);
/* An option of its own for each: 0, or -1 after an error line. */
int run_set_disk(void *run, const char *value);
int run_set_device(void *run, const char *value);

/* --- run_backends.c: 0, or -1 after an error line --------------------------------------- */

/* Opens all that does not need the terminal, and adds the devices for it. */
int run_open_backends(struct run *r);
/* Makes the character devices and gives the terminal to what it is to be. */
int run_open_chardevs(struct run *r);
int run_open_displays(struct run *r);
/* A disk of the host is full, or no longer. */
void run_on_full_disk(void *run, struct disk *d, bool full);

#endif

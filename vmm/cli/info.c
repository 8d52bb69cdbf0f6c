/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command "info": the whole diagnosis of a host. What /dev/kvm is and how
 * far its probe came, what the software engine does, which of both "auto"
 * takes and why.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../kvm.h"
#include "../machine/probe.h"
#include "commands.h"
#include "options.h"

#ifndef ANYKVM_VERSION
#define ANYKVM_VERSION "unknown"
#endif

static const struct option_def options[] = {
	{ NULL, NULL, NULL, NULL },
};

void help_info(void)
{
	printf("usage: anykvm info\n\n"
	       "Tells what this host offers, how /dev/kvm and the software engine do with a\n"
	       "small 64-bit guest, and which of them \"anykvm run\" would take.\n\n"
	       "options:\n");
	options_print(options);
}

static void line(const char *name, const char *value)
{
	printf("%-22s %s\n", name, value);
}

/* The value of a field of /proc/cpuinfo's first CPU; "" when there is none. */
static void cpuinfo(const char *field, char *value, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char text[4096];

	value[0] = 0;
	while (f && fgets(text, sizeof(text), f)) {
		char *colon = strchr(text, ':');

		if (!colon || strncmp(text, field, strlen(field)))
			continue;
		colon += strspn(colon, ": \t");
		colon[strcspn(colon, "\n")] = 0;
		snprintf(value, size, "%s", colon);
		break;
	}
	if (f)
		fclose(f);
}

static bool has_flag(const char *flags, const char *flag)
{
	size_t len = strlen(flag);
	const char *p;

	for (p = flags; (p = strstr(p, flag)); p += len)
		if ((p == flags || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
			return true;
	return false;
}

static void print_limit(const char *name, int resource)
{
	struct rlimit r;

	if (getrlimit(resource, &r) < 0)
		return;
	if (r.rlim_cur == RLIM_INFINITY)
		line(name, "unlimited");
	else
		printf("%-22s %llu\n", name, (unsigned long long)r.rlim_cur);
}

static void print_host(void)
{
	char model[128], flags[4096];
	struct utsname u;
	struct sysinfo s;

	cpuinfo("model name", model, sizeof(model));
	cpuinfo("flags", flags, sizeof(flags));
	line("processor", model[0] ? model : "unknown");
	line("virtualization", has_flag(flags, "vmx") ? "Intel VT-x" :
	     has_flag(flags, "svm") ? "AMD-V" : "none offered by the processor");
	line("under a hypervisor", has_flag(flags, "hypervisor") ? "yes" : "no");
	printf("%-22s %ld\n", "processors", sysconf(_SC_NPROCESSORS_ONLN));
	if (sysinfo(&s) == 0)
		printf("%-22s %llu MiB, %llu MiB free\n", "memory",
		       (unsigned long long)s.totalram * s.mem_unit / MIB,
		       (unsigned long long)(s.freeram + s.bufferram) * s.mem_unit / MIB);
	if (uname(&u) == 0)
		printf("%-22s %s %s\n", "kernel", u.sysname, u.release);
	print_limit("address space limit", RLIMIT_AS);
	print_limit("open files limit", RLIMIT_NOFILE);
}

static void print_device(void)
{
	struct passwd *user;
	struct group *group;
	struct stat st;

	if (stat("/dev/kvm", &st) < 0) {
		line("/dev/kvm", errno == ENOENT ? "not there" : strerror(errno));
		return;
	}
	user = getpwuid(st.st_uid);
	group = getgrgid(st.st_gid);
	printf("%-22s %s, mode %04o, owner %s, group %s\n", "/dev/kvm",
	       S_ISCHR(st.st_mode) ? "there" : "not a device", st.st_mode & 07777,
	       user ? user->pw_name : "?", group ? group->gr_name : "?");
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		line("  permission", "you may not open it");
}

static void print_engine(enum kvm_engine engine, struct probe_result *probe)
{
	struct kvm k;
	int err = kvm_open(&k, engine);

	if (err < 0) {
		if (engine == KVM_ENGINE_SOFT || err != -ENOENT)
			printf("  %-20s cannot be opened: %s\n", "state", strerror(-err));
		return;
	}
	printf("  %-20s %d\n", "API version", kvm_ioctl(&k, k.fd, KVM_GET_API_VERSION, 0));
	printf("  %-20s %d recommended, %d at most\n", "CPUs a guest",
	       kvm_check_extension(&k, k.fd, KVM_CAP_NR_VCPUS),
	       kvm_check_extension(&k, k.fd, KVM_CAP_MAX_VCPUS));
	printf("  %-20s %s\n", "interrupt controllers",
	       kvm_check_extension(&k, k.fd, KVM_CAP_IRQCHIP) ? "yes" : "no");
	kvm_close(&k);
	fflush(stdout);
	probe_engine(engine, probe);
	printf("  %-20s %s: %s", "probe", probe->ok ? "passed" : "failed", probe->why);
	if (probe->ok)
		printf(", computing at %.1f times the host's time", probe->ratio);
	printf("\n");
}

int command_info(int argc, char **argv)
{
	struct probe_result kernel = { .why = "it is not there" }, soft = { 0 };
	int err = options_parse(options, NULL, argc, argv);

	if (err < 0)
		return EXIT_USAGE;
	if (err > 0) {
		help_info();
		return 0;
	}
	line("anykvm", ANYKVM_VERSION);
	print_host();
	print_device();
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		snprintf(kernel.why, sizeof(kernel.why), "%s",
			 errno == ENOENT ? "it is not there" : "you may not open it");
	else
		print_engine(KVM_ENGINE_KERNEL, &kernel);
	line("software engine", "built in");
	print_engine(KVM_ENGINE_SOFT, &soft);
	printf("%-22s %s (/dev/kvm: %s)\n", "engine of auto",
	       kvm_engine_name(kernel.ok ? KVM_ENGINE_KERNEL : KVM_ENGINE_SOFT), kernel.why);
	return 0;
}

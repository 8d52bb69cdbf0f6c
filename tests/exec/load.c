/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many VMs, in turn and at once, and how long things take. */
#include <dirent.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* In KiB, of /proc/self/status. */
static long status_value(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long v = -1;

	CHECK(f);
	while (v < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			v = strtol(line + strlen(name) + 1, NULL, 10);
	fclose(f);
	return v;
}

static void one_vm(int i)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct guest g;
	int vm;

	guest_new(&g, guest_halt, sizeof(guest_halt));
	CHECK(guest_run(&g) == 0 && g.run->exit_reason == KVM_EXIT_HLT);
	if (i % 16 == 0) {	/* one with all that a VM can have */
		vm = ioctl(g.kvm, KVM_CREATE_VM, 0);
		CHECK(vm >= 0 && ioctl(vm, KVM_CREATE_IRQCHIP, 0) == 0);
		CHECK(ioctl(vm, KVM_GET_IRQCHIP, &chip) == 0);
		CHECK(close(vm) == 0);
	}
	guest_free(&g);
}

int test_leaks(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 2000, i, files, threads;
	long rss, size;

	for (i = 0; i < 200; i++)
		one_vm(i);
	files = entries("/proc/self/fd");
	threads = entries("/proc/self/task");
	rss = status_value("VmRSS");
	size = status_value("VmSize");
	for (i = 0; i < count; i++)
		one_vm(i);
	printf("descriptors %d, threads %d, resident %+ld KiB, mapped %+ld KiB\n",
	       entries("/proc/self/fd") - files, entries("/proc/self/task") - threads,
	       status_value("VmRSS") - rss, status_value("VmSize") - size);
	CHECK(entries("/proc/self/fd") == files);
	CHECK(entries("/proc/self/task") == threads);
	CHECK(status_value("VmRSS") - rss < 1024);
	CHECK(status_value("VmSize") - size < 16 * 1024);
	return 0;
}

/* --- at once ------------------------------------------------------------------------------- */

static void *thread_main(void *arg)
{
	char text[32];
	struct guest g;
	int i;

	(void)arg;
	for (i = 0; i < 20; i++) {
		guest_new(&g, guest_hello, guest_hello_size);
		guest_output(&g, text, sizeof(text));
		CHECK(!strcmp(text, "hello\n"));
		guest_free(&g);
	}
	return NULL;
}

int test_threads(int argc, char **argv)
{
	pthread_t ids[8];
	int i, round, before = 0;

	(void)argc;
	(void)argv;
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 8; i++)
			CHECK(pthread_create(&ids[i], NULL, thread_main, NULL) == 0);
		for (i = 0; i < 8; i++)
			CHECK(pthread_join(ids[i], NULL) == 0);
		for (i = 0; round && i < 1000 && entries("/proc/self/task") > before; i++)
			usleep(1000);
		if (!round) {
			usleep(100000);
			before = entries("/proc/self/task");
		}
	}
	CHECK(entries("/proc/self/task") <= before);
	return 0;
}

/* --- how long --------------------------------------------------------------------------------- */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *t, int n)
{
	qsort(t, (size_t)n, sizeof(*t), compare);
	return t[n / 2];
}

int test_latency(int argc, char **argv)
{
	static double t[5000];
	struct guest g;
	double start;
	int i, j;

	(void)argc;
	(void)argv;
	guest_new(&g, guest_ports, sizeof(guest_ports));
	for (i = 0; i < 5000; i++) {
		start = now();
		for (j = 0; j < 10; j++)
			CHECK(guest_run(&g) == 0);
		t[i] = (now() - start) / 10;
	}
	guest_free(&g);
	printf("port I/O exit: %.0f ns\n", median(t, 5000));
	for (i = 0; i < 200; i++) {
		start = now();
		guest_new(&g, guest_halt, sizeof(guest_halt));
		CHECK(guest_run(&g) == 0 && g.run->exit_reason == KVM_EXIT_HLT);
		guest_free(&g);
		t[i] = now() - start;
	}
	printf("create, run, destroy: %.0f us\n", median(t, 200) / 1000);
	return 0;
}

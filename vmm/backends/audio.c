/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sound to a WAV file (RIFF, format 1: PCM). The header tells the length, so it
 * is written anew as the file grows; it ends where four gigabytes do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../devices/props.h"
#include "../error.h"
#include "audio.h"
#include "registry.h"

#define HEADER 44u
#define BYTES_MAX 0xfffff000u

static void put32(u8 *p, u32 v)
{
	memcpy(p, &v, sizeof(v));
}

static int write_header(struct audio *a)
{
	u8 h[HEADER] = "RIFF....WAVEfmt ";

	put32(h + 4, HEADER - 8 + a->bytes);
	put32(h + 16, 16);
	put32(h + 20, 1 | 2 << 16);		/* PCM, two channels */
	put32(h + 24, AUDIO_HZ);
	put32(h + 28, AUDIO_HZ * AUDIO_FRAME);
	put32(h + 32, AUDIO_FRAME | 16 << 16);
	memcpy(h + 36, "data", 4);
	put32(h + 40, a->bytes);
	return pwrite(a->fd, h, sizeof(h), 0) == sizeof(h) ? 0 : -1;
}

static void stop(struct audio *a)
{
	error("%s: cannot write the sound: %s", a->path, strerror(errno));
	close(a->fd);
	a->fd = -1;
}

void audio_play(struct audio *a, const void *data, u32 bytes)
{
	if (a->fd < 0 || bytes > BYTES_MAX - a->bytes)
		return;
	errno = ENOSPC;		/* what a short write means */
	if (pwrite(a->fd, data, bytes, HEADER + (off_t)a->bytes) != (ssize_t)bytes) {
		stop(a);
		return;
	}
	a->bytes += bytes;
	if (write_header(a) < 0)
		stop(a);
}

static void audio_free(void *backend)
{
	struct audio *a = backend;

	if (a->fd >= 0)
		close(a->fd);
	free(a->id);
	free(a->device);
	free(a->path);
	free(a);
}

static int open_kind(struct audio *a, struct props *p)
{
	const char *path;

	if (!strcmp(p->type, "none"))
		return 0;
	if (strcmp(p->type, "wav"))
		return error("--audio takes none or wav, not '%s'", p->type);
	path = props_string(p, "path", NULL);
	if (!path) {
		props_missing(p, "path", "a file");
		return -1;
	}
	a->path = strdup(path);
	a->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (a->fd < 0 || !a->path || write_header(a) < 0)
		return error("cannot write '%s': %s", path, strerror(errno));
	return 0;
}

static int open_all(struct audio *a, struct registry *r, struct props *p)
{
	static const char *const interfaces[] = { "ac97", "none", NULL };
	const char *id = props_string(p, "id", NULL);

	if (open_kind(a, p) < 0)
		return -1;
	a->id = registry_choose_id(r, "audio", id);
	if (!a->id)
		return -1;
	if (props_choice(p, "if", 0, interfaces) == 0 &&
	    asprintf(&a->device, "ac97,audio=%s", a->id) < 0)
		return error("out of memory");
	if (props_finish(p) < 0)
		return -1;
	return registry_add(r, "audio", a->id, a, audio_free);
}

struct audio *audio_open(struct registry *r, const char *text)
{
	struct audio *a = calloc(1, sizeof(*a));
	struct props p;

	if (!a) {
		error("out of memory");
		return NULL;
	}
	a->fd = -1;
	if (props_parse(&p, text) < 0 || open_all(a, r, &p) < 0) {
		audio_free(a);
		a = NULL;
	}
	props_free(&p);
	return a;
}

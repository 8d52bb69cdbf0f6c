/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the sound goes that the guest plays, by its id in the registry (kind
 * "audio"): nowhere, or to a WAV file. It outlives the machine's resets.
 */
#ifndef VMM_BACKENDS_AUDIO_H
#define VMM_BACKENDS_AUDIO_H

#include "../types.h"

#define AUDIO_HZ 48000u
#define AUDIO_FRAME 4u		/* bytes: left and right, 16 bits each, little-endian */

struct registry;

struct audio {
	char *id;
	char *device;		/* what to give to --device for it; NULL: the user does that */
	char *path;
	int fd;			/* -1: nowhere */
	u32 bytes;
};

/*
 * Opens it by the text of an --audio option, none or wav,path=FILE, each with
 * [,id=][,if=ac97|none], and adds it to the registry. NULL after an error line.
 */
struct audio *audio_open(struct registry *r, const char *text);
/* What was played, whole frames; for one thread at a time. */
void audio_play(struct audio *a, const void *data, u32 bytes);

#endif

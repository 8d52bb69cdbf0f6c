/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sound as Intel's 82801AA has it (AC '97 2.3; ICH datasheet 290655, chapter
 * 13): what its files share. ac97.c has the mixer and the registers,
 * ac97_stream.c the three streams. Everything is under one lock.
 */
#ifndef VMM_DEVICES_AUDIO_AC97_H
#define VMM_DEVICES_AUDIO_AC97_H

#include "../../backends/audio.h"
#include "../device.h"
#include "../pci/pci.h"

#define AC97_STREAMS 3
#define AC97_MIXER_WORDS 64

enum { AC97_IN, AC97_OUT, AC97_MIC };

/* Status of a stream */
#define SR_HALTED 0x01
#define SR_AT_LAST 0x02
#define SR_LAST_DONE 0x04
#define SR_BUFFER_DONE 0x08
#define SR_FIFO 0x10
/* Control */
#define CR_RUN 0x01
#define CR_RESET 0x02
#define CR_LAST_IE 0x04
#define CR_FIFO_IE 0x08
#define CR_BUFFER_IE 0x10

struct ac97_stream {
	u32 list;			/* BDBAR */
	u8 civ, lvi, piv, cr;
	u16 sr, picb;			/* samples that are left of the buffer */
	u32 at;				/* where they are */
	u32 control;			/* the word of the buffer's descriptor */
	u64 since;			/* up to which time it has played */
};

struct ac97 {
	struct device dev;		/* first */
	struct pci_device pci;
	struct board *b;
	struct audio *audio;		/* or NULL */
	struct timer *timer;
	pthread_mutex_t lock;
	u16 mixer[AC97_MIXER_WORDS];
	u32 global, status;
	bool taken;			/* the semaphore of the codec */
	struct ac97_stream stream[AC97_STREAMS];
};

/* ac97_stream.c */
void ac97_stream_reset(struct ac97_stream *s);
/* Plays up to now; then interrupts and the timer are as they should be. */
void ac97_run(struct ac97 *a);
void ac97_set_last(struct ac97 *a, struct ac97_stream *s, u8 lvi);
void ac97_set_control(struct ac97 *a, struct ac97_stream *s, u8 cr);

#endif

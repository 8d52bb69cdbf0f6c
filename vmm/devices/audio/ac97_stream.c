/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams: lists of 32 buffers, through which the time goes at 48000 frames a
 * second. What is recorded is silence.
 */
#include <string.h>

#include "ac97.h"

#define ENTRIES 32u
#define ENTRY_BYTES 8u
#define TICK_NS (NSEC / 100)
#define BEHIND_MAX (NSEC / 5)		/* what a machine that slept does not play */
#define D_INTERRUPT (1u << 31)

void ac97_stream_reset(struct ac97_stream *s)
{
	memset(s, 0, sizeof(*s));
	s->sr = SR_HALTED;
}

/* Takes the descriptor of the current buffer. */
static void fetch(struct ac97 *a, struct ac97_stream *s)
{
	u32 entry[2] = { 0, 0 };

	memory_read(a->b->mem, s->list + s->civ * ENTRY_BYTES, entry, sizeof(entry));
	s->at = entry[0] & ~1u;
	s->control = entry[1];
	s->picb = (u16)entry[1];
}

static void next_buffer(struct ac97 *a, struct ac97_stream *s)
{
	s->civ = s->piv;
	s->piv = (u8)((s->civ + 1) % ENTRIES);
	fetch(a, s);
}

/* The buffer is done: on to the next one, or the stream halts. */
static void end_buffer(struct ac97 *a, struct ac97_stream *s)
{
	if (s->control & D_INTERRUPT)
		s->sr |= SR_BUFFER_DONE;
	if (s->civ == s->lvi) {
		s->sr |= SR_LAST_DONE | SR_HALTED | SR_AT_LAST;
		return;
	}
	next_buffer(a, s);
}

static void move(struct ac97 *a, struct ac97_stream *s, u32 bytes)
{
	u8 *data = memory_ptr(a->b->mem, s->at, bytes);

	if (data && s != &a->stream[AC97_OUT])
		memset(data, 0, bytes);
	else if (data && a->audio)
		audio_play(a->audio, data, bytes);
	s->at += bytes;
	s->picb = (u16)(s->picb - bytes / 2);
}

/* Plays so many samples, of 32 buffers at most. */
static void play(struct ac97 *a, struct ac97_stream *s, u64 samples)
{
	unsigned int buffers = 0;

	while (samples && !(s->sr & SR_HALTED) && buffers < ENTRIES) {
		const u32 n = samples < s->picb ? (u32)samples : s->picb;

		if (n)
			move(a, s, n * 2);
		samples -= n;
		if (s->picb)
			continue;
		end_buffer(a, s);
		buffers++;
	}
}

static void run_stream(struct ac97 *a, struct ac97_stream *s, u64 now)
{
	u64 frames;

	if (!(s->cr & CR_RUN) || s->sr & SR_HALTED || now <= s->since)
		return;
	if (now - s->since > BEHIND_MAX)
		s->since = now - BEHIND_MAX;
	frames = (now - s->since) * AUDIO_HZ / NSEC;
	s->since += frames * NSEC / AUDIO_HZ;
	play(a, s, frames * 2);
}

static bool interrupts(const struct ac97_stream *s)
{
	return (s->sr & SR_LAST_DONE && s->cr & CR_LAST_IE) ||
		(s->sr & SR_BUFFER_DONE && s->cr & CR_BUFFER_IE) ||
		(s->sr & SR_FIFO && s->cr & CR_FIFO_IE);
}

void ac97_run(struct ac97 *a)
{
	static const u8 bit[AC97_STREAMS] = { 5, 6, 7 };
	const u64 now = monotonic_ns();
	bool running = false;
	unsigned int i;

	a->status = 0;
	for (i = 0; i < AC97_STREAMS; i++) {
		struct ac97_stream *s = &a->stream[i];

		run_stream(a, s, now);
		running |= s->cr & CR_RUN && !(s->sr & SR_HALTED);
		if (interrupts(s))
			a->status |= 1u << bit[i];
	}
	pci_intx(&a->pci, a->status);
	timer_set(a->timer, running ? now + TICK_NS : 0);
}

void ac97_set_last(struct ac97 *a, struct ac97_stream *s, u8 lvi)
{
	s->lvi = lvi % ENTRIES;
	if (!(s->cr & CR_RUN) || !(s->sr & SR_HALTED))
		return;
	/* it waited at the end for more */
	s->sr &= (u16)~(SR_HALTED | SR_AT_LAST);
	s->since = monotonic_ns();
	next_buffer(a, s);
}

void ac97_set_control(struct ac97 *a, struct ac97_stream *s, u8 cr)
{
	const bool ran = s->cr & CR_RUN;

	if (cr & CR_RESET) {
		ac97_stream_reset(s);
		return;
	}
	s->cr = cr & (CR_RUN | CR_LAST_IE | CR_FIFO_IE | CR_BUFFER_IE);
	if (!(cr & CR_RUN)) {
		s->sr |= SR_HALTED;
	} else if (!ran) {
		s->sr &= (u16)~(SR_HALTED | SR_AT_LAST);
		s->since = monotonic_ns();
		if (!s->picb) {
			s->piv = (u8)((s->civ + 1) % ENTRIES);
			fetch(a, s);
		}
	}
}

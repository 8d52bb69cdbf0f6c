/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sound: the mixer of the codec, the registers of the controller, and how it
 * comes to be. The codec plays 48000 frames a second, nothing else; what its
 * volumes are set to is kept, but what is played goes on as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "../../backends/registry.h"
#include "../../error.h"
#include "ac97.h"

#define DEVICE 0x2415
#define MIXER_BAR 0
#define MIXER_SIZE 256
#define MASTER_BAR 1
#define MASTER_SIZE 64

/* The mixer */
enum { M_RESET = 0x00, M_MASTER = 0x02, M_HEADPHONE = 0x04, M_MONO = 0x06, M_BEEP = 0x0a,
	M_PHONE = 0x0c, M_MIC = 0x0e, M_LINE = 0x10, M_CD = 0x12, M_VIDEO = 0x14, M_AUX = 0x16,
	M_PCM = 0x18, M_SELECT = 0x1a, M_RECORD = 0x1c, M_GENERAL = 0x20, M_POWER = 0x26,
	M_DAC_RATE = 0x2c, M_ADC_RATE = 0x32, M_VENDOR1 = 0x7c, M_VENDOR2 = 0x7e };
#define POWER_READY 0x000f

/* The controller */
enum { S_LIST = 0x0, S_CIV = 0x4, S_LVI = 0x5, S_SR = 0x6, S_PICB = 0x8, S_PIV = 0xa, S_CR = 0xb };
enum { G_CONTROL = 0x2c, G_STATUS = 0x30, G_SEMAPHORE = 0x34 };
#define STREAM_SIZE 0x10
#define STREAMS_END 0x30
#define CONTROL_COLD 0x02
#define STATUS_READY 0x100

/* --- the mixer: under the lock ------------------------------------------------------- */

static void reset_mixer(struct ac97 *a)
{
	static const u8 muted[] = { M_MASTER, M_HEADPHONE, M_MONO, M_PHONE, M_MIC, M_LINE, M_CD,
		M_VIDEO, M_AUX, M_PCM, M_RECORD };
	unsigned int i;

	memset(a->mixer, 0, sizeof(a->mixer));
	for (i = 0; i < sizeof(muted); i++)
		a->mixer[muted[i] / 2] = 0x8000 | (muted[i] >= M_PHONE && muted[i] <= M_PCM ?
						  (muted[i] <= M_MIC ? 0x0008 : 0x0808) : 0);
	a->mixer[M_POWER / 2] = POWER_READY;
	a->mixer[M_DAC_RATE / 2] = a->mixer[M_ADC_RATE / 2] = AUDIO_HZ;
	a->mixer[M_VENDOR1 / 2] = 0x8384;		/* SigmaTel STAC9700 */
	a->mixer[M_VENDOR2 / 2] = 0x7600;
}

/* The bits of a register that are kept. */
static u16 mixer_mask(unsigned int at)
{
	switch (at) {
	case M_MASTER:
	case M_HEADPHONE:
	case M_LINE:
	case M_CD:
	case M_VIDEO:
	case M_AUX:
	case M_PCM:
		return 0x9f1f;
	case M_MONO:
	case M_PHONE:
		return 0x801f;
	case M_BEEP:
		return 0x801e;
	case M_MIC:
		return 0x805f;
	case M_SELECT:
		return 0x0707;
	case M_RECORD:
		return 0x8f0f;
	case M_GENERAL:
		return 0x8380;
	case M_POWER:
		return 0xff00;
	}
	return 0;
}

static u64 mixer_read(void *dev, u64 offset, unsigned int size)
{
	struct ac97 *a = dev;
	u16 v;

	pthread_mutex_lock(&a->lock);
	a->taken = false;
	v = a->mixer[(offset / 2) % AC97_MIXER_WORDS];
	pthread_mutex_unlock(&a->lock);
	return size == 2 && !(offset & 1) && offset < 2 * AC97_MIXER_WORDS ? v : 0xffff;
}

static void mixer_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct ac97 *a = dev;
	const unsigned int at = (unsigned int)offset % (2 * AC97_MIXER_WORDS);
	u16 *reg = &a->mixer[at / 2];

	if (size != 2 || offset & 1 || offset >= 2 * AC97_MIXER_WORDS)
		return;
	pthread_mutex_lock(&a->lock);
	a->taken = false;
	if (at == M_RESET)
		reset_mixer(a);
	else
		*reg = (u16)((*reg & ~mixer_mask(at)) | (value & mixer_mask(at)));
	pthread_mutex_unlock(&a->lock);
}

/* --- the controller: under the lock ---------------------------------------------------- */

static u32 read_stream(const struct ac97_stream *s, unsigned int at)
{
	switch (at) {
	case S_LIST:
		return s->list;
	case S_CIV:
		return s->civ | (u32)s->lvi << 8 | (u32)s->sr << 16;
	case S_LVI:
		return s->lvi | (u32)s->sr << 8;
	case S_SR:
		return s->sr;
	case S_PICB:
		return s->picb | (u32)s->piv << 16 | (u32)s->cr << 24;
	case S_PIV:
		return s->piv | (u32)s->cr << 8;
	case S_CR:
		return s->cr;
	}
	return 0;
}

static void write_stream(struct ac97 *a, struct ac97_stream *s, unsigned int at, u32 v)
{
	switch (at) {
	case S_LIST:
		s->list = v & ~7u;
		break;
	case S_LVI:
		ac97_set_last(a, s, (u8)v);
		break;
	case S_SR:
		s->sr &= (u16)~(v & (SR_LAST_DONE | SR_BUFFER_DONE | SR_FIFO));
		break;
	case S_CR:
		ac97_set_control(a, s, (u8)v);
		break;
	}
}

static void write_global(struct ac97 *a, u32 v)
{
	unsigned int i;

	if (!(v & CONTROL_COLD))		/* the codec's reset, while it is clear */
		for (i = 0; i < AC97_STREAMS; i++)
			ac97_stream_reset(&a->stream[i]);
	a->global = v & 0x3f;
}

static u64 master_read(void *dev, u64 offset, unsigned int size)
{
	struct ac97 *a = dev;
	u32 v = 0;

	(void)size;
	pthread_mutex_lock(&a->lock);
	ac97_run(a);
	if (offset < STREAMS_END && offset % STREAM_SIZE < 0xc)
		v = read_stream(&a->stream[offset / STREAM_SIZE], offset % STREAM_SIZE);
	else if (offset == G_CONTROL)
		v = a->global;
	else if (offset == G_STATUS)
		v = a->status | STATUS_READY;
	else if (offset == G_SEMAPHORE) {
		v = a->taken;
		a->taken = true;
	}
	pthread_mutex_unlock(&a->lock);
	return v;
}

static void master_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct ac97 *a = dev;

	(void)size;
	pthread_mutex_lock(&a->lock);
	ac97_run(a);
	if (offset < STREAMS_END && offset % STREAM_SIZE < 0xc)
		write_stream(a, &a->stream[offset / STREAM_SIZE], offset % STREAM_SIZE,
			     (u32)value);
	else if (offset == G_CONTROL)
		write_global(a, (u32)value);
	ac97_run(a);
	pthread_mutex_unlock(&a->lock);
}

static void on_timer(void *arg)
{
	struct ac97 *a = arg;

	pthread_mutex_lock(&a->lock);
	ac97_run(a);
	pthread_mutex_unlock(&a->lock);
}

/* --- life ------------------------------------------------------------------------------- */

static void destroy(struct device *d)
{
	struct ac97 *a = (struct ac97 *)d;

	pci_unplug(&a->pci);
	if (a->timer)
		timer_free(a->timer);
	if (a->audio)
		registry_release(a->b->backends, a->audio);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static int create_all(struct ac97 *a, struct props *p)
{
	const struct bus_region mixer = { .name = "ac97-mixer", .width = 2, .read = mixer_read,
		.write = mixer_write, .dev = a };
	const struct bus_region master = { .name = "ac97", .width = 4, .read = master_read,
		.write = master_write, .dev = a };
	const char *audio = props_string(p, "audio", NULL);
	unsigned int i;

	if (!a->b->pci)
		return error("ac97: the machine has no PCI");
	if (audio) {
		a->audio = registry_claim(a->b->backends, "audio", audio);
		if (!a->audio)
			return -1;
	}
	a->timer = timer_new(a->b->loop, on_timer, a);
	if (!a->timer)
		return error("cannot create a timer");
	reset_mixer(a);
	for (i = 0; i < AC97_STREAMS; i++)
		ac97_stream_reset(&a->stream[i]);
	pci_bar(&a->pci, MIXER_BAR, PCI_BAR_IO, MIXER_SIZE, &mixer);
	pci_bar(&a->pci, MASTER_BAR, PCI_BAR_IO, MASTER_SIZE, &master);
	pci_set_pin(&a->pci, 1);
	if (pci_plug(a->b->pci, &a->pci, p) < 0)
		return -1;
	return props_finish(p);
}

static struct device *create(struct board *b, struct props *p)
{
	const struct pci_ids ids = {
		PCI_VENDOR_INTEL, DEVICE, PCI_VENDOR_REDHAT, PCI_SUBSYSTEM_ANY, 0x040100, 1,
	};
	struct ac97 *a = calloc(1, sizeof(*a));

	if (!a) {
		error("out of memory");
		return NULL;
	}
	a->b = b;
	pthread_mutex_init(&a->lock, NULL);
	pci_init(&a->pci, "ac97", &ids);
	if (create_all(a, p) == 0)
		return &a->dev;
	destroy(&a->dev);
	return NULL;
}

const struct device_class ac97_class = {
	.name = "ac97",
	.summary = "sound, Intel 82801AA (AC '97)",
	.usage = "audio=ID of an --audio",
	.create = create,
	.destroy = destroy,
};

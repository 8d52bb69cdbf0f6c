/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames to the driver (3.2 in the manual): the filters of addresses and
 * VLANs, and the ring of descriptors. A frame without room waits in the
 * network. The card leaves checksums to the driver; the frame check sequence,
 * where the driver wants it kept, is zeros.
 */
#include <string.h>

#include "e1000.h"

#define STATUS_DONE (1u << 0)
#define STATUS_LAST (1u << 1)
#define STATUS_NO_SUM (1u << 2)
#define STATUS_VLAN (1u << 3)

#define FRAME_SHORT 60
#define FRAME_LONG 1518			/* without its check sequence, with a VLAN's tag */
#define FCS 4
#define ADDRESSES 16
#define TAG_AT 12
#define TAG_SIZE 4

/* --- the filters: under the lock ------------------------------------------------------ */

static bool is_ours(struct e1000 *e, const u8 *mac)
{
	u32 low, high = 0;
	unsigned int i;

	memcpy(&low, mac, 4);
	memcpy(&high, mac + 4, 2);
	for (i = 0; i < ADDRESSES; i++)
		if (*e1000_reg(e, R_RAL + 8 * i) == low &&
		    (*e1000_reg(e, R_RAH + 8 * i) & (RAH_VALID | 0xffff)) == (RAH_VALID | high))
			return true;
	return false;
}

/* The table of 4096 bits, by twelve of the highest bits of an address. */
static bool is_in_table(struct e1000 *e, const u8 *mac)
{
	static const u8 shift[] = { 4, 3, 2, 0 };
	unsigned int bits = (mac[4] | (unsigned int)mac[5] << 8) >>
		shift[*e1000_reg(e, R_RCTL) >> 12 & 3] & 0xfff;

	return *e1000_reg(e, R_MTA + bits / 32 * 4) >> (bits % 32) & 1;
}

static bool is_wanted(struct e1000 *e, const u8 *frame, u16 vlan, bool tagged)
{
	static const u8 broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const u32 rctl = *e1000_reg(e, R_RCTL);

	if (tagged && rctl & RCTL_VLAN_FILTER &&
	    !(*e1000_reg(e, R_VFTA + (vlan & 0xfff) / 32 * 4) >> (vlan & 31) & 1))
		return false;
	if (!memcmp(frame, broadcast, sizeof(broadcast)) && rctl & RCTL_BROADCAST)
		return true;
	if (frame[0] & 1 && (rctl & RCTL_MULTICAST || is_in_table(e, frame)))
		return true;
	return is_ours(e, frame) || (!(frame[0] & 1) && rctl & RCTL_UNICAST);
}

/* --- the ring: under the lock -------------------------------------------------------- */

struct ring {
	u64 base;
	u32 size, head, left;	/* descriptors; `left` are the card's */
};

static bool take_ring(struct e1000 *e, struct ring *r)
{
	u32 tail = *e1000_reg(e, R_RDT);

	r->base = (u64)*e1000_reg(e, R_RDBAH) << 32 | *e1000_reg(e, R_RDBAL);
	r->size = *e1000_reg(e, R_RDLEN) / E1000_DESCRIPTOR;
	r->head = *e1000_reg(e, R_RDH);
	if (!r->size || r->head >= r->size || tail >= r->size)
		return false;
	r->left = (tail + r->size - r->head) % r->size;
	return true;
}

static u32 buffer_size(struct e1000 *e)
{
	const u32 rctl = *e1000_reg(e, R_RCTL), n = rctl >> 16 & 3;

	if (rctl & RCTL_LARGE)
		return n ? 32768u >> n : 2048;
	return 2048u >> n;
}

/* Fills the next descriptor's buffer. */
static void put(struct e1000 *e, struct ring *r, const u8 *bytes, u32 len, u32 status, u16 tag)
{
	const u64 at = r->base + (u64)r->head * E1000_DESCRIPTOR;
	u64 *d = memory_ptr(e->b->mem, at, E1000_DESCRIPTOR);
	const u64 result = len | (u64)status << 32 | (u64)tag << 48;

	if (d) {
		memory_write(e->b->mem, d[0], bytes, len);
		/* the status comes with the length, and after the data */
		__atomic_store_n(&d[1], result, __ATOMIC_RELEASE);
	}
	r->head = (r->head + 1) % r->size;
	r->left--;
}

static bool deliver(struct e1000 *e, const u8 *frame, size_t len, u16 tag, u32 status)
{
	const u32 size = buffer_size(e);
	struct ring r;
	size_t at;

	if (!take_ring(e, &r))
		return false;
	if ((len + size - 1) / size >= r.size)
		return true;		/* for which there never is room */
	if ((len + size - 1) / size > r.left)
		return false;
	for (at = 0; at < len; at += size) {
		const u32 part = len - at < size ? (u32)(len - at) : size;

		put(e, &r, frame + at, part, STATUS_DONE | STATUS_NO_SUM | status |
		    (at + part == len ? STATUS_LAST : 0), tag);
	}
	*e1000_reg(e, R_RDH) = r.head;
	++*e1000_reg(e, R_GPRC);
	++*e1000_reg(e, R_TPR);
	e1000_interrupt(e, ICR_RX | (r.left < r.size >> ((*e1000_reg(e, R_RCTL) >> 8 & 3) + 1) ?
			ICR_RX_LOW : 0));
	return true;
}

bool e1000_receive(void *front, const struct net_header *h, const u8 *frame, size_t len)
{
	struct e1000 *e = front;
	u8 bytes[NET_FRAME_MAX + FCS];
	u32 rctl, status = 0;
	bool tagged, taken = true;
	u16 tag = 0;

	(void)h;
	if (len > NET_FRAME_MAX)
		return true;
	memcpy(bytes, frame, len);
	tagged = len >= TAG_AT + TAG_SIZE + 2 && frame[TAG_AT] == 0x81 && !frame[TAG_AT + 1];
	if (tagged)
		tag = (u16)(frame[TAG_AT + 2] << 8 | frame[TAG_AT + 3]);
	pthread_mutex_lock(&e->lock);
	rctl = *e1000_reg(e, R_RCTL);
	if (tagged && *e1000_reg(e, R_CTRL) & CTRL_VLAN) {
		len -= TAG_SIZE;
		memmove(bytes + TAG_AT, bytes + TAG_AT + TAG_SIZE, len - TAG_AT);
		status = STATUS_VLAN;
	}
	if (len < FRAME_SHORT) {
		memset(bytes + len, 0, FRAME_SHORT - len);
		len = FRAME_SHORT;
	}
	if (!(rctl & RCTL_STRIP_CRC)) {
		memset(bytes + len, 0, FCS);
		len += FCS;
	}
	if (rctl & RCTL_EN && is_wanted(e, bytes, tag, tagged) &&
	    (len <= FRAME_LONG + FCS || rctl & RCTL_LONG))
		taken = deliver(e, bytes, len, status ? tag : 0, status);
	pthread_mutex_unlock(&e->lock);
	return taken;
}

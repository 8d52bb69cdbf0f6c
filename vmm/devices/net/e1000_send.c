/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frame of the network card on its way: a VLAN's tag, checksums, and
 * segmentation (3.5 and 3.6 in the manual), which is left to the network where
 * it takes whole packets, and done here where it does not. Under tx_lock.
 */
#include <string.h>

#include "e1000.h"

#define TAG_AT 12
#define TAG_SIZE 4
#define COMMAND_TCP 1
#define COMMAND_IP4 2
#define SEGMENTS_MAX 2048		/* of a frame; of 64 KiB, 32 bytes in each */

#define TCP_FLAGS 13
#define TCP_FIN_PSH 0x09
#define TCP_CWR 0x80

static u16 be16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static void put_be16(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static u16 fold(u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)sum;
}

/* Sets the checksum of an IPv4 header, as far as the context's places are in the frame. */
static void sum_ip(u8 *bytes, size_t len, const struct e1000_context *c)
{
	size_t end = c->ipcse && c->ipcse + 1u < len ? c->ipcse + 1u : len, i;
	u32 sum = 0;

	if (c->ipcss >= end || c->ipcso + 2u > len)
		return;
	put_be16(bytes + c->ipcso, 0);
	for (i = c->ipcss; i < end; i++)
		sum = fold(sum + ((i - c->ipcss) & 1 ? bytes[i] : (u32)bytes[i] << 8));
	put_be16(bytes + c->ipcso, (u16)~fold(sum));
}

/* The header for the network: a checksum that is left to it. */
static void ask_sum(struct net_header *h, const struct e1000_context *c)
{
	if (c->tucso < c->tucss)
		return;
	h->flags = NET_NEEDS_CSUM;
	h->csum_start = c->tucss;
	h->csum_offset = (u16)(c->tucso - c->tucss);
}

static void send_bytes(struct e1000 *e, const struct net_header *h, u8 *bytes, size_t len)
{
	const struct iovec v = { bytes, len };

	if (!(e->net->takes & NET_CSUM)) {
		if (!net_checksum(h, bytes, len))
			return;
		net_send(e->net, &(struct net_header){ 0 }, &v, 1, len);
	} else {
		net_send(e->net, h, &v, 1, len);
	}
}

/* --- segmentation -------------------------------------------------------------------- */

/* The lengths in the headers of a packet of TCP, its part of the checksum, and IP's checksum. */
static void put_lengths(u8 *bytes, size_t len, const struct e1000_context *c)
{
	const u32 tcp = (u32)(len - c->tucss);
	u8 *ip = bytes + c->ipcss, *sum = bytes + c->tucso;

	if (c->command & COMMAND_IP4) {
		put_be16(ip + 2, (u32)(len - c->ipcss));
		sum_ip(bytes, len, c);
	} else {
		put_be16(ip + 4, (u32)(len - c->ipcss - 40));
	}
	put_be16(sum, fold(be16(sum) + tcp));
}

/* Whether the places that the context names are what they must be. */
static bool is_sound(const struct e1000_frame *f)
{
	const struct e1000_context *c = &f->context;
	const unsigned int ip = c->command & COMMAND_IP4 ? 20 : 40;

	return c->command & COMMAND_TCP && c->mss && c->header < f->len &&
		(f->len - c->header) / c->mss < SEGMENTS_MAX &&
		c->ipcss >= NET_FRAME_MIN && c->ipcss + ip <= c->tucss &&
		c->tucss + 20 <= c->header && c->tucso == c->tucss + 16 &&
		(!(c->command & COMMAND_IP4) || c->ipcso == c->ipcss + 10);
}

static void segment(struct e1000 *e, struct e1000_frame *f)
{
	const struct e1000_context *c = &f->context;
	const u8 *tcp = f->bytes + c->tucss;
	const u32 first = (u32)be16(tcp + 4) << 16 | be16(tcp + 6);
	const u16 id = be16(f->bytes + c->ipcss + 4);
	struct net_header h = { 0 };
	size_t at, part;
	unsigned int n = 0;

	ask_sum(&h, c);
	for (at = c->header; at < f->len; at += part, n++) {
		u8 *s = e->segment, *t = s + c->tucss;
		const u32 sequence = first + (u32)(at - c->header);

		part = f->len - at < c->mss ? f->len - at : c->mss;
		memcpy(s, f->bytes, c->header);
		memcpy(s + c->header, f->bytes + at, part);
		put_be16(t + 4, sequence >> 16);
		put_be16(t + 6, sequence);
		if (at + part < f->len)
			t[TCP_FLAGS] &= (u8)~TCP_FIN_PSH;
		if (n)
			t[TCP_FLAGS] &= (u8)~TCP_CWR;
		if (c->command & COMMAND_IP4)
			put_be16(s + c->ipcss + 4, id + n);
		put_lengths(s, c->header + part, c);
		send_bytes(e, &h, s, c->header + part);
	}
}

static void send_large(struct e1000 *e, struct e1000_frame *f)
{
	const struct e1000_context *c = &f->context;
	const bool ip4 = c->command & COMMAND_IP4;
	struct net_header h = {
		.gso_type = ip4 ? NET_GSO_TCPV4 : NET_GSO_TCPV6,
		.hdr_len = c->header,
		.gso_size = c->mss,
	};

	if (!is_sound(f))
		return;
	if (!(e->net->takes & (ip4 ? NET_TSO4 : NET_TSO6)) || f->len - c->ipcss > 0xffff ||
	    f->bytes[c->tucss + TCP_FLAGS] & TCP_CWR) {
		segment(e, f);
		return;
	}
	ask_sum(&h, c);
	if (f->len <= (size_t)c->header + c->mss)
		h.gso_type = h.gso_size = 0;
	put_lengths(f->bytes, f->len, c);
	send_bytes(e, &h, f->bytes, f->len);
}

/* --- all frames ----------------------------------------------------------------------- */

static bool add_tag(struct e1000 *e, struct e1000_frame *f)
{
	struct e1000_context *c = &f->context;

	if (f->len < TAG_AT + 2 || f->len + TAG_SIZE > sizeof(f->bytes) || c->header > 0xff - 4 ||
	    c->tucso > 0xff - 4 || c->tucss > 0xff - 4 || c->ipcso > 0xff - 4 ||
	    c->ipcss > 0xff - 4)
		return false;
	memmove(f->bytes + TAG_AT + TAG_SIZE, f->bytes + TAG_AT, f->len - TAG_AT);
	put_be16(f->bytes + TAG_AT, *e1000_reg(e, R_VET));
	put_be16(f->bytes + TAG_AT + 2, f->tag);
	f->len += TAG_SIZE;
	c->ipcss += TAG_SIZE;
	c->ipcso += TAG_SIZE;
	c->ipcse = (u16)(c->ipcse ? c->ipcse + TAG_SIZE : 0);
	c->tucss += TAG_SIZE;
	c->tucso += TAG_SIZE;
	c->header += TAG_SIZE;
	return true;
}

void e1000_send(struct e1000 *e, struct e1000_frame *f)
{
	struct net_header h = { 0 };
	bool vlan;

	pthread_mutex_lock(&e->lock);
	++*e1000_reg(e, R_GPTC);
	++*e1000_reg(e, R_TPT);
	vlan = f->vlan && *e1000_reg(e, R_CTRL) & CTRL_VLAN;
	if (vlan)
		vlan = add_tag(e, f);
	pthread_mutex_unlock(&e->lock);
	if (f->vlan && !vlan)
		return;
	if (f->segment) {
		send_large(e, f);
		return;
	}
	if (f->ip_sum)
		sum_ip(f->bytes, f->len, &f->context);
	if (f->sum)
		ask_sum(&h, &f->context);
	send_bytes(e, &h, f->bytes, f->len);
}

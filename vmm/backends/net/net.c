/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all networks share: the --net option, the frames that wait for the card, checksums. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../error.h"
#include "../registry.h"
#include "net.h"

void net_lock(struct net *n)
{
	pthread_mutex_lock(&n->lock);
}

void net_unlock(struct net *n)
{
	pthread_mutex_unlock(&n->lock);
}

void net_init(struct net *n, const struct net_ops *ops)
{
	n->ops = ops;
	n->mtu = NET_MTU;
	n->pending_end = &n->pending;
	pthread_mutex_init(&n->lock, NULL);
}

/* --- frames to the card -------------------------------------------------------------- */

static void drop_first(struct net *n)
{
	struct net_pending *f = n->pending;

	n->pending = f->next;
	if (!n->pending)
		n->pending_end = &n->pending;
	n->pending_bytes -= f->len;
	free(f);
}

static void drop_pending(struct net *n)
{
	while (n->pending)
		drop_first(n);
}

static void keep(struct net *n, const struct net_header *h, const u8 *frame, size_t len)
{
	struct net_pending *f;

	if (n->pending_bytes + len > NET_PENDING_MAX)
		return;
	f = malloc(sizeof(*f) + len);
	if (!f)
		return;
	f->next = NULL;
	f->header = *h;
	f->len = len;
	memcpy(f->frame, frame, len);
	*n->pending_end = f;
	n->pending_end = &f->next;
	n->pending_bytes += len;
}

bool net_deliver(struct net *n, const struct net_header *h, const u8 *frame, size_t len)
{
	if (!n->front.receive || len < NET_FRAME_MIN || len > NET_FRAME_MAX)
		return false;
	if (n->pending || !n->front.receive(n->front.front, h, frame, len))
		keep(n, h, frame, len);
	return n->pending;
}

void net_ready(struct net *n)
{
	struct net_pending *f;

	net_lock(n);
	while ((f = n->pending) && n->front.receive &&
	       n->front.receive(n->front.front, &f->header, f->frame, f->len))
		drop_first(n);
	if (!n->pending && n->ops->ready)
		n->ops->ready(n);
	net_unlock(n);
}

/* --- frames from the card ------------------------------------------------------------ */

void net_send(struct net *n, const struct net_header *h, const struct iovec *iov, int count,
	      size_t len)
{
	size_t at = 0;
	int i;

	if (len < NET_FRAME_MIN || len > NET_FRAME_MAX)
		return;
	net_lock(n);
	for (i = 0; i < count && iov[i].iov_len <= len - at; i++) {
		memcpy(n->room + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	if (at == len)
		n->ops->send(n, h, n->room, len);
	net_unlock(n);
}

void net_flush(struct net *n)
{
	if (!n->ops->flush)
		return;
	net_lock(n);
	n->ops->flush(n);
	net_unlock(n);
}

void net_offloads(struct net *n, unsigned int taken)
{
	net_lock(n);
	if (n->ops->offloads)
		n->ops->offloads(n, taken & n->gives);
	net_unlock(n);
}

void net_connect(struct net *n, const struct net_front *front, unsigned int offloads)
{
	net_offloads(n, offloads);
	net_lock(n);
	drop_pending(n);
	memset(&n->front, 0, sizeof(n->front));
	if (front)
		n->front = *front;
	if (n->ops->ready)
		n->ops->ready(n);
	net_unlock(n);
}

/* --- checksums ----------------------------------------------------------------------- */

/* The ones' complement sum of RFC 1071, of words as they lie in memory. */
static u16 sum(const u8 *p, size_t len)
{
	u64 total = 0;
	u32 word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		total += word;
	}
	for (; len; p += 2, len = len > 2 ? len - 2 : 0)
		total += p[0] | (len > 1 ? p[1] << 8 : 0);
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (u16)total;
}

bool net_checksum(const struct net_header *h, u8 *frame, size_t len)
{
	size_t start = h->csum_start, at = start + h->csum_offset;
	u16 value;

	if (!(h->flags & NET_NEEDS_CSUM))
		return true;
	if (start >= len || at + sizeof(value) > len)
		return false;
	value = (u16)~sum(frame + start, len - start);
	if (!value)
		value = 0xffff;		/* UDP has another meaning for zero */
	memcpy(frame + at, &value, sizeof(value));
	return true;
}

/* --- opening ------------------------------------------------------------------------- */

static void net_free(void *backend)
{
	struct net *n = backend;
	char *id = n->id, *device = n->device;

	drop_pending(n);
	n->ops->destroy(n);
	free(id);
	free(device);
}

/*
 * The address of the card: behind libslirp nobody else sees it, and a guest
 * finds the same one every time; elsewhere two machines must not share one.
 */
static int choose_mac(struct net *n, bool alone)
{
	static const u8 first[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
	static u8 count;

	memcpy(n->mac, first, sizeof(first));
	if (alone)
		n->mac[5] = (u8)(n->mac[5] + count++);
	else if (getrandom(n->mac + 3, 3, 0) != 3)
		return error("no random numbers for the network's address");
	return 0;
}

static struct net *open_kind(struct loop *l, struct props *p)
{
	if (!strcmp(p->type, "user"))
		return net_user_open(l, p);
	if (!strcmp(p->type, "tap"))
		return net_tap_open(l, p);
	if (!strcmp(p->type, "unix"))
		return net_link_open(l, p);
	error("--net takes user, tap, unix or none, not '%s'", p->type);
	return NULL;
}

struct net *net_open(struct registry *r, struct loop *l, const char *text)
{
	static const char *const interfaces[] = { "virtio", "e1000", "none", NULL };
	static const char *const devices[] = { "virtio-net", "e1000", NULL };
	struct net *n = NULL;
	struct props p;
	const char *device;
	bool ok = false;

	if (props_parse_lists(&p, text, "hostfwd") == 0)
		n = open_kind(l, &p);
	if (n) {
		device = devices[props_choice(&p, "if", 0, interfaces)];
		n->id = registry_choose_id(r, "net", props_string(&p, "id", NULL));
		ok = n->id && choose_mac(n, !strcmp(p.type, "user")) == 0;
		if (ok && device)
			n->device = props_device(&p, device, "net", n->id);
		ok = ok && (!device || n->device) && props_finish(&p) == 0 &&
			registry_add(r, "net", n->id, n, net_free) == 0;
	}
	if (n && !ok) {
		net_free(n);
		n = NULL;
	}
	props_free(&p);
	return n;
}

int net_parse_mac(u8 mac[NET_MAC_BYTES], const char *text)
{
	unsigned int b[NET_MAC_BYTES], i;
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", b, b + 1, b + 2, b + 3, b + 4, b + 5,
		   &end) != NET_MAC_BYTES || text[end] || end != 3 * NET_MAC_BYTES - 1 || b[0] & 1)
		return error("mac=%s is no address of a network card", text);
	for (i = 0; i < NET_MAC_BYTES; i++)
		mac[i] = (u8)b[i];
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damage that is found while an image is in use. It is told, the image is marked
 * so that no other program writes to it either, and nothing is changed any more:
 * a table that is wrong must not lead to writes in the wrong place.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "../../error.h"
#include "qcow2.h"

int qcow2_corrupt(struct qcow2 *q, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	if (__atomic_exchange_n(&q->broken, true, __ATOMIC_ACQ_REL))
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	error("%s is damaged: %s%s", q->node.file->path, text,
	      q->node.writable ? "; it is not written any more" : "");
	/* to fail here makes nothing worse */
	if (q->node.file->writable && q->version == 3 &&
	    qcow2_set_field(q, QCOW2_AT_INCOMPATIBLE, q->incompatible | QCOW2_CORRUPT) == 0)
		q->incompatible |= QCOW2_CORRUPT;
	return -EIO;
}

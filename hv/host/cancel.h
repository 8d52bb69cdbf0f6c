/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What host/signal.c tells host/cancel.c: that the calling thread enters and
 * leaves KVM_RUN.
 */
#ifndef HV_HOST_CANCEL_H
#define HV_HOST_CANCEL_H

void cancel_enter(void (*kick)(void *), void *arg);
void cancel_leave(void);

#endif

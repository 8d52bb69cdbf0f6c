/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where control sockets are: any path, or a directory of the user's machines,
 * $XDG_RUNTIME_DIR/anykvm or else /tmp/anykvm-UID, with NAME.sock for each.
 */
#ifndef VMM_CONTROL_ADDRESS_H
#define VMM_CONTROL_ADDRESS_H

#include <limits.h>
#include <sys/stat.h>

#include "../types.h"

#define ADDRESS_NAME_MAX 48
#define ADDRESS_SUFFIX ".sock"

/* True for a name that a machine can have: it must not look like a process id. */
bool address_name_ok(const char *name);
/* The directory of this user's machines. */
void address_dir(char dir[PATH_MAX]);
/* Whether it is there and this user's alone: 0 or -errno. */
int address_check_dir(const char *dir);
/* Makes it, for this user alone: 0, or -1 after an error line. */
int address_make_dir(const char *dir);

/* A listening socket at path, noted in *made; -1 after an error line. */
int address_listen(const char *path, struct stat *made);
/* Removes the socket at path if it is the one that was made. */
void address_remove(const char *path, const struct stat *made);
/*
 * A connection to the socket at path, or -errno: -ECONNREFUSED when nobody
 * listens. With pid (or NULL) of the listener; 0 when it is unknown.
 */
int address_connect(const char *path, int *pid);
/* Removes the socket at path unless somebody listens. */
void address_clean(const char *path);

#endif

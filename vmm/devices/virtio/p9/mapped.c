/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * security=mapped: on the host every file is a regular file or a folder of the
 * user that runs the machine; what it is for the guest stands in extended
 * attributes, which have the names and form that QEMU's mapped-xattr has:
 * little-endian numbers. A symbolic link is a file that holds its target.
 */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "p9.h"

#define PREFIX "user.virtfs."

bool p9_mapped_name(const char *xattr)
{
	return !strncmp(xattr, PREFIX, strlen(PREFIX));
}

void p9_mapped_stat(int fd, struct stat *st)
{
	u32 v;
	u64 rdev;

	if (fgetxattr(fd, PREFIX "uid", &v, sizeof(v)) == sizeof(v))
		st->st_uid = v;
	if (fgetxattr(fd, PREFIX "gid", &v, sizeof(v)) == sizeof(v))
		st->st_gid = v;
	/* a folder is one for both sides, or for neither */
	if (fgetxattr(fd, PREFIX "mode", &v, sizeof(v)) == sizeof(v) &&
	    S_ISDIR(v) == S_ISDIR(st->st_mode))
		st->st_mode = v;
	if (fgetxattr(fd, PREFIX "rdev", &rdev, sizeof(rdev)) == sizeof(rdev))
		st->st_rdev = rdev;
}

static int set32(int fd, const char *name, u32 v)
{
	return v == ~0u || fsetxattr(fd, name, &v, sizeof(v), 0) == 0 ? 0 : -errno;
}

int p9_mapped_set(int fd, u32 mode, u32 uid, u32 gid, u64 rdev)
{
	int err = set32(fd, PREFIX "uid", uid);

	if (!err)
		err = set32(fd, PREFIX "gid", gid);
	if (!err && rdev != ~0ULL && fsetxattr(fd, PREFIX "rdev", &rdev, sizeof(rdev), 0) < 0)
		err = -errno;
	return err ? err : set32(fd, PREFIX "mode", mode);
}

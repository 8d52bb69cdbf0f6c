/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing the screen as PNG (by libpng) or PPM (binary, "P6"). It goes to a
 * file beside its place first, which then takes the place, so that nobody sees
 * half a picture; where the place is no plain file (a pipe), directly there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../block/fdset.h"
#include "image.h"

static void to_rgb(const struct surface *s, unsigned int y, u8 *row)
{
	const u32 *from = s->pixels + (size_t)y * s->stride;
	unsigned int x;

	for (x = 0; x < s->width; x++) {
		*row++ = (u8)(from[x] >> 16);
		*row++ = (u8)(from[x] >> 8);
		*row++ = (u8)from[x];
	}
}

static int write_ppm(FILE *f, const struct surface *s, u8 *row)
{
	unsigned int y;

	fprintf(f, "P6\n%u %u\n255\n", s->width, s->height);
	for (y = 0; y < s->height; y++) {
		to_rgb(s, y, row);
		fwrite(row, 3, s->width, f);
	}
	return 0;
}

static int write_png(FILE *f, const struct surface *s, u8 *row)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png ? png_create_info_struct(png) : NULL;
	unsigned int y;

	if (!info || setjmp(png_jmpbuf(png))) {
		png_destroy_write_struct(&png, &info);
		return errno ? -errno : -ENOMEM;
	}
	png_init_io(png, f);
	png_set_IHDR(png, info, s->width, s->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_set_compression_level(png, 3);
	png_write_info(png, info);
	for (y = 0; y < s->height; y++) {
		to_rgb(s, y, row);
		png_write_row(png, row);
	}
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
	return 0;
}

static int write_to(int fd, const struct surface *s, enum image_format format)
{
	u8 *row = malloc(s->width * 3u);
	FILE *f = row ? fdopen(fd, "wb") : NULL;
	int err;

	if (!f) {
		close(fd);
		free(row);
		return -ENOMEM;
	}
	errno = 0;
	err = format == IMAGE_PNG ? write_png(f, s, row) : write_ppm(f, s, row);
	if (!err && (fflush(f) == EOF || ferror(f)))
		err = errno ? -errno : -EIO;
	fclose(f);
	free(row);
	return err;
}

int image_write(const char *path, const struct surface *s, enum image_format format)
{
	char temporary[PATH_MAX];
	struct stat st;
	int fd, err;

	if (!strncmp(path, FDSET_NAME, strlen(FDSET_NAME))) {
		fd = fdset_open(path, O_WRONLY | O_CLOEXEC, 0);
		return fd < 0 ? -errno : write_to(fd, s, format);
	}
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		return fd < 0 ? -errno : write_to(fd, s, format);
	}
	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	fchmod(fd, 0644);
	err = write_to(fd, s, format);
	if (!err && rename(temporary, path) < 0)
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 4096

int file_folder(const char *folder)
{
	struct stat st;

	if (mkdir(folder, 0700) && errno != EEXIST)
		return -errno;
	if (stat(folder, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_uid != geteuid() || st.st_mode & 077 ? -EPERM : 0;
}

char *file_read_fd(int fd, size_t max, size_t *len)
{
	char *text = NULL;
	size_t cap = 0;

	*len = 0;
	for (;;) {
		ssize_t n;

		if (cap - *len < 2) {
			char *more = cap >= max + 2 ? NULL : realloc(text, cap = cap ? 2 * cap : 8192);

			if (!more) {
				errno = cap >= max ? EFBIG : ENOMEM;
				break;
			}
			text = more;
		}
		n = read(fd, text + *len, cap - *len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		if (!n) {
			text[*len] = '\0';
			return text;
		}
		*len += (size_t)n;
	}
	free(text);
	return NULL;
}

/* A pipe in the place of a file must not hold us. */
static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || (!fstat(fd, &st) && S_ISREG(st.st_mode)))
		return fd;
	close(fd);
	errno = S_ISDIR(st.st_mode) ? EISDIR : ENOTSUP;
	return -1;
}

char *file_read(const char *path, size_t max, size_t *len)
{
	int fd = open_regular(path), err;
	char *text;

	*len = 0;
	if (fd < 0)
		return NULL;
	text = file_read_fd(fd, max, len);
	err = errno;
	close(fd);
	errno = err;
	return text;
}

int file_write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int file_write(const char *path, const char *text, size_t len)
{
	char temporary[PATH_SIZE];
	int fd, err;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		return -ENAMETOOLONG;
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = file_write_all(fd, text, len) ?: fsync(fd) ? -errno : 0;
	close(fd);
	if (!err && rename(temporary, path))
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}

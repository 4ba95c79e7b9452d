/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys in files (secret.h). The checks are made on the open file, not on its
 * name, so nothing can be exchanged between check and read.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "key.h"
#include "secret.h"

#define TEXT_MAX 511 /* of an auth key */

void secret_shield(void)
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void *secret_memory(size_t size)
{
	/* sodium_malloc() aborts before the first sodium_init(); every later one is a test of a flag */
	void *memory = sodium_init() < 0 ? NULL : sodium_malloc(size);

	if (!memory) {
		fputs("sluice: out of memory\n", stderr);
		abort();
	}
	sodium_memzero(memory, size);
	return memory;
}

void secret_memory_free(void *memory)
{
	sodium_free(memory);
}

void secret_wiping_free(void *memory)
{
	if (memory)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

char *secret_strndup(const char *text, size_t len)
{
	char *copy = secret_memory(len + 1);

	memcpy(copy, text, len);
	return copy;
}

static enum secret_result check_file(int fd, const char *path, char *error, size_t size)
{
	struct stat st;

	if (fstat(fd, &st)) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		return SECRET_FAILED;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(error, size, "%s: not a regular file", path);
		return SECRET_REFUSED;
	}
	if (st.st_mode & 077) {
		snprintf(error, size, "%s: mode %04o lets others than its owner use the key: chmod 600 %s", path,
			 st.st_mode & 07777, path);
		return SECRET_REFUSED;
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		snprintf(error, size, "%s: belongs to uid %u, who could replace the key: chown root %s", path,
			 st.st_uid, path);
		return SECRET_REFUSED;
	}
	return SECRET_OK;
}

static enum secret_result secret_read_fd(int fd, const char *path, uint8_t key[32], char *error, size_t size)
{
	char text[KEY_LEN_BASE64 + 3]; /* a line end, and one more to notice what is too long */
	enum secret_result result = SECRET_BAD;
	ssize_t n = read(fd, text, sizeof(text));

	if (n < 0) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		result = SECRET_FAILED;
	} else {
		while (n > KEY_LEN_BASE64 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
			n--;
		if (key_from_base64(text, (size_t)n, key))
			result = SECRET_OK;
		else
			snprintf(error, size, "%s: not a key: expected one line of base64, as from `sluice genkey`",
				 path);
	}
	sodium_memzero(text, sizeof(text));
	return result;
}

/* A file that may be read; *@fd is -1 if not. */
static enum secret_result open_file(const char *path, int *fd, char *error, size_t size)
{
	enum secret_result result;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe in its place must not hold us */
	if (*fd < 0) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		return errno == ENOENT ? SECRET_ABSENT : SECRET_FAILED;
	}
	result = check_file(*fd, path, error, size);
	if (result == SECRET_OK)
		return result;
	close(*fd);
	*fd = -1;
	return result;
}

enum secret_result secret_read(const char *path, uint8_t key[32], char *error, size_t size)
{
	uint8_t own[KEY_LEN] = {0};
	int fd;
	enum secret_result result = open_file(path, &fd, error, size);

	if (result == SECRET_OK) {
		result = secret_read_fd(fd, path, own, error, size);
		close(fd);
	}
	if (key)
		memcpy(key, own, KEY_LEN); /* zeros on failure */
	sodium_memzero(own, sizeof(own));
	return result;
}

char *secret_text(const char *path, char *error, size_t size)
{
	char text[TEXT_MAX + 1], *copy = NULL;
	ssize_t n;
	int fd;

	if (open_file(path, &fd, error, size) != SECRET_OK)
		return NULL;
	n = read(fd, text, sizeof(text));
	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		n--;
	if (n < 0)
		snprintf(error, size, "%s: %s", path, strerror(errno));
	else if (!n || n > TEXT_MAX || memchr(text, '\0', (size_t)n) || memchr(text, '\n', (size_t)n))
		snprintf(error, size, "%s: expected one line of at most %d bytes", path, TEXT_MAX);
	else
		copy = secret_strndup(text, (size_t)n);
	close(fd);
	sodium_memzero(text, sizeof(text));
	return copy;
}

enum secret_result secret_create(const char *path, const uint8_t key[32], char *error, size_t size)
{
	char text[KEY_LEN_BASE64 + 2];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool done;

	if (fd < 0) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		return SECRET_FAILED;
	}
	key_to_base64(key, text);
	text[KEY_LEN_BASE64] = '\n';
	done = write(fd, text, KEY_LEN_BASE64 + 1) == KEY_LEN_BASE64 + 1 && !fsync(fd);
	if (!done) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		unlink(path);
	}
	close(fd);
	sodium_memzero(text, sizeof(text));
	return done ? SECRET_OK : SECRET_FAILED;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Files with a checksum, and in two copies (kept.h). */
#include "kept.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC	   "sluice-kept 1 "
#define DISOWNED   'x' /* in the place of the first letter */
#define HASH_LEN   32
#define HEAD_MAX   128
#define PATH_SIZE  4096
#define COPIES_MAX 2

static bool kept_copy_path(const char *path, unsigned copy, const char *ending, char out[PATH_SIZE])
{
	return (size_t)snprintf(out, PATH_SIZE, "%s%s%s", path, copy ? ".2" : "", ending) < PATH_SIZE;
}

/* The first line, which is as long for one text as for another of its size. */
static size_t print_head(char head[HEAD_MAX], uint64_t serial, const char *text, size_t len)
{
	char number[32], hex[2 * HASH_LEN + 1];
	uint8_t hash[HASH_LEN];
	crypto_generichash_state s;
	int n = snprintf(number, sizeof(number), "%" PRIu64 " %zu", serial, len);

	crypto_generichash_init(&s, NULL, 0, sizeof(hash));
	crypto_generichash_update(&s, (const uint8_t *)number, (size_t)n);
	crypto_generichash_update(&s, (const uint8_t *)text, len);
	crypto_generichash_final(&s, hash, sizeof(hash));
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	return (size_t)snprintf(head, HEAD_MAX, MAGIC "%s %s\n", number, hex);
}

/* ---- writing -------------------------------------------------------------------------- */

/* So that the new name survives a crash, too. */
static int sync_folder(const char *path)
{
	char copy[PATH_SIZE];
	int fd, err = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) && errno != EINVAL) /* a file system may know no such thing */
		err = -errno;
	close(fd);
	return err;
}

static int write_copy(const char *path, unsigned copy, const char *head, size_t head_len, const char *text, size_t len)
{
	char to[PATH_SIZE], temporary[PATH_SIZE];
	int fd, err;

	if (!kept_copy_path(path, copy, "", to) || !kept_copy_path(path, copy, ".new", temporary))
		return -ENAMETOOLONG;
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = file_write_all(fd, head, head_len) ?: file_write_all(fd, text, len) ?: fsync(fd) ? -errno : 0;
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(temporary, to))
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}

/* The second copy first: until the first one is there, too, it is the only new one, and is the one that is taken. */
int kept_write(const char *path, unsigned copies, uint64_t serial, const char *text, size_t len)
{
	char head[HEAD_MAX];
	size_t n = print_head(head, serial, text, len);
	int err = 0;

	for (unsigned i = copies; i-- && !err;)
		err = write_copy(path, i, head, n, text, len);
	return err ?: sync_folder(path);
}

static int disown_copy(const char *path)
{
	/* one that is absent is made: it is no record, and by that it says that there was one */
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), err = 0;

	if (fd < 0)
		return -errno;
	if (pwrite(fd, &(char){DISOWNED}, 1, 0) != 1 || fdatasync(fd))
		err = -errno;
	close(fd);
	return err;
}

int kept_disown(const char *path, unsigned copies)
{
	char copy[PATH_SIZE];
	int err = 0;

	for (unsigned i = 0; i < copies; i++) {
		int one = kept_copy_path(path, i, "", copy) ? disown_copy(copy) : -ENAMETOOLONG;

		err = err ?: one;
	}
	return err;
}

/* ---- reading -------------------------------------------------------------------------- */

struct copy {
	enum kept_result result;
	int err;
	uint64_t serial;
	char *whole, *text; /* all of the file; behind its first line */
	size_t len;
};

/* All of a file of at most @max bytes, terminated. NULL with errno. */
static char *read_whole(const char *path, size_t max, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	struct stat st;
	ssize_t n = 1;

	*len = 0;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uintmax_t)st.st_size > max)
		errno = errno ?: EINVAL;
	else
		text = malloc((size_t)st.st_size + 1);
	while (text && n > 0 && *len < (size_t)st.st_size) {
		n = read(fd, text + *len, (size_t)st.st_size - *len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			*len += (size_t)n;
	}
	if (text && n < 0) {
		int err = errno;

		free(text);
		text = NULL;
		errno = err;
	}
	if (text)
		text[*len] = '\0';
	close(fd);
	return text;
}

/* Is it what its first line says? */
static enum kept_result kept_judge(struct copy *c, size_t len)
{
	char head[HEAD_MAX], *end = memchr(c->whole, '\n', len < HEAD_MAX ? len : HEAD_MAX);
	bool disowned = len && c->whole[0] == DISOWNED;
	size_t n;

	if (!end)
		return KEPT_DAMAGED;
	c->text = end + 1;
	c->len = len - (size_t)(c->text - c->whole);
	if (sscanf(c->whole + 1, (MAGIC "%" SCNu64) + 1, &c->serial) != 1)
		return KEPT_DAMAGED;
	n = print_head(head, c->serial, c->text, c->len);
	if (n != (size_t)(c->text - c->whole) || memcmp(head + 1, c->whole + 1, n - 1) ||
	    (!disowned && c->whole[0] != head[0]))
		return KEPT_DAMAGED;
	return disowned ? KEPT_DISOWNED : KEPT_OK;
}

static void kept_read_copy(const char *path, size_t max, struct copy *c)
{
	size_t len;

	errno = 0;
	c->whole = read_whole(path, max + HEAD_MAX, &len);
	c->err = errno;
	c->result = c->whole ? kept_judge(c, len) : c->err == ENOENT ? KEPT_ABSENT : KEPT_FAILED;
}

/* Which of two tells more: the newer of whole ones, and of the same the disowned one; else a damaged before none. */
static bool better(const struct copy *a, const struct copy *b)
{
	static const int worth[] = {
		[KEPT_DISOWNED] = 4, [KEPT_OK] = 3, [KEPT_DAMAGED] = 2, [KEPT_FAILED] = 1, [KEPT_ABSENT] = 0};
	bool whole = worth[a->result] > 2 && worth[b->result] > 2;

	return whole && a->serial != b->serial ? a->serial > b->serial : worth[a->result] > worth[b->result];
}

static void kept_tell(const char *path, const struct copy *c, char *why, size_t size)
{
	if (c->result == KEPT_DAMAGED)
		snprintf(why, size, "%s: damaged", path);
	else if (c->result == KEPT_FAILED)
		snprintf(why, size, "%s: %s", path, strerror(c->err));
}

enum kept_result kept_read(const char *path, unsigned copies, size_t max, char **text, size_t *len, uint64_t *serial,
			   char *why, size_t size)
{
	struct copy list[COPIES_MAX] = {0}, *best = &list[0];
	char name[PATH_SIZE];

	*text = NULL;
	*why = '\0';
	for (unsigned i = 0; i < copies; i++) {
		if (!kept_copy_path(path, i, "", name))
			list[i] = (struct copy){.result = KEPT_FAILED, .err = ENAMETOOLONG};
		else
			kept_read_copy(name, max, &list[i]);
		kept_tell(name, &list[i], why, size);
		if (better(&list[i], best))
			best = &list[i];
	}
	if (best->result == KEPT_OK || best->result == KEPT_DISOWNED) {
		*text = memmove(best->whole, best->text, best->len + 1);
		best->whole = NULL;
		*len = best->len;
		*serial = best->serial;
	}
	for (unsigned i = 0; i < copies; i++)
		free(list[i].whole);
	return best->result;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block lists from files, and their copies for the day when a file is not there
 * (blocklists.h).
 */
#include "blocklists.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "policy/blocklist.h"
#include "user/base/kept.h"
#include "user/base/beneath.h"
#include "user/base/file.h"
#include "user/base/text.h"

#define SETTLE_SECONDS 2
#define COPY_ID	       16 /* bytes of a copy's name: a list's own name may be anything */

static char *blocklists_copy_path(const char *kept, const char *name)
{
	uint8_t id[COPY_ID];
	char hex[2 * COPY_ID + 1];

	crypto_generichash(id, sizeof(id), (const uint8_t *)name, strlen(name), NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), id, sizeof(id));
	return mem_printf("%s/blocklist-%s", kept, hex);
}

/* As messages name it. */
static char *list_path(const char *folder, const char *file)
{
	return file[0] == '/' || !folder || !folder[0] ? mem_strdup(file) : mem_printf("%s/%s", folder, file);
}

/* The part of @file that is beneath @folder, as it is written; NULL: none is. */
static const char *name_within(const char *folder, const char *file)
{
	size_t n = strlen(folder);

	if (file[0] != '/')
		return file;
	while (n && (folder[n - 1] == '/' || (n > 1 && !strncmp(folder + n - 2, "/.", 2))))
		n--; /* "lists/", "./" of the configuration's own folder */
	if (strncmp(folder, file, n) || file[n] != '/')
		return NULL;
	return file + n + strspn(file + n, "/");
}

/* fd, or -errno: why it is not to be had from the folder that has it; -EXDEV when none could. */
static int open_list(const struct blocklists_where *where, const char *file, int flags, struct stat *st)
{
	size_t more = where->folders ? where->folders->n : 0;
	int err = 0;

	for (size_t i = 0; i < more + 1; i++) {
		const char *folder = i ? where->folders->v[i - 1] : where->folder;
		const char *name = folder ? name_within(folder, file) : NULL;
		int fd = name ? beneath_open(folder, name, flags, st) : 0;

		if (name && fd >= 0)
			return fd;
		if (!err || err == -ENOENT)
			err = fd ?: err;
	}
	return err ?: -EXDEV;
}

static struct blocklist_stamp make_stamp(const struct policy_blocklist *b, const struct blocklists_where *where,
					 const struct stat *st)
{
	return (struct blocklist_stamp){
		.there = true,
		.old = b->max_age && where->now - st->st_mtime > (int64_t)b->max_age,
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = st->st_size,
		.seconds = st->st_mtim.tv_sec,
		.nanoseconds = st->st_mtim.tv_nsec,
	};
}

static struct blocklist_stamp stamp_of(const struct policy_blocklist *b, const struct blocklists_where *where)
{
	struct stat st;
	int fd = open_list(where, b->file, O_PATH, &st);

	if (fd < 0)
		return (struct blocklist_stamp){0};
	close(fd);
	return make_stamp(b, where, &st);
}

static bool same_stamp(const struct blocklist_stamp *a, const struct blocklist_stamp *b)
{
	return a->there == b->there && a->old == b->old && a->device == b->device && a->inode == b->inode &&
	       a->size == b->size && a->seconds == b->seconds && a->nanoseconds == b->nanoseconds;
}

/* Seconds since the file was written, 0 where it is of tomorrow; negative: it is not there. */
static int64_t age_of(const char *path, int64_t now)
{
	struct stat st;

	if (stat(path, &st))
		return -1;
	return now > st.st_mtime ? now - st.st_mtime : 0;
}

/* ---- one list -------------------------------------------------------------------------- */

struct reading {
	const struct policy_blocklist *b;
	const struct blocklists_where *where;
	struct blocklists *out;
	struct diags *d;
};

/* Notes that the list that was read last is not as it should be; it is reported for as long as it is so. */
static void trouble(const struct reading *x, char *text)
{
	diag_warning(x->d, x->b->at, "%s", text);
	x->out->list[x->out->n - 1].trouble = text;
}

/* NULL: there is none, or it is damaged, and might block less than the list did. */
static char *blocklists_read_copy(const char *path, size_t *len)
{
	uint64_t serial;
	char why[512], *text;
	enum kept_result result = kept_read(path, 1, BLOCKLIST_MAX, &text, len, &serial, why, sizeof(why));

	if (result == KEPT_OK)
		return text;
	free(text);
	return NULL;
}

/* The copy in place of the list, because of @why. False: there is none. */
static bool take_copy(const struct reading *x, const char *why)
{
	char *path = x->where->kept ? blocklists_copy_path(x->where->kept, x->b->name) : NULL, age[TEXT_SIZE];
	struct diags ignored = {0};
	size_t len;
	char *text = path ? blocklists_read_copy(path, &len) : NULL;
	bool good = text && blocklist_read(path, text, len, &x->out->all, &ignored);

	if (good)
		trouble(x, mem_printf("block list \"%s\": %s; its last good copy is used, from %s ago", x->b->name, why,
				      text_duration((uint64_t)age_of(path, x->where->now), age)));
	diags_free(&ignored);
	free(text);
	free(path);
	return good;
}

/* Far from a gateway its lists need not be there, and its folders are not known. */
static bool may_be_elsewhere(const struct reading *x, int err)
{
	bool unknown = x->b->file[0] == '/' && !x->where->folders;

	return !x->where->kept && (err == ENOENT || (err == EXDEV && unknown));
}

static bool missing(const struct reading *x, const char *path, int err)
{
	char *why = mem_printf("%s cannot be read: %s%s", path, beneath_error(-err),
			       err == EXDEV ? " (the policy's own, unless it came by standard input, and "
					      "blocklist_folders of gateway.yaml)"
					    : "");
	bool had = take_copy(x, why), fine = had || may_be_elsewhere(x, err);

	if (!fine)
		diag_error(x->d, x->b->at, "block list \"%s\": %s%s", x->b->name, why,
			   x->where->kept ? ", and there is no earlier copy" : "");
	else if (!had)
		diag_warning(x->d, x->b->at, "block list \"%s\": %s", x->b->name, why);
	free(why);
	return fine;
}

/* Says which lines are broken: as warnings where the copy stands in. */
static bool broken(const struct reading *x, struct diags *lines)
{
	bool had = take_copy(x, "it has broken lines");

	for (size_t i = 0; i < lines->n; i++)
		(had ? diag_warning : diag_error)(x->d, lines->list[i].at, "%s", lines->list[i].text);
	return had;
}

static bool is_too_old(const struct reading *x, const struct blocklist_stamp *s, char why[2 * TEXT_SIZE + 64])
{
	char is[TEXT_SIZE], may[TEXT_SIZE];

	if (!s->old)
		return false;
	sprintf(why, "it is %s old, max_age is %s", text_duration((uint64_t)(x->where->now - s->seconds), is),
		text_duration(x->b->max_age, may));
	return true;
}

/* Not to be copied. */
static void blocklists_forget(struct blocklist *l)
{
	free(l->text);
	l->text = NULL;
}

/* A sound list of the right age, or an old one that nothing can replace. */
static bool blocklists_take(const struct reading *x, const char *path, struct blocklist *l)
{
	char why[2 * TEXT_SIZE + 64];
	struct diags lines = {0};
	bool sound, old = is_too_old(x, &l->stamp, why);
	size_t before = x->out->all.n;

	if (old && take_copy(x, why)) {
		blocklists_forget(l);
		return true;
	}
	if (old)
		trouble(x, mem_printf("block list \"%s\": %s; used as it is", x->b->name, why));
	sound = blocklist_read(path, l->text, l->len, &x->out->all, &lines) || broken(x, &lines);
	if (sound && x->out->all.n == before)
		diag_warning(x->d, x->b->at, "block list \"%s\": %s has no entry, so it blocks nothing", x->b->name,
			     path);
	if (lines.errors || old)
		blocklists_forget(l);
	diags_free(&lines);
	return sound;
}

static bool read_one(const struct reading *x)
{
	struct blocklist *l = &x->out->list[x->out->n++];
	char *path = list_path(x->where->folder, x->b->file);
	struct stat st;
	int fd = open_list(x->where, x->b->file, O_RDONLY, &st);
	bool ok;

	l->name = x->b->name;
	errno = -fd;
	if (fd >= 0) {
		l->stamp = make_stamp(x->b, x->where, &st);
		l->text = file_read_fd(fd, BLOCKLIST_MAX, &l->len);
	}
	ok = l->text ? blocklists_take(x, path, l) : missing(x, path, errno);
	if (fd >= 0)
		close(fd);
	free(path);
	return ok;
}

bool blocklists_read(const struct policy *p, const struct blocklists_where *where, struct blocklists *out,
		     struct diags *d)
{
	bool ok = true;

	*out = (struct blocklists){.list = mem_alloc(p->n_blocklists, sizeof(*out->list))};
	for (size_t i = 0; i < p->n_blocklists; i++)
		ok &= read_one(&(struct reading){&p->blocklists[i], where, out, d});
	prefixes_merge(&out->all);
	return ok;
}

/* ---- again ------------------------------------------------------------------------------- */

/* Somebody may still be writing: half a list blocks less than its author thinks. */
static bool is_settling(const struct blocklist_stamp *s, int64_t now)
{
	return s->there && now >= s->seconds && now - s->seconds < SETTLE_SECONDS;
}

bool blocklists_changed(const struct policy *p, const struct blocklists_where *where, const struct blocklists *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct blocklist_stamp now = stamp_of(&p->blocklists[i], where);

		if (!same_stamp(&now, &b->list[i].stamp) && !is_settling(&now, where->now))
			return true;
	}
	return false;
}

void blocklists_seen(const struct policy *p, const struct blocklists_where *where, struct blocklists *b)
{
	for (size_t i = 0; i < b->n; i++)
		b->list[i].stamp = stamp_of(&p->blocklists[i], where);
}

/* ---- afterwards -------------------------------------------------------------------------- */

int blocklists_keep(const struct blocklists *b, const char *kept)
{
	int err = 0;

	for (size_t i = 0; i < b->n; i++) {
		char *path = blocklists_copy_path(kept, b->list[i].name);

		if (b->list[i].text)
			err = err ?: kept_write(path, 1, 0, b->list[i].text, b->list[i].len);
		free(path);
	}
	return err;
}

bool blocklists_same(const struct blocklists *a, const struct blocklists *b)
{
	return a->all.n == b->all.n && !prefixes_cmp(a->all.v, b->all.v, a->all.n);
}

void blocklists_free(struct blocklists *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(b->list[i].text);
		free(b->list[i].trouble);
	}
	free(b->list);
	prefixes_free(&b->all);
	*b = (struct blocklists){0};
}

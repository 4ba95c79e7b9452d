/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files of a configuration: gateway.yaml and the folder of clients (config.h).
 * The only part that touches the disk.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "config_named.h"
#include "config_value.h"
#include "user/base/beneath.h"

/* All of @fd, at most DOC_MAX_SIZE and one byte more, so that doc_parse() can tell that it is too much. */
static char *config_load_read_all(int fd, size_t *len)
{
	size_t cap = 65536;
	char *text = mem_alloc(1, cap);
	ssize_t n;

	*len = 0;
	while ((n = read(fd, text + *len, cap - *len)) > 0) {
		*len += (size_t)n;
		if (*len > DOC_MAX_SIZE)
			break;
		if (*len == cap) {
			char *more = mem_alloc(2, cap);

			memcpy(more, text, *len);
			free(text);
			text = more;
			cap *= 2;
		}
	}
	if (n >= 0)
		return text;
	free(text);
	return NULL;
}

/* NULL after a report. */
static char *load_text(const char *file, size_t *len, struct diags *d)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	char *text = NULL;

	if (fd >= 0) {
		text = config_load_read_all(fd, len);
		close(fd);
	}
	if (!text)
		diag_error(d, (struct diag_at){.file = file}, "cannot be read: %s%s", strerror(errno),
			   errno == ENOENT && !strcmp(file, CONFIG_FILE)
				   ? "; name another, or begin with the example that `make install` puts there"
				   : "");
	return text;
}

struct doc *config_read_doc(const char *file, struct diags *d)
{
	size_t len;
	char *text = load_text(file, &len, d);
	struct doc *doc = text ? doc_parse(file, text, len, doc_format_of(file), d) : NULL;

	free(text);
	return doc;
}

/* ---- the files of one configuration ---------------------------------------------------------- */

struct loading {
	struct config *cfg;
	struct config_named *named; /* NULL: nobody asks */
	struct diags *d;
};

/* Hands one file to @take as it was parsed, and frees its text; NULL: it could not be read, which was reported. */
static void load_file(struct loading *l, const char *file, char *text, size_t len,
		      void (*take)(struct loading *l, struct doc *doc))
{
	size_t before = l->d->errors;
	struct doc *doc = text ? doc_parse(file, text, len, doc_format_of(file), l->d) : NULL;

	if (doc)
		take(l, doc); /* the configuration keeps it */
	if (l->named && text)
		config_named_file(l->named, file, doc ? &doc->root : NULL, text, len, l->d->errors != before);
	else if (l->named)
		config_named_unread(l->named, file);
	free(text);
}

static int is_clients_file(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return e->d_name[0] != '.' && dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

/* One file of the clients' folder, where others may put a pipe, or a link to what only we may read. */
static char *load_clients_text(const char *folder, const char *name, const char *file, size_t *len, struct diags *d)
{
	struct stat st;
	int fd = beneath_open(folder, name, O_RDONLY, &st);
	char *text = NULL;
	int err = fd;

	if (fd >= 0) {
		text = config_load_read_all(fd, len);
		err = -errno;
		close(fd);
	}
	if (!text)
		diag_error(d, (struct diag_at){.file = file}, "cannot be read: %s", beneath_error(err));
	return text;
}

static void load_clients_take(struct loading *l, struct doc *doc)
{
	config_parse_clients(l->cfg, doc, l->d);
}

static void load_clients_file(struct loading *l, const char *folder, const char *name)
{
	size_t len = strlen(folder);
	char *file = mem_printf("%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", name);
	char *text = load_clients_text(folder, name, file, &len, l->d);

	load_file(l, file, text, len, load_clients_take);
	free(file);
}

static void load_clients(struct loading *l, const char *folder)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, is_clients_file, alphasort);
	size_t before = l->d->errors;

	if (l->named)
		config_named_elsewhere(l->named);
	if (n < 0) {
		diag_error(l->d, (struct diag_at){.file = folder}, "the clients' folder cannot be read: %s",
			   strerror(errno));
		if (l->named)
			config_named_unread(l->named, folder);
		return;
	}
	for (int i = 0; i < n; i++) {
		load_clients_file(l, folder, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	if (l->named)
		l->named->whole = l->d->errors == before;
}

/* Did the file itself list clients, and all of them without a mistake? */
static bool lists_whole(const struct config *cfg, const struct doc_node *clients)
{
	bool whole = clients && clients->kind == DOC_LIST;

	for (size_t i = 0; i < cfg->n_clients; i++)
		whole &= !cfg->clients[i].mistaken;
	return whole;
}

static void load_main(struct loading *l, struct doc *doc)
{
	char hostname[65] = "";

	gethostname(hostname, sizeof(hostname) - 1);
	l->cfg = config_parse(doc, hostname, l->d);
	if (l->named)
		l->named->whole = lists_whole(l->cfg, doc_get(&doc->root, "clients"));
}

/* All files. @folder: where the clients were, should @file have mistakes and not tell where they are. */
static void load_all(struct loading *l, const char *file, const char *folder)
{
	size_t before = l->d->errors, len = 0;
	char *text = load_text(file, &len, l->d);
	bool parsed;

	load_file(l, file, text, len, load_main);
	parsed = l->cfg;
	if (!parsed)
		l->cfg = config_blank("");
	if (l->cfg->clients_dir)
		load_clients(l, l->cfg->clients_dir);
	else if (folder && l->d->errors != before && !l->cfg->n_clients && !l->named->whole) {
		load_clients(l, folder);
		l->named->whole =
			false; /* an empty folder does not say that there are no clients: they may have moved */
	}
	if (parsed)
		config_check(l->cfg, l->d);
}

struct config *config_load_again(const char *file, const char *folder, struct config_named *named, struct diags *d)
{
	struct loading l = {.named = named, .d = d};
	size_t before = d->errors;

	load_all(&l, file, folder);
	if (d->errors == before)
		return l.cfg;
	if (named) {
		named->read = l.cfg;
		config_named_settle(named);
	} else {
		config_free(l.cfg);
	}
	return NULL;
}

struct config *config_load(const char *file, struct diags *d)
{
	return config_load_again(file, NULL, NULL, d);
}

/* The path that one key names. */
static char *path_of(const char *file, const char *key, const char *otherwise)
{
	struct diags ignored = {0};
	struct doc *doc = config_read_doc(file, &ignored);
	const struct doc_node *n = doc ? doc_get(&doc->root, key) : NULL;
	char *dir = config_folder(file), *path;

	if (!n || n->kind != DOC_SCALAR || !n->len)
		path = mem_strdup(otherwise);
	else if (n->text[0] == '/' || !*dir)
		path = mem_strdup(n->text);
	else
		path = mem_printf("%s/%s", dir, n->text);
	free(dir);
	doc_free(doc);
	diags_free(&ignored);
	return path;
}

char *config_socket(const char *file)
{
	return path_of(file, "socket", CONFIG_SOCKET);
}

char *config_state(const char *file)
{
	return path_of(file, "state", CONFIG_STATE);
}

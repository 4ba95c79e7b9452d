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

struct doc *config_read_doc(const char *file, struct diags *d)
{
	struct diag_at at = {.file = file};
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct doc *doc = NULL;
	char *text = NULL;
	size_t len;

	if (fd >= 0) {
		text = config_load_read_all(fd, &len);
		close(fd);
	}
	if (text)
		doc = doc_parse(file, text, len, doc_format_of(file), d);
	else
		diag_error(d, at, "cannot be read: %s%s", strerror(errno),
			   errno == ENOENT && !strcmp(file, CONFIG_FILE)
				   ? "; name another, or begin with the example that `make install` puts there"
				   : "");
	free(text);
	return doc;
}

static int is_clients_file(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return e->d_name[0] != '.' && dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

/* One file of the clients' folder, where others may put a pipe, or a link to what only we may read. */
static struct doc *read_clients(const char *folder, const char *name, const char *file, struct diags *d)
{
	struct stat st;
	int fd = beneath_open(folder, name, O_RDONLY, &st);
	struct doc *doc = NULL;
	char *text = NULL;
	size_t len;
	int err = fd;

	if (fd >= 0) {
		text = config_load_read_all(fd, &len);
		err = -errno;
		close(fd);
	}
	if (text)
		doc = doc_parse(file, text, len, doc_format_of(file), d);
	else
		diag_error(d, (struct diag_at){.file = file}, "cannot be read: %s", beneath_error(err));
	free(text);
	return doc;
}

static void load_clients(struct config *cfg, struct diags *d)
{
	struct diag_at at = {.file = cfg->clients_dir};
	struct dirent **entries;
	int n = scandir(cfg->clients_dir, &entries, is_clients_file, alphasort);

	if (n < 0) {
		diag_error(d, at, "the clients' folder cannot be read: %s", strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++) {
		size_t len = strlen(cfg->clients_dir);
		bool slash = len && cfg->clients_dir[len - 1] == '/';
		char *file = mem_printf("%s%s%s", cfg->clients_dir, slash ? "" : "/", entries[i]->d_name);
		struct doc *doc = read_clients(cfg->clients_dir, entries[i]->d_name, file, d);

		if (doc)
			config_parse_clients(cfg, doc, d);
		free(file);
		free(entries[i]);
	}
	free(entries);
}

struct config *config_load(const char *file, struct diags *d)
{
	size_t before = d->errors;
	struct doc *doc = config_read_doc(file, d);
	char hostname[65] = "";
	struct config *cfg;

	if (!doc)
		return NULL;
	gethostname(hostname, sizeof(hostname) - 1);
	cfg = config_parse(doc, hostname, d);
	if (cfg->clients_dir)
		load_clients(cfg, d);
	config_check(cfg, d);
	if (d->errors == before)
		return cfg;
	config_free(cfg);
	return NULL;
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

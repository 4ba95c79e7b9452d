/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The values of gateway.yaml: one small reader each, quoting what it found
 * (config_value.h).
 */
#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "policy/alloc.h"
#include "config_value.h"
#include "known_keys.h"
#include "user/base/key.h"

#define MAX_FIELDS 32

void config_mismatch(struct config_reader *r, const char *what, const struct doc_node *n, const char *expected)
{
	char found[128];

	diag_error(r->d, n->at, "%s: found %s, expected %s", what, doc_found(n, found, sizeof(found)), expected);
}

bool config_read_map(struct config_reader *r, const char *what, const char *prefix, const struct doc_node *n,
		     const struct config_field *fields, void *out)
{
	const char *known[MAX_FIELDS + 1] = {0};
	char key[128];

	if (n->kind != DOC_MAP) {
		config_mismatch(r, what, n, "a map");
		return false;
	}
	for (size_t i = 0; fields[i].key && i < MAX_FIELDS; i++)
		known[i] = fields[i].key;
	doc_only_keys(n, what, known, r->d);
	for (; fields->key; fields++) {
		const struct doc_node *value = doc_get(n, fields->key);

		snprintf(key, sizeof(key), "%s%s", prefix, fields->key);
		if (value)
			fields->read(r, key, value, (char *)out + fields->offset);
	}
	return true;
}

bool config_is_list(struct config_reader *r, const char *what, const struct doc_node *n, size_t least, size_t most,
		    const char *expected)
{
	if (n->kind != DOC_LIST || n->n < least)
		config_mismatch(r, what, n, expected);
	else if (n->n > most)
		diag_error(r->d, n->items[most].at, "%s: found %zu entries, expected at most %zu", what, n->n, most);
	return n->kind == DOC_LIST && n->n >= least && n->n <= most;
}

int config_read_word(struct config_reader *r, const char *what, const struct doc_node *n, const char *const *words)
{
	const char *nearest = n->kind == DOC_SCALAR ? diag_nearest(n->text, words) : NULL;
	char found[128], expected[256] = "";

	for (int i = 0; words[i]; i++) {
		size_t len = strlen(expected);

		if (n->kind == DOC_SCALAR && !strcmp(n->text, words[i]))
			return i;
		snprintf(expected + len, sizeof(expected) - len, "%s%s",
			 !i		? ""
			 : words[i + 1] ? ", "
					: " or ",
			 words[i]);
	}
	diag_error(r->d, n->at, "%s: found %s, expected %s%s%s%s", what, doc_found(n, found, sizeof(found)), expected,
		   nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
	return -1;
}

/* ---- words -------------------------------------------------------------------- */

static bool is_name(const char *s, const char *also)
{
	size_t len = strlen(s);

	if (!len || len > 63 || !isalnum((unsigned char)s[0]))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr(also, *s))
			return false;
	return true;
}

void config_read_name(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	if (n->kind == DOC_SCALAR && is_name(n->text, "._-"))
		*(const char **)out = n->text;
	else
		config_mismatch(r, what, n, "a name of letters, digits, \".\", \"_\" and \"-\", at most 63");
}

void config_read_ifname(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	if (n->kind == DOC_SCALAR && n->len < IFNAMSIZ && is_name(n->text, "._-@+"))
		*(const char **)out = n->text;
	else
		config_mismatch(r, what, n, "the name of an interface, at most 15 characters");
}

void config_read_user(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	const char *at = n->kind == DOC_SCALAR ? strchr(n->text, '@') : NULL;
	bool good = at && at != n->text && n->len < 256;

	for (size_t i = 0; good && i < n->len; i++)
		good = (unsigned char)n->text[i] > ' ' && n->text[i] != 0x7f;
	if (good)
		*(const char **)out = n->text;
	else
		config_mismatch(r, what, n, "a user such as alice@example.com");
}

const char *config_keep(struct config *cfg, char *made)
{
	cfg->made = mem_grow(cfg->made, cfg->n_made, sizeof(*cfg->made));
	cfg->made[cfg->n_made++] = made;
	return made;
}

void config_own(struct config *cfg, struct doc *doc)
{
	cfg->docs = mem_grow(cfg->docs, cfg->n_docs, sizeof(*cfg->docs));
	cfg->docs[cfg->n_docs++] = doc;
}

char *config_folder(const char *file)
{
	const char *slash = strrchr(file, '/');

	/* "/gateway.yaml": its folder is "/", and joining adds the slash */
	return !slash ? mem_strdup("") : slash == file ? mem_strdup("/.") : mem_strndup(file, (size_t)(slash - file));
}

void config_read_path(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	if (n->kind != DOC_SCALAR || !n->len || n->len > 4000)
		config_mismatch(r, what, n, "a path");
	else if (n->text[0] == '/' || !r->dir[0])
		*(const char **)out = n->text;
	else
		*(const char **)out = config_keep(r->cfg, mem_printf("%s/%s", r->dir, n->text));
}

/* ---- numbers ------------------------------------------------------------------ */

void config_read_port(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	uint64_t v;

	if (doc_uint(n, what, 1, 65535, &v, r->d))
		*(uint16_t *)out = (uint16_t)v;
}

void config_read_bool(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	bool v;

	if (doc_bool(n, what, &v, r->d))
		*(bool *)out = v;
}

void config_read_seconds(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	uint64_t v;

	if (!doc_duration(n, what, &v, r->d))
		return;
	if (!v || v > 30 * 86400)
		config_mismatch(r, what, n, "a time from 1s to 30d");
	else
		*(uint32_t *)out = (uint32_t)v;
}

/* ---- addresses and keys --------------------------------------------------------- */

void config_read_addrs(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	struct config_addrs *list = out;

	if (!config_is_list(r, what, n, 0, 1024, "a list of addresses"))
		return;
	list->v = mem_alloc(n->n + 1, sizeof(*list->v));
	list->n = n->n;
	for (size_t i = 0; i < n->n; i++) {
		const struct doc_node *item = &n->items[i];

		if (item->kind != DOC_SCALAR || !addr_parse(item->text, item->len, &list->v[i]))
			config_mismatch(r, what, item,
					"an address such as 192.0.2.1 or 2001:db8::1, without a prefix length");
	}
}

void config_read_key(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	const char *origin;
	uint8_t key[KEY_LEN];

	if (n->kind != DOC_SCALAR || !key_from_base64(n->text, n->len, key)) {
		config_mismatch(r, what, n, "a public key: 44 characters of base64, as from `sluice pubkey`");
		return;
	}
	origin = known_key(key);
	if (origin)
		diag_error(r->d, n->at,
			   "%s: found %s, %s: anybody could connect with it; expected the client's own: "
			   "`sluice genkey | tee client.key | sluice pubkey`",
			   what, n->text, origin);
	memcpy(out, key, sizeof(key));
}

/* ---- lists of words -------------------------------------------------------------- */

static void read_names(struct config_reader *r, const char *what, const struct doc_node *n, struct config_names *list,
		       const char *expected, config_read_fn *read)
{
	if (!config_is_list(r, what, n, 1, 1024, expected))
		return;
	list->v = mem_alloc(n->n, sizeof(*list->v));
	for (size_t i = 0; i < n->n; i++) {
		read(r, what, &n->items[i], &list->v[list->n]);
		if (list->v[list->n])
			list->n++;
	}
}

void config_read_ifnames(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	read_names(r, what, n, out, "a list of interfaces such as [eth0]", config_read_ifname);
}

void config_read_paths(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	read_names(r, what, n, out, "a list of folders such as [/var/lib/blocklists]", config_read_path);
}

static void read_tag(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	if (n->kind == DOC_SCALAR && !strncmp(n->text, "tag:", 4) && isalpha((unsigned char)n->text[4]) &&
	    is_name(n->text + 4, "-"))
		*(const char **)out = n->text;
	else
		config_mismatch(r, what, n, "a tag such as \"tag:ci\" (a letter first; letters, digits and \"-\")");
}

void config_read_tags(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	read_names(r, what, n, out, "a list of tags such as [\"tag:ci\"]", read_tag);
}

static void read_role(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	static const char *const roles[] = {"admin",	     "owner",	"it-admin", "network-admin",
					    "billing-admin", "auditor", NULL};
	int i = config_read_word(r, what, n, roles);

	if (i >= 0)
		*(const char **)out = roles[i];
}

void config_read_roles(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	read_names(r, what, n, out, "a list of roles such as [admin]", read_role);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients and users of gateway.yaml: who may connect, and what they are
 * (config.h). Clients stand in the file itself or in the files of a folder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/alloc.h"
#include "config_value.h"

#define CLIENT_ADDRESSES 16

/* Two or four digits as a number; -1: not digits. */
static int digits(const char *s, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = 10 * v + s[i] - '0';
	}
	return v;
}

/* "2027-01-01" or "2027-01-01T08:00:00Z" as UTC seconds. */
static bool parse_time(const char *s, size_t len, int64_t *out)
{
	struct tm tm = {0}, check;
	time_t t;

	if ((len != 10 && len != 20) || s[4] != '-' || s[7] != '-')
		return false;
	tm.tm_year = digits(s, 4) - 1900;
	tm.tm_mon = digits(s + 5, 2) - 1;
	tm.tm_mday = digits(s + 8, 2);
	if (len == 20) {
		if (s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != 'Z')
			return false;
		tm.tm_hour = digits(s + 11, 2);
		tm.tm_min = digits(s + 14, 2);
		tm.tm_sec = digits(s + 17, 2);
	}
	check = tm;
	t = timegm(&check); /* brings the 31st of June to July, and -1 to the day before: compare */
	if (t <= 0 || check.tm_year != tm.tm_year || check.tm_mon != tm.tm_mon || check.tm_mday != tm.tm_mday ||
	    check.tm_hour != tm.tm_hour || check.tm_min != tm.tm_min || check.tm_sec != tm.tm_sec)
		return false;
	*out = t;
	return true;
}

static void read_expires(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	int64_t t;

	if (n->kind == DOC_SCALAR && parse_time(n->text, n->len, &t))
		*(int64_t *)out = t;
	else
		config_mismatch(r, what, n, "a day such as 2027-01-01 or a time such as 2027-01-01T08:00:00Z");
}

static void read_keepalive(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	uint64_t v;

	if (doc_uint(n, what, 0, 65535, &v, r->d))
		*(uint16_t *)out = (uint16_t)v;
}

/* "192.0.2.7:51820" or "[2001:db8::7]:51820" */
static bool config_clients_parse_endpoint(const char *text, size_t len, struct addr *addr, uint16_t *port)
{
	const char *colon = memrchr(text, ':', len);
	size_t host = colon ? (size_t)(colon - text) : 0;
	unsigned long v = 0;

	if (!colon || len - host < 2 || len - host > 6)
		return false;
	for (const char *p = colon + 1; p < text + len; p++) {
		if (*p < '0' || *p > '9')
			return false;
		v = 10 * v + (unsigned long)(*p - '0');
	}
	if (!v || v > 65535)
		return false;
	*port = (uint16_t)v;
	if (host > 2 && text[0] == '[' && text[host - 1] == ']')
		return addr_parse(text + 1, host - 2, addr) && !addr_is_v4(addr);
	return addr_parse(text, host, addr) && addr_is_v4(addr);
}

static void config_clients_read_endpoint(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	struct config_client *c = out;
	struct addr addr;
	uint16_t port;

	if (n->kind != DOC_SCALAR || !config_clients_parse_endpoint(n->text, n->len, &addr, &port)) {
		config_mismatch(r, what, n, "an address and a port such as 192.0.2.7:51820 or [2001:db8::7]:51820");
		return;
	}
	c->endpoint = addr;
	c->endpoint_port = port;
}

static const struct config_field client_fields[] = {
	CONFIG_FIELD(config_client, name, "name", config_read_name),
	CONFIG_FIELD(config_client, user, "user", config_read_user),
	CONFIG_FIELD(config_client, tags, "tags", config_read_tags),
	CONFIG_FIELD(config_client, public_key, "public_key", config_read_key),
	CONFIG_FIELD(config_client, addresses, "addresses", config_read_addrs),
	CONFIG_FIELD(config_client, preshared_key_file, "preshared_key_file", config_read_path),
	{"endpoint", config_clients_read_endpoint, 0},
	CONFIG_FIELD(config_client, keepalive, "keepalive", read_keepalive),
	CONFIG_FIELD(config_client, expires, "expires", read_expires),
	{0},
};

static void require(struct config_reader *r, const struct doc_node *n, const char *key, const char *expected)
{
	if (!doc_get(n, key))
		diag_error(r->d, n->at, "client.%s: missing, expected %s", key, expected);
}

static void check_client(struct config_reader *r, const struct doc_node *n, const struct config_client *c)
{
	const struct doc_node *addresses = doc_get(n, "addresses"), *tags = doc_get(n, "tags");

	require(r, n, "name", "a name that no other client has");
	require(r, n, "public_key", "the client's public key");
	require(r, n, "addresses", "the client's addresses inside the tunnel");
	if (addresses && addresses->kind == DOC_LIST && (!addresses->n || addresses->n > CLIENT_ADDRESSES))
		diag_error(r->d, addresses->at, "client.addresses: found %zu, expected 1 to %d", addresses->n,
			   CLIENT_ADDRESSES);
	if (!doc_get(n, "user") && !tags)
		diag_error(r->d, n->at, "client: found neither user nor tags, expected exactly one of them");
	if (doc_get(n, "user") && tags)
		diag_error(r->d, tags->at, "client: found both user and tags, expected exactly one of them");
}

static void read_client(struct config_reader *r, const struct doc_node *n)
{
	struct config *cfg = r->cfg;
	size_t before = r->d->errors;
	struct config_client *c;

	if (cfg->n_clients == CLIENT_GATEWAY - 1) {
		diag_error(r->d, n->at, "clients: found more than %d, the most there can be", CLIENT_GATEWAY - 1);
		return;
	}
	cfg->clients = mem_grow(cfg->clients, cfg->n_clients, sizeof(*c));
	c = &cfg->clients[cfg->n_clients++];
	*c = (struct config_client){.node = n};
	if (config_read_map(r, "client", "client.", n, client_fields, c))
		check_client(r, n, c);
	c->mistaken = r->d->errors != before;
}

static void config_clients_read_list(struct config_reader *r, const struct doc_node *n)
{
	for (size_t i = 0; i < n->n; i++)
		read_client(r, &n->items[i]);
}

void config_read_clients(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	if (n->kind == DOC_LIST)
		config_clients_read_list(r, n);
	else if (n->kind == DOC_SCALAR && n->len)
		config_read_path(r, what, n, &r->cfg->clients_dir);
	else
		config_mismatch(r, what, n, "a list of clients, or a folder of files with them");
}

bool config_parse_clients(struct config *cfg, struct doc *doc, struct diags *d)
{
	char *dir = config_folder(doc->file);
	struct config_reader r = {.cfg = cfg, .d = d, .dir = dir};
	size_t before = d->errors;

	config_own(cfg, doc);
	if (!doc_is_visible(&doc->root, d))
		; /* a client of another name than it shows */
	else if (doc->root.kind == DOC_LIST)
		config_clients_read_list(&r, &doc->root);
	else if (doc->root.kind == DOC_MAP)
		read_client(&r, &doc->root);
	else if (doc->root.kind != DOC_NULL)
		config_mismatch(&r, "clients", &doc->root, "a client or a list of clients");
	free(dir);
	return d->errors == before;
}

void config_clients_free(struct config_client *clients, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(clients[i].tags.v);
		free(clients[i].addresses.v);
	}
	free(clients);
}

void config_read_users(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	static const struct config_field fields[] = {
		CONFIG_FIELD(config_user, name, "name", config_read_user),
		CONFIG_FIELD(config_user, roles, "roles", config_read_roles),
		{0},
	};
	struct config *cfg = r->cfg;

	if (!config_is_list(r, what, n, 0, MAX_CLIENTS, "a list such as [{name: alice@example.com, roles: [admin]}]"))
		return;
	cfg->users = mem_alloc(n->n + 1, sizeof(*cfg->users));
	cfg->n_users = n->n;
	for (size_t i = 0; i < n->n; i++) {
		struct config_user *u = &cfg->users[i];

		u->at = n->items[i].at;
		if (config_read_map(r, "user", "user.", &n->items[i], fields, u) && !doc_get(&n->items[i], "name"))
			diag_error(r->d, u->at, "user.name: missing, expected a user such as alice@example.com");
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/file.h"

#define STATE_SCHEMA 1
#define STATE_MAX    (64u << 20)
#define PATH_SIZE    4096

/* ---- text ---------------------------------------------------------------------- */

static json_t *hex(const uint8_t *bytes, size_t len)
{
	char text[2 * KEY_LEN + 1];

	return json_string(sodium_bin2hex(text, sizeof(text), bytes, len));
}

static bool state_unhex(const json_t *j, uint8_t *out, size_t len)
{
	size_t got;

	return json_is_string(j) &&
	       !sodium_hex2bin(out, len, json_string_value(j), json_string_length(j), NULL, &got, NULL) && got == len;
}

static json_t *state_print_peer(const struct state_peer *p)
{
	char address[ADDR_STRLEN];
	json_t *j = json_pack("{s:o, s:o, s:I}", "public_key", hex(p->public, KEY_LEN), "timestamp",
			      hex(p->timestamp, TIMESTAMP_LEN), "handshake", (json_int_t)p->handshake);

	if (p->endpoint.port)
		json_object_set_new(j, "endpoint",
				    json_pack("{s:s, s:i}", "address", addr_str(&p->endpoint.addr, address), "port",
					      p->endpoint.port));
	return j;
}

static void state_parse_endpoint(const json_t *j, struct endpoint *out)
{
	const char *address = json_string_value(json_object_get(j, "address"));
	json_int_t port = json_integer_value(json_object_get(j, "port"));
	struct endpoint e = {0};

	if (!address || port < 1 || port > 65535 || !addr_parse(address, strlen(address), &e.addr))
		return;
	e.port = (uint16_t)port;
	*out = e;
}

static bool parse_peer(const json_t *j, struct state_peer *out)
{
	struct state_peer p = {0};
	json_int_t handshake = json_integer_value(json_object_get(j, "handshake"));

	if (!state_unhex(json_object_get(j, "public_key"), p.public, KEY_LEN) ||
	    !state_unhex(json_object_get(j, "timestamp"), p.timestamp, TIMESTAMP_LEN) || handshake < 0)
		return false;
	p.handshake = (uint64_t)handshake;
	state_parse_endpoint(json_object_get(j, "endpoint"), &p.endpoint);
	*out = p;
	return true;
}

/* Peers that make no sense are left out: each is only a memory. */
static bool state_parse(const char *text, size_t len, struct state *s, char *error, size_t size)
{
	json_error_t where;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where), *list, *j;
	size_t i;

	if (!root) {
		snprintf(error, size, "line %d: %s", where.line, where.text);
		return false;
	}
	if (json_integer_value(json_object_get(root, "schema")) != STATE_SCHEMA) {
		snprintf(error, size, "not of schema %d", STATE_SCHEMA);
		json_decref(root);
		return false;
	}
	s->has_identity = state_unhex(json_object_get(root, "public_key"), s->identity, KEY_LEN);
	json_array_foreach (json_object_get(root, "udp_gro"), i, j)
		if (json_is_string(j) && json_string_length(j) < IFNAMSIZ && s->n_offload < STATE_OFFLOADS)
			strcpy(s->offload[s->n_offload++], json_string_value(j));
	list = json_object_get(root, "peers");
	s->peers = calloc(json_array_size(list) + 1, sizeof(*s->peers));
	json_array_foreach (list, i, j)
		if (s->peers && parse_peer(j, &s->peers[s->n_peers]))
			s->n_peers++;
	json_decref(root);
	state_sort(s);
	return true;
}

int state_load(const char *folder, struct state *s, char *error, size_t size)
{
	char path[PATH_SIZE], why[256];
	size_t len;
	char *text;
	int err;

	*s = (struct state){0};
	snprintf(path, sizeof(path), "%s/" STATE_FILE, folder);
	text = file_read(path, STATE_MAX, &len);
	if (!text) {
		err = errno == ENOENT ? 0 : -errno;
		snprintf(why, sizeof(why), "%s", strerror(errno));
	} else {
		err = state_parse(text, len, s, why, sizeof(why)) ? 0 : -EBADMSG;
	}
	if (err)
		snprintf(error, size, "%s: %s", path, why);
	free(text);
	return err;
}

int state_save(const char *folder, const struct state *s)
{
	json_t *peers = json_array(), *offload = json_array(), *root;
	char path[PATH_SIZE], *text;
	int err;

	for (size_t i = 0; i < s->n_peers; i++)
		json_array_append_new(peers, state_print_peer(&s->peers[i]));
	for (size_t i = 0; i < s->n_offload; i++)
		json_array_append_new(offload, json_string(s->offload[i]));
	root = json_pack("{s:i, s:o, s:o}", "schema", STATE_SCHEMA, "udp_gro", offload, "peers", peers);
	if (s->has_identity)
		json_object_set_new(root, "public_key", hex(s->identity, KEY_LEN));
	text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	if (!text)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/" STATE_FILE, folder);
	err = file_write(path, text, strlen(text));
	free(text);
	return err;
}

static int compare_peers(const void *a, const void *b)
{
	return memcmp(((const struct state_peer *)a)->public, ((const struct state_peer *)b)->public, KEY_LEN);
}

const struct state_peer *state_peer_find(const struct state *s, const uint8_t public[KEY_LEN])
{
	struct state_peer wanted = {.handshake = 0};

	memcpy(wanted.public, public, KEY_LEN);
	return s->n_peers ? bsearch(&wanted, s->peers, s->n_peers, sizeof(wanted), compare_peers) : NULL;
}

void state_sort(struct state *s)
{
	if (s->n_peers)
		qsort(s->peers, s->n_peers, sizeof(*s->peers), compare_peers);
}

void state_free(struct state *s)
{
	free(s->peers);
	*s = (struct state){0};
}

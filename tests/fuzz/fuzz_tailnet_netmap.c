/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The body of /machine/map: any bytes from a coordination server. Whatever is
 * accepted must reach the gateway whole: told, encoded, decoded and put together
 * there, it is the same netmap. And whatever a node says of itself costs nobody
 * the netmap: any JSON in the place of any of its claims leaves the message
 * whole, and the node in it.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "user/tailnet/netmap/netmap.h"
#include "user/tailnet/ipc/netmap_copy.h"

struct state {
	struct netmap map;
	struct netmap_copy roster;
};

static void carry(void *ctx, const struct wire_message *m)
{
	static uint8_t bytes[WIRE_MAX];
	struct state *s = ctx;
	struct wire_message copy;
	size_t len = wire_encode(m, bytes, sizeof(bytes));

	if (!len || !wire_decode(bytes, len, WIRE_TO_GATEWAY, &copy) ||
	    netmap_copy_take(&s->roster, &copy) == NETMAP_COPY_REFUSED)
		abort();
	wire_message_free(&copy);
}

static bool take(void *ctx, const uint8_t *bytes, size_t len)
{
	char error[NETMAP_ERROR];
	struct state *s = ctx;
	const struct teller t = {carry, s};
	struct netmap_update *u = netmap_update_read((const char *)bytes, len, error);

	if (!u)
		return false;
	netmap_apply(&s->map, u);
	netmap_update_free(u);
	netmap_copy_tell(&s->map, false, &t);
	netmap_settle(&s->map);
	return true;
}

static size_t count_rules(const struct netmap *m)
{
	struct filter f = netmap_rules(m);

	free(f.rules);
	return f.n;
}

static void compare(const struct state *s)
{
	if (count_rules(&s->map) > count_rules(&s->roster.map)) /* large ones come in pieces */
		abort();
	if (s->map.n_peers != s->roster.map.n_peers)
		abort();
	for (size_t i = 0; i < s->map.n_peers; i++)
		if (!node_equal(s->map.peers[i].node, s->roster.map.peers[i].node))
			abort();
}

#define NODE_KEY "\"nodekey:00000000000000000000000000000000000000000000000000000000000000"
#define PEER(id) "{\"ID\":" id ",\"Key\":" NODE_KEY "0" id "\",\"Addresses\":[\"100.64.0." id "/32\"]"

static bool is_json(const char *value)
{
	char *text = mem_printf("{\"x\":%s}", value);
	struct fields f = {0};
	json_t *root = fields_parse(&f, text, strlen(text));
	bool one = json_object_size(root) == 1;

	json_decref(root);
	free(text);
	return one;
}

static void claim(const uint8_t *data, size_t size)
{
	static const char *const claims[] = {"HomeDERP", "DERP", "DiscoKey", "Endpoints", "Hostinfo", "CapMap", "New"};
	char *value = mem_strndup((const char *)data, size), error[NETMAP_ERROR];

	for (size_t i = 0; i < sizeof(claims) / sizeof(*claims) && is_json(value); i++) {
		char *text = mem_printf("{\"Node\":" PEER("1") "},\"Peers\":[" PEER("3") "}," PEER("2") ",\"%s\":%s}]}",
					claims[i], value);
		struct netmap_update *u = netmap_update_read(text, strlen(text), error);

		if (!u || u->damage || !u->self.node || u->n_peers != 2 || u->n_unfit)
			abort();
		netmap_update_free(u);
		free(text);
	}
	free(value);
}

/*
 * The first byte says in how many pieces it comes, or that it is a claim; newlines part messages, so that mutations
 * keep lengths right.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netmap_stream stream = {0};
	struct state s = {0};
	const struct sink sink = {take, &s};

	if (!size)
		return 0;
	if (data[0] == 'c') {
		claim(data + 1, size - 1);
	} else if (data[0] & 1) {
		netmap_stream_receive(&stream, data + 1, size - 1, &sink);
	} else {
		for (size_t at = 1; at < size;) {
			const uint8_t *end = memchr(data + at, '\n', size - at);
			size_t len = end ? (size_t)(end - data) - at : size - at;

			take(&s, data + at, len);
			at += len + 1;
		}
	}
	compare(&s);
	netmap_stream_free(&stream);
	netmap_free(&s.map);
	netmap_copy_free(&s.roster);
	return 0;
}

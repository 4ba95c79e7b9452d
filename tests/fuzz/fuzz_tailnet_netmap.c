/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The body of /machine/map: any bytes from a coordination server. Whatever is
 * accepted must reach the gateway whole: told, encoded, decoded and put together
 * there, it is the same netmap.
 */
#include <stdlib.h>
#include <string.h>

#include "user/tailnet/netmap/netmap.h"
#include "user/tailnet/ipc/roster.h"

struct state {
	struct netmap map;
	struct roster roster;
};

static void carry(void *ctx, const struct wire_message *m)
{
	static uint8_t bytes[WIRE_MAX];
	struct state *s = ctx;
	struct wire_message copy;
	size_t len = wire_encode(m, bytes, sizeof(bytes));

	if (!len || !wire_decode(bytes, len, WIRE_TO_GATEWAY, &copy) ||
	    roster_take(&s->roster, &copy) == ROSTER_REFUSED)
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
	roster_tell(&s->map, false, &t);
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

/* The first byte says in how many pieces it comes; newlines part messages, so that mutations keep lengths right. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netmap_stream stream = {0};
	struct state s = {0};
	const struct sink sink = {take, &s};

	if (!size)
		return 0;
	if (data[0] & 1) {
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
	roster_free(&s.roster);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_NETMAP_TEXT_H
#define TESTS_NETMAP_TEXT_H

/* Messages of a coordination server as text, read into a netmap, and told to a gateway's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "user/tailnet/netmap/netmap.h"
#include "user/tailnet/ipc/netmap_copy.h"

#define KEY(n)		    "nodekey:00000000000000000000000000000000000000000000000000000000000000" n
#define DISCO(n)	    "discokey:00000000000000000000000000000000000000000000000000000000000000" n
#define NODE(id, key, more) "{\"ID\":" id ",\"Key\":\"" KEY(key) "\",\"Addresses\":[\"100.64.0." id "/32\"]" more "}"
#define SELF		    "\"Node\":" NODE("1", "01", ",\"Name\":\"gw-1.lab.test.\",\"Tags\":[\"tag:gw\"],\"User\":7")

#define RULE(src, ip, first, last) \
	"{\"SrcIPs\":[" src "],\"DstPorts\":[{\"IP\":\"" ip "\",\"Ports\":{\"First\":" first ",\"Last\":" last "}}]}"

static inline struct netmap_update *read_text(const char *json, char error[NETMAP_ERROR])
{
	return netmap_update_read(json, strlen(json), error);
}

static inline void apply(struct netmap *m, const char *json)
{
	char error[NETMAP_ERROR];
	struct netmap_update *u = read_text(json, error);

	if (!u)
		fail_msg("%s: %s", json, error);
	netmap_apply(m, u);
	netmap_update_free(u);
}

/* @n times @text, which has two numbers in it that count up. */
static inline char *many(size_t n, const char *text)
{
	char *list = mem_alloc(n, 32), *p = list;

	for (size_t i = 0; i < n; i++) {
		p += sprintf(p, "%s", i ? "," : "");
		p += sprintf(p, text, i / 256, i % 256);
	}
	return list;
}

struct carrier { /* encodes, decodes, and puts together on the other side */
	struct netmap_copy *roster;
	size_t n;
	enum netmap_copy_result last;
};

static inline void carry(void *ctx, const struct wire_message *m)
{
	static uint8_t bytes[WIRE_MAX];
	struct carrier *c = ctx;
	struct wire_message copy;
	size_t len = wire_encode(m, bytes, sizeof(bytes));

	assert_true(len);
	assert_true(wire_decode(bytes, len, WIRE_TO_GATEWAY, &copy));
	c->last = netmap_copy_take(c->roster, &copy);
	assert_int_not_equal(c->last, NETMAP_COPY_REFUSED);
	wire_message_free(&copy);
	c->n++;
}

static inline size_t rule_count(const struct netmap *m)
{
	struct filter f = netmap_rules(m);

	free(f.rules);
	return f.n;
}

#endif

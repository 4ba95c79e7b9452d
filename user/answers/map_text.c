/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys and values of the BPF maps as text (map_text.h): one small function a type
 * of contract.h, and one table of the maps.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "user/kernel/drops.h"
#include "map_text.h"
#include "user/base/text.h"
#include "user/base/clock.h"

static void map_text_put(struct map_printer *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void map_text_put(struct map_printer *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(p->buf + p->len, MAP_TEXT_SIZE - p->len, fmt, ap);
	va_end(ap);
	p->len += n < 0 ? 0 : (size_t)n;
	if (p->len >= MAP_TEXT_SIZE)
		p->len = MAP_TEXT_SIZE - 1;
}

static void put_addr(struct map_printer *p, const struct addr *a)
{
	char text[ADDR_STRLEN];

	map_text_put(p, "%s", addr_str(a, text));
}

static void map_text_put_endpoint(struct map_printer *p, const struct addr *a, __be16 port)
{
	char text[TEXT_ENDPOINT_SIZE];

	if (port)
		map_text_put(p, "%s", text_endpoint(a, be16toh(port), text));
	else
		put_addr(p, a);
}

static void put_client(struct map_printer *p, uint32_t id)
{
	struct report_who who = {0};

	if (id == CLIENT_GATEWAY)
		map_text_put(p, "the gateway itself");
	else if (id && p->s->who(p->s->ctx, id, &who) && who.name)
		map_text_put(p, "client %s", who.name);
	else
		map_text_put(p, "client %u", id);
}

static void put_left(struct map_printer *p, uint64_t expires)
{
	char text[TEXT_SIZE];

	if (expires > p->s->now_ns)
		map_text_put(p, "expires %s", text_duration((expires - p->s->now_ns) / NS_PER_SEC, text));
	else
		map_text_put(p, "expired");
}

static void put_tuple(struct map_printer *p, const struct tuple *t)
{
	char proto[TEXT_SIZE];

	map_text_put_endpoint(p, &t->src, t->sport);
	map_text_put(p, " -> ");
	map_text_put_endpoint(p, &t->dst, t->dport);
	map_text_put(p, " %s", text_proto(t->proto, proto));
}

static void text_u32(struct map_printer *p, const void *data)
{
	uint32_t v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "%u", v);
}

static void text_addr(struct map_printer *p, const void *data)
{
	struct addr a;

	memcpy(&a, data, sizeof(a));
	put_addr(p, &a);
}

static void text_lpm(struct map_printer *p, const void *data)
{
	char text[ADDR_STRLEN];
	struct route_key k;
	struct prefix prefix;

	memcpy(&k, data, sizeof(k));
	prefix = (struct prefix){k.addr,
				 k.prefixlen - 8 * (uint32_t)(offsetof(struct route_key, addr) - sizeof(k.prefixlen))};
	map_text_put(p, "%s", prefix_str(&prefix, text));
}

static void text_client_ref(struct map_printer *p, const void *data)
{
	struct client_ref v;

	memcpy(&v, data, sizeof(v));
	put_client(p, v.client);
}

static void text_reserved(struct map_printer *p, const void *data)
{
	static const char *const kinds[] = {"?", "loopback", "metadata", "own", "tunnel"};
	struct reserved_ref v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "%s", kinds[v.kind < 5 ? v.kind : 0]);
}

static void text_session_key(struct map_printer *p, const void *data)
{
	uint32_t v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "index %08x", le32toh(v));
}

static void text_session(struct map_printer *p, const void *data)
{
	struct session_ref v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "worker %u  ", v.worker);
	put_client(p, v.client);
}

static void text_tuple(struct map_printer *p, const void *data)
{
	struct tuple t;

	memcpy(&t, data, sizeof(t));
	put_tuple(p, &t);
	map_text_put(p, "  %s side", t.side == SIDE_CLIENT ? "client" : "remote");
}

static void text_flow_ref(struct map_printer *p, const void *data)
{
	struct flow_ref v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "slot %u  serial %u", v.slot, v.serial);
}

static void text_flow(struct map_printer *p, const void *data)
{
	static const char *const states[] = {"FREE",  "NEW",	 "ESTABLISHED", "CLOSING",
					     "RESET", "MAPPING", "KILLED",	"DEAD"};
	struct flow f;
	uint32_t state;

	memcpy(&f, data, sizeof(f));
	state = flow_state(&f);
	map_text_put(p, "id %" PRIx64 "  ", (uint64_t)LIFE_ID(f.life));
	put_tuple(p, &f.out);
	map_text_put(p, "  as ");
	map_text_put_endpoint(p, &f.back.dst, f.back.dport);
	map_text_put(p, "  ");
	put_client(p, f.client);
	map_text_put(p, "  policy %u  rule %u  state %s  ", f.generation, f.rule,
		     state < sizeof(states) / sizeof(*states) ? states[state] : "?");
	put_left(p, f.expires);
}

static void text_expires(struct map_printer *p, const void *data)
{
	uint64_t v;

	memcpy(&v, data, sizeof(v));
	put_left(p, v);
}

static void text_address(struct map_printer *p, const void *data)
{
	char text[ADDR_STRLEN];
	struct addr a;

	memcpy(&a, data, sizeof(a));
	map_text_put(p, "%s", addr_str(&a, text));
}

static void text_host_echo(struct map_printer *p, const void *data)
{
	char own[ADDR_STRLEN], peer[ADDR_STRLEN];
	struct host_echo k;

	memcpy(&k, data, sizeof(k));
	map_text_put(p, "%s -> %s id %u", addr_str(&k.own, own), addr_str(&k.peer, peer), ntohs(k.id));
}

static void text_pair(struct map_printer *p, const void *data)
{
	char proto[TEXT_SIZE];
	struct pair k;

	memcpy(&k, data, sizeof(k));
	map_text_put(p, "egress %u -> ", k.egress);
	map_text_put_endpoint(p, &k.remote, k.port);
	map_text_put(p, " %s", text_proto(k.proto, proto));
}

static void text_pair_use(struct map_printer *p, const void *data)
{
	struct pair_use v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "used %u  refused %u", v.used & ~USE_DEAD, v.refused);
}

static void text_egress(struct map_printer *p, const void *data)
{
	static const char *const states[] = {"gone", "here", "held"};
	struct egress v;

	memcpy(&v, data, sizeof(v));
	put_addr(p, &v.addr);
	map_text_put(p, "  %s  interface %u", v.state < sizeof(states) / sizeof(*states) ? states[v.state] : "?",
		     v.ifindex);
	for (int i = 0; i < MAX_ANSWERS && v.answers[i]; i++)
		map_text_put(p, "%s%u", i ? ", " : "  answers by ", v.answers[i]);
	map_text_put(p, "  ports %u%s", v.ports, v.exclusive ? "  exclusive" : "");
}

static void text_settings(struct map_printer *p, const void *data)
{
	struct settings v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p,
		     "tap %u  port %u  front %s  mtu %u  mss %u/%u  workers %u  filtering %u  client share %u%%  udp "
		     "%llus  tcp "
		     "%llus/%llus  "
		     "icmp %llus",
		     v.tap_ifindex, v.wg_port, v.front_armed ? "armed" : "off", v.mtu, v.mss4, v.mss6, v.workers,
		     v.filtering, v.client_share, v.udp_ns / NS_PER_SEC, v.tcp_established_ns / NS_PER_SEC,
		     v.tcp_transitory_ns / NS_PER_SEC, v.icmp_ns / NS_PER_SEC);
}

static void text_policy(struct map_printer *p, const void *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	map_text_put(p, "generation %u  slot %u  block lists in slot %u", POLICY_GENERATION(word), POLICY_SLOT(word),
		     POLICY_BLOCK_SLOT(word));
}

static void text_reason(struct map_printer *p, const void *data)
{
	uint32_t v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "%s", drop_name(v));
}

static void text_total(struct map_printer *p, const void *data)
{
	static const char *const names[TOTAL_MAX] = {"out", "in", "host_in", "front_pass", "reset_out", "reset_in"};
	uint32_t v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "%s", v < TOTAL_MAX && names[v] ? names[v] : "?");
}

static void text_client_id(struct map_printer *p, const void *data)
{
	uint32_t v;

	memcpy(&v, data, sizeof(v));
	put_client(p, v);
}

static void text_count(struct map_printer *p, const void *data)
{
	uint64_t v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "%llu", (unsigned long long)v);
}

static void text_traffic(struct map_printer *p, const void *data)
{
	struct traffic v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "packets %llu  bytes %llu", v.packets, v.bytes);
}

static void text_rule_use(struct map_printer *p, const void *data)
{
	struct rule_use v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "flows %llu  refused %llu  out %llu bytes  in %llu bytes", v.flows, v.refused, v.out.bytes,
		     v.in.bytes);
}

static void text_client_use(struct map_printer *p, const void *data)
{
	struct client_use v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "flows %llu  refused %llu  held %llu", v.flows, v.refused, v.held);
}

static void text_client_state(struct map_printer *p, const void *data)
{
	struct client_state v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "flows %u  slots %u", v.flows, v.slots);
}

static void text_class(struct map_printer *p, const void *data)
{
	struct client_class v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "class %u  pool %u  flows %u  new flows %u/s  packets %llu/s  bytes %llu/s", v.class, v.pool,
		     v.quota.flows, v.quota.new_flows, v.quota.packets, v.quota.bytes);
}

/* Ids of `egresses`; zeros at its end are of the array, not of the pool. */
static void put_egresses(struct map_printer *p, const char *family, unsigned n, const __u16 ids[POOL_ADDRESSES])
{
	for (unsigned i = 0; i < n && i < POOL_ADDRESSES; i++)
		map_text_put(p, "%s%u", i ? ", " : family, ids[i]);
}

static void text_pool(struct map_printer *p, const void *data)
{
	struct pool v;

	memcpy(&v, data, sizeof(v));
	put_egresses(p, "IPv4 by egress ", v.n4, v.v4);
	put_egresses(p, v.n4 ? "  IPv6 by egress " : "IPv6 by egress ", v.n6, v.v6);
}

static void text_acl_key(struct map_printer *p, const void *data)
{
	char text[ADDR_STRLEN];
	struct acl_key k;
	struct prefix prefix;

	memcpy(&k, data, sizeof(k));
	prefix = (struct prefix){k.dst, k.prefixlen - 32};
	map_text_put(p, "class %u -> %s", be32toh(k.class), prefix_str(&prefix, text));
}

static void text_acl(struct map_printer *p, const void *data)
{
	struct acl_entry v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "rules %u to %u%s%s", v.first, v.first + v.count - 1, v.flags & ACL_EXACT ? "  exact" : "",
		     v.flags & ACL_ACCEPTS ? "  accepts" : "");
}

static void text_rule(struct map_printer *p, const void *data)
{
	char proto[TEXT_SIZE];
	struct acl_rule v;

	memcpy(&v, data, sizeof(v));
	map_text_put(p, "%s %s %u-%u  rule %u", v.verdict == VERDICT_ACCEPT ? "accept" : "deny",
		     text_proto(v.proto, proto), v.first, v.last, v.id);
}

static void text_route(struct map_printer *p, const void *data)
{
	struct route v;

	memcpy(&v, data, sizeof(v));
	if (v.pool == ROUTE_POOL_OF_CLIENT)
		map_text_put(p, "route %u  pool of the client", v.id);
	else
		map_text_put(p, "route %u  pool %u", v.id, v.pool);
}

static void text_admissions(struct map_printer *p, const void *value)
{
	const struct admissions *a = value;

	map_text_put(p, "strangers ");
	text_expires(p, &a->kinds[ADMIT_STRANGERS]);
	map_text_put(p, ", others ");
	text_expires(p, &a->kinds[ADMIT_OTHERS]);
}

static const struct map_layout layouts[] = {
	{"clients", sizeof(struct route_key), sizeof(struct client_ref), text_lpm, text_client_ref, false},
	{"reserved", sizeof(struct route_key), sizeof(struct reserved_ref), text_lpm, text_reserved, false},
	{"reassembled", sizeof(struct addr), 8, text_address, text_expires, false},
	{"host_calls", sizeof(struct tuple), 4, text_tuple, text_u32, false},
	{"host_echoes", sizeof(struct host_echo), 8, text_host_echo, text_expires, false},
	{"sessions", 4, sizeof(struct session_ref), text_session_key, text_session, false},
	{"flow_index", sizeof(struct tuple), sizeof(struct flow_ref), text_tuple, text_flow_ref, false},
	{"flows", 4, sizeof(struct flow), text_u32, text_flow, true},
	{"pairs", sizeof(struct pair), sizeof(struct pair_use), text_pair, text_pair_use, false},
	{"egress_ids", sizeof(struct addr), 4, text_addr, text_u32, false},
	{"egresses", 4, sizeof(struct egress), text_u32, text_egress, true},
	{"pools", 4, sizeof(struct pool), text_u32, text_pool, true},
	{"settings", 4, sizeof(struct settings), text_u32, text_settings, false},
	{"policy", 4, 8, text_u32, text_policy, false},
	{"classes", 4, sizeof(struct client_class), text_client_id, text_class, true},
	{"acl", sizeof(struct acl_key), sizeof(struct acl_entry), text_acl_key, text_acl, false},
	{"rules", 4, sizeof(struct acl_rule), text_u32, text_rule, true},
	{"routes", sizeof(struct route_key), sizeof(struct route), text_lpm, text_route, false},
	{"blocked", sizeof(struct route_key), 4, text_lpm, text_u32, false},
	{"client_worker", 4, 4, text_client_id, text_u32, true},
	{"resets", 4, 8, text_u32, text_expires, true},
	{"admissions", 4, sizeof(struct admissions), text_u32, text_admissions, true},
	{"drops", 4, 8, text_reason, text_count, true},
	{"daemon_drops", 4, 8, text_reason, text_count, true},
	{"totals", 4, sizeof(struct traffic), text_total, text_traffic, true},
	{"rule_use", 4, sizeof(struct rule_use), text_u32, text_rule_use, true},
	{"client_state", 4, sizeof(struct client_state), text_client_id, text_client_state, true},
	{"client_use", 4, sizeof(struct client_use), text_client_id, text_client_use, true},
};

const struct map_layout *map_layout(const char *name, size_t key_size, size_t value_size)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++)
		if (!strcmp(layouts[i].map, name))
			return layouts[i].key_size == key_size && layouts[i].value_size == value_size ? &layouts[i]
												      : NULL;
	return NULL;
}

void map_text_bytes(struct map_printer *p, const void *data, size_t n)
{
	for (size_t i = 0; i < n && i < 64; i++)
		map_text_put(p, "%02x%s", ((const unsigned char *)data)[i], i % 4 == 3 && i + 1 < n ? " " : "");
	if (n > 64)
		map_text_put(p, "...");
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gateway.yaml: its sections, each a table of keys (config.h). Values are read by
 * config_value.c, clients and users by config_clients.c, what single keys cannot
 * see is in config_check.c.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "policy/alloc.h"
#include "config_value.h"

#define MTU_MIN	  1280 /* IPv6's least (RFC 8200, 5) */
#define MTU_MAX	  (65535 - TUNNEL_OVERHEAD)
#define FLOWS_MIN 1024
#define FLOWS_MAX (16u << 20)
/* 1.1.1.1 and 2606:4700:4700::1111: in no range that is somebody's own. */
#define INTERNET_V4 0x01010101
#define INTERNET_V6                                                 \
	(struct addr)                                               \
	{                                                           \
		.b = {0x26, 6, 0x47, 0, 0x47, 0, [14] = 0x11, 0x11} \
	}

#define FLOWS_DEFAULT  (256u << 10)
#define LISTEN_DEFAULT 51820

/* ---- tunnel -------------------------------------------------------------------- */

static void read_tunnel_address(struct config_reader *r, const char *what, const struct doc_node *n,
				struct config_address *out)
{
	if (n->kind != DOC_SCALAR || !strchr(n->text, '/') ||
	    !prefix_parse(n->text, n->len, &out->prefix, &out->host)) {
		config_mismatch(r, what, n, "our address with the tunnel's prefix length, such as 100.64.0.1/10");
		return;
	}
	out->at = n->at;
	if (!addr_cmp(&out->host, &out->prefix.addr) && out->prefix.len < 127)
		diag_error(r->d, n->at,
			   "%s: found \"%s\", the first address of its prefix names the network, "
			   "expected an address in it",
			   what, n->text);
}

static void read_tunnel_addresses(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	struct config_tunnel *t = &r->cfg->tunnel;

	if (!config_is_list(r, what, n, 1, MAX_TUNNEL_ADDR, "a list such as [100.64.0.1/10]"))
		return;
	t->addresses = mem_alloc(n->n, sizeof(*t->addresses));
	t->n_addresses = n->n;
	for (size_t i = 0; i < n->n; i++)
		read_tunnel_address(r, what, &n->items[i], &t->addresses[i]);
}

static void read_mtu(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	uint64_t v;

	if (doc_uint(n, what, MTU_MIN, MTU_MAX, &v, r->d))
		*(uint16_t *)out = (uint16_t)v;
}

static void read_workers(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	uint64_t v;

	if (doc_uint(n, what, 1, MAX_WORKERS, &v, r->d))
		*(uint16_t *)out = (uint16_t)v;
}

static void read_xdp(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	static const char *const modes[] = {
		[XDP_AUTO] = "auto", [XDP_NATIVE] = "native", [XDP_GENERIC] = "generic", [XDP_OFF] = "off", NULL};
	int i = config_read_word(r, what, n, modes);

	if (i >= 0)
		*(enum xdp_wanted *)out = (enum xdp_wanted)i;
}

static const struct config_field tunnel_fields[] = {
	CONFIG_FIELD(config_tunnel, interface, "interface", config_read_ifname),
	CONFIG_FIELD(config_tunnel, listen, "listen", config_read_port),
	CONFIG_FIELD(config_tunnel, private_key_file, "private_key_file", config_read_path),
	CONFIG_FIELD(config_tunnel, addresses, "addresses", read_tunnel_addresses),
	CONFIG_FIELD(config_tunnel, mtu, "mtu", read_mtu),
	CONFIG_FIELD(config_tunnel, underlay, "underlay", config_read_ifnames),
	CONFIG_FIELD(config_tunnel, xdp, "xdp", read_xdp),
	CONFIG_FIELD(config_tunnel, workers, "workers", read_workers),
	{0},
};

static void read_tunnel(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	if (config_read_map(r, what, "tunnel.", n, tunnel_fields, out) && !doc_get(n, "addresses") &&
	    !r->cfg->tailnet.node)
		diag_error(r->d, n->at,
			   "tunnel.addresses: missing, expected our addresses inside the tunnel, "
			   "such as [100.64.0.1/10]");
}

/* ---- egress -------------------------------------------------------------------- */

/* clang-format off */
#define POOL_FIELDS                                                           \
	CONFIG_FIELD(config_pool, interface, "interface", config_read_ifname), \
	CONFIG_FIELD(config_pool, addresses, "addresses", config_read_addrs),  \
	CONFIG_FIELD(config_pool, public, "public", config_read_addrs),        \
	CONFIG_FIELD(config_pool, answers_by, "answers_by", config_read_ifnames), \
	CONFIG_FIELD(config_pool, exclusive, "exclusive", config_read_bool)
/* clang-format on */

static void free_pools(struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_pools; i++) {
		free(cfg->pools[i].addresses.v);
		free(cfg->pools[i].public.v);
		free(cfg->pools[i].answers_by.v);
	}
	free(cfg->pools);
}

static void read_pool(struct config_reader *r, const struct doc_node *key, const struct doc_node *n)
{
	static const struct config_field fields[] = {POOL_FIELDS, {0}};
	struct config_pool *pool;
	char prefix[128];

	r->cfg->pools = mem_grow(r->cfg->pools, r->cfg->n_pools, sizeof(*pool));
	pool = &r->cfg->pools[r->cfg->n_pools++];
	*pool = (struct config_pool){.name = "?", .node = n};
	config_read_name(r, "egress.pools", key, &pool->name);
	if (!strcmp(pool->name, "default"))
		diag_error(r->d, key->at,
			   "egress.pools: the pool \"default\" is made of egress.interface and "
			   "egress.addresses, expected another name");
	snprintf(prefix, sizeof(prefix), "egress.pools.%s.", pool->name);
	if (config_read_map(r, "egress.pools", prefix, n, fields, pool) && !pool->interface && !pool->addresses.n)
		diag_error(r->d, n->at, "%saddresses: missing, expected addresses, an interface or both", prefix);
}

static void read_pools(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	if (n->kind != DOC_MAP || n->n >= MAX_POOLS) {
		config_mismatch(r, what, n,
				"a map such as {bank: {interface: eth1, addresses: [10.1.0.4]}}, "
				"of less than 64");
		return;
	}
	for (size_t i = 0; i < n->n; i++)
		read_pool(r, &n->keys[i], &n->items[i]);
}

/* The flat keys go into a pool of their own, for `pools` makes the list move. */
static void config_read_egress(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	static const struct config_field fields[] = {POOL_FIELDS, {"pools", read_pools, 0}, {0}};
	struct config_pool flat = {.name = "default", .node = n};

	config_read_map(r, what, "egress.", n, fields, &flat);
	r->cfg->pools[0] = flat;
}

/* ---- nat ----------------------------------------------------------------------- */

static void read_flows(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	uint64_t v;

	if (doc_uint(n, what, FLOWS_MIN, FLOWS_MAX, &v, r->d))
		*(uint32_t *)out = (uint32_t)v;
}

static void read_share(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	char end = 0, more = 0;
	unsigned percent = 0;

	if (n->kind == DOC_SCALAR && sscanf(n->text, "%3u%c%c", &percent, &end, &more) == 2 && end == '%' &&
	    *n->text >= '0' && *n->text <= '9' && percent >= 1 && percent <= 100)
		*(uint8_t *)out = (uint8_t)percent;
	else
		config_mismatch(r, what, n, "1% to 100%");
}

static void read_filtering(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	/* in the order of enum filtering; the words of RFC 4787, 5 */
	static const char *const words[] = {"address-dependent", "endpoint-independent", "address-and-port-dependent",
					    NULL};
	int i = config_read_word(r, what, n, words);

	if (i >= 0)
		*(enum filtering *)out = (enum filtering)i;
}

static void read_tcp(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	static const char *const words[] = {"address-and-port-dependent", "endpoint-independent", NULL};
	int i = config_read_word(r, what, n, words);

	if (i >= 0)
		*(bool *)out = i == 1;
}

static void check_floor(struct config_reader *r, const struct doc_node *n, const char *key, uint32_t seconds,
			uint32_t floor, const char *source)
{
	const struct doc_node *value = doc_get(n, key);

	if (value && seconds < floor && !r->cfg->nat.unsafe)
		diag_error(r->d, value->at, "nat.%s: found %us, expected at least %us (%s), or nat.unsafe: true", key,
			   seconds, floor, source);
}

static void read_nat(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	static const struct config_field fields[] = {
		CONFIG_FIELD(config_nat, flows, "flows", read_flows),
		CONFIG_FIELD(config_nat, client_share, "client_share", read_share),
		CONFIG_FIELD(config_nat, udp, "udp", config_read_seconds),
		CONFIG_FIELD(config_nat, tcp_established, "tcp_established", config_read_seconds),
		CONFIG_FIELD(config_nat, tcp_transitory, "tcp_transitory", config_read_seconds),
		CONFIG_FIELD(config_nat, icmp, "icmp", config_read_seconds),
		CONFIG_FIELD(config_nat, filtering, "filtering", read_filtering),
		CONFIG_FIELD(config_nat, tcp_endpoint_independent, "tcp", read_tcp),
		CONFIG_FIELD(config_nat, hide_routers, "hide_routers", config_read_bool),
		CONFIG_FIELD(config_nat, resets, "resets", config_read_bool),
		CONFIG_FIELD(config_nat, unsafe, "unsafe", config_read_bool),
		{0},
	};
	const struct config_nat *nat = out;

	if (!config_read_map(r, what, "nat.", n, fields, out))
		return;
	check_floor(r, n, "udp", nat->udp, 120, "RFC 4787, REQ-5");
	check_floor(r, n, "tcp_established", nat->tcp_established, 7440, "RFC 5382, REQ-5");
	check_floor(r, n, "tcp_transitory", nat->tcp_transitory, 240, "RFC 5382, REQ-5");
	check_floor(r, n, "icmp", nat->icmp, 60, "RFC 5508, REQ-2");
}

/* ---- the top -------------------------------------------------------------------- */

static void read_version(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	if (n->kind != DOC_SCALAR || strcmp(n->text, "1"))
		config_mismatch(r, what, n, "1, the only version there is");
}

static void read_socket(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	const char *path = NULL;

	config_read_path(r, what, n, &path);
	if (path && strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		config_mismatch(r, what, n, "a path of at most 107 bytes, the most a socket's name can have");
	else if (path)
		*(const char **)out = path;
}

static void config_read_route(struct config_reader *r, const char *what, const struct doc_node *n,
			      struct config_route *out)
{
	char text[ADDR_STRLEN];
	struct addr host;

	if (n->kind != DOC_SCALAR || !prefix_parse(n->text, n->len, &out->prefix, &host)) {
		config_mismatch(r, what, n, "a prefix such as 203.0.113.0/24 or 2001:db8:1::/48");
		return;
	}
	out->at = n->at;
	if (addr_cmp(&host, &out->prefix.addr))
		diag_error(r->d, n->at, "%s: found \"%s\" with host bits set, expected %s", what, n->text,
			   prefix_str(&out->prefix, text));
}

static void config_read_routes(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	struct config *cfg = r->cfg;

	if (!config_is_list(r, what, n, 0, 65536, "a list of prefixes such as [203.0.113.0/24]"))
		return;
	cfg->routes = mem_alloc(n->n + 1, sizeof(*cfg->routes));
	cfg->n_routes = n->n;
	for (size_t i = 0; i < n->n; i++)
		config_read_route(r, what, &n->items[i], &cfg->routes[i]);
}

static void read_stun(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	if (n->kind != DOC_SCALAR || !n->len || n->len > 255 || strpbrk(n->text, " \t/"))
		config_mismatch(r, what, n, "a STUN server such as stun.example.com:3478");
	else
		*(const char **)out = n->text;
}

static const struct config_field top_fields[] = {
	{"version", read_version, 0},
	CONFIG_FIELD(config, name, "name", config_read_name),
	CONFIG_FIELD(config, state, "state", config_read_path),
	CONFIG_FIELD(config, socket, "socket", read_socket),
	CONFIG_FIELD(config, pins, "pins", config_read_path),
	CONFIG_FIELD(config, tailnet, "tailnet", config_read_tailnet), /* first: of the tunnel it needs less */
	CONFIG_FIELD(config, tunnel, "tunnel", read_tunnel),
	CONFIG_FIELD(config, pools, "egress", config_read_egress),
	CONFIG_FIELD(config, nat, "nat", read_nat),
	CONFIG_FIELD(config, routes, "routes", config_read_routes),
	CONFIG_FIELD(config, tags, "tags", config_read_tags),
	CONFIG_FIELD(config, policy, "policy", config_read_path),
	CONFIG_FIELD(config, blocklist_folders, "blocklist_folders", config_read_paths),
	{"clients", config_read_clients, 0},
	{"users", config_read_users, 0},
	CONFIG_FIELD(config, stun, "stun", read_stun),
	{0},
};

struct config *config_blank(const char *hostname)
{
	struct config *cfg = mem_alloc(1, sizeof(*cfg));

	cfg->name = config_keep(cfg, mem_strdup(hostname && *hostname ? hostname : "gateway"));
	cfg->state = CONFIG_STATE;
	cfg->socket = CONFIG_SOCKET;
	cfg->pins = CONFIG_PINS;
	cfg->tunnel = (struct config_tunnel){.interface = "sluice0"};
	cfg->tailnet.derp = true;
	cfg->pools = mem_grow(NULL, 0, sizeof(*cfg->pools));
	cfg->pools[0] = (struct config_pool){.name = "default"};
	cfg->n_pools = 1;
	cfg->nat = (struct config_nat){.flows = FLOWS_DEFAULT,
				       .client_share = 25,
				       .udp = 300,
				       .tcp_established = 7440,
				       .tcp_transitory = 240,
				       .icmp = 60,
				       .filtering = FILTER_ADDRESS,
				       .resets = true};
	return cfg;
}

struct config *config_parse(struct doc *doc, const char *hostname, struct diags *d)
{
	struct config *cfg = config_blank(hostname);
	char *dir = config_folder(doc->file);
	struct config_reader r = {.cfg = cfg, .d = d, .dir = dir};

	config_own(cfg, doc);
	if (doc_is_visible(&doc->root, d) && config_read_map(&r, "gateway", "", &doc->root, top_fields, cfg)) {
		if (!doc_get(&doc->root, "version"))
			diag_error(d, doc->root.at, "version: missing, expected version: 1");
		if (!doc_get(&doc->root, "tunnel") && !cfg->tailnet.node)
			diag_error(d, doc->root.at,
				   "tunnel: missing, expected at least tunnel: "
				   "{addresses: [100.64.0.1/10]}, or tailnet");
	}
	config_settle_tailnet(&r, &doc->root);
	if (!cfg->tunnel.listen)
		cfg->tunnel.listen = LISTEN_DEFAULT;
	if (!cfg->tunnel.private_key_file)
		cfg->tunnel.private_key_file = config_keep(cfg, mem_printf("%s/private.key", cfg->state));
	free(dir);
	return cfg;
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	free(cfg->tunnel.addresses);
	free(cfg->tunnel.underlay.v);
	free_pools(cfg);
	free(cfg->routes);
	free(cfg->tags.v);
	free(cfg->blocklist_folders.v);
	config_clients_free(cfg->clients, cfg->n_clients);
	config_netmap_free(cfg->netmap);
	for (size_t i = 0; i < cfg->n_users; i++)
		free(cfg->users[i].roles.v);
	free(cfg->users);
	for (size_t i = 0; i < cfg->n_docs; i++)
		doc_free(cfg->docs[i]);
	free(cfg->docs);
	for (size_t i = 0; i < cfg->n_made; i++)
		free(cfg->made[i]);
	free(cfg->made);
	free(cfg);
}

void config_destinations(const struct config *cfg, struct addr out[2])
{
	const struct prefix *best[2] = {NULL, NULL};

	for (size_t i = 0; i < cfg->n_routes; i++) {
		const struct prefix *p = &cfg->routes[i].prefix;
		bool v6 = !addr_is_v4(&p->addr);

		if (!best[v6] && p->len > (v6 ? 0 : ADDR_V4_BITS))
			best[v6] = p;
	}
	out[0] = best[0] ? prefix_host(best[0]) : addr_from_v4(htonl(INTERNET_V4));
	out[1] = best[1] ? prefix_host(best[1]) : INTERNET_V6;
}

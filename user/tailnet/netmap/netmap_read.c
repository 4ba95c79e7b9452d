/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One message of the netmap stream, JSON to struct netmap_update (netmap.h). What we do
 * not use is not looked at, so it may be of any form. Of what a server may say (MapResponse)
 * a router of subnets needs no
 *
 *   DNSConfig, SSHPolicy, CollectServices: it looks up no names for others, is no SSH server
 *   PeerSeenChange, Domain, DomainDataPlaneAuditLogID: only shown, or for logs
 *   MapSessionHandle, Seq: for who asks to go on where he was; we start anew
 *   ClientVersion, DefaultAutoUpdate: of a program that we are not
 *   PingRequest with Types: the console's; what chooses a primary asks for a HEAD
 *   Debug.SleepSeconds, DisableLogTail: we back off by ourselves, and send nobody logs
 *
 * and of a node no Cap, Created, LastSeen, Machine, Sharer, KeySignature (tailnet lock is
 * refused), ExitNodeDNSResolvers, nor SelfNodeV4MasqAddrForThisPeer, another address for our
 * own node: who uses our routes does not see it. Our own CapMap has switches of tailscaled's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netmap.h"
#include "policy/alloc.h"
#include "user/base/text.h"

#define ID_MAX INT64_MAX

/* The first @max of them; that there are more is a mistake in @over. */
static size_t read_prefixes(struct fields *f, const json_t *array, const char *key, size_t max, struct fields *over,
			    struct prefix **out)
{
	json_t *value;
	size_t i, n = 0;

	json_array_foreach (array, i, value) {
		const char *text = element_string(f, value, key);
		struct prefix p;

		if (!fields_bad(f) && !prefix_parse(text, strlen(text), &p, NULL))
			fields_mistake(f, key, "not a prefix");
		if (n == max)
			fields_mistake(over, key, "more than %zu", max);
		if (fields_bad(f) || n == max)
			break;
		*out = mem_grow(*out, n, sizeof(**out));
		(*out)[n++] = p;
	}
	return n;
}

/* An array of "address:port"; returns how many. */
static size_t read_endpoints(struct fields *f, const json_t *json, const char *key, struct addr_port **out)
{
	json_t *array = field_array(f, json, key), *value;
	size_t i, n = 0;

	json_array_foreach (array, i, value) {
		const char *text = element_string(f, value, key);
		struct addr_port ap;

		if (fields_bad(f))
			break;
		/* A peer tells its endpoints itself: one that cannot be used is its own loss. */
		if (n == NODE_ENDPOINTS_MAX || !addr_port_parse(text, &ap))
			continue;
		*out = mem_grow(*out, n, sizeof(**out));
		(*out)[n++] = ap;
	}
	return n;
}

static void read_tags(struct fields *f, const json_t *json, struct fields *over, struct tailnet_node *n)
{
	json_t *array = field_array(f, json, "Tags"), *value;
	size_t i;

	json_array_foreach (array, i, value) {
		if (n->n_tags == NODE_TAGS_MAX)
			fields_mistake(over, "Tags", "more than %d", NODE_TAGS_MAX);
		const char *text = element_string(f, value, "Tags");

		if (fields_bad(f) || n->n_tags == NODE_TAGS_MAX)
			return;
		n->tags = mem_grow(n->tags, n->n_tags, sizeof(*n->tags));
		n->tags[n->n_tags] = NULL;
		node_set_text(&n->tags[n->n_tags++], text);
	}
}

/* "gw-1.example.ts.net." -> "gw-1"; without one, what the machine calls itself. */
static void read_name(struct fields *f, const json_t *json, struct tailnet_node *n)
{
	const char *name = field_string(f, json, "Name");

	if (!name || !*name)
		name = field_string(f, field_object(f, json, "Hostinfo"), "Hostname");
	node_set_text(&n->name, name);
	n->name[strcspn(n->name, ".")] = 0;
}

/* The region is a number, or in older servers the port of an address that means "relay". */
static uint16_t read_region(struct fields *f, const json_t *json)
{
	int64_t region = field_int(f, json, "HomeDERP", 0, INT64_MAX);
	const char *legacy = field_string(f, json, "DERP");
	struct addr_port ap;

	if (!region && legacy && addr_port_parse(legacy, &ap))
		region = ap.port;
	return region > UINT16_MAX ? 0 : (uint16_t)region;
}

static void read_routes(struct fields *f, const json_t *json, struct fields *over, struct tailnet_node *n)
{
	json_t *array = field_array(f, json, "AllowedIPs");

	if (!array)
		array = field_array(f, json, "Addresses");
	n->n_allowed = read_prefixes(f, array, "AllowedIPs", NODE_ALLOWED_MAX, over, &n->allowed);
	n->n_primary = read_prefixes(f, field_array(f, json, "PrimaryRoutes"), "PrimaryRoutes", NODE_ALLOWED_MAX, over,
				     &n->primary);
}

/* We serve our own routes; a peer's are only shown, so the first of many will do. */
static void fill_node(struct fields *f, const json_t *json, struct fields *unfit, struct tailnet_node *n)
{
	struct fields ignored = {0};

	n->id = (uint64_t)field_int(f, json, "ID", 1, ID_MAX);
	node_set_text(&n->stable_id, field_string(f, json, "StableID"));
	read_name(f, json, n);
	field_key(f, json, "Key", TAILKEY_NODE, n->node_key);
	field_key(f, json, "DiscoKey", TAILKEY_DISCO, n->disco_key);
	n->n_addresses = read_prefixes(f, field_array(f, json, "Addresses"), "Addresses", NODE_ADDRESSES_MAX, unfit,
				       &n->addresses);
	read_routes(f, json, unfit == f ? f : &ignored, n);
	n->n_endpoints = read_endpoints(f, json, "Endpoints", &n->endpoints);
	read_tags(f, json, unfit, n);
	n->region = read_region(f, json);
	n->key_expiry = field_time(f, json, "KeyExpiry");
	n->expired = field_bool(f, json, "Expired");
	n->online = field_bool(f, json, "Online");
	for (size_t i = 0; i < n->n_addresses; i++)
		if (n->addresses[i].len != 128)
			fields_mistake(f, "Addresses", "not of one host each");
	if (!n->id)
		fields_mistake(f, "Node.ID", "absent");
}

/* The first of too many: they only allow. */
static struct capabilities read_capabilities(struct fields *f, const json_t *json)
{
	json_t *map = field_object(f, json, "CapMap"), *value;
	struct capabilities caps = {0};
	const char *name;

	json_object_foreach (map, name, value) {
		if (!capabilities_add(&caps, name))
			break;
	}
	capabilities_settle(&caps);
	return caps;
}

/*
 * A jailed peer may be reached but may not reach us, and we reach for nobody. One that speaks
 * WireGuard only is an exit of somebody's, not a client of ours. And one that tailnet lock has
 * not signed may only speak with services of its tailscaled's kind, of which we have none.
 */
static bool is_useless(struct fields *f, const json_t *json)
{
	return field_bool(f, json, "IsJailed") || field_bool(f, json, "IsWireGuardOnly") ||
	       field_bool(f, json, "UnsignedPeerAPIOnly");
}

/* Its node is NULL: to be left out (no key; jailed; not signed; no tailscale node), or a mistake is in @f;
 * or in @unfit, if there are too many addresses or tags. Ourselves: @unfit is @f. */
static struct netmap_peer read_node(struct fields *f, const json_t *json, struct fields *unfit)
{
	struct netmap_peer p = {.changed = true};
	bool useless;

	if (!element_object(f, json, "Node"))
		return p;
	useless = is_useless(f, json);
	p.user_id = field_int(f, json, "User", INT64_MIN, INT64_MAX);
	p.node = node_new();
	fill_node(f, json, unfit, p.node);
	p.caps = read_capabilities(f, json);
	if (fields_bad(f) || fields_bad(unfit) || useless || key_is_zero(p.node->node_key))
		netmap_peer_free(&p);
	return p;
}

/* Known until now, perhaps, and of no use from now on. @unfit: or too much for us, which has to be said. */
static void leave_peer_out(struct fields *f, const json_t *json, const struct fields *unfit, struct netmap_update *u)
{
	const char *name = field_string(f, json, "Name");
	char shown[TEXT_SIZE];

	u->removed = mem_grow(u->removed, u->n_removed, sizeof(*u->removed));
	u->removed[u->n_removed++] = (uint64_t)field_int(f, json, "ID", 1, ID_MAX);
	if (fields_bad(unfit) && !u->left_out.n++)
		u->left_out.why =
			mem_printf("%s: %s", text_escape(name ? name : "", shown, sizeof(shown)), unfit->error);
}

static void read_peers(struct fields *f, const json_t *array, struct netmap_update *u)
{
	json_t *value;
	size_t i;

	json_array_foreach (array, i, value) {
		struct netmap_peer p = {0};
		struct fields unfit = {0};

		if (u->n_peers == NETMAP_PEERS_MAX)
			fields_mistake(f, "Peers", "more than %d", NETMAP_PEERS_MAX);
		if (!fields_bad(f))
			p = read_node(f, value, &unfit);
		if (fields_bad(f))
			return;
		if (!p.node) {
			leave_peer_out(f, value, &unfit, u);
			continue;
		}
		u->peers = mem_grow(u->peers, u->n_peers, sizeof(*u->peers));
		u->peers[u->n_peers++] = p;
	}
}

static void read_removed(struct fields *f, const json_t *root, struct netmap_update *u)
{
	json_t *array = field_array(f, root, "PeersRemoved"), *value;
	size_t i;

	json_array_foreach (array, i, value) {
		int64_t id = element_int(f, value, "PeersRemoved", 1, ID_MAX);

		if (fields_bad(f))
			return;
		u->removed = mem_grow(u->removed, u->n_removed, sizeof(*u->removed));
		u->removed[u->n_removed++] = (uint64_t)id;
	}
}

static struct netmap_patch *add_patch(struct netmap_update *u, uint64_t id)
{
	u->patches = mem_grow(u->patches, u->n_patches, sizeof(*u->patches));
	u->patches[u->n_patches] = (struct netmap_patch){.id = id};
	return &u->patches[u->n_patches++];
}

static void read_patch(struct fields *f, const json_t *json, struct netmap_update *u)
{
	struct netmap_patch *p;

	if (!element_object(f, json, "PeersChangedPatch"))
		return;
	p = add_patch(u, (uint64_t)field_int(f, json, "NodeID", 1, ID_MAX));
	p->has_key = field_key(f, json, "Key", TAILKEY_NODE, p->key);
	p->has_disco = field_key(f, json, "DiscoKey", TAILKEY_DISCO, p->disco);
	p->has_endpoints = field_array(f, json, "Endpoints");
	p->n_endpoints = read_endpoints(f, json, "Endpoints", &p->endpoints);
	int64_t region = field_int(f, json, "DERPRegion", 0, INT64_MAX);
	p->has_region = region > 0 && region <= UINT16_MAX;
	p->region = p->has_region ? (uint16_t)region : 0;
	p->has_online = json_is_boolean(json_object_get(json, "Online"));
	p->online = field_bool(f, json, "Online");
	p->has_expiry = json_is_string(json_object_get(json, "KeyExpiry"));
	p->expiry = field_time(f, json, "KeyExpiry");
	p->has_caps = field_object(f, json, "CapMap");
	p->caps = read_capabilities(f, json);
}

static void read_patches(struct fields *f, const json_t *root, struct netmap_update *u)
{
	json_t *array = field_array(f, root, "PeersChangedPatch"), *online = field_object(f, root, "OnlineChange");
	json_t *value;
	const char *key;
	size_t i;

	json_object_foreach (online, key, value) {
		struct netmap_patch *p = add_patch(u, strtoull(key, NULL, 10));

		p->has_online = json_is_boolean(value);
		p->online = json_is_true(value);
	}
	json_array_foreach (array, i, value) {
		if (fields_bad(f))
			return;
		read_patch(f, value, u);
	}
}

/* All of them, and then nothing else counts; or what has changed. An empty list is none (as tailscaled sees it). */
static void read_members(struct fields *f, const json_t *root, struct netmap_update *u)
{
	json_t *peers = field_array(f, root, "Peers");

	u->full = json_array_size(peers);
	read_peers(f, u->full ? peers : field_array(f, root, "PeersChanged"), u);
	if (u->full)
		return;
	read_removed(f, root, u);
	read_patches(f, root, u);
}

static void read_users(struct fields *f, const json_t *root, struct netmap_update *u)
{
	json_t *array = field_array(f, root, "UserProfiles"), *value;
	size_t i;

	json_array_foreach (array, i, value) {
		struct netmap_user user = {0};

		if (!element_object(f, value, "UserProfiles"))
			return;
		user.id = field_int(f, value, "ID", INT64_MIN, INT64_MAX);
		node_set_text(&user.login, field_string(f, value, "LoginName"));
		u->users = mem_grow(u->users, u->n_users, sizeof(*u->users));
		u->users[u->n_users++] = user;
	}
}

static void leave_out(struct netmap_left_out *left_out, size_t i, const struct fields *f)
{
	if (!left_out->n++)
		left_out->why = mem_printf("rule %zu: %s", i + 1, f->error);
}

static void add_rule(struct netmap_filter *out, const struct filter_rule *r, const struct netmap_by_cap *by)
{
	struct filter *rules = &out->rules;

	if (by->caps.n) {
		out->by_cap = mem_grow(out->by_cap, out->n_by_cap, sizeof(*out->by_cap));
		out->by_cap[out->n_by_cap] = *by;
		out->by_cap[out->n_by_cap++].rule = rules->n;
	}
	rules->rules = mem_grow(rules->rules, rules->n, sizeof(*rules->rules));
	rules->rules[rules->n++] = *r;
}

static void read_rules(const json_t *array, struct netmap_filter *out)
{
	const struct filter *rules = &out->rules;
	json_t *value;
	size_t i;

	json_array_foreach (array, i, value) {
		struct fields f = {0}; /* of this rule alone */
		struct netmap_by_cap by;
		struct filter_rule r;

		if (rules->n == NETMAP_RULES_MAX)
			fields_mistake(&f, "PacketFilters", "more than %d rules", NETMAP_RULES_MAX);
		if (!fields_bad(&f) && netmap_rule_read(&f, value, &r, &by))
			add_rule(out, &r, &by);
		if (fields_bad(&f))
			leave_out(&out->left_out, i, &f);
	}
}

static void add_filter(struct fields *f, const char *name, const json_t *rules, struct netmap_update *u)
{
	struct netmap_filter filter = {.name = mem_strdup(name), .gone = json_is_null(rules)};

	if (!filter.gone && !json_is_array(rules))
		fields_mistake(f, "PacketFilters", "a filter is not an array");
	read_rules(rules, &filter);
	u->filters = mem_grow(u->filters, u->n_filters, sizeof(*u->filters));
	u->filters[u->n_filters++] = filter;
}

/* The old field is the filter named "base"; in it, null has always been "unchanged". It counts before the
 * others: what clears all clears it, too. */
static void read_filters(struct fields *f, const json_t *root, struct netmap_update *u)
{
	json_t *old = field_array(f, root, "PacketFilter"), *named = field_object(f, root, "PacketFilters");
	json_t *all = json_object_get(named, "*"), *value;
	const char *name;

	u->clear_filters = json_is_null(all);
	if (all && !u->clear_filters)
		fields_mistake(f, "PacketFilters", "\"*\" is not null");
	if (old && !u->clear_filters)
		add_filter(f, "base", old, u);
	json_object_foreach (named, name, value) {
		if (strcmp(name, "*") != 0)
			add_filter(f, name, value, u);
	}
}

static void read_self(struct fields *f, const json_t *root, struct netmap_update *u)
{
	json_t *node = field_object(f, root, "Node");

	if (!node)
		return;
	u->self = read_node(f, node, f);
	u->authorized = field_bool(f, node, "MachineAuthorized"); /* servers leave a "no" away */
	if (!u->self.node)
		fields_mistake(f, "Node", "has no key");
}

static void read_ping(struct fields *f, const json_t *root, struct netmap_update *u)
{
	json_t *ping = field_object(f, root, "PingRequest");
	const char *url = field_string(f, ping, "URL"), *types = field_string(f, ping, "Types");

	if (!url || (types && *types)) /* of the others we know none */
		return;
	u->ping = url_parse(url, &u->ping_url);
	u->ping_noise = field_bool(f, ping, "URLIsNoise");
}

static void read_lock(struct fields *f, const json_t *root, struct netmap_update *u)
{
	json_t *lock = field_object(f, root, "TKAInfo");
	const char *head = field_string(f, lock, "Head");

	u->locked = head && *head && !field_bool(f, lock, "Disabled");
}

static void read_all(struct fields *f, const json_t *root, struct netmap_update *u)
{
	json_t *derpmap;

	read_ping(f, root, u);
	u->server_time = field_time(f, root, "ControlTime");
	u->has_dial_plan = dial_plan_read(f, root, &u->dial_plan);
	remarks_read_page(root, &u->remarks);
	u->alive = field_bool(f, root, "KeepAlive");
	if (u->alive)
		return;
	read_self(f, root, u);
	read_members(f, root, u);
	read_users(f, root, u);
	read_filters(f, root, u);
	read_lock(f, root, u);
	remarks_read(root, &u->remarks);
	u->exit = json_is_integer(json_object_get(json_object_get(root, "Debug"), "Exit"));
	derpmap = field_object(f, root, "DERPMap");
	if (derpmap)
		u->derpmap = derpmap_read(f, derpmap);
}

struct netmap_update *netmap_update_read(const char *json, size_t len, char error[NETMAP_ERROR])
{
	struct netmap_update *u = mem_alloc(1, sizeof(*u));
	struct fields f = {0};
	json_t *root = fields_parse(&f, json, len);

	if (root)
		read_all(&f, root, u);
	json_decref(root);
	if (!fields_bad(&f))
		return u;
	snprintf(error, NETMAP_ERROR, "%s", f.error);
	netmap_update_free(u);
	return NULL;
}

void netmap_update_free(struct netmap_update *u)
{
	if (!u)
		return;
	netmap_peer_free(&u->self);
	for (size_t i = 0; i < u->n_peers; i++)
		netmap_peer_free(&u->peers[i]);
	for (size_t i = 0; i < u->n_patches; i++) {
		free(u->patches[i].endpoints);
		capabilities_free(&u->patches[i].caps);
	}
	for (size_t i = 0; i < u->n_users; i++)
		free(u->users[i].login);
	for (size_t i = 0; i < u->n_filters; i++)
		netmap_filter_free(&u->filters[i]);
	derpmap_free(u->derpmap);
	remarks_free(&u->remarks.list);
	free(u->left_out.why);
	free(u->peers);
	free(u->removed);
	free(u->patches);
	free(u->users);
	free(u->filters);
	free(u);
}

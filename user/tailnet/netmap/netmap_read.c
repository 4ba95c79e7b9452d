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
#include "user/base/url.h"

#define ID_MAX INT64_MAX

/* The first @max of them; that there are more is a mistake. */
static size_t read_prefixes(struct fields *f, const json_t *array, const char *key, size_t max, struct prefix **out)
{
	json_t *value;
	size_t i, n = 0;

	json_array_foreach (array, i, value) {
		const char *text = element_string(f, value, key);
		struct prefix p;

		if (!fields_bad(f) && !prefix_parse(text, strlen(text), &p, NULL))
			fields_mistake(f, key, "not a prefix");
		if (n == max)
			fields_mistake(f, key, "more than %zu", max);
		if (fields_bad(f))
			break;
		*out = mem_grow(*out, n, sizeof(**out));
		(*out)[n++] = p;
	}
	return n;
}

static void read_tags(struct fields *f, const json_t *json, struct tailnet_node *n)
{
	json_t *array = field_array(f, json, "Tags"), *value;
	size_t i;

	json_array_foreach (array, i, value) {
		if (n->n_tags == NODE_TAGS_MAX)
			fields_mistake(f, "Tags", "more than %d", NODE_TAGS_MAX);
		const char *text = element_string(f, value, "Tags");

		if (fields_bad(f))
			return;
		n->tags = mem_grow(n->tags, n->n_tags, sizeof(*n->tags));
		n->tags[n->n_tags] = NULL;
		node_set_text(&n->tags[n->n_tags++], text);
	}
}

/* "gw-1.example.ts.net." -> "gw-1"; without one, what the machine calls itself. */
static void netmap_read_name(struct fields *f, const json_t *json, struct tailnet_node *n)
{
	const char *name = field_string(f, json, "Name");

	if (!name || !*name)
		name = json_string_value(json_object_get(json_object_get(json, "Hostinfo"), "Hostname"));
	node_set_text(&n->name, name);
	n->name[strcspn(n->name, ".")] = 0;
}

static void netmap_read_routes(struct fields *f, const json_t *json, struct tailnet_node *n)
{
	json_t *array = field_array(f, json, "AllowedIPs");

	if (!array)
		array = field_array(f, json, "Addresses");
	n->n_allowed = read_prefixes(f, array, "AllowedIPs", NODE_ALLOWED_MAX, &n->allowed);
	n->n_primary =
		read_prefixes(f, field_array(f, json, "PrimaryRoutes"), "PrimaryRoutes", NODE_ALLOWED_MAX, &n->primary);
}

/* ---- what a node says of itself: what cannot be used is as if it had not said it ------------------- */

static uint16_t region_of(int64_t number)
{
	return number > 0 && number <= UINT16_MAX ? (uint16_t)number : 0;
}

/* The region is a number, or in older servers the port of an address that means "relay". */
static uint16_t read_home(const json_t *json)
{
	json_t *region = json_object_get(json, "HomeDERP");
	const char *legacy = json_string_value(json_object_get(json, "DERP"));
	struct addr_port ap;

	if (!json_integer_value(region) && legacy && addr_port_parse(legacy, &ap))
		return ap.port;
	return region_of(json_integer_value(region));
}

/* An array of "address:port"; returns how many. */
static size_t read_endpoints(const json_t *json, struct addr_port **out)
{
	json_t *value;
	size_t i, n = 0;

	json_array_foreach (json_object_get(json, "Endpoints"), i, value) {
		const char *text = json_string_value(value);
		struct addr_port ap;

		if (n == NODE_ENDPOINTS_MAX || !text || !addr_port_parse(text, &ap))
			continue;
		*out = mem_grow(*out, n, sizeof(**out));
		(*out)[n++] = ap;
	}
	return n;
}

static bool read_disco(const json_t *json, uint8_t key[KEY_LEN])
{
	struct fields own = {0};

	return field_key(&own, json, "DiscoKey", TAILKEY_DISCO, key);
}

/* ---- nodes --------------------------------------------------------------------------------------- */

/* We serve our own routes; a peer's are only shown, so the first of them will do. */
static void netmap_read_fill_node(struct fields *f, const json_t *json, bool self, struct tailnet_node *n)
{
	struct fields shown = {0};

	n->id = (uint64_t)field_int(f, json, "ID", 1, ID_MAX);
	node_set_text(&n->stable_id, field_string(f, json, "StableID"));
	netmap_read_name(f, json, n);
	field_key(f, json, "Key", TAILKEY_NODE, n->node_key);
	read_disco(json, n->disco_key);
	n->n_addresses =
		read_prefixes(f, field_array(f, json, "Addresses"), "Addresses", NODE_ADDRESSES_MAX, &n->addresses);
	netmap_read_routes(self ? f : &shown, json, n);
	n->n_endpoints = read_endpoints(json, &n->endpoints);
	read_tags(f, json, n);
	n->region = read_home(json);
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
static struct capabilities read_capabilities(const json_t *json)
{
	struct capabilities caps = {0};
	const char *name;
	json_t *value;

	json_object_foreach (json_object_get(json, "CapMap"), name, value) {
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

/* Its node is NULL: to be left out (no key; jailed; not signed; no tailscale node), or a mistake is in @f. */
static struct netmap_peer netmap_read_node(struct fields *f, const json_t *json, bool self)
{
	struct netmap_peer p = {.changed = true};
	bool useless;

	if (!element_object(f, json, "Node"))
		return p;
	useless = is_useless(f, json);
	p.user_id = field_int(f, json, "User", INT64_MIN, INT64_MAX);
	p.node = node_new();
	netmap_read_fill_node(f, json, self, p.node);
	p.caps = read_capabilities(json);
	if (fields_bad(f) || useless || key_is_zero(p.node->node_key))
		netmap_peer_free(&p);
	return p;
}

/* The first counts. What is wrong with one node, rule or relay alone is not damage. */
static void note_damage(struct netmap_update *u, const struct fields *f)
{
	if (fields_bad(f) && !u->damage)
		u->damage = mem_strdup(f->error);
}

static json_t *read_array(const json_t *root, const char *key, struct netmap_update *u)
{
	struct fields f = {0};
	json_t *array = field_array(&f, root, key);

	note_damage(u, &f);
	return array;
}

static void netmap_read_remove_peer(struct netmap_update *u, uint64_t id)
{
	u->removed = mem_grow(u->removed, u->n_removed, sizeof(*u->removed));
	u->removed[u->n_removed++] = id;
}

/* Known until now, perhaps, and of no use from now on. */
static void leave_peer_out(const struct fields *f, uint64_t id, const char *name, struct netmap_update *u)
{
	char shown[TEXT_SIZE];

	if (id)
		netmap_read_remove_peer(u, id);
	else if (!u->full)
		note_damage(u, f); /* whoever it is about is as he was */
	if (!fields_bad(f) || u->n_unfit == NETMAP_PEERS_MAX)
		return;
	u->unfit = mem_grow(u->unfit, u->n_unfit, sizeof(*u->unfit));
	u->unfit[u->n_unfit++] = (struct netmap_unfit){
		id, mem_printf("%s: %s", text_escape(name ? name : "", shown, sizeof(shown)), f->error)};
}

static uint64_t netmap_read_id_of(const json_t *json, const char *key)
{
	json_int_t id = json_integer_value(json_object_get(json, key));

	return id > 0 ? (uint64_t)id : 0;
}

static void read_peers(const json_t *array, struct netmap_update *u)
{
	json_t *value;
	size_t i;

	json_array_foreach (array, i, value) {
		struct fields f = {0}; /* of this peer alone */
		struct netmap_peer p = netmap_read_node(&f, value, false);

		if (p.node && u->n_peers == NETMAP_PEERS_MAX)
			fields_mistake(&f, "Peers", "more than %d", NETMAP_PEERS_MAX);
		if (p.node && !fields_bad(&f)) {
			u->peers = mem_grow(u->peers, u->n_peers, sizeof(*u->peers));
			u->peers[u->n_peers++] = p;
			continue;
		}
		netmap_peer_free(&p);
		leave_peer_out(&f, netmap_read_id_of(value, "ID"), json_string_value(json_object_get(value, "Name")),
			       u);
	}
}

static void read_removed(const json_t *root, struct netmap_update *u)
{
	json_t *array = read_array(root, "PeersRemoved", u), *value;
	size_t i;

	json_array_foreach (array, i, value) {
		struct fields f = {0};
		int64_t id = element_int(&f, value, "PeersRemoved", 1, ID_MAX);

		note_damage(u, &f);
		if (!fields_bad(&f))
			netmap_read_remove_peer(u, (uint64_t)id);
	}
}

static struct netmap_patch *add_patch(struct netmap_update *u, uint64_t id)
{
	u->patches = mem_grow(u->patches, u->n_patches, sizeof(*u->patches));
	u->patches[u->n_patches] = (struct netmap_patch){.id = id};
	return &u->patches[u->n_patches++];
}

/* A key or an expiry that cannot be read: what of the peer is still so is not known. */
static void read_patch(const json_t *json, struct netmap_update *u)
{
	json_t *expiry = json_object_get(json, "KeyExpiry"), *online = json_object_get(json, "Online");
	struct netmap_patch *p = add_patch(u, netmap_read_id_of(json, "NodeID"));
	struct fields f = {0};

	element_object(&f, json, "PeersChangedPatch");
	p->has_key = field_key(&f, json, "Key", TAILKEY_NODE, p->key);
	p->has_expiry = expiry && !json_is_null(expiry);
	p->expiry = field_time(&f, json, "KeyExpiry");
	p->has_disco = read_disco(json, p->disco);
	p->has_endpoints = json_is_array(json_object_get(json, "Endpoints"));
	p->n_endpoints = read_endpoints(json, &p->endpoints);
	p->region = region_of(json_integer_value(json_object_get(json, "DERPRegion")));
	p->has_region = p->region;
	p->has_online = json_is_boolean(online);
	p->online = json_is_true(online);
	p->has_caps = json_is_object(json_object_get(json, "CapMap"));
	p->caps = read_capabilities(json);
	if (!p->id)
		fields_mistake(&f, "PeersChangedPatch.NodeID", "absent");
	if (fields_bad(&f))
		leave_peer_out(&f, p->id, NULL, u);
}

static void read_patches(const json_t *root, struct netmap_update *u)
{
	json_t *array = read_array(root, "PeersChangedPatch", u), *value;
	const char *key;
	size_t i;

	json_object_foreach (json_object_get(root, "OnlineChange"), key, value) {
		struct netmap_patch *p = add_patch(u, strtoull(key, NULL, 10));

		p->has_online = json_is_boolean(value);
		p->online = json_is_true(value);
	}
	json_array_foreach (array, i, value)
		read_patch(value, u);
}

/* All of them, and then nothing else counts; or what has changed. An empty list is none (as tailscaled sees it). */
static void netmap_read_members(const json_t *root, struct netmap_update *u)
{
	json_t *peers = read_array(root, "Peers", u);

	u->full = json_array_size(peers);
	read_peers(u->full ? peers : read_array(root, "PeersChanged", u), u);
	if (u->full)
		return;
	read_removed(root, u);
	read_patches(root, u);
}

static void read_users(const json_t *root, struct netmap_update *u)
{
	json_t *array = read_array(root, "UserProfiles", u), *value;
	size_t i;

	json_array_foreach (array, i, value) {
		struct netmap_user user = {0};
		struct fields f = {0};

		element_object(&f, value, "UserProfiles");
		user.id = field_int(&f, value, "ID", INT64_MIN, INT64_MAX);
		node_set_text(&user.login, field_string(&f, value, "LoginName"));
		note_damage(u, &f);
		if (fields_bad(&f)) {
			free(user.login);
			continue;
		}
		u->users = mem_grow(u->users, u->n_users, sizeof(*u->users));
		u->users[u->n_users++] = user;
	}
}

static void leave_out(struct netmap_left_out *left_out, const char *why, const struct fields *f)
{
	if (fields_bad(f) && !left_out->n++)
		left_out->why = mem_printf("%s: %s", why, f->error);
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
	char which[32];
	json_t *value;
	size_t i;

	json_array_foreach (array, i, value) {
		struct fields f = {0}, part = {0}; /* of this rule alone */
		struct netmap_by_cap by;
		struct filter_rule r;

		if (rules->n == NETMAP_RULES_MAX)
			fields_mistake(&f, "PacketFilters", "more than %d rules", NETMAP_RULES_MAX);
		if (!fields_bad(&f) && netmap_rule_read(&f, &part, value, &r, &by))
			add_rule(out, &r, &by);
		snprintf(which, sizeof(which), "rule %zu", i + 1);
		leave_out(&out->left_out, which, fields_bad(&f) ? &f : &part);
	}
}

/* One that cannot be read lets nobody through. */
static void add_filter(const char *name, const json_t *rules, struct netmap_update *u)
{
	struct netmap_filter filter = {.name = mem_strdup(name), .gone = json_is_null(rules)};
	char shown[TEXT_SIZE];
	struct fields f = {0};

	if (!filter.gone && !json_is_array(rules)) {
		fields_mistake(&f, "PacketFilters", "not an array");
		leave_out(&filter.left_out, text_escape(name, shown, sizeof(shown)), &f);
	}
	read_rules(rules, &filter);
	u->filters = mem_grow(u->filters, u->n_filters, sizeof(*u->filters));
	u->filters[u->n_filters++] = filter;
}

/* The old field is the filter named "base"; in it, null has always been "unchanged". It counts before the
 * others: what clears all clears it, too. Whatever else "*" may be is for others. */
static void read_filters(const json_t *root, struct netmap_update *u)
{
	json_t *old = json_object_get(root, "PacketFilter"), *named, *value;
	struct fields f = {0};
	const char *name;

	named = field_object(&f, root, "PacketFilters");
	note_damage(u, &f);
	u->clear_filters = json_is_null(json_object_get(named, "*"));
	if (old && !json_is_null(old) && !u->clear_filters)
		add_filter("base", old, u);
	json_object_foreach (named, name, value) {
		if (strcmp(name, "*") != 0)
			add_filter(name, value, u);
	}
}

static void read_self(const json_t *root, struct netmap_update *u)
{
	struct fields f = {0};
	json_t *node = field_object(&f, root, "Node");

	if (node) {
		u->self = netmap_read_node(&f, node, true);
		u->authorized = field_bool(&f, node, "MachineAuthorized"); /* servers leave a "no" away */
		if (!u->self.node)
			fields_mistake(&f, "Node", "has no key");
	}
	note_damage(u, &f);
}

static void read_ping(const json_t *root, struct netmap_update *u)
{
	struct fields f = {0};
	json_t *ping = field_object(&f, root, "PingRequest");
	const char *url = field_string(&f, ping, "URL"), *types = field_string(&f, ping, "Types");

	if (!url || (types && *types)) /* of the others we know none */
		return;
	u->ping = url_parse(url, &u->ping_url);
	u->ping_noise = field_bool(&f, ping, "URLIsNoise");
}

static void read_lock(const json_t *root, struct netmap_update *u)
{
	struct fields f = {0};
	json_t *lock = field_object(&f, root, "TKAInfo");
	const char *head = field_string(&f, lock, "Head");

	u->locked = head && *head && !field_bool(&f, lock, "Disabled");
	note_damage(u, &f);
}

/* Leaves out the part that cannot be read, and says so: nobody gains access by a DERP map. */
static void read_relays(const json_t *root, struct netmap_update *u)
{
	static const char remark[] = "DERPMap";
	json_t *value = json_object_get(root, "DERPMap");
	struct fields f = {0};
	char *text;

	if (!value || json_is_null(value))
		return;
	element_object(&f, value, remark);
	u->derpmap = derpmap_read(&f, value);
	text = fields_bad(&f) ? mem_printf("some of its relays cannot be used: %s", f.error) : NULL;
	health_add(&u->health.list, remark, HEALTH_MEDIUM, text);
	free(text);
}

static void netmap_read_all(const json_t *root, struct netmap_update *u)
{
	struct fields time = {0}, plan = {0};

	read_ping(root, u);
	u->server_time = field_time(&time, root, "ControlTime");
	u->has_dial_plan = dial_plan_read(&plan, root, &u->dial_plan);
	health_read_page(root, &u->health);
	u->alive = json_is_true(json_object_get(root, "KeepAlive"));
	if (u->alive)
		return;
	read_self(root, u);
	netmap_read_members(root, u);
	read_users(root, u);
	read_filters(root, u);
	read_lock(root, u);
	health_read(root, &u->health);
	u->exit = json_is_integer(json_object_get(json_object_get(root, "Debug"), "Exit"));
	read_relays(root, u);
}

struct netmap_update *netmap_update_read(const char *json, size_t len, char error[NETMAP_ERROR])
{
	struct netmap_update *u = mem_alloc(1, sizeof(*u));
	struct fields f = {0};
	json_t *root = fields_parse(&f, json, len);

	if (root) {
		netmap_read_all(root, u);
		json_decref(root);
		return u;
	}
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
	health_free(&u->health.list);
	for (size_t i = 0; i < u->n_unfit; i++)
		free(u->unfit[i].why);
	free(u->unfit);
	free(u->damage);
	free(u->peers);
	free(u->removed);
	free(u->patches);
	free(u->users);
	free(u->filters);
	free(u);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netmap as it stands, and what updates make of it (netmap.h). Peers are
 * kept sorted by id. What has changed is remembered until it was told, so that
 * many messages that come at once are told once.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "netmap.h"
#include "policy/alloc.h"

/* The place of @key in the sorted @v, or where it would have to stand. */
static size_t netmap_place(const void *v, size_t n, size_t size, const void *key,
			   bool (*before)(const void *, const void *))
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (before((const char *)v + middle * size, key))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool peer_before(const void *peer, const void *id)
{
	return ((const struct netmap_peer *)peer)->node->id < *(const uint64_t *)id;
}

static bool user_before(const void *user, const void *id)
{
	return ((const struct netmap_user *)user)->id < *(const int64_t *)id;
}

static size_t netmap_place_of(const struct netmap *m, uint64_t id)
{
	return netmap_place(m->peers, m->n_peers, sizeof(*m->peers), &id, peer_before);
}

struct netmap_peer *netmap_peer(const struct netmap *m, uint64_t id)
{
	size_t i = netmap_place_of(m, id);

	return i < m->n_peers && m->peers[i].node->id == id ? &m->peers[i] : NULL;
}

static size_t user_place(const struct netmap *m, int64_t id)
{
	return netmap_place(m->users, m->n_users, sizeof(*m->users), &id, user_before);
}

static const char *netmap_login_of(const struct netmap *m, int64_t user_id)
{
	size_t i = user_place(m, user_id);

	return i < m->n_users && m->users[i].id == user_id ? m->users[i].login : NULL;
}

void netmap_peer_free(struct netmap_peer *p)
{
	node_free(p->node);
	capabilities_free(&p->caps);
	p->node = NULL;
}

/* A tagged node belongs to nobody, whoever has tagged it. Without a profile the node keeps what it has. */
static void name_user(const struct netmap *m, struct netmap_peer *p)
{
	const char *login = p->node->n_tags ? "" : netmap_login_of(m, p->user_id);

	if (!login || strcmp(p->node->user, login) == 0)
		return;
	node_set_text(&p->node->user, login);
	p->changed = true;
}

/* ---- who is no peer, for something is wrong with him ------------------------------------- */

static bool unfit_before(const void *unfit, const void *id)
{
	return ((const struct netmap_unfit *)unfit)->id < *(const uint64_t *)id;
}

static size_t unfit_place(const struct netmap *m, uint64_t id)
{
	return netmap_place(m->unfit, m->n_unfit, sizeof(*m->unfit), &id, unfit_before);
}

static void forget_unfit(struct netmap *m, uint64_t id)
{
	size_t i = unfit_place(m, id);

	if (i == m->n_unfit || m->unfit[i].id != id)
		return;
	free(m->unfit[i].why);
	memmove(&m->unfit[i], &m->unfit[i + 1], (m->n_unfit - i - 1) * sizeof(*m->unfit));
	m->n_unfit--;
}

static void forget_all_unfit(struct netmap *m)
{
	for (size_t i = 0; i < m->n_unfit; i++)
		free(m->unfit[i].why);
	m->n_unfit = 0;
}

/* @why becomes the netmap's. */
static void remember_unfit(struct netmap *m, uint64_t id, char *why)
{
	size_t i;

	forget_unfit(m, id);
	i = unfit_place(m, id);
	if (m->n_unfit == NETMAP_PEERS_MAX) {
		free(why);
		return;
	}
	m->unfit = mem_grow(m->unfit, m->n_unfit, sizeof(*m->unfit));
	memmove(&m->unfit[i + 1], &m->unfit[i], (m->n_unfit - i) * sizeof(*m->unfit));
	m->unfit[i] = (struct netmap_unfit){id, why};
	m->n_unfit++;
}

/* ---- peers ------------------------------------------------------------------------------- */

static void upsert(struct netmap *m, struct netmap_peer *new)
{
	size_t i = netmap_place_of(m, new->node->id);

	name_user(m, new);
	forget_unfit(m, new->node->id);
	if (i < m->n_peers && m->peers[i].node->id == new->node->id) {
		new->changed = m->peers[i].changed || !node_equal(m->peers[i].node, new->node);
		netmap_peer_free(&m->peers[i]);
	} else if (m->n_peers == NETMAP_PEERS_MAX) { /* a message has no more than that; many messages may */
		remember_unfit(m, new->node->id, mem_printf("more than %d", NETMAP_PEERS_MAX));
		return;
	} else {
		m->peers = mem_grow(m->peers, m->n_peers, sizeof(*m->peers));
		memmove(&m->peers[i + 1], &m->peers[i], (m->n_peers - i) * sizeof(*m->peers));
		m->n_peers++;
		new->changed = true;
	}
	m->peers[i] = *new;
	*new = (struct netmap_peer){0};
}

static void remember_removed(struct netmap *m, uint64_t id)
{
	m->removed = mem_grow(m->removed, m->n_removed, sizeof(*m->removed));
	m->removed[m->n_removed++] = id;
}

static void netmap_remove_peer(struct netmap *m, uint64_t id)
{
	struct netmap_peer *p = netmap_peer(m, id);

	forget_unfit(m, id);
	if (!p)
		return;
	netmap_peer_free(p);
	memmove(p, p + 1, (size_t)(&m->peers[m->n_peers] - (p + 1)) * sizeof(*p));
	m->n_peers--;
	remember_removed(m, id);
}

static int netmap_by_id(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Removes who is not in a full list. */
static void keep_only(struct netmap *m, const struct netmap_update *u)
{
	uint64_t *ids = mem_alloc(u->n_peers, sizeof(*ids));
	size_t kept = 0;

	for (size_t i = 0; i < u->n_peers; i++)
		ids[i] = u->peers[i].node->id;
	qsort(ids, u->n_peers, sizeof(*ids), netmap_by_id);
	for (size_t i = 0; i < m->n_peers; i++) {
		if (bsearch(&m->peers[i].node->id, ids, u->n_peers, sizeof(*ids), netmap_by_id)) {
			m->peers[kept++] = m->peers[i];
			continue;
		}
		remember_removed(m, m->peers[i].node->id);
		netmap_peer_free(&m->peers[i]);
	}
	m->n_peers = kept;
	free(ids);
}

static void apply_users(struct netmap *m, struct netmap_update *u)
{
	for (size_t i = 0; i < u->n_users; i++) {
		struct netmap_user *new = &u->users[i];
		size_t k = user_place(m, new->id);

		if (k == m->n_users || m->users[k].id != new->id) {
			if (m->n_users == NETMAP_PEERS_MAX)
				continue;
			m->users = mem_grow(m->users, m->n_users, sizeof(*m->users));
			memmove(&m->users[k + 1], &m->users[k], (m->n_users - k) * sizeof(*m->users));
			m->users[k] = (struct netmap_user){.id = new->id};
			m->n_users++;
		}
		free(m->users[k].login);
		m->users[k].login = new->login;
		new->login = NULL;
	}
	if (!u->n_users)
		return;
	for (size_t i = 0; i < m->n_peers; i++)
		name_user(m, &m->peers[i]);
	if (m->self.node)
		name_user(m, &m->self);
}

static void apply_patch(struct netmap *m, struct netmap_patch *patch)
{
	struct netmap_peer *p = netmap_peer(m, patch->id);
	struct tailnet_node *n;

	if (!p)
		return;
	n = p->node;
	if (patch->has_key)
		memcpy(n->node_key, patch->key, KEY_LEN);
	if (patch->has_disco)
		memcpy(n->disco_key, patch->disco, KEY_LEN);
	if (patch->has_region)
		n->region = patch->region;
	if (patch->has_online)
		n->online = patch->online;
	if (patch->has_expiry)
		n->key_expiry = patch->expiry;
	if (patch->has_endpoints) {
		free(n->endpoints);
		n->endpoints = patch->endpoints;
		n->n_endpoints = patch->n_endpoints;
		patch->endpoints = NULL;
	}
	if (patch->has_caps) {
		capabilities_free(&p->caps);
		p->caps = patch->caps;
		patch->caps = (struct capabilities){0};
	}
	p->changed = true;
}

static void drop_filter(struct netmap *m, size_t i)
{
	netmap_filter_free(&m->filters[i]);
	memmove(&m->filters[i], &m->filters[i + 1], (m->n_filters - i - 1) * sizeof(*m->filters));
	m->n_filters--;
}

static void apply_filter(struct netmap *m, struct netmap_filter *new)
{
	size_t i;

	for (i = 0; i < m->n_filters && strcmp(m->filters[i].name, new->name) < 0; i++)
		;
	if (i < m->n_filters && strcmp(m->filters[i].name, new->name) == 0)
		drop_filter(m, i);
	if (new->gone)
		return;
	m->filters = mem_grow(m->filters, m->n_filters, sizeof(*m->filters));
	memmove(&m->filters[i + 1], &m->filters[i], (m->n_filters - i) * sizeof(*m->filters));
	m->filters[i] = *new;
	m->n_filters++;
	*new = (struct netmap_filter){0};
}

struct netmap_left_out netmap_left_out(const struct netmap *m)
{
	static char too_many[] = "more sources by capability than are kept";
	struct netmap_left_out all = {.n = m->n_unplaced ? 1 : 0, .why = m->n_unplaced ? too_many : NULL};

	for (size_t i = 0; i < m->n_filters; i++) {
		all.n += m->filters[i].left_out.n;
		all.why = all.why ? all.why : m->filters[i].left_out.why;
	}
	return all;
}

static void digest_rule(crypto_generichash_state *h, const struct filter_rule *r)
{
	const uint64_t counts[] = {r->n_src, r->n_dst, r->n_proto, r->verdict};

	crypto_generichash_update(h, (const uint8_t *)counts, sizeof(counts));
	crypto_generichash_update(h, (const uint8_t *)r->src, r->n_src * sizeof(*r->src));
	for (size_t i = 0; i < r->n_dst; i++) { /* field by field: there is padding between them */
		const uint16_t ports[] = {r->dst[i].first, r->dst[i].last};

		crypto_generichash_update(h, (const uint8_t *)&r->dst[i].prefix, sizeof(r->dst[i].prefix));
		crypto_generichash_update(h, (const uint8_t *)ports, sizeof(ports));
	}
	crypto_generichash_update(h, r->proto, r->n_proto);
}

static void digest_rules(const struct netmap *m, uint8_t digest[32])
{
	struct netmap_left_out left_out = netmap_left_out(m);
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, 32);
	for (size_t i = 0; i < m->n_filters; i++)
		for (size_t k = 0; k < m->filters[i].rules.n; k++)
			digest_rule(&h, &m->filters[i].rules.rules[k]);
	crypto_generichash_update(&h, (const uint8_t *)&left_out.n, sizeof(left_out.n));
	if (left_out.n)
		crypto_generichash_update(&h, (const uint8_t *)left_out.why, strlen(left_out.why));
	crypto_generichash_final(&h, digest, 32);
}

static void apply_filters(struct netmap *m, struct netmap_update *u)
{
	while (u->clear_filters && m->n_filters)
		drop_filter(m, m->n_filters - 1);
	for (size_t i = 0; i < u->n_filters; i++)
		apply_filter(m, &u->filters[i]);
}

/* Another capability of a peer's, or a peer more or less, may be another rule. */
static void settle_rules(struct netmap *m, bool filters)
{
	uint8_t digest[32];

	if (!netmap_expand(m) && !filters)
		return;
	digest_rules(m, digest);
	m->rules_changed |= memcmp(digest, m->digest, sizeof(digest)) != 0;
	memcpy(m->digest, digest, sizeof(digest));
}

static void apply_self(struct netmap *m, struct netmap_update *u)
{
	if (!u->self.node)
		return;
	name_user(m, &u->self);
	u->self.changed = m->self.changed || !m->self.node || !node_equal(m->self.node, u->self.node) ||
			  m->authorized != u->authorized;
	netmap_peer_free(&m->self);
	m->self = u->self;
	m->authorized = u->authorized;
	u->self = (struct netmap_peer){0};
}

static void apply_members(struct netmap *m, struct netmap_update *u)
{
	m->full |= u->full;
	if (u->full) {
		keep_only(m, u);
		forget_all_unfit(m);
	}
	for (size_t i = 0; i < u->n_removed; i++) /* first: one of them may be back */
		netmap_remove_peer(m, u->removed[i]);
	for (size_t i = 0; i < u->n_peers; i++)
		upsert(m, &u->peers[i]);
	for (size_t i = 0; i < u->n_patches; i++)
		apply_patch(m, &u->patches[i]);
	for (size_t i = 0; i < u->n_unfit; i++) {
		netmap_remove_peer(m, u->unfit[i].id);
		remember_unfit(m, u->unfit[i].id, u->unfit[i].why);
		u->unfit[i].why = NULL;
	}
}

void netmap_apply(struct netmap *m, struct netmap_update *u)
{
	bool members = u->full || u->n_peers || u->n_removed;
	bool filters = u->clear_filters || u->n_filters;

	for (size_t i = 0; i < u->n_patches; i++)
		members |= u->patches[i].has_caps;
	apply_users(m, u);
	apply_self(m, u);
	apply_members(m, u);
	apply_filters(m, u);
	if (filters || members)
		settle_rules(m, filters);
	if (u->has_dial_plan)
		m->dial_plan = u->dial_plan;
	m->health_changed |= health_apply(&m->health, &u->health);
	if (u->derpmap) {
		derpmap_update(&m->derpmap, u->derpmap);
		m->derpmap_changed = true;
		u->derpmap = NULL;
	}
}

void netmap_settle(struct netmap *m)
{
	for (size_t i = 0; i < m->n_peers; i++)
		m->peers[i].changed = false;
	m->self.changed = m->full = m->rules_changed = m->derpmap_changed = m->health_changed = false;
	free(m->removed);
	m->removed = NULL;
	m->n_removed = 0;
}

struct filter netmap_rules(const struct netmap *m)
{
	struct filter all = {0};

	for (size_t i = 0; i < m->n_filters; i++)
		all.n += m->filters[i].rules.n;
	all.rules = mem_alloc(all.n, sizeof(*all.rules));
	all.n = 0;
	for (size_t i = 0; i < m->n_filters; i++) {
		for (size_t k = 0; k < m->filters[i].rules.n; k++) {
			if (!m->filters[i].rules.rules[k].n_src)
				continue;
			all.rules[all.n] = m->filters[i].rules.rules[k];
			all.rules[all.n].id = (uint32_t)all.n + 1;
			all.n++;
		}
	}
	return all;
}

void netmap_free(struct netmap *m)
{
	netmap_peer_free(&m->self);
	for (size_t i = 0; i < m->n_peers; i++)
		netmap_peer_free(&m->peers[i]);
	for (size_t i = 0; i < m->n_users; i++)
		free(m->users[i].login);
	while (m->n_filters)
		drop_filter(m, m->n_filters - 1);
	derpmap_free(m->derpmap);
	health_free(&m->health);
	forget_all_unfit(m);
	free(m->unfit);
	free(m->peers);
	free(m->removed);
	free(m->users);
	free(m->filters);
	*m = (struct netmap){0};
}

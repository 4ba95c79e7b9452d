/* SPDX-License-Identifier: BSD-2-Clause */
/* A netmap put together from messages, all or nothing (netmap_copy.h). */
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "netmap_copy.h"

void netmap_copy_abandon(struct netmap_copy *r)
{
	netmap_update_free(r->update);
	r->update = NULL;
}

void netmap_copy_free(struct netmap_copy *r)
{
	netmap_copy_abandon(r);
	netmap_free(&r->map);
}

static bool netmap_copy_begin(struct netmap_copy *r, const struct wire_map_begin *b)
{
	struct netmap_update *u;

	if (r->update)
		return false;
	r->update = u = mem_alloc(1, sizeof(*u));
	u->full = b->full;
	r->has_rules = b->rules;
	u->derpmap = b->relays ? derpmap_new() : NULL;
	if (b->rules) {
		u->filters = mem_grow(NULL, 0, sizeof(*u->filters));
		u->filters[u->n_filters++] = (struct netmap_filter){.name = mem_strdup("")};
	}
	return true;
}

static bool netmap_copy_take_self(struct netmap_update *u, struct wire_self *self)
{
	if (u->self.node)
		return false;
	u->self = (struct netmap_peer){.node = self->node, .changed = true};
	u->authorized = self->authorized;
	self->node = NULL;
	return true;
}

static bool take_peer(struct netmap_update *u, struct wire_message *m)
{
	if (u->n_peers == NETMAP_PEERS_MAX)
		return false;
	u->peers = mem_grow(u->peers, u->n_peers, sizeof(*u->peers));
	u->peers[u->n_peers++] = (struct netmap_peer){.node = m->peer, .changed = true};
	m->peer = NULL;
	return true;
}

static bool take_gone(struct netmap_update *u, uint64_t id)
{
	if (u->n_removed == NETMAP_PEERS_MAX)
		return false;
	u->removed = mem_grow(u->removed, u->n_removed, sizeof(*u->removed));
	u->removed[u->n_removed++] = id;
	return true;
}

static bool take_rule(struct netmap_copy *r, struct filter_rule *rule)
{
	struct filter *rules;

	if (!r->has_rules)
		return false;
	rules = &r->update->filters[0].rules;
	if (rules->n == NETMAP_RULES_MAX)
		return false;
	rules->rules = mem_grow(rules->rules, rules->n, sizeof(*rules->rules));
	rules->rules[rules->n++] = *rule;
	*rule = (struct filter_rule){0};
	return true;
}

static bool take_left_out(struct netmap_copy *r, struct wire_left_out *left_out)
{
	struct netmap_left_out *mine;

	if (!r->has_rules)
		return false;
	mine = &r->update->filters[0].left_out;
	if (mine->n)
		return false;
	*mine = (struct netmap_left_out){left_out->n, left_out->why};
	left_out->why = NULL;
	return true;
}

/* All of it may be told again without a change. */
static void netmap_copy_end(struct netmap_copy *r)
{
	if (r->update->derpmap && derpmap_equal(r->map.derpmap, r->update->derpmap)) {
		derpmap_free(r->update->derpmap);
		r->update->derpmap = NULL;
	}
	netmap_apply(&r->map, r->update);
	netmap_copy_abandon(r);
}

static bool take_part(struct netmap_copy *r, struct wire_message *m)
{
	if (m->type == WIRE_MAP_BEGIN)
		return netmap_copy_begin(r, &m->begin);
	if (!r->update)
		return false;
	switch (m->type) {
	case WIRE_SELF:
		return netmap_copy_take_self(r->update, &m->self);
	case WIRE_PEER:
		return take_peer(r->update, m);
	case WIRE_PEER_GONE:
		return take_gone(r->update, m->gone);
	case WIRE_RULE:
		return take_rule(r, &m->rule);
	case WIRE_LEFT_OUT:
		return take_left_out(r, &m->left_out);
	case WIRE_REGION:
		return r->update->derpmap && derpmap_add(r->update->derpmap, &m->region);
	default:
		return m->type == WIRE_MAP_END;
	}
}

enum netmap_copy_result netmap_copy_take(struct netmap_copy *r, struct wire_message *m)
{
	if (!take_part(r, m)) {
		netmap_copy_abandon(r);
		return NETMAP_COPY_REFUSED;
	}
	if (m->type != WIRE_MAP_END)
		return NETMAP_COPY_MORE;
	netmap_copy_end(r);
	return NETMAP_COPY_CHANGED;
}

/* ---- telling -------------------------------------------------------------------- */

static void netmap_copy_tell_one(const struct teller *t, const struct wire_message *m)
{
	t->tell(t->ctx, m);
}

static size_t pieces_of(const struct filter_rule *rule)
{
	size_t src = (rule->n_src + WIRE_RULE_ENTRIES_MAX - 1) / WIRE_RULE_ENTRIES_MAX;
	size_t dst = (rule->n_dst + WIRE_RULE_ENTRIES_MAX - 1) / WIRE_RULE_ENTRIES_MAX;

	return src * dst;
}

/* A rule with more entries than a message holds goes in pieces: rules add up. */
static void tell_rule(const struct filter_rule *rule, const struct teller *t)
{
	for (size_t s = 0; s < rule->n_src; s += WIRE_RULE_ENTRIES_MAX) {
		for (size_t d = 0; d < rule->n_dst; d += WIRE_RULE_ENTRIES_MAX) {
			struct wire_message m = {.type = WIRE_RULE, .rule = *rule};
			size_t n_src = rule->n_src - s, n_dst = rule->n_dst - d;

			m.rule.src += s;
			m.rule.n_src = n_src < WIRE_RULE_ENTRIES_MAX ? n_src : WIRE_RULE_ENTRIES_MAX;
			m.rule.dst += d;
			m.rule.n_dst = n_dst < WIRE_RULE_ENTRIES_MAX ? n_dst : WIRE_RULE_ENTRIES_MAX;
			netmap_copy_tell_one(t, &m);
		}
	}
}

static void tell_rules(const struct netmap *m, const struct teller *t)
{
	static char too_many[] = "more rules than the gateway takes"; /* pieces, over all filters: take_rule() */
	struct netmap_left_out left_out = netmap_left_out(m);
	struct wire_message note = {.type = WIRE_LEFT_OUT};
	struct filter rules = netmap_rules(m);
	size_t left = NETMAP_RULES_MAX;

	for (size_t i = 0; i < rules.n; i++) {
		size_t pieces = pieces_of(&rules.rules[i]);

		if (pieces <= left) {
			tell_rule(&rules.rules[i], t);
			left -= pieces;
		} else if (!left_out.n++) {
			left_out.why = too_many;
		}
	}
	free(rules.rules);
	note.left_out = (struct wire_left_out){(uint32_t)left_out.n, left_out.why};
	if (left_out.n)
		netmap_copy_tell_one(t, &note);
}

static void netmap_copy_tell_regions(const struct netmap *m, const struct teller *t)
{
	for (size_t i = 0; i < m->derpmap->n; i++) {
		const struct wire_message region = {.type = WIRE_REGION, .region = m->derpmap->regions[i]};

		netmap_copy_tell_one(t, &region);
	}
}

static bool anything_changed(const struct netmap *m)
{
	if (m->full || m->self.changed || m->rules_changed || m->derpmap_changed || m->n_removed)
		return true;
	for (size_t i = 0; i < m->n_peers; i++)
		if (m->peers[i].changed)
			return true;
	return false;
}

static void tell_begin(bool full, bool rules, bool relays, const struct teller *t)
{
	struct wire_message m = {.type = WIRE_MAP_BEGIN};

	m.begin = (struct wire_map_begin){.full = full, .rules = rules, .relays = relays};
	netmap_copy_tell_one(t, &m);
}

static void tell_nodes(const struct netmap *m, bool all, const struct teller *t)
{
	struct wire_message self = {.type = WIRE_SELF};

	self.self = (struct wire_self){.node = m->self.node, .authorized = m->authorized};
	if (m->self.node && (all || m->self.changed))
		netmap_copy_tell_one(t, &self);
	for (size_t i = 0; i < m->n_peers; i++) {
		struct wire_message peer = {.type = WIRE_PEER, .peer = m->peers[i].node};

		if (all || m->peers[i].changed)
			netmap_copy_tell_one(t, &peer);
	}
	for (size_t i = 0; !all && i < m->n_removed; i++) {
		struct wire_message gone = {.type = WIRE_PEER_GONE, .gone = m->removed[i]};

		if (!netmap_peer(m, m->removed[i])) /* or it came back at once */
			netmap_copy_tell_one(t, &gone);
	}
}

static void tell_change(const struct netmap *m, bool all, const struct teller *t)
{
	const struct wire_message over = {.type = WIRE_MAP_END};
	bool relays = m->derpmap && (all || m->derpmap_changed);

	tell_begin(all, all || m->rules_changed, relays, t);
	tell_nodes(m, all, t);
	if (all || m->rules_changed)
		tell_rules(m, t);
	if (relays)
		netmap_copy_tell_regions(m, t);
	netmap_copy_tell_one(t, &over);
}

void netmap_copy_tell(const struct netmap *m, bool all, const struct teller *t)
{
	if (all || anything_changed(m))
		tell_change(m, all, t);
}

/* ---- on disk --------------------------------------------------------------------- */

struct image {
	uint8_t *bytes;
	size_t len, cap;
};

static void append_message(void *ctx, const struct wire_message *m)
{
	struct image *image = ctx;
	struct writer w;
	size_t len;

	if (image->cap - image->len < WIRE_MAX + 4) {
		size_t cap = 2 * image->cap + WIRE_MAX + 4;
		uint8_t *grown = mem_alloc(cap, 1);

		if (image->len)
			memcpy(grown, image->bytes, image->len);
		free(image->bytes);
		image->bytes = grown;
		image->cap = cap;
	}
	len = wire_encode(m, image->bytes + image->len + 4, WIRE_MAX);
	w = writer_to(image->bytes + image->len, 4);
	write_be32(&w, (uint32_t)len);
	image->len += len ? 4 + len : 0;
}

uint8_t *netmap_copy_save(const struct netmap_copy *r, size_t *len)
{
	struct image image = {0};
	const struct teller t = {append_message, &image};

	tell_change(&r->map, true, &t);
	*len = image.len;
	return image.bytes;
}

/* Reads one message of the image into the roster. */
static enum netmap_copy_result load_message(struct netmap_copy *r, struct reader *in)
{
	size_t len = read_be32(in);
	const uint8_t *bytes = read_bytes(in, len);
	enum netmap_copy_result result = NETMAP_COPY_REFUSED;
	struct wire_message m;

	if (!bytes || !wire_decode(bytes, len, WIRE_TO_GATEWAY, &m))
		return NETMAP_COPY_REFUSED;
	result = netmap_copy_take(r, &m);
	wire_message_free(&m);
	return result;
}

bool netmap_copy_load(struct netmap_copy *r, const uint8_t *bytes, size_t len)
{
	struct reader in = reader_of(bytes, len);
	enum netmap_copy_result result = NETMAP_COPY_MORE;

	while (result == NETMAP_COPY_MORE && reader_left(&in))
		result = load_message(r, &in);
	if (result == NETMAP_COPY_CHANGED && !reader_left(&in))
		return true;
	netmap_copy_abandon(r);
	return false;
}

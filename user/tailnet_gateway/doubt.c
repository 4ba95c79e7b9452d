/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers lose updates: headscale (0.28) gives up on a session that did not take one
 * within 50 ms, and lets an older one overtake a newer; it says so to nobody. What hints
 * at it is a reason to ask for all again. Less and less often, for it may be as it should.
 */
#include <stdlib.h>
#include <string.h>

#include "user/base/log.h"
#include "membership.h"
#include "user/base/clock.h"

#define DOUBT_PAUSE	    (5 * NS_PER_SEC)
#define DOUBT_PAUSE_MAX	    (3600 * NS_PER_SEC)
#define DOUBT_FORGOTTEN	    (3600 * NS_PER_SEC) /* so long without one: the next is as the first */
#define NEWCOMERS_LOOKED_AT 16			/* each among all sources of all rules */
#define NEWCOMER_WAIT	    (2 * NS_PER_SEC)	/* the rules may come behind it */

static int doubt_by_id(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static bool doubt_is_known(const struct membership *m, uint64_t id)
{
	const struct known wanted = {.id = id};

	return bsearch(&wanted, m->known, m->n_known, sizeof(wanted), doubt_by_id);
}

static void doubt_ask_again(struct membership *m, const char *hint)
{
	uint64_t now = clock_now();

	if (now < m->doubt_at)
		return;
	m->doubt_pause = !m->doubt_pause || now - m->doubt_at > DOUBT_FORGOTTEN ? DOUBT_PAUSE : 2 * m->doubt_pause;
	if (m->doubt_pause > DOUBT_PAUSE_MAX)
		m->doubt_pause = DOUBT_PAUSE_MAX;
	m->doubt_at = now + m->doubt_pause;
	log_info("tailnet: %s: asking for the netmap again", hint);
	tailnet_refresh(m->tailnet);
}

/* A node that reaches us by a relay has learnt our key from the server. It may have been removed since. */
void doubt_stranger(struct membership *m, const uint8_t node[KEY_LEN])
{
	for (size_t i = 0; i < m->n_known; i++)
		if (!memcmp(m->known[i].key, node, KEY_LEN))
			return; /* it has expired, or has no address that counts */
	doubt_ask_again(m, "a node speaks with us that the netmap does not have");
}

void doubt_unrouted(void *membership, const struct addr *dst)
{
	struct membership *m = membership;
	const struct config *config = m->host.site->config;
	const struct ruleset *rules = rules_running(&m->host.running->rules);

	if (!rules || !rules->approved_by)
		return;
	for (size_t i = 0; i < config->n_routes; i++)
		if (!rules->approved_by[i] && prefix_contains(&config->routes[i].prefix, dst)) {
			doubt_ask_again(m, "a client uses a route that the server has not approved, as far as we know");
			return;
		}
}

static bool doubt_is_from(const struct filter_rule *r, const struct tailnet_node *n)
{
	for (size_t a = 0; a < n->n_addresses; a++)
		if (filter_rule_from(r, &n->addresses[a].addr))
			return true;
	return false;
}

/* Is it among the sources of any rule? */
static bool doubt_is_named(const struct netmap *map, const struct tailnet_node *n)
{
	for (size_t f = 0; f < map->n_filters; f++)
		for (size_t r = 0; r < map->filters[f].rules.n; r++)
			if (doubt_is_from(&map->filters[f].rules.rules[r], n))
				return true;
	return false;
}

/*
 * A server shows us whom its rules connect with us: it is odd when a newcomer is in none of them
 * (but for one that we may reach, and that may not reach us). A few are enough to go by.
 */
void doubt_watch(struct membership *m, const struct netmap *map)
{
	unsigned looked = 0;

	for (size_t i = 0; i < map->n_peers && looked < NEWCOMERS_LOOKED_AT; i++) {
		const struct tailnet_node *n = map->peers[i].node;

		if (doubt_is_known(m, n->id))
			continue;
		looked++;
		if (doubt_is_named(map, n))
			continue;
		m->newcomer = n->id;
		m->newcomer_at = clock_now() + NEWCOMER_WAIT;
	}
}

void doubt_second(struct membership *m)
{
	const struct netmap_peer *p = m->newcomer ? netmap_peer(membership_netmap(m), m->newcomer) : NULL;

	if (p && clock_now() < m->newcomer_at)
		return;
	m->newcomer = 0;
	if (p && !doubt_is_named(membership_netmap(m), p->node))
		doubt_ask_again(m, "no rule names a node that is new");
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a peer might be reached (candidates.h). */
#include <string.h>

#include "candidates.h"
#include "user/wireguard/endpoint.h"

/* A node's address inside the tailnet: what is for it goes by the tunnel, and would come back to be sent again. */
static bool candidate_is_inside(const struct addr *a)
{
	static const uint8_t range6[] = {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0};

	if (addr_is_v4(a))
		return a->b[12] == 100 && (a->b[13] & 0xc0) == 64;
	return memcmp(a->b, range6, sizeof(range6)) == 0;
}

static bool candidate_is_of_a_link(const struct addr *a)
{
	return addr_is_v4(a) ? a->b[12] == 169 && a->b[13] == 254 : a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool candidate_is_reachable(const struct addr_port *at)
{
	const struct endpoint there = {.addr = at->addr, .port = at->port};

	return endpoint_is_plausible(&there) && !candidate_is_of_a_link(&at->addr) && !candidate_is_inside(&at->addr);
}

int candidates_find(const struct candidates *c, const struct addr_port *at)
{
	for (size_t i = 0; i < c->n; i++)
		if (addr_port_equal(&c->v[i].at, at))
			return (int)i;
	return -1;
}

int candidates_pinged(const struct candidates *c, const uint8_t tx[DISCO_TX_LEN])
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].pinged && !memcmp(c->v[i].tx, tx, DISCO_TX_LEN))
			return (int)i;
	return -1;
}

static bool is_told(const struct candidate *a)
{
	return a->named || a->called;
}

/* The one that is missed least: rather untold than told, rather long silent; never the one in use. */
static size_t worst(const struct candidates *c)
{
	size_t w = c->best == 0 ? 1 : 0;

	for (size_t i = w + 1; i < c->n; i++) {
		const struct candidate *a = &c->v[i], *b = &c->v[w];

		if ((int)i == c->best || is_told(a) > is_told(b))
			continue;
		if (is_told(a) < is_told(b) || a->heard < b->heard)
			w = i;
	}
	return w;
}

int candidates_add(struct candidates *c, const struct addr_port *at)
{
	int i = candidates_find(c, at);

	if (i < 0 && !candidate_is_reachable(at))
		return -1;
	if (i < 0) {
		i = (int)(c->n < CANDIDATES_MAX ? c->n++ : worst(c));
		c->v[i] = (struct candidate){.at = *at};
	}
	return i;
}

static bool is_lately(uint64_t then, uint64_t now)
{
	return then && now - then < CANDIDATE_LIFE;
}

void candidates_forget(struct candidates *c, uint64_t now)
{
	size_t n = 0;
	int best = -1;

	for (size_t i = 0; i < c->n; i++) {
		const struct candidate *a = &c->v[i];

		if ((int)i != c->best && !a->named && !is_lately(a->called, now) && !is_lately(a->came, now) &&
		    !is_lately(a->heard, now))
			continue;
		if ((int)i == c->best)
			best = (int)n;
		c->v[n++] = *a;
	}
	c->n = n;
	c->best = best;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a peer might be reached (candidates.h). */
#include <string.h>

#include "candidates.h"

bool candidate_is_reachable(const struct addr_port *at)
{
	static const uint8_t zero[16];
	const uint8_t *b = at->addr.b;

	if (!at->port || memcmp(b, zero, 15) == 0) /* ::, ::1 */
		return false;
	if (addr_is_v4(&at->addr))
		return b[12] != 0 && b[12] != 127 && b[12] < 224 && !(b[12] == 169 && b[13] == 254);
	return b[0] != 0xff && !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

int candidates_find(const struct candidates *c, const struct addr_port *at)
{
	for (size_t i = 0; i < c->n; i++)
		if (addr_port_equal(&c->v[i].at, at))
			return (int)i;
	return -1;
}

/* The one that is missed least: rather untold than told, rather long silent; never the one in use. */
static size_t worst(const struct candidates *c)
{
	size_t w = c->best == 0 ? 1 : 0;

	for (size_t i = w + 1; i < c->n; i++) {
		const struct candidate *a = &c->v[i], *b = &c->v[w];

		if ((int)i == c->best || a->told > b->told)
			continue;
		if (a->told < b->told || a->heard < b->heard)
			w = i;
	}
	return w;
}

int candidates_add(struct candidates *c, const struct addr_port *at, bool told)
{
	int i = candidates_find(c, at);

	if (i < 0 && !candidate_is_reachable(at))
		return -1;
	if (i < 0) {
		i = (int)(c->n < CANDIDATES_MAX ? c->n++ : worst(c));
		c->v[i] = (struct candidate){.at = *at};
	}
	c->v[i].told |= told;
	return i;
}

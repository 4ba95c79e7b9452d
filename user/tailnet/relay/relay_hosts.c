/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of relays, looked up (relay_hosts.h). */
#include <string.h>
#include <unistd.h>

#include "relay_hosts.h"
#include "user/base/clock.h"

#define RETRY_TIME (30 * NS_PER_SEC)
#define FRESH_TIME (600 * NS_PER_SEC)

void relay_hosts_free(struct relay_hosts *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].fd >= 0)
			close(h->v[i].fd);
	h->n = 0;
}

static bool is_by_name(const struct derp_node *n)
{
	return n->stun_port && (n->looked_up || (!n->has_v4 && !n->has_v6));
}

static struct relay_host *relay_hosts_find(struct relay_hosts *h, const char *host)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->v[i].host, host) == 0)
			return &h->v[i];
	return NULL;
}

static void relay_hosts_note_node(struct relay_hosts *h, const struct derp_node *n)
{
	struct relay_host *e = relay_hosts_find(h, n->host);

	if (!e && h->n < RELAY_HOSTS_MAX) {
		e = &h->v[h->n++];
		*e = (struct relay_host){.fd = -1};
		strcpy(e->host, n->host);
	}
	if (e)
		e->in_map = true;
}

/* Those that the map does not name make room for others. */
static void relay_hosts_forget(struct relay_hosts *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (h->v[i].in_map)
			h->v[n++] = h->v[i];
		else if (h->v[i].fd >= 0)
			close(h->v[i].fd);
	}
	h->n = n;
}

/* @known: only those that are there already. */
static void note_all(struct relay_hosts *h, const struct derpmap *map, bool known)
{
	for (size_t r = 0; r < map->n; r++) {
		const struct derp_region *region = &map->regions[r];

		for (size_t i = 0; region->use != DERP_USE_NEVER && i < region->n_nodes; i++)
			if (is_by_name(&region->nodes[i]) && (!known || relay_hosts_find(h, region->nodes[i].host)))
				relay_hosts_note_node(h, &region->nodes[i]);
	}
}

void relay_hosts_note(struct relay_hosts *h, const struct derpmap *map)
{
	for (size_t i = 0; i < h->n; i++)
		h->v[i].in_map = false;
	note_all(h, map, true);
	relay_hosts_forget(h);
	note_all(h, map, false); /* while there is room */
}

/* True: an answer with addresses. A failure leaves the answer of before. */
static bool take_answer(struct relay_host *e, uint64_t now)
{
	struct pollfd ready = {.fd = e->fd, .events = POLLIN};
	struct lookup_answer answer;
	bool ok;

	if (poll(&ready, 1, 0) <= 0)
		return false;
	ok = lookup_finish(e->fd, &answer) && answer.n;
	close(e->fd);
	e->fd = -1;
	e->again_at = now + (ok ? FRESH_TIME : RETRY_TIME);
	if (ok)
		e->answer = answer;
	return ok;
}

bool relay_hosts_tick(struct relay_hosts *h, uint64_t now, uint64_t *deadline)
{
	bool new = false;

	*deadline = UINT64_MAX;
	for (size_t i = 0; i < h->n; i++) {
		struct relay_host *e = &h->v[i];

		if (e->fd < 0 && now >= e->again_at) {
			e->fd = lookup_start(e->host);
			e->again_at = now + RETRY_TIME;
		}
		if (e->fd >= 0)
			new |= take_answer(e, now);
		if (e->fd < 0 && e->again_at < *deadline)
			*deadline = e->again_at;
	}
	return new;
}

/* True: something is another now. */
static bool relay_hosts_fill_node(const struct lookup_answer *a, struct derp_node *n)
{
	struct derp_node old = *n;

	n->looked_up = true;
	n->has_v4 = n->has_v6 = false;
	for (size_t i = a->n; i-- > 0;) { /* the best is first, so it is the last to be written */
		bool v4 = addr_is_v4(&a->addrs[i]);

		if (v4 && !n->no_v4) {
			n->v4 = a->addrs[i];
			n->has_v4 = true;
		} else if (!v4 && !n->no_v6) {
			n->v6 = a->addrs[i];
			n->has_v6 = true;
		}
	}
	return n->has_v4 != old.has_v4 || n->has_v6 != old.has_v6 || (n->has_v4 && addr_cmp(&n->v4, &old.v4)) ||
	       (n->has_v6 && addr_cmp(&n->v6, &old.v6));
}

bool relay_hosts_fill(struct relay_hosts *h, struct derpmap *map)
{
	bool filled = false;

	for (size_t r = 0; r < map->n; r++) {
		for (size_t i = 0; i < map->regions[r].n_nodes; i++) {
			struct derp_node *n = &map->regions[r].nodes[i];
			const struct relay_host *e = is_by_name(n) ? relay_hosts_find(h, n->host) : NULL;

			if (e && e->answer.n)
				filled |= relay_hosts_fill_node(&e->answer, n);
		}
	}
	return filled;
}

size_t relay_hosts_prepare(const struct relay_hosts *h, struct pollfd *fds)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].fd >= 0)
			fds[n++] = (struct pollfd){.fd = h->v[i].fd, .events = POLLIN};
	return n;
}

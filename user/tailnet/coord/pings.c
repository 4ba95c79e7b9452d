/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of the server's pings are answered (pings.h). */
#include <string.h>
#include <strings.h>

#include "pings.h"
#include "policy/addr.h"
#include "user/base/url.h"

static bool same_url(const struct url *a, const struct url *b)
{
	return a->tls == b->tls && a->port == b->port && !strcmp(a->host, b->host) && !strcmp(a->path, b->path);
}

static bool pings_has_room(const struct pings *p)
{
	for (size_t i = 0; i < PINGS_MAX; i++)
		if (!p->waiting[i].stream)
			return true;
	return false;
}

bool pings_take(struct pings *p, const struct url *url, bool inside, uint64_t now)
{
	uint64_t paid = p->paid > now ? p->paid : now;

	if (p->last_inside == inside && same_url(&p->last, url))
		return false;
	if (paid - now > (PINGS_BURST - 1) * PINGS_INTERVAL || (inside && !pings_has_room(p)))
		return false;
	p->paid = paid + PINGS_INTERVAL;
	p->last = *url;
	p->last_inside = inside;
	return true;
}

void pings_failed(struct pings *p)
{
	p->last = (struct url){0};
}

void pings_sent(struct pings *p, int32_t stream, uint64_t now)
{
	for (size_t i = 0; i < PINGS_MAX; i++) {
		if (p->waiting[i].stream)
			continue;
		p->waiting[i].stream = stream;
		p->waiting[i].deadline = now + PING_PATIENCE;
		return;
	}
}

void pings_closed(struct pings *p, int32_t stream)
{
	for (size_t i = 0; i < PINGS_MAX; i++)
		if (p->waiting[i].stream == stream)
			p->waiting[i].stream = 0;
}

int32_t pings_overdue(const struct pings *p, uint64_t now)
{
	for (size_t i = 0; i < PINGS_MAX; i++)
		if (p->waiting[i].stream && now >= p->waiting[i].deadline)
			return p->waiting[i].stream;
	return 0;
}

uint64_t pings_next(const struct pings *p)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < PINGS_MAX; i++)
		if (p->waiting[i].stream && p->waiting[i].deadline < next)
			next = p->waiting[i].deadline;
	return next;
}

static bool is_usual_port(const struct url *u)
{
	return u->port == 443 || u->port == 80;
}

enum ping_target ping_target(const struct url *server, const struct url *to)
{
	struct addr address;

	if (!strcasecmp(server->host, to->host))
		return to->port == server->port || is_usual_port(to) ? PING_OWN : PING_REFUSED;
	return to->tls && !addr_parse(to->host, strlen(to->host), &address) ? PING_CERTIFIED : PING_REFUSED;
}

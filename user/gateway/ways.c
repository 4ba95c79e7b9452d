/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ways to the services: does the host have one to each advertised route, from an
 * address of a pool and by its interface, as translated packets leave? Without,
 * the programs can only drop, or the kernel does behind them: so that is said.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "ways.h"
#include "user/base/log.h"

#define NAMED_MAX 3 /* routes in a line; the others are counted */

static const char no_default[] = "there is no default route, and egress.interface names none";
static const char no_interface[] = "the egress interface is absent";
static const char no_ethernet[] = "the egress interface carries no Ethernet frames";
static const char no_address[] = "no egress address of its family is there";
static const char no_route[] = "this host has no route to it";
static const char *const whys[] = {no_default, no_interface, no_ethernet, no_address, no_route};

/* Does an error say that there is no route? Another one says nothing. */
static bool ways_is_no_route(int err)
{
	return err == -ENETUNREACH || err == -EHOSTUNREACH || err == -EINVAL || err == -EACCES || err == -ENODEV;
}

/* Does the kernel lead what comes from one of the pool's addresses by its interface? Yes where it does not tell. */
static bool pool_leads(const struct site *s, const struct egress_pool *pool, const struct addr *to, bool *has_address)
{
	int ifindex, err;
	struct addr hop;

	for (size_t i = 0; i < pool->n; i++) {
		const struct egress_address *a = &pool->address[i];

		if (!a->present || a->spare || addr_is_v4(&a->addr) != addr_is_v4(to))
			continue;
		*has_address = true;
		err = netlink_route_get(s->netlink, to, &a->addr, pool->ifindex, &ifindex, &hop);
		if (err ? !ways_is_no_route(err)
			: ifindex == pool->ifindex || ifindex == LOOPBACK_IFINDEX) /* an address of this host */
			return true;
	}
	return false;
}

/* NULL: one of the pools leads there. */
static const char *why_not(const struct site *s, const struct egress_state *egress, const struct prefix *route)
{
	struct addr to = prefix_host(route);
	bool has_interface = false, has_address = false, by_default = false, none_ethernet = false;

	for (size_t i = 0; i < egress->n; i++) {
		const struct egress_pool *pool = &egress->pool[i];

		by_default |= !s->config->pools[i].interface;
		has_interface |= pool->ifindex != 0;
		none_ethernet |= pool->no_ethernet;
		if (pool->ifindex && pool_leads(s, pool, &to, &has_address))
			return NULL;
	}
	if (has_address || has_interface)
		return has_address ? no_route : no_address;
	return none_ethernet ? no_ethernet : by_default ? no_default : no_interface;
}

const char *ways_trouble(const struct ways *w, const struct prefix *route)
{
	for (size_t i = 0; i < w->n; i++)
		if (!prefix_cmp(&w->lost[i].route, route))
			return w->lost[i].why;
	return NULL;
}

/* "A, B and 3 more": those of @now for which @why is so and was not before. False: none. */
static bool name_routes(const struct ways *now, const struct ways *was, const char *why, char *buf, size_t size)
{
	char text[ADDR_STRLEN];
	size_t n = 0, len = 0;

	for (size_t i = 0; i < now->n; i++) {
		if (now->lost[i].why != why || (was && ways_trouble(was, &now->lost[i].route) == why))
			continue;
		if (n++ < NAMED_MAX)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", n > 1 ? ", " : "",
						prefix_str(&now->lost[i].route, text));
	}
	if (n > NAMED_MAX)
		snprintf(buf + len, size - len, " and %zu more", n - NAMED_MAX);
	return n;
}

void ways_each(const struct ways *now, const struct ways *was, void (*each)(void *ctx, const char *line), void *ctx)
{
	char routes[(NAMED_MAX + 1) * ADDR_STRLEN], line[sizeof(routes) + 128];

	for (size_t i = 0; i < sizeof(whys) / sizeof(*whys); i++) {
		if (!name_routes(now, was, whys[i], routes, sizeof(routes)))
			continue;
		snprintf(line, sizeof(line), "no way to %s: %s", routes, whys[i]);
		each(ctx, line);
	}
}

static void ways_warn(void *ctx, const char *line)
{
	log_warning("%s", line);
}

/* Of those that were lost: which are still advertised, and are reached now? */
static void say_mended(const struct site *s, const struct ways *now, const struct ways *was)
{
	struct ways mended = {.lost = mem_alloc(was->n, sizeof(*mended.lost))};
	char routes[(NAMED_MAX + 1) * ADDR_STRLEN];

	for (size_t i = 0; i < s->config->n_routes; i++) {
		const struct prefix *route = &s->config->routes[i].prefix;

		if (mended.n < was->n && ways_trouble(was, route) && !ways_trouble(now, route))
			mended.lost[mended.n++] = (struct way_lost){*route, no_route};
	}
	if (name_routes(&mended, NULL, no_route, routes, sizeof(routes)))
		log_info("there is a way to %s again", routes);
	free(mended.lost);
}

void ways_refresh(struct ways *w, const struct site *s, const struct egress_state *egress)
{
	struct ways was = *w, now = {.lost = mem_alloc(s->config->n_routes, sizeof(*now.lost))};

	for (size_t i = 0; i < s->config->n_routes; i++) {
		const struct prefix *route = &s->config->routes[i].prefix;
		const char *why = why_not(s, egress, route);

		if (why)
			now.lost[now.n++] = (struct way_lost){*route, why};
	}
	*w = now;
	ways_each(&now, &was, ways_warn, NULL);
	say_mended(s, w, &was);
	free(was.lost);
}

bool ways_differ(const struct ways *w, const struct site *s, const struct egress_state *egress)
{
	for (size_t i = 0; i < s->config->n_routes; i++) {
		const struct prefix *route = &s->config->routes[i].prefix;

		if (why_not(s, egress, route) != ways_trouble(w, route))
			return true;
	}
	return false;
}

void ways_close(struct ways *w)
{
	free(w->lost);
	*w = (struct ways){0};
}

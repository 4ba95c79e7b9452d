/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the host have a way to what is advertised? A table of hosts, and what is said of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "policy/alloc.h"
#include "user/gateway/ways.h"

#define ETH1 7
#define ETH2 8

static struct addr addr_of(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, strlen(text), &a));
	return a;
}

static struct prefix prefix_of_text(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(text, strlen(text), &p, NULL));
	return p;
}

/* ---- the kernel's routing table, in the place of netlink_routes.c --------------------------- */

static struct {
	const char *to;	  /* a prefix */
	const char *from; /* NULL: any */
	int oif;	  /* asked for by; 0: any */
	int ifindex;	  /* where it leads */
	int err;	  /* or why not */
} table[8];

int netlink_route_get(struct netlink *n, const struct addr *to, const struct addr *from, int oif, int *ifindex,
		      struct addr *next_hop)
{
	for (size_t i = 0; i < 8 && table[i].to; i++) {
		struct prefix p = prefix_of_text(table[i].to);
		struct addr src = addr_of(table[i].from ?: "::");

		if (!prefix_contains(&p, to) || (table[i].oif && table[i].oif != oif) ||
		    (table[i].from && addr_cmp(&src, from)))
			continue;
		*ifindex = table[i].ifindex;
		return table[i].err;
	}
	return -ENETUNREACH;
}

/* ---- a gateway with one or two pools --------------------------------------------------------- */

struct host {
	struct config_pool pools[2];
	struct config_route routes[6];
	struct config config;
	struct egress_state egress;
	struct site site;
};

static void host_make(struct host *h, const char *const *routes)
{
	memset(h, 0, sizeof(*h));
	memset(table, 0, sizeof(table));
	h->config.pools = h->pools;
	h->config.routes = h->routes;
	for (; routes[h->config.n_routes]; h->config.n_routes++)
		h->routes[h->config.n_routes].prefix = prefix_of_text(routes[h->config.n_routes]);
	h->site.config = &h->config;
}

static void host_pool(struct host *h, const char *interface, int ifindex, const char *const *addresses, bool present)
{
	struct egress_pool *pool = &h->egress.pool[h->egress.n];

	h->pools[h->config.n_pools++].interface = interface;
	pool->ifindex = ifindex;
	for (; addresses && addresses[pool->n]; pool->n++)
		pool->address[pool->n] =
			(struct egress_address){.addr = addr_of(addresses[pool->n]), .id = 1, .present = present};
	h->egress.n++;
}

static const char *const one[] = {"203.0.113.0/24", NULL};
static const char *const one6[] = {"2001:db8:3::/64", NULL};
static const char *const v4[] = {"10.1.0.4", NULL};
static const char *const both[] = {"10.1.0.4", "2001:db8::4", NULL};

static const struct way_case {
	const char *name;
	const char *const *routes;
	const char *interface; /* as configured */
	int ifindex;
	const char *const *addresses;
	bool present;
	int leads, err;	 /* what the kernel says of the way */
	const char *why; /* NULL: it leads there */
} cases[] = {
	{"as it should be", one, "eth1", ETH1, v4, true, ETH1, 0, NULL},
	{"the address is the host's own", one, "eth1", ETH1, v4, true, LOOPBACK_IFINDEX, 0, NULL},
	{"by another interface", one, "eth1", ETH1, v4, true, ETH2, 0, "this host has no route to it"},
	{"unreachable", one, "eth1", ETH1, v4, true, 0, -ENETUNREACH, "this host has no route to it"},
	{"a host is unreachable", one, "eth1", ETH1, v4, true, 0, -EHOSTUNREACH, "this host has no route to it"},
	{"blackhole", one, "eth1", ETH1, v4, true, 0, -EINVAL, "this host has no route to it"},
	{"prohibit", one, "eth1", ETH1, v4, true, 0, -EACCES, "this host has no route to it"},
	{"the kernel does not tell", one, "eth1", ETH1, v4, true, 0, -ENOBUFS, NULL},
	{"the kernel has no memory", one, "eth1", ETH1, v4, true, 0, -ENOMEM, NULL},
	{"the interface is absent", one, "eth1", 0, v4, true, ETH1, 0, "the egress interface is absent"},
	{"no default route", one, NULL, 0, NULL, false, ETH1, 0,
	 "there is no default route, and egress.interface names none"},
	{"the address is not there", one, "eth1", ETH1, v4, false, ETH1, 0, "no egress address of its family is there"},
	{"the pool has none", one, "eth1", ETH1, NULL, false, ETH1, 0, "no egress address of its family is there"},
	{"another family", one6, "eth1", ETH1, v4, true, ETH1, 0, "no egress address of its family is there"},
	{"both families", one6, "eth1", ETH1, both, true, ETH1, 0, NULL},
};

static void why_nothing_gets_there(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct way_case *c = &cases[i];
		struct ways w = {0};
		struct host h;
		const char *why;

		host_make(&h, c->routes);
		host_pool(&h, c->interface, c->ifindex, c->addresses, c->present);
		table[0].to = c->routes[0];
		table[0].ifindex = c->leads;
		table[0].err = c->err;
		ways_refresh(&w, &h.site, &h.egress);
		why = ways_trouble(&w, &h.routes[0].prefix);
		if ((why == NULL) != (c->why == NULL) || (why && strcmp(why, c->why)))
			fail_msg("%s: %s instead of %s", c->name, why ?: "a way", c->why ?: "a way");
		ways_close(&w);
	}
}

/* One pool that leads there is enough, and the worst is not said where a better reason is known. */
static void the_second_pool_leads_there(void **state)
{
	static const char *const second[] = {"10.2.0.4", NULL};
	struct ways w = {0};
	struct host h;

	host_make(&h, one);
	host_pool(&h, "eth1", ETH1, v4, true);
	host_pool(&h, "eth2", ETH2, second, true);
	table[0].to = "203.0.113.0/24";
	table[0].from = "10.2.0.4"; /* a source-specific route */
	table[0].ifindex = ETH2;
	ways_refresh(&w, &h.site, &h.egress);
	assert_int_equal(w.n, 0);
	h.egress.pool[1].address[0].present = false;
	ways_refresh(&w, &h.site, &h.egress);
	assert_string_equal(ways_trouble(&w, &h.routes[0].prefix), "this host has no route to it");
	ways_close(&w);
}

static void take_line(void *ctx, const char *line)
{
	char *all = ctx;

	snprintf(all + strlen(all), 1024 - strlen(all), "%s%s", *all ? "|" : "", line);
}

/* A line for a reason, not for a route; and only of what became different. */
static void routes_are_named_together(void **state)
{
	static const char *const five[] = {"203.0.113.0/24", "198.18.0.0/15",	"192.0.2.0/24",
					   "10.9.0.0/16",    "2001:db8:3::/64", NULL};
	struct ways w = {0}, was = {0};
	char said[1024] = "";
	struct host h;

	host_make(&h, five);
	host_pool(&h, "eth1", ETH1, v4, true);
	table[0].to = "10.9.0.0/16";
	table[0].ifindex = ETH1;
	ways_refresh(&w, &h.site, &h.egress);
	ways_each(&w, NULL, take_line, said);
	assert_string_equal(said,
			    "no way to 2001:db8:3::/64: no egress address of its family is there|"
			    "no way to 203.0.113.0/24, 198.18.0.0/15, 192.0.2.0/24: this host has no route to it");
	table[0].to = "192.0.0.0/8"; /* that one is lost, another is mended */
	was = w;
	w = (struct ways){0};
	ways_refresh(&w, &h.site, &h.egress);
	*said = 0;
	ways_each(&w, &was, take_line, said);
	assert_string_equal(said, "no way to 10.9.0.0/16: this host has no route to it");
	table[0].to = "172.16.0.0/12"; /* all of them: more than are named */
	ways_refresh(&w, &h.site, &h.egress);
	*said = 0;
	ways_each(&w, NULL, take_line, said);
	assert_string_equal(said, "no way to 2001:db8:3::/64: no egress address of its family is there|"
				  "no way to 203.0.113.0/24, 198.18.0.0/15, 192.0.2.0/24 and 1 more: "
				  "this host has no route to it");
	ways_close(&was);
	ways_close(&w);
}

static void a_route_that_is_not_advertised_any_more_is_not_mended(void **state)
{
	struct ways w = {0};
	struct host h;

	host_make(&h, one);
	host_pool(&h, "eth1", ETH1, v4, true);
	ways_refresh(&w, &h.site, &h.egress);
	assert_int_equal(w.n, 1);
	h.config.n_routes = 0;
	ways_refresh(&w, &h.site, &h.egress);
	assert_int_equal(w.n, 0);
	ways_close(&w);
	ways_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(why_nothing_gets_there),
		cmocka_unit_test(the_second_pool_leads_there),
		cmocka_unit_test(routes_are_named_together),
		cmocka_unit_test(a_route_that_is_not_advertised_any_more_is_not_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

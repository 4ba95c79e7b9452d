/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * External addresses. Each that was ever seen gets an id of its own, under which
 * the programs know it; flows carry the id, so when the address leaves its
 * interface, one write ends them, and when it is there again new ones may begin.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "answers_by.h"
#include "user/kernel/own_source.h"
#include "user/base/log.h"
#include "user/kernel/offload.h"
#include "user/kernel/ports.h"
#include "user/base/clock.h"

#define PORTS_KEPT     MAX_PORT_RANGES
#define FRAGMENTS_KEPT (5 * NS_PER_SEC) /* after we last said that we live */

/* The id of @a; a new one where it has none. 0: all are given away. */
static uint32_t egress_id_of(struct egress_state *s, const struct addr *a)
{
	uint32_t unused = 0;

	for (uint32_t id = 1; id < MAX_EGRESS; id++) {
		if (!memcmp(&s->by_id[id], a, sizeof(*a)))
			return id;
		if (!unused && addr_is_zero(&s->by_id[id]))
			unused = id;
	}
	if (unused)
		s->by_id[unused] = *a;
	return unused;
}

/* Ids that an earlier run gave. */
static void remember_ids(struct egress_state *e, const struct site *s)
{
	for (uint32_t id = 1; id < MAX_EGRESS; id++) {
		struct egress known;

		if (!maps_egress_get(s->maps, id, &known))
			e->by_id[id] = known.addr;
	}
}

/* 0, also where there is none (pool->ifindex is 0 then); -errno: the kernel did not answer, and nothing is known. */
static int find_interface(const struct site *s, const struct config_pool *config, struct egress_pool *pool)
{
	struct netlink_link link;
	int ifindex = config->interface ? 0 : netlink_default_interface(s->netlink);
	int err = config->interface ? netlink_link(s->netlink, config->interface, &link)
		  : ifindex > 0	    ? netlink_link_at(s->netlink, ifindex, &link)
				    : ifindex;

	pool->ifindex = 0;
	pool->no_ethernet = false;
	if (err == -ENODEV || (!err && !config->interface && !ifindex))
		return 0;
	if (err)
		return err;
	memcpy(pool->interface, link.name, sizeof(pool->interface));
	pool->no_ethernet = !link.ethernet && !link.vrf;
	pool->ifindex = pool->no_ethernet ? 0 : link.ifindex;
	pool->mtu = link.mtu;
	return 0;
}

static const struct addr *public_of(const struct config_pool *config, const struct addr *a, size_t i)
{
	if (config->addresses.n)
		return config->public.n ? &config->public.v[i] : a;
	for (size_t k = 0; k < config->public.n; k++) /* at most one of a family */
		if (addr_is_v4(&config->public.v[k]) == addr_is_v4(a))
			return &config->public.v[k];
	return a;
}

static bool is_configured(const struct config *config, const struct addr *a)
{
	for (size_t i = 0; i < config->n_pools; i++)
		if (addr_is_in(a, config->pools[i].addresses.v, (int)config->pools[i].addresses.n))
			return true;
	return false;
}

/* Is new flows' in the programs, and may be flows' still? */
static bool is_in_use(const struct egress_state *e, const struct site *s, uint32_t id)
{
	struct egress known;

	return !addr_is_zero(&e->by_id[id]) && !maps_egress_get(s->maps, id, &known) && known.state == EGRESS_HERE &&
	       !is_configured(s->config, &e->by_id[id]);
}

/*
 * Where the configuration names no addresses, those that the kernel itself would take as a
 * source. Behind them what it took before, while it is there: its flows go on. The number.
 */
static int choose_addresses(const struct egress_state *e, const struct site *s, const struct egress_pool *pool,
			    const struct addr *own, int n_own, struct addr *out, size_t *n_spare)
{
	struct addr far[2];
	int n;

	*n_spare = 0;
	config_destinations(s->config, far);
	n = pool->ifindex ? netlink_sources(s->netlink, pool->ifindex, far, out) : 0;
	for (uint32_t id = 1; id < MAX_EGRESS && n >= 0 && n < EGRESS_POOL_MAX; id++)
		if (is_in_use(e, s, id) && addr_is_in(&e->by_id[id], own, n_own) &&
		    !addr_is_in(&e->by_id[id], out, n)) {
			out[n++] = e->by_id[id];
			++*n_spare;
		}
	return n;
}

/* The pool's addresses as they are now: the configured ones, or the interface's own. 0 or -errno, as above. */
static int find_addresses(struct egress_state *e, const struct site *s, const struct config_pool *config,
			  struct egress_pool *pool)
{
	struct addr own[NETLINK_ADDRESSES], chosen[EGRESS_POOL_MAX];
	int n = pool->ifindex ? netlink_addresses(s->netlink, pool->ifindex, own, NETLINK_ADDRESSES) : 0;
	const struct addr *wanted = config->addresses.n ? config->addresses.v : chosen;
	int n_chosen = n;
	size_t n_wanted = config->addresses.n, n_spare = 0;

	if (n >= 0 && !n_wanted) {
		n_chosen = choose_addresses(e, s, pool, own, n, chosen, &n_spare);
		n_wanted = n_chosen > 0 ? (size_t)n_chosen : 0;
	}
	if (n < 0 || n_chosen < 0)
		return n < 0 ? n : n_chosen;
	pool->n = 0;
	for (size_t i = 0; i < n_wanted && pool->n < EGRESS_POOL_MAX; i++) {
		int present = addr_is_in(&wanted[i], own, n);

		if (!present && pool->ifindex && config->addresses.n) /* named: it may be on lo, for all interfaces */
			present = netlink_is_held(s->netlink, &wanted[i]);
		if (present < 0)
			return present;
		pool->address[pool->n++] = (struct egress_address){
			.addr = wanted[i],
			.public = *public_of(config, &wanted[i], i),
			.id = egress_id_of(e, &wanted[i]),
			.present = present,
			.spare = i + n_spare >= n_wanted,
		};
	}
	return 0;
}

static void publish_address(const struct site *s, const struct egress_pool *pool, const struct egress_address *a,
			    bool exclusive)
{
	struct maps_ports kept[PORTS_KEPT];
	struct egress e = {
		.addr = a->addr,
		.ifindex = (uint32_t)pool->ifindex,
		.state = a->present ? EGRESS_HERE : EGRESS_GONE,
		.mtu = (uint16_t)(pool->mtu < UINT16_MAX ? pool->mtu : UINT16_MAX),
		.exclusive = exclusive,
	};
	size_t n = exclusive ? 0 : ports_of_host(kept, PORTS_KEPT);
	int err;

	for (size_t i = 0; i < MAX_ANSWERS; i++)
		e.answers[i] = pool->answers[i];
	maps_port_ranges(kept, n, e.range);
	err = maps_egress_set(s->maps, a->id, &e);
	if (err)
		log_error("egress: %s", strerror(-err));
}

static void publish_pool(const struct site *s, uint32_t index, const struct egress_pool *pool)
{
	struct pool p = {0};

	for (size_t i = 0; i < pool->n; i++) {
		const struct egress_address *a = &pool->address[i];
		bool v4 = addr_is_v4(&a->addr);

		if (!a->id || !a->present || a->spare)
			continue;
		if (v4 && p.n4 < POOL_ADDRESSES)
			p.v4[p.n4++] = (uint16_t)a->id;
		else if (!v4 && p.n6 < POOL_ADDRESSES)
			p.v6[p.n6++] = (uint16_t)a->id;
	}
	maps_pool_set(s->maps, index, &p);
}

static bool in_a_pool(const struct egress_state *s, uint32_t id)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->pool[i].n; k++)
			if (s->pool[i].address[k].id == id)
				return true;
	return false;
}

/* Addresses that no pool has any more end their flows. */
static void retire(const struct egress_state *e, const struct site *s)
{
	for (uint32_t id = 1; id < MAX_EGRESS; id++) {
		struct egress known;

		if (addr_is_zero(&e->by_id[id]) || in_a_pool(e, id) || maps_egress_get(s->maps, id, &known) ||
		    known.state == EGRESS_GONE)
			continue;
		known.state = EGRESS_GONE;
		maps_egress_set(s->maps, id, &known);
	}
}

static const struct egress_address *pool_address(const struct egress_pool *pool, const struct addr *a)
{
	for (size_t i = 0; i < pool->n; i++)
		if (!addr_cmp(&pool->address[i].addr, a))
			return &pool->address[i];
	return NULL;
}

static void report_new(const struct egress_pool *now, const struct egress_address *a, bool first)
{
	char text[ADDR_STRLEN];

	addr_str(&a->addr, text);
	if (!a->id)
		log_error(
			"egress address %s cannot be used: %d others were seen before it, which `sluice down` forgets",
			text, MAX_EGRESS - 1);
	else if (a->present && !first)
		log_info("egress address %s is on %s", text, now->interface);
	else if (!a->present && first)
		log_warning("egress address %s is not on %s yet: waiting for it", text, now->interface);
}

static void report_change(const struct egress_pool *was, const struct egress_pool *now)
{
	const struct egress_address *a, *before;
	char text[ADDR_STRLEN];

	if (!now->ifindex) /* ways.c tells */
		return;
	for (size_t i = 0; i < was->n; i++) {
		a = pool_address(now, &was->address[i].addr);
		if (was->address[i].present && !(a && a->present))
			log_warning("egress address %s is gone from %s: its flows end",
				    addr_str(&was->address[i].addr, text), now->interface);
	}
	for (size_t i = 0; i < now->n; i++) {
		before = pool_address(was, &now->address[i].addr);
		if (!before || before->present < now->address[i].present)
			report_new(now, &now->address[i], !was->n);
	}
}

/*
 * Without it every datagram from a service is a super-packet of its own (offload.h).
 * Written down before it is done, so that `down` finds it whatever happens.
 */
static void gather_udp(const struct egress_state *e, const char *interface)
{
	bool on = true;

	if (offload_get(interface, OFFLOAD_UDP_GRO_FORWARDING, &on) || on || !e->write_down(e->ctx, interface))
		return;
	offload_set(interface, OFFLOAD_UDP_GRO_FORWARDING, true);
}

static void stop_lro(const char *interface)
{
	bool on = false;
	int err;

	if (offload_get(interface, OFFLOAD_LRO, &on) || !on)
		return;
	err = offload_set(interface, OFFLOAD_LRO, false);
	if (err)
		log_error("%s: its LRO cannot be switched off (%s): what services send may be lost", interface,
			  strerror(-err));
	else
		log_info("%s: LRO is switched off, as wherever packets are forwarded", interface);
}

/* Those by which answers come, and did not before. */
static void prepare_interfaces(const struct egress_state *e, const struct egress_pool *pool,
			       const struct egress_pool *was)
{
	char name[IFNAMSIZ];

	for (size_t i = 0; i < MAX_ANSWERS && pool->answers[i]; i++) {
		if (answers_come_by(was, pool->answers[i]) || !if_indextoname(pool->answers[i], name))
			continue;
		gather_udp(e, name);
		stop_lro(name);
	}
}

/* An address of which the kernel told nothing stays as it was: taken for absent, its live flows would end. */
static bool learn(struct egress_state *e, const struct site *s, const struct config_pool *config,
		  struct egress_pool *pool)
{
	struct egress_pool now = *pool;
	int err = find_interface(s, config, &now) ?: find_addresses(e, s, config, &now) ?: answers_by(s, config, &now);

	if (!err) {
		*pool = now;
		return true;
	}
	if (!e->unsure)
		log_warning("egress: the kernel does not tell interfaces and addresses (%s): asking again",
			    strerror(-err));
	return false;
}

void egress_refresh(struct egress_state *e, const struct site *s)
{
	bool unsure = false;

	for (size_t i = 0; i < s->config->n_pools; i++) {
		struct egress_pool was = e->pool[i], *pool = &e->pool[i];

		if (!learn(e, s, &s->config->pools[i], pool)) {
			unsure = true;
			continue;
		}
		prepare_interfaces(e, pool, &was);
		report_change(&was, pool);
		for (size_t k = 0; k < pool->n; k++)
			if (pool->address[k].id)
				publish_address(s, pool, &pool->address[k], s->config->pools[i].exclusive);
		publish_pool(s, (uint32_t)i, pool);
	}
	e->n = s->config->n_pools;
	e->unsure = unsure;
	if (!unsure)
		retire(e, s);
}

void egress_keep_fragments(const struct egress_state *e, const struct site *s)
{
	uint64_t until = clock_now() + FRAGMENTS_KEPT;

	for (size_t i = 0; i < e->n; i++)
		for (size_t k = 0; k < e->pool[i].n; k++)
			if (e->pool[i].address[k].present)
				maps_reassemble(s->maps, &e->pool[i].address[k].addr, until);
}

/* Said, and done nevertheless: it may be meant, on a machine with a console. */
static void warn_of_exclusive(const struct egress_state *e, const struct site *s)
{
	char text[ADDR_STRLEN];

	for (size_t i = 0; i < e->n; i++)
		for (size_t k = 0; s->config->pools[i].exclusive && k < e->pool[i].n; k++)
			if (is_own_source(&e->pool[i].address[k].addr))
				log_warning(OWN_SOURCE_WARNING, addr_str(&e->pool[i].address[k].addr, text));
}

void egress_open(struct egress_state *e, const struct site *s)
{
	remember_ids(e, s);
	egress_refresh(e, s);
	warn_of_exclusive(e, s);
}

bool egress_usable(const struct egress_state *e, const struct site *s, char *error, size_t size)
{
	for (size_t i = 0; i < e->n; i++)
		if (e->pool[i].no_ethernet && s->config->pools[i].interface) {
			snprintf(error, size, NETLINK_NO_ETHERNET, e->pool[i].interface);
			return false;
		}
	return true;
}

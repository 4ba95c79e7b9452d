/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From one configuration to the next: peers in a real engine, addresses in the map, routes of the host. The kernel's
 * side is a table here, which fails when it is told to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "user/gateway/clients.h"
#include "user/gateway/revoke.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))

/* ---- the kernel ------------------------------------------------------------------------------ */

#define PLACES 64

static struct {
	struct mapped {
		struct prefix prefix;
		uint32_t client;
	} map[PLACES];
	size_t n_map;
	struct prefix routes[2][PLACES]; /* by kind */
	size_t n_routes[2];
	struct flow flows[8];
	size_t n_flows, walks;
	int add_err; /* of the next routes */
} kernel;

static size_t mapped_at(const struct prefix *p)
{
	size_t i = 0;

	while (i < kernel.n_map && prefix_cmp(&kernel.map[i].prefix, p))
		i++;
	return i;
}

int maps_client_set(struct maps *m, const struct prefix *p, uint32_t client, uint32_t worker)
{
	size_t i = mapped_at(p);

	assert_true(i < PLACES);
	kernel.map[i] = (struct mapped){*p, client};
	kernel.n_map += i == kernel.n_map;
	return 0;
}

int maps_client_delete(struct maps *m, const struct prefix *p)
{
	size_t i = mapped_at(p);

	if (i < kernel.n_map)
		kernel.map[i] = kernel.map[--kernel.n_map];
	return 0;
}

void maps_client_each(struct maps *m, bool (*each)(void *arg, const struct prefix *p, uint32_t client), void *arg)
{
	for (size_t i = 0; i < kernel.n_map; i++)
		if (!each(arg, &kernel.map[i].prefix, kernel.map[i].client))
			return;
}

void maps_flows_end(struct maps *m, bool (*which)(const void *arg, const struct flow *f), const void *arg)
{
	size_t kept = 0;

	kernel.walks++;
	for (size_t i = 0; i < kernel.n_flows; i++)
		if (!which(arg, &kernel.flows[i]))
			kernel.flows[kept++] = kernel.flows[i];
	kernel.n_flows = kept;
}

static size_t route_at(const struct prefix *p, enum netlink_route kind)
{
	size_t i = 0;

	while (i < kernel.n_routes[kind] && prefix_cmp(&kernel.routes[kind][i], p))
		i++;
	return i;
}

int netlink_route_add(struct netlink *n, const struct prefix *p, enum netlink_route kind, int ifindex)
{
	size_t i = route_at(p, kind);

	assert_true(i < PLACES);
	if (kernel.add_err)
		return kernel.add_err;
	kernel.routes[kind][i] = *p;
	kernel.n_routes[kind] += i == kernel.n_routes[kind];
	return 0;
}

int netlink_route_delete(struct netlink *n, const struct prefix *p, enum netlink_route kind, int ifindex)
{
	size_t i = route_at(p, kind);

	if (i < kernel.n_routes[kind])
		kernel.routes[kind][i] = kernel.routes[kind][--kernel.n_routes[kind]];
	return 0;
}

/* ---- an engine without workers ----------------------------------------------------------------- */

static void engine_sends(void *ctx, const void *msg, size_t len, const struct endpoint *to)
{
}

static void engine_commands(void *ctx, unsigned worker, const struct transport_command *c)
{
}

static void engine_indexes(void *ctx, uint32_t index, unsigned worker, bool used)
{
}

static void engine_allows(void *ctx, struct allowedips *snapshot)
{
	allowedips_free(snapshot);
}

static unsigned engine_worker(void *ctx, uint32_t peer)
{
	return 0;
}

static void engine_randoms(void *ctx, void *buf, size_t len)
{
	randombytes_buf(buf, len);
}

static const struct engine_ops engine_ops = {.send = engine_sends,
					     .command = engine_commands,
					     .index = engine_indexes,
					     .allowed = engine_allows,
					     .worker = engine_worker,
					     .random = engine_randoms};

/* ---- where clients come from ------------------------------------------------------------------- */

static int64_t today;
static const char *removed; /* from the netmap; NULL: nobody */

static int64_t origin_today(const void *o)
{
	return today;
}

static bool origin_removed(const void *o, const struct config_client *c)
{
	return removed && !strcmp(c->name, removed);
}

static void origin_places(void *o, const struct client *c)
{
}

static const struct origin_ops test_ops = {.time = origin_today, .revokes = origin_removed, .place = origin_places};
static const struct origin test_origin = {.ops = &test_ops};

/* ---- a gateway's clients ----------------------------------------------------------------------- */

struct setup {
	struct device device;
	struct netlink netlink;
	struct site site;
	struct state remembered;
	struct clients clients;
	struct config *config[8]; /* all there were, the last is in force */
	size_t n;
};

/* A config of clients, each "NAME KEY [ADDRESS, ...]" and what else; KEY is a letter. */
static struct config *config_of(const char *const *lines)
{
	char text[4096] = "version: 1\nname: gw\ntunnel: {addresses: [100.64.0.1/10, 'fd7a:115c:a1e0::1/48']}\n"
			  "clients:";
	struct diags d = {0};
	struct config *config;

	strcat(text, *lines ? "\n" : " []\n");
	for (; *lines; lines++) {
		char name[32], letter, rest[256], key[64];
		uint8_t raw[32];
		size_t len = strlen(text);

		assert_int_equal(sscanf(*lines, "%31s %c %255[^\n]", name, &letter, rest), 3);
		memset(raw, letter, sizeof(raw));
		raw[31] = 0x42; /* not one of those that everybody knows */
		sodium_bin2base64(key, sizeof(key), raw, sizeof(raw), sodium_base64_VARIANT_ORIGINAL);
		snprintf(text + len, sizeof(text) - len,
			 "- {name: %s, user: %s@example.com, public_key: %s, addresses: %s}\n", name, name, key, rest);
	}
	config = config_parse(doc_parse("gateway.yaml", text, strlen(text), DOC_YAML, &d), "gw", &d);
	diags_print(&d, stderr, false);
	assert_int_equal(d.errors, 0);
	diags_free(&d);
	return config;
}

static bool take(struct setup *s, const char *const *lines)
{
	struct config *next = config_of(lines);
	struct clients_plan *plan = clients_plan(&s->clients, &s->site, next);

	s->config[s->n++] = next;
	if (!plan)
		return false;
	clients_take(&s->clients, &s->site, plan);
	s->site.config = next;
	return true;
}

static int clients_setup(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	memset(&kernel, 0, sizeof(kernel));
	today = 1000;
	removed = NULL;
	s->device.engine = engine_new(&engine_ops, NULL);
	assert_non_null(s->device.engine);
	s->site.device = &s->device;
	s->site.netlink = &s->netlink;
	assert_true(clients_open(&s->clients, &test_origin, &s->remembered));
	*state = s;
	return 0;
}

static int clients_teardown(void **state)
{
	struct setup *s = *state;

	clients_close(&s->clients);
	engine_free(s->device.engine);
	for (size_t i = 0; i < s->n; i++)
		config_free(s->config[i]);
	free(s);
	return 0;
}

static struct prefix host_of(const char *text)
{
	struct prefix p = {.len = 128};

	assert_true(addr_parse(text, strlen(text), &p.addr));
	return p;
}

/* Everywhere: in the map, in the engine as the peer's, and as the two routes of the host. */
static void assert_has(struct setup *s, const char *name, const char *address)
{
	struct client *c = clients_by_name(&s->clients, name);
	struct prefix p = host_of(address), allowed = {0};
	const void *cursor = NULL;
	const struct prefix *a;

	assert_non_null(c);
	assert_non_null(c->peer);
	assert_ptr_equal(clients_by_id(&s->clients, c->id), c);
	assert_true(mapped_at(&p) < kernel.n_map);
	assert_int_equal(kernel.map[mapped_at(&p)].client, c->id);
	assert_true(route_at(&p, NETLINK_ROUTE_DEVICE) < kernel.n_routes[NETLINK_ROUTE_DEVICE]);
	assert_true(route_at(&p, NETLINK_ROUTE_UNREACHABLE) < kernel.n_routes[NETLINK_ROUTE_UNREACHABLE]);
	while ((a = engine_peer_each_allowed(s->device.engine, c->peer, &cursor)))
		if (!prefix_cmp(a, &p))
			allowed = *a;
	assert_int_equal(allowed.len, 128);
}

static void assert_gone(const char *address)
{
	struct prefix p = host_of(address);

	assert_int_equal(mapped_at(&p), kernel.n_map);
	assert_int_equal(route_at(&p, NETLINK_ROUTE_DEVICE), kernel.n_routes[NETLINK_ROUTE_DEVICE]);
	assert_int_equal(route_at(&p, NETLINK_ROUTE_UNREACHABLE), kernel.n_routes[NETLINK_ROUTE_UNREACHABLE]);
}

static void flow_of(struct setup *s, const char *name, const char *address)
{
	struct flow *f = &kernel.flows[kernel.n_flows++];

	f->client = name ? clients_by_name(&s->clients, name)->id : CLIENT_GATEWAY;
	f->out.src = host_of(address).addr;
}

/* ---- one configuration after the other ----------------------------------------------------------- */

static const char *const two[] = {"ann a [100.64.0.5, 'fd7a:115c:a1e0::5']", "bob b [100.64.0.6]", NULL};

static void the_first_configuration(void **state)
{
	struct setup *s = *state;

	assert_true(take(s, two));
	assert_has(s, "ann", "100.64.0.5");
	assert_has(s, "ann", "fd7a:115c:a1e0::5");
	assert_has(s, "bob", "100.64.0.6");
	assert_int_equal(s->clients.added, 2);
	assert_int_equal(kernel.n_map, 3);
	assert_int_not_equal(clients_by_name(&s->clients, "ann")->id, clients_by_name(&s->clients, "bob")->id);
	assert_null(clients_by_id(&s->clients, MAX_CLIENTS));
	assert_null(clients_by_name(&s->clients, "carl"));
}

static const struct change_case {
	const char *name;
	const char *next[4];
	size_t added, removed, changed;
	const char *has[4][2]; /* client and address */
	const char *gone[3];
	bool stays[2]; /* ann's, bob's peer is the very same */
} changes[] = {
	{.name = "the same",
	 .next = {"ann a [100.64.0.5, 'fd7a:115c:a1e0::5']", "bob b [100.64.0.6]"},
	 .has = {{"ann", "100.64.0.5"}, {"bob", "100.64.0.6"}},
	 .stays = {true, true}},
	{.name = "another order",
	 .next = {"bob b [100.64.0.6]", "ann a [100.64.0.5, 'fd7a:115c:a1e0::5']"},
	 .has = {{"ann", "100.64.0.5"}, {"bob", "100.64.0.6"}},
	 .stays = {true, true}},
	{.name = "one more",
	 .next = {"ann a [100.64.0.5, 'fd7a:115c:a1e0::5']", "bob b [100.64.0.6]", "carl c [100.64.0.7]"},
	 .added = 1,
	 .has = {{"ann", "100.64.0.5"}, {"carl", "100.64.0.7"}},
	 .stays = {true, true}},
	{.name = "one less",
	 .next = {"bob b [100.64.0.6]"},
	 .removed = 1,
	 .has = {{"bob", "100.64.0.6"}},
	 .gone = {"100.64.0.5", "fd7a:115c:a1e0::5"},
	 .stays = {false, true}},
	{.name = "another key is another client",
	 .next = {"ann z [100.64.0.5, 'fd7a:115c:a1e0::5']", "bob b [100.64.0.6]"},
	 .added = 1,
	 .removed = 1,
	 .has = {{"ann", "100.64.0.5"}, {"ann", "fd7a:115c:a1e0::5"}},
	 .stays = {false, true}},
	{.name = "addresses change hands",
	 .next = {"ann a [100.64.0.6]", "bob b [100.64.0.5, 'fd7a:115c:a1e0::5']"},
	 .changed = 2,
	 .has = {{"ann", "100.64.0.6"}, {"bob", "100.64.0.5"}, {"bob", "fd7a:115c:a1e0::5"}},
	 .stays = {true, true}},
	{.name = "the removed one's address goes to another",
	 .next = {"bob b [100.64.0.6, 100.64.0.5]"},
	 .removed = 1,
	 .changed = 1,
	 .has = {{"bob", "100.64.0.5"}, {"bob", "100.64.0.6"}},
	 .gone = {"fd7a:115c:a1e0::5"},
	 .stays = {false, true}},
	{.name = "nobody", .next = {NULL}, .removed = 2, .gone = {"100.64.0.5", "100.64.0.6"}},
};

static void the_next_configuration(void **state)
{
	for (size_t i = 0; i < N(changes); i++) {
		const struct change_case *c = &changes[i];
		const struct peer *ann, *bob;
		struct client *is;
		struct setup *s;

		print_message("%s\n", c->name);
		assert_int_equal(clients_setup((void **)&s), 0);
		assert_true(take(s, two));
		ann = clients_by_name(&s->clients, "ann")->peer;
		bob = clients_by_name(&s->clients, "bob")->peer;
		assert_true(take(s, c->next));
		assert_int_equal(s->clients.added, c->added);
		assert_int_equal(s->clients.removed, c->removed);
		assert_int_equal(s->clients.changed, c->changed);
		for (size_t k = 0; k < N(c->has) && c->has[k][0]; k++)
			assert_has(s, c->has[k][0], c->has[k][1]);
		for (size_t k = 0; k < N(c->gone) && c->gone[k]; k++)
			assert_gone(c->gone[k]);
		is = clients_by_name(&s->clients, "ann");
		assert_int_equal(is && is->peer == ann && c->stays[0], c->stays[0]);
		is = clients_by_name(&s->clients, "bob");
		assert_int_equal(is && is->peer == bob && c->stays[1], c->stays[1]);
		assert_int_equal(engine_peer_count(s->device.engine), s->clients.n);
		clients_teardown((void **)&s);
	}
}

/* A plan that cannot be made changes nothing. */
static void a_preshared_key_that_cannot_be_read(void **state)
{
	static const char *const absent[] = {"bob b [100.64.0.6], preshared_key_file: /nowhere/psk", NULL};
	struct setup *s = *state;

	assert_true(take(s, two));
	assert_false(take(s, absent));
	assert_has(s, "ann", "100.64.0.5");
	assert_has(s, "bob", "100.64.0.6");
	assert_int_equal(s->clients.n, 2);
}

/* ---- ids -------------------------------------------------------------------------------------------- */

static void an_id_is_found_again_after_a_restart(void **state)
{
	struct prefix ann = host_of("100.64.0.5"), stale = host_of("100.64.0.99");
	struct setup *s = *state;

	maps_client_set(NULL, &ann, 77, 0);
	maps_client_set(NULL, &stale, 78, 0); /* was removed while no gateway ran */
	netlink_route_add(NULL, &stale, NETLINK_ROUTE_DEVICE, 1);
	assert_true(take(s, two));
	assert_int_equal(clients_by_name(&s->clients, "ann")->id, 77);
	assert_has(s, "ann", "100.64.0.5");
	assert_gone("100.64.0.99");
	assert_int_equal(kernel.walks, 1); /* for flows of those that are gone */
}

/* Rules come into force before clients do: the id of one that goes is no newcomer's yet. */
static void an_id_that_is_in_use_is_never_a_newcomers(void **state)
{
	static const char *const other[] = {"carl c [100.64.0.7]", "bob b [100.64.0.6]", NULL};
	struct setup *s = *state;
	uint32_t ann, bob, *planned;
	struct config *next;

	assert_true(take(s, two));
	ann = clients_by_name(&s->clients, "ann")->id;
	bob = clients_by_name(&s->clients, "bob")->id;
	next = config_of(other);
	planned = clients_ids(&s->clients, next);
	assert_int_not_equal(planned[0], ann);
	assert_int_not_equal(planned[0], 0);
	assert_int_equal(planned[1], bob);
	config_free(next);
	assert_true(take(s, other));
	assert_int_equal(clients_by_name(&s->clients, "carl")->id, planned[0]);
	free(planned);
}

static void no_id_is_free(void **state)
{
	static struct client taken;
	struct setup *s = *state;

	for (uint32_t id = 1; id < CLIENT_GATEWAY; id++)
		s->clients.by_id[id] = &taken;
	assert_true(take(s, two));
	assert_null(clients_by_name(&s->clients, "ann")->peer);
	assert_int_equal(kernel.n_map, 0);
	assert_int_equal(clients_without_peer(&s->clients), 2);
	memset(s->clients.by_id, 0, MAX_CLIENTS * sizeof(*s->clients.by_id));
	assert_true(take(s, two));
	assert_has(s, "ann", "100.64.0.5");
}

/* ---- in and out ------------------------------------------------------------------------------------------ */

static void one_whose_date_has_passed(void **state)
{
	static const char *const lent[] = {"ann a [100.64.0.5], expires: 2030-01-01", "bob b [100.64.0.6]", NULL};
	struct setup *s = *state;

	today = 1893456000 - 1; /* the last second of 2029 */
	assert_true(take(s, lent));
	assert_has(s, "ann", "100.64.0.5");
	flow_of(s, "ann", "100.64.0.5");
	flow_of(s, "bob", "100.64.0.6");
	clients_second(&s->clients, &s->site);
	assert_has(s, "ann", "100.64.0.5");
	today++;
	clients_second(&s->clients, &s->site);
	assert_gone("100.64.0.5");
	assert_null(clients_by_name(&s->clients, "ann")->peer);
	assert_int_equal(kernel.n_flows, 1);			/* bob's */
	assert_int_equal(clients_without_peer(&s->clients), 0); /* it is meant */
	today--;						/* a clock that was ahead was set back */
	clients_second(&s->clients, &s->site);
	assert_has(s, "ann", "100.64.0.5");
}

static void one_that_the_netmap_has_no_more(void **state)
{
	struct setup *s = *state;

	assert_true(take(s, two));
	removed = "bob";
	clients_settle(&s->clients, &s->site);
	assert_gone("100.64.0.6");
	assert_has(s, "ann", "100.64.0.5");
	assert_true(take(s, two)); /* of an older netmap */
	assert_gone("100.64.0.6");
	removed = NULL;
	clients_settle(&s->clients, &s->site);
	assert_has(s, "bob", "100.64.0.6");
}

static const struct revoke_case {
	const char *name;
	const char *next[3];
	bool strict;
	bool ann_stays;
} revocations[] = {
	{"it is in it", {"ann a [100.64.0.5, 'fd7a:115c:a1e0::5']"}, false, true},
	{"it is not in it", {"bob b [100.64.0.6]"}, false, false},
	{"it has another key", {"ann z [100.64.0.5, 'fd7a:115c:a1e0::5']"}, false, false},
	{"it has expired by it", {"ann a [100.64.0.5, 'fd7a:115c:a1e0::5'], expires: 2020-01-01"}, false, false},
	{"it loses an address, in its turn", {"ann a [100.64.0.5]"}, false, true},
	{"it loses an address by what was refused", {"ann a [100.64.0.5]"}, true, false},
	{"it gets an address by what was refused", {"ann a [100.64.0.5, 'fd7a:115c:a1e0::5', 100.64.0.9]"}, true, true},
	{"nobody is in it", {NULL}, false, false},
};

static void a_configuration_that_is_not_in_force_yet(void **state)
{
	for (size_t i = 0; i < N(revocations); i++) {
		const struct revoke_case *c = &revocations[i];
		struct config *next;
		struct setup *s;

		print_message("%s\n", c->name);
		assert_int_equal(clients_setup((void **)&s), 0);
		today = 1900000000; /* 2030 */
		assert_true(take(s, two));
		next = config_of(c->next);
		clients_revoke(&s->clients, &s->site, next, c->strict);
		if (c->ann_stays)
			assert_has(s, "ann", "100.64.0.5");
		else
			assert_gone("100.64.0.5");
		/* Only a configuration that comes into force lets it in again. */
		clients_second(&s->clients, &s->site);
		assert_int_equal(clients_by_name(&s->clients, "ann")->peer != NULL, c->ann_stays);
		assert_true(take(s, two));
		assert_has(s, "ann", "100.64.0.5");
		config_free(next);
		clients_teardown((void **)&s);
	}
}

/* ---- flows, sessions, routes -------------------------------------------------------------------------------- */

static void flows_end_with_their_client_or_address(void **state)
{
	static const char *const less[] = {"ann a [100.64.0.5]", NULL};
	struct setup *s = *state;

	assert_true(take(s, two));
	flow_of(s, "ann", "100.64.0.5");
	flow_of(s, "ann", "fd7a:115c:a1e0::5");
	flow_of(s, "bob", "100.64.0.6");
	flow_of(s, NULL, "100.64.0.1"); /* a probe of the gateway's own */
	kernel.walks = 0;
	assert_true(take(s, less));
	assert_int_equal(kernel.walks, 1); /* one walk, however many are gone */
	assert_int_equal(kernel.n_flows, 2);
	assert_int_equal(kernel.flows[1].client, CLIENT_GATEWAY);
	assert_true(take(s, less));
	assert_int_equal(kernel.walks, 1);
}

static void a_kick_ends_sessions_and_flows(void **state)
{
	struct setup *s = *state;
	struct client *bob;
	uint32_t id;

	assert_true(take(s, two));
	bob = clients_by_name(&s->clients, "bob");
	id = bob->id;
	flow_of(s, "bob", "100.64.0.6");
	flow_of(s, "ann", "100.64.0.5");
	clients_kick(&s->clients, &s->site, bob);
	assert_int_equal(kernel.n_flows, 1);
	assert_int_equal(bob->id, id);
	assert_has(s, "bob", "100.64.0.6"); /* it may come again at once */
	assert_int_equal(engine_peer_count(s->device.engine), 2);
}

static const int refusals[] = {-EEXIST, -ENOBUFS, -ENOMEM};

static void a_route_that_the_kernel_refuses_is_tried_again(void **state)
{
	struct setup *s = *state;

	assert_true(take(s, two));
	for (size_t i = 0; i < N(refusals); i++) {
		const char *const more[] = {two[0], two[1], "carl c [100.64.0.7]", NULL};
		struct prefix p = host_of("100.64.0.7");

		kernel.add_err = refusals[i];
		assert_true(take(s, more));
		assert_int_equal(s->clients.routing.n, 1);
		clients_second(&s->clients, &s->site);
		assert_int_equal(s->clients.routing.n, 1);
		kernel.add_err = 0;
		clients_second(&s->clients, &s->site);
		assert_int_equal(s->clients.routing.n, 0);
		assert_true(route_at(&p, NETLINK_ROUTE_DEVICE) < kernel.n_routes[NETLINK_ROUTE_DEVICE]);
		assert_true(take(s, two));
		assert_gone("100.64.0.7");
	}
}

/* Refused, and then not wanted any more: it must not come back. */
static void the_last_wish_counts(void **state)
{
	const char *const more[] = {two[0], two[1], "carl c [100.64.0.7]", NULL};
	struct setup *s = *state;

	assert_true(take(s, two));
	kernel.add_err = -ENOBUFS;
	assert_true(take(s, more));
	assert_true(take(s, two));
	kernel.add_err = 0;
	clients_second(&s->clients, &s->site);
	assert_gone("100.64.0.7");
	assert_int_equal(s->clients.routing.n, 0);
}

static void routes_are_put_back(void **state)
{
	struct setup *s = *state;

	assert_true(take(s, two));
	kernel.n_routes[0] = kernel.n_routes[1] = 0; /* the TAP was made anew */
	clients_route(&s->clients, &s->site);
	assert_has(s, "ann", "fd7a:115c:a1e0::5");
	assert_has(s, "bob", "100.64.0.6");
}

#define clients_test(f) cmocka_unit_test_setup_teardown(f, clients_setup, clients_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		clients_test(the_first_configuration),
		cmocka_unit_test(the_next_configuration),
		clients_test(a_preshared_key_that_cannot_be_read),
		clients_test(an_id_is_found_again_after_a_restart),
		clients_test(an_id_that_is_in_use_is_never_a_newcomers),
		clients_test(no_id_is_free),
		clients_test(one_whose_date_has_passed),
		clients_test(one_that_the_netmap_has_no_more),
		cmocka_unit_test(a_configuration_that_is_not_in_force_yet),
		clients_test(flows_end_with_their_client_or_address),
		clients_test(a_kick_ends_sessions_and_flows),
		clients_test(a_route_that_the_kernel_refuses_is_tried_again),
		clients_test(the_last_wish_counts),
		clients_test(routes_are_put_back),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

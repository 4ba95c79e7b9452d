/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * External addresses as interfaces and addresses come and go. The kernel's side is a table here: interfaces, their
 * addresses, and what was written into the maps; it does not answer when it is told not to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "user/base/log.h"
#include "user/gateway/answers_by.h"
#include "user/gateway/egress.h"
#include "user/kernel/offload.h"
#include "user/kernel/own_source.h"
#include "user/kernel/ports.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))

/* ---- the kernel ------------------------------------------------------------------------------ */

#define LINKS 6

static struct {
	struct netlink_link link[LINKS]; /* name "": none */
	struct addr address[LINKS][4];
	int n_address[LINKS];
	int default_at; /* ifindex; 0: there is no default route */
	int link_err, address_err;
	bool gro[LINKS], lro[LINKS];
	struct egress egress[MAX_EGRESS];
	struct pool pool[MAX_POOLS];
	uint64_t reassemble; /* addresses of which fragments are kept */
	unsigned gone;	     /* writes of EGRESS_GONE */
} kernel;

static int link_by_name(const char *name)
{
	for (int i = 0; i < LINKS; i++)
		if (*kernel.link[i].name && !strcmp(kernel.link[i].name, name))
			return i;
	return -1;
}

static int link_by_index(int ifindex)
{
	for (int i = 0; i < LINKS; i++)
		if (*kernel.link[i].name && kernel.link[i].ifindex == ifindex)
			return i;
	return -1;
}

static int give_link(int i, struct netlink_link *out)
{
	if (kernel.link_err)
		return kernel.link_err;
	if (i < 0)
		return -ENODEV;
	*out = kernel.link[i];
	return 0;
}

int netlink_link(struct netlink *n, const char *name, struct netlink_link *out)
{
	return give_link(link_by_name(name), out);
}

int netlink_link_at(struct netlink *n, int ifindex, struct netlink_link *out)
{
	return give_link(link_by_index(ifindex), out);
}

int netlink_default_interface(struct netlink *n)
{
	return kernel.link_err ?: kernel.default_at;
}

int netlink_addresses(struct netlink *n, int ifindex, struct addr *out, size_t max)
{
	int i = link_by_index(ifindex);

	if (kernel.address_err)
		return kernel.address_err;
	if (i < 0)
		return 0;
	memcpy(out, kernel.address[i], (size_t)kernel.n_address[i] * sizeof(*out));
	return kernel.n_address[i];
}

/* The first of each family, as @to has them. */
int netlink_sources(struct netlink *n, int ifindex, const struct addr to[2], struct addr out[2])
{
	struct addr own[4];
	int count = netlink_addresses(n, ifindex, own, 4), found = 0;

	if (count < 0)
		return count;
	for (int family = 0; family < 2; family++)
		for (int i = 0; i < count; i++)
			if (addr_is_v4(&own[i]) == addr_is_v4(&to[family])) {
				out[found++] = own[i];
				break;
			}
	return found;
}

int netlink_is_held(struct netlink *n, const struct addr *a)
{
	return 0;
}

char *if_indextoname(unsigned ifindex, char name[IFNAMSIZ])
{
	int i = link_by_index((int)ifindex);

	return i < 0 ? NULL : strcpy(name, kernel.link[i].name);
}

struct if_nameindex *if_nameindex(void)
{
	struct if_nameindex *list = calloc(LINKS + 1, sizeof(*list));
	size_t n = 0;

	for (int i = 0; i < LINKS; i++)
		if (*kernel.link[i].name)
			list[n++] = (struct if_nameindex){(unsigned)kernel.link[i].ifindex, kernel.link[i].name};
	return list;
}

void if_freenameindex(struct if_nameindex *list)
{
	free(list);
}

int offload_get(const char *interface, const char *feature, bool *on)
{
	int i = link_by_name(interface);

	*on = i >= 0 && (strcmp(feature, OFFLOAD_LRO) ? kernel.gro[i] : kernel.lro[i]);
	return i < 0 ? -ENODEV : 0;
}

int offload_set(const char *interface, const char *feature, bool on)
{
	int i = link_by_name(interface);

	if (i < 0)
		return -ENODEV;
	*(strcmp(feature, OFFLOAD_LRO) ? &kernel.gro[i] : &kernel.lro[i]) = on;
	return 0;
}

size_t ports_of_host(struct maps_ports *kept, size_t max)
{
	*kept = (struct maps_ports){32768, 60999};
	return 1;
}

bool is_own_source(const struct addr *a)
{
	return false;
}

int maps_egress_set(struct maps *m, uint32_t id, const struct egress *e)
{
	assert_true(id && id < MAX_EGRESS);
	kernel.egress[id] = *e;
	kernel.gone += e->state == EGRESS_GONE;
	return 0;
}

int maps_egress_get(struct maps *m, uint32_t id, struct egress *e)
{
	*e = kernel.egress[id];
	return 0;
}

int maps_pool_set(struct maps *m, uint32_t id, const struct pool *p)
{
	kernel.pool[id] = *p;
	return 0;
}

int maps_reassemble(struct maps *m, const struct addr *a, uint64_t until)
{
	kernel.reassemble++;
	return 0;
}

uint32_t maps_port_ranges(const struct maps_ports *taken, size_t n, struct port_range out[MAX_PORT_RANGES])
{
	memset(out, 0, MAX_PORT_RANGES * sizeof(*out));
	out[0] = (struct port_range){1024, n ? 1000 : 64512};
	return out[0].count;
}

/* ---- the log, in the place of log.c ------------------------------------------------------------- */

static char logged[1024];

void log_write(struct log_site *site, enum log_level level, const char *fmt, ...)
{
	size_t len = strlen(logged);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(logged + len, sizeof(logged) - len, fmt, ap);
	va_end(ap);
	len = strlen(logged);
	snprintf(logged + len, sizeof(logged) - len, "|");
}

/* ---- a gateway --------------------------------------------------------------------------------- */

struct setup {
	struct config *config;
	struct site site;
	struct egress_state egress;
	char written[128]; /* interfaces that were written down for `down` */
	bool full_disk;
};

static bool write_down(void *ctx, const char *interface)
{
	struct setup *s = ctx;

	if (s->full_disk)
		return false;
	snprintf(s->written + strlen(s->written), sizeof(s->written) - strlen(s->written), "%s ", interface);
	return true;
}

static void host_link(int i, const char *name, int ifindex, const char *const *addresses)
{
	kernel.link[i] = (struct netlink_link){.ifindex = ifindex, .mtu = 1500, .up = true, .ethernet = true};
	snprintf(kernel.link[i].name, IFNAMSIZ, "%s", name);
	kernel.n_address[i] = 0;
	for (; addresses && *addresses; addresses++)
		assert_true(addr_parse(*addresses, strlen(*addresses), &kernel.address[i][kernel.n_address[i]++]));
}

static const char *const eth1[] = {"10.1.0.4", "2001:db8::4", NULL};
static const char *const eth2[] = {"10.2.0.4", NULL};

static struct setup *gateway_with(const char *egress)
{
	struct setup *s = calloc(1, sizeof(*s));
	struct diags d = {0};
	char text[1024];

	memset(&kernel, 0, sizeof(kernel));
	*logged = 0;
	host_link(0, "eth1", 7, eth1);
	host_link(1, "eth2", 8, eth2);
	kernel.default_at = 7;
	snprintf(text, sizeof(text),
		 "version: 1\nname: gw\ntunnel: {addresses: [100.64.0.1/10]}\nclients: []\negress: %s\n", egress);
	s->config = config_parse(doc_parse("gateway.yaml", text, strlen(text), DOC_YAML, &d), "gw", &d);
	diags_print(&d, stderr, false);
	assert_int_equal(d.errors, 0);
	diags_free(&d);
	s->site.config = s->config;
	s->egress.write_down = write_down;
	s->egress.ctx = s;
	return s;
}

static void gateway_end(struct setup *s)
{
	config_free(s->config);
	free(s);
}

static const struct egress_address *address_at(const struct setup *s, size_t pool, const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, strlen(text), &a));
	for (size_t i = 0; i < s->egress.pool[pool].n; i++)
		if (!addr_cmp(&s->egress.pool[pool].address[i].addr, &a))
			return &s->egress.pool[pool].address[i];
	return NULL;
}

/* ---- the start ---------------------------------------------------------------------------------- */

static const struct start_case {
	const char *egress;
	int default_at, link_err;
	int ifindex; /* of the first pool; 0: it is waited for */
	bool unsure;
} starts[] = {
	{"{interface: eth1}", 0, 0, 7, false},
	{"{interface: eth1, addresses: [10.1.0.9]}", 0, 0, 7, false},
	{"{}", 8, 0, 8, false},
	{"{interface: eth9}", 7, 0, 0, false},
	{"{}", 0, 0, 0, false},	 /* there is no default route */
	{"{}", 99, 0, 0, false}, /* and its interface has gone since */
	{"{interface: eth1}", 7, -ENOBUFS, 0, true},
	{"{}", 7, -ENOMEM, 0, true},
};

/* What is not there yet is waited for, and used as soon as it is. */
static void a_start_waits(void **state)
{
	for (size_t i = 0; i < N(starts); i++) {
		struct setup *s = gateway_with(starts[i].egress);

		print_message("%s\n", starts[i].egress);
		kernel.default_at = starts[i].default_at;
		kernel.link_err = starts[i].link_err;
		egress_open(&s->egress, &s->site);
		assert_int_equal(s->egress.pool[0].ifindex, starts[i].ifindex);
		assert_int_equal(s->egress.unsure, starts[i].unsure);
		host_link(4, "eth9", 15, eth2);
		kernel.link_err = 0;
		if (!kernel.default_at || kernel.default_at == 99)
			kernel.default_at = 15;
		egress_refresh(&s->egress, &s->site);
		assert_false(s->egress.unsure);
		assert_true(s->egress.pool[0].ifindex > 0);
		assert_true(s->egress.pool[0].n > 0);
		gateway_end(s);
	}
}

/* ---- addresses ------------------------------------------------------------------------------------ */

static void an_interfaces_own_addresses(void **state)
{
	struct setup *s = gateway_with("{interface: eth1}");
	const struct egress_address *v4, *v6;

	egress_refresh(&s->egress, &s->site);
	v4 = address_at(s, 0, "10.1.0.4");
	v6 = address_at(s, 0, "2001:db8::4");
	assert_true(v4 && v6 && v4->present && v6->present && v4->id != v6->id);
	assert_int_equal(kernel.pool[0].n4, 1);
	assert_int_equal(kernel.pool[0].v4[0], v4->id);
	assert_int_equal(kernel.pool[0].n6, 1);
	assert_int_equal(kernel.egress[v4->id].state, EGRESS_HERE);
	assert_int_equal(kernel.egress[v4->id].ifindex, 7);
	assert_int_equal(kernel.egress[v4->id].answers[0], 7);
	assert_int_equal(kernel.egress[v4->id].mtu, 1500);
	assert_int_equal(kernel.egress[v4->id].range[0].count, 1000); /* the host's ports are its own */
	egress_keep_fragments(&s->egress, &s->site);
	assert_int_equal(kernel.reassemble, 2);
	gateway_end(s);
}

/* Flows carry the id: it is the same when the address is there again, and nobody else's meanwhile. */
static void an_address_goes_and_comes(void **state)
{
	struct setup *s = gateway_with("{interface: eth1}");
	uint32_t id;

	egress_refresh(&s->egress, &s->site);
	id = address_at(s, 0, "10.1.0.4")->id;
	host_link(0, "eth1", 7, (const char *const[]){"10.1.0.5", NULL});
	egress_refresh(&s->egress, &s->site);
	assert_null(address_at(s, 0, "10.1.0.4"));
	assert_int_equal(kernel.egress[id].state, EGRESS_GONE);
	assert_string_equal(logged, "egress address 10.1.0.4 is gone from eth1: its flows end|"
				    "egress address 2001:db8::4 is gone from eth1: its flows end|"
				    "egress address 10.1.0.5 is on eth1|");
	assert_int_not_equal(address_at(s, 0, "10.1.0.5")->id, id);
	host_link(0, "eth1", 7, eth1);
	egress_refresh(&s->egress, &s->site);
	assert_int_equal(address_at(s, 0, "10.1.0.4")->id, id);
	assert_int_equal(kernel.egress[id].state, EGRESS_HERE);
	gateway_end(s);
}

/* New flows take it at once; those that there are keep theirs. */
static void the_kernel_takes_another_source(void **state)
{
	struct setup *s = gateway_with("{interface: eth1}");
	uint32_t id;

	egress_refresh(&s->egress, &s->site);
	id = address_at(s, 0, "10.1.0.4")->id;
	host_link(0, "eth1", 7, (const char *const[]){"10.1.0.5", "10.1.0.4", NULL});
	egress_refresh(&s->egress, &s->site);
	assert_true(address_at(s, 0, "10.1.0.4")->spare);
	assert_int_equal(kernel.egress[id].state, EGRESS_HERE);
	assert_false(address_at(s, 0, "10.1.0.5")->spare);
	assert_int_equal(kernel.pool[0].n4, 1);
	assert_int_equal(kernel.pool[0].v4[0], address_at(s, 0, "10.1.0.5")->id);
	gateway_end(s);
}

static void a_configured_address_is_waited_for(void **state)
{
	struct setup *s = gateway_with("{interface: eth1, addresses: [10.1.0.9]}");
	const struct egress_address *a;

	egress_refresh(&s->egress, &s->site);
	a = address_at(s, 0, "10.1.0.9");
	assert_true(a && !a->present && a->id);
	assert_int_equal(kernel.egress[a->id].state, EGRESS_GONE);
	assert_int_equal(kernel.pool[0].n4, 0);
	assert_null(address_at(s, 0, "10.1.0.4")); /* the interface's others are the host's */
	host_link(0, "eth1", 7, (const char *const[]){"10.1.0.4", "10.1.0.9", NULL});
	egress_refresh(&s->egress, &s->site);
	assert_true(address_at(s, 0, "10.1.0.9")->present);
	assert_int_equal(kernel.pool[0].n4, 1);
	gateway_end(s);
}

static void ids_of_the_run_before(void **state)
{
	struct setup *s = gateway_with("{interface: eth1}");

	kernel.egress[1].addr = kernel.address[1][0]; /* of eth2, and so not ours any more */
	kernel.egress[1].state = EGRESS_HERE;
	kernel.egress[9].addr = kernel.address[0][0];
	kernel.egress[9].state = EGRESS_HERE;
	egress_open(&s->egress, &s->site);
	assert_int_equal(address_at(s, 0, "10.1.0.4")->id, 9);
	assert_int_equal(kernel.egress[1].state, EGRESS_GONE);
	assert_int_equal(address_at(s, 0, "2001:db8::4")->id, 2);
	gateway_end(s);
}

static void all_ids_are_given_away(void **state)
{
	struct setup *s = gateway_with("{interface: eth1}");

	for (uint32_t id = 1; id < MAX_EGRESS; id++)
		s->egress.by_id[id].w[3] = htonl(0x0a630000 | id); /* 10.99.0.id */
	egress_refresh(&s->egress, &s->site);
	assert_int_equal(address_at(s, 0, "10.1.0.4")->id, 0);
	assert_int_equal(kernel.pool[0].n4, 0);
	assert_string_equal(
		logged, "egress address 10.1.0.4 cannot be used: 255 others were seen before it, which `sluice down` "
			"forgets|"
			"egress address 2001:db8::4 cannot be used: 255 others were seen before it, which `sluice "
			"down` forgets|");
	*logged = 0;
	egress_refresh(&s->egress, &s->site);
	assert_string_equal(logged, ""); /* once */
	gateway_end(s);
}

/* ---- what the kernel did not tell ------------------------------------------------------------------- */

static const struct {
	int link_err, address_err;
} silences[] = {{-ENOBUFS, 0}, {-ENOMEM, 0}, {0, -ENOBUFS}, {0, -EBUSY}};

/* Taken for an absence, it would end live flows. */
static void what_the_kernel_did_not_tell_stays(void **state)
{
	for (size_t i = 0; i < N(silences); i++) {
		struct setup *s = gateway_with("{interface: eth1}");
		uint32_t id;

		egress_refresh(&s->egress, &s->site);
		id = address_at(s, 0, "10.1.0.4")->id;
		kernel.gone = 0;
		kernel.link_err = silences[i].link_err;
		kernel.address_err = silences[i].address_err;
		host_link(0, "eth1", 7, NULL);
		egress_refresh(&s->egress, &s->site);
		assert_true(s->egress.unsure);
		assert_true(address_at(s, 0, "10.1.0.4")->present);
		assert_int_equal(kernel.egress[id].state, EGRESS_HERE);
		assert_int_equal(kernel.gone, 0);
		kernel.link_err = kernel.address_err = 0;
		egress_refresh(&s->egress, &s->site);
		assert_false(s->egress.unsure);
		assert_int_equal(kernel.egress[id].state, EGRESS_GONE);
		gateway_end(s);
	}
}

/* The interface is gone, and the kernel says so: that is an answer. */
static void an_interface_that_is_gone(void **state)
{
	struct setup *s = gateway_with("{interface: eth1}");
	uint32_t id;

	egress_refresh(&s->egress, &s->site);
	id = address_at(s, 0, "10.1.0.4")->id;
	*kernel.link[0].name = 0;
	egress_refresh(&s->egress, &s->site);
	assert_false(s->egress.unsure);
	assert_int_equal(s->egress.pool[0].ifindex, 0);
	assert_int_equal(kernel.egress[id].state, EGRESS_GONE);
	host_link(3, "eth1", 11, eth1); /* made anew */
	egress_refresh(&s->egress, &s->site);
	assert_int_equal(s->egress.pool[0].ifindex, 11);
	assert_int_equal(address_at(s, 0, "10.1.0.4")->id, id);
	assert_int_equal(kernel.egress[id].ifindex, 11);
	gateway_end(s);
}

/* ---- pools ---------------------------------------------------------------------------------------------- */

static const struct public_case {
	const char *egress, *address, *public;
	bool exclusive;
} publics[] = {
	{"{interface: eth1}", "10.1.0.4", "10.1.0.4", false},
	{"{interface: eth1, public: [192.0.2.7]}", "10.1.0.4", "192.0.2.7", false},
	{"{interface: eth1, public: [192.0.2.7]}", "2001:db8::4", "2001:db8::4", false},
	{"{interface: eth1, addresses: ['2001:db8::4', 10.1.0.4], public: ['2001:db8:9::1', 192.0.2.8]}", "10.1.0.4",
	 "192.0.2.8", false},
	{"{interface: eth1, exclusive: true}", "10.1.0.4", "10.1.0.4", true},
};

static void what_the_world_sees(void **state)
{
	for (size_t i = 0; i < N(publics); i++) {
		struct setup *s = gateway_with(publics[i].egress);
		const struct egress_address *a;
		struct addr public;

		egress_refresh(&s->egress, &s->site);
		a = address_at(s, 0, publics[i].address);
		assert_non_null(a);
		assert_true(addr_parse(publics[i].public, strlen(publics[i].public), &public));
		assert_int_equal(addr_cmp(&a->public, &public), 0);
		assert_int_equal(kernel.egress[a->id].exclusive, publics[i].exclusive);
		assert_int_equal(kernel.egress[a->id].range[0].count, publics[i].exclusive ? 64512 : 1000);
		gateway_end(s);
	}
}

/* A bond's port and a VRF's: what answers come by is more than the interface itself. */
static void answers_come_by_relatives(void **state)
{
	struct setup *s = gateway_with("{interface: eth1, answers_by: [eth2, eth9]}");

	host_link(2, "bond0", 20, NULL);
	kernel.link[0].port = true;
	kernel.link[0].master = 20;
	egress_refresh(&s->egress, &s->site);
	assert_true(answers_come_by(&s->egress.pool[0], 7));
	assert_true(answers_come_by(&s->egress.pool[0], 8));
	assert_true(answers_come_by(&s->egress.pool[0], 20));
	assert_false(answers_come_by(&s->egress.pool[0], 0));
	gateway_end(s);

	s = gateway_with("{interface: eth1}");
	host_link(2, "vrf0", 30, eth1);
	kernel.link[2].vrf = true;
	kernel.link[2].ethernet = false;
	kernel.link[1].master = 30; /* eth2 is its port */
	((struct config_pool *)s->config->pools)->interface = "vrf0";
	egress_refresh(&s->egress, &s->site);
	assert_true(answers_come_by(&s->egress.pool[0], 30));
	assert_true(answers_come_by(&s->egress.pool[0], 8));
	assert_false(answers_come_by(&s->egress.pool[0], 7));
	gateway_end(s);
}

/* ---- offloads ------------------------------------------------------------------------------------------- */

static void offloads_are_written_down_before_they_are_changed(void **state)
{
	struct setup *s = gateway_with("{interface: eth1, answers_by: [eth2]}");

	kernel.lro[0] = true;
	kernel.gro[1] = true; /* somebody else's wish: `down` leaves it on */
	egress_refresh(&s->egress, &s->site);
	assert_string_equal(s->written, "eth1 ");
	assert_true(kernel.gro[0]);
	assert_false(kernel.lro[0]);
	kernel.gro[0] = false; /* an operator's, after us: it stays off */
	egress_refresh(&s->egress, &s->site);
	assert_false(kernel.gro[0]);
	gateway_end(s);

	s = gateway_with("{interface: eth1}");
	s->full_disk = true;
	egress_refresh(&s->egress, &s->site);
	assert_false(kernel.gro[0]);
	gateway_end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_waits),
		cmocka_unit_test(an_interfaces_own_addresses),
		cmocka_unit_test(an_address_goes_and_comes),
		cmocka_unit_test(the_kernel_takes_another_source),
		cmocka_unit_test(a_configured_address_is_waited_for),
		cmocka_unit_test(ids_of_the_run_before),
		cmocka_unit_test(all_ids_are_given_away),
		cmocka_unit_test(what_the_kernel_did_not_tell_stays),
		cmocka_unit_test(an_interface_that_is_gone),
		cmocka_unit_test(what_the_world_sees),
		cmocka_unit_test(answers_come_by_relatives),
		cmocka_unit_test(offloads_are_written_down_before_they_are_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

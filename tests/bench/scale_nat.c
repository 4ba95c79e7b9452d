/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scale_nat [JSON]
 *
 * How the number of flows is felt: by each packet, in memory, by the search for a port,
 * and while a million of them expire. All flows are made by packets through the real
 * program. 250 clients share them, so that no quota is in the way.
 */
#include <pthread.h>

#include "scale.h"

#define POPULATION 250
#define MILLION	   1000000u
#define ENDPOINTS  40000u /* of UDP: each talks to MILLION / ENDPOINTS remotes */
#define REMOTES	   4000u  /* of TCP */
#define SAMPLE	   20000u
#define SLOTS	   (1u << 20)
#define BUSY	   0x0aff0001u /* the remote that very many connections go to */

/* ---- flows --------------------------------------------------------------------------- */

/* Every client may reach every port of 10.0.0.0/8. */
static void open_policy(struct scratch *s)
{
	struct client_class classes[POPULATION + 1] = {};
	struct acl_rule rules[] = {
		rule_of(IPPROTO_ICMP, 0, 65535, VERDICT_ACCEPT, 1),
		rule_of(IPPROTO_TCP, 0, 65535, VERDICT_ACCEPT, 1),
		rule_of(IPPROTO_UDP, 0, 65535, VERDICT_ACCEPT, 1),
	};
	struct maps_acl acl = {1, prefix_of("10.0.0.0/8"), 0, N(rules), ACL_ACCEPTS};
	struct maps_route route = {acl.dst, {ROUTE_POOL_OF_CLIENT, 0}};
	struct maps_policy p = {.classes = classes,
				.n_classes = POPULATION + 1,
				.acl = &acl,
				.n_acl = 1,
				.rules = rules,
				.n_rules = N(rules),
				.routes = &route,
				.n_routes = 1};
	char *error = NULL;

	for (int i = 1; i <= POPULATION; i++)
		classes[i].class = 1;
	if (maps_policy_apply(s->m, &p, NULL, &error))
		die("%s", error);
}

static struct shape flow_shape(uint8_t proto, unsigned i, uint32_t *client)
{
	unsigned endpoint = proto == IPPROTO_UDP ? i % ENDPOINTS : i;
	unsigned remote = proto == IPPROTO_UDP ? i / ENDPOINTS : i % REMOTES;

	*client = 1 + endpoint % POPULATION;
	return (struct shape){
		.proto = proto,
		.src = addr_from_v4(htonl(0x64400100 + *client)),
		.dst = addr_from_v4(htonl(0x0a000001 + remote)),
		.sport = (uint16_t)(1024 + endpoint / POPULATION),
		.dport = 443,
		.flags = TH_SYN,
		.payload = 10,
	};
}

static void flow_packet(struct packed *p, uint8_t proto, unsigned i)
{
	uint32_t client;
	struct shape shape = flow_shape(proto, i, &client);

	packed_build(p, &shape, client);
}

/* The answer to a packet as it left. */
static void answer_packet(struct packed *p, const struct packed *sent, uint8_t proto, unsigned i)
{
	uint32_t client;
	struct shape shape = flow_shape(proto, i, &client);
	struct ran ran = {.out = {.len = sent->len}};

	memcpy(ran.out.b, sent->b, sent->len);
	ran.out.l3 = ETH_HLEN;
	ran.out.l4 = ETH_HLEN + 20;
	ran.out.proto = proto;
	shape = answer_to(&shape, &ran);
	packed_build(p, &shape, 0);
}

static struct costs open_flows(struct scratch *s, uint8_t proto, unsigned first, unsigned end)
{
	int program = maps_program(s->m, PROGRAM_TAP_IN);
	struct costs c = {};
	struct packed p;

	for (unsigned i = first; i < end; i++) {
		flow_packet(&p, proto, i);
		push_one(program, &p, REDIRECT, &c, NULL);
		if (i % 1024 == 0)
			ring_buffer__consume(s->notices);
	}
	if (c.other)
		die("%lu of %u flows were refused", (unsigned long)c.other, end - first);
	return c;
}

/* ---- memory ------------------------------------------------------------------------------ */

struct memory {
	size_t flows, index, slots, pairs;
};

static struct memory memory_of(const struct scratch *s)
{
	return (struct memory){
		.flows = map_bytes(s->m->skel->maps.flows),
		.index = map_bytes(s->m->skel->maps.flow_index),
		.slots = map_bytes(s->m->skel->maps.free_slots),
		.pairs = map_bytes(s->m->skel->maps.pairs),
	};
}

static void memory_row(struct sheet *sheet, const struct scratch *s, const char *name, unsigned n)
{
	struct memory m = memory_of(s);
	size_t all = m.flows + m.index + m.slots + m.pairs;
	double share = (double)maps_flows_used(s->m) / maps_flows_max(s->m) / n; /* of what is allocated at once */

	table_add(&sheet->table, name);
	table_addf(&sheet->table, "%.2f", (double)maps_flows_used(s->m) / n);
	table_addf(&sheet->table, "%.0f", (double)m.flows * share);
	table_addf(&sheet->table, "%.0f", (double)(m.index + m.slots) * share);
	table_addf(&sheet->table, "%.0f", (double)m.pairs / n);
	table_addf(&sheet->table, "%.0f", (double)(m.flows + m.index + m.slots) * share + (double)m.pairs / n);
	table_addf(&sheet->table, "%.0f", mib(all));
}

/* ---- each packet --------------------------------------------------------------------------- */

/* ns for packets of @n flows there are, drawn at random (@hot: always the same few), out or back in. */
static double established(struct scratch *s, uint8_t proto, unsigned n, bool hot, bool in)
{
	int tap = maps_program(s->m, PROGRAM_TAP_IN), nic = maps_program(s->m, PROGRAM_NIC_IN);
	struct packed *list = mem_alloc(SAMPLE, sizeof(*list)), sent;
	struct rng rng = {n + 1};
	struct costs c = {};

	for (unsigned i = 0; i < SAMPLE; i++) {
		unsigned flow = rng_below(&rng, hot && n > 1000 ? 1000 : n);

		flow_packet(&list[i], proto, flow);
		if (!in)
			continue;
		push_one(tap, &list[i], REDIRECT, &c, &sent);
		answer_packet(&list[i], &sent, proto, flow);
	}
	c = push_all(in ? nic : tap, list, SAMPLE, REDIRECT);
	if (c.other)
		die("%lu packets of flows were dropped", (unsigned long)c.other);
	free(list);
	return mean(&c);
}

static void bench_proto(uint8_t proto, struct sheet *packets, struct sheet *memory)
{
	static const unsigned sizes[] = {1000, 100000, MILLION};
	struct scratch *s = gateway_open(SLOTS, true);
	const char *name = proto == IPPROTO_TCP ? "TCP" : "UDP";
	double base[4], now[4];
	unsigned have = 0;

	open_policy(s);
	for (size_t i = 0; i < N(sizes); i++) {
		struct costs c = open_flows(s, proto, have, sizes[i]);

		have = sizes[i];
		for (int k = 0; k < 4; k++)
			now[k] = established(s, proto, have, k & 1, k & 2);
		if (!i)
			memcpy(base, now, sizeof(base));
		table_add(&packets->table, name);
		table_addf(&packets->table, "%u", have);
		table_addf(&packets->table, "%.0f", mean(&c));
		for (int k = 0; k < 4; k++) {
			table_addf(&packets->table, "%.0f", now[k]);
			table_addf(&packets->table, "%.2f", now[k] / base[k]);
		}
	}
	memory_row(memory, s, proto == IPPROTO_TCP ? "TCP, 250 to a remote" : "UDP, 25 to an endpoint", have);
	gateway_close(s);
}

static void bench_packets(json_t *document)
{
	static const char *const heads[] = {"flows of", ">there are",	  ">to open one", ">out, any",
					    ">ratio",	">out, 1000 hot", ">ratio",	  ">in, any",
					    ">ratio",	">in, 1000 hot",  ">ratio",	  NULL};
	static const char *const memory_heads[] = {"flows of",	    ">slots a flow",	">flow", ">index", ">pairs",
						   ">bytes a flow", ">MiB of all maps", NULL};
	struct sheet packets = sheet_begin(
		"NAT: ns in the program, for a packet of any or of a few of the flows (target: at most 1.3)", heads);
	struct sheet memory = sheet_begin("NAT: memory of 1,000,000 flows (target: at most 450 bytes)", memory_heads);

	bench_proto(IPPROTO_TCP, &packets, &memory);
	bench_proto(IPPROTO_UDP, &packets, &memory);
	sheet_end(&packets, document);
	sheet_end(&memory, document);
}

/* ---- ports ----------------------------------------------------------------------------------- */

/* The @i-th connection to the one remote. */
static void pair_packet(struct packed *p, unsigned i)
{
	uint32_t client = 1 + i % POPULATION;
	struct shape shape = {
		.proto = IPPROTO_TCP,
		.src = addr_from_v4(htonl(0x64400100 + client)),
		.dst = addr_from_v4(htonl(BUSY)),
		.sport = (uint16_t)(1024 + i / POPULATION),
		.dport = 443,
		.flags = TH_SYN,
	};

	packed_build(p, &shape, client);
}

static struct costs open_to_one(struct scratch *s, unsigned first, unsigned end, int verdict)
{
	struct costs c = {};
	struct packed p;

	for (unsigned i = first; i < end; i++) {
		pair_packet(&p, i);
		push_one(maps_program(s->m, PROGRAM_TAP_IN), &p, verdict, &c, NULL);
		if (i % 1024 == 0)
			ring_buffer__consume(s->notices);
	}
	return c;
}

static void bench_ports(json_t *document)
{
	static const char *const heads[] = {">taken", ">mean ns", ">ratio", ">worst ns", ">unlike", NULL};
	static const double shares[] = {0, 0.5, 0.9, 0.99, 0.999};
	struct sheet sheet =
		sheet_begin("NAT: to open one more connection to a remote, by ports taken of 64,511", heads);
	struct scratch *s = gateway_open(100000, true);
	unsigned have = 0, sample = 60;
	struct costs c;
	double base = 0;

	open_policy(s);
	for (size_t i = 0; i < N(shares); i++) {
		open_to_one(s, have, (unsigned)(shares[i] * PORTS), REDIRECT);
		have = (unsigned)(shares[i] * PORTS) + sample;
		c = open_to_one(s, have - sample, have, REDIRECT);
		base = base > 0 ? base : mean(&c);
		table_addf(&sheet.table, "%.1f%%", shares[i] * 100);
		table_addf(&sheet.table, "%.0f", mean(&c));
		table_addf(&sheet.table, "%.1f", mean(&c) / base);
		table_addf(&sheet.table, "%lu", (unsigned long)c.worst);
		table_addf(&sheet.table, "%lu", (unsigned long)c.other);
	}
	open_to_one(s, have, PORTS, REDIRECT);
	c = open_to_one(s, PORTS, PORTS + 10000, SHOT);
	table_add(&sheet.table, "100%: refused");
	table_addf(&sheet.table, "%.0f", mean(&c));
	table_addf(&sheet.table, "%.1f", mean(&c) / base);
	table_addf(&sheet.table, "%lu", (unsigned long)c.worst);
	table_addf(&sheet.table, "%lu", (unsigned long)c.other);
	gateway_close(s);
	sheet_end(&sheet, document);
}

/* ---- expiry ------------------------------------------------------------------------------------ */

#define PACE	       200000 /* ns between packets of the flow that goes on */
#define EXPIRY_ROUNDS  6
#define EXPIRY_SECONDS 6 /* as long as an expiry takes */

struct witness { /* a flow that goes on, on a core of its own */
	pthread_t thread;
	int core, program;
	struct packed packet;
	const bool *stop;
	uint64_t packets, lost, worst; /* ns from packet to packet */
};

static void *watch(void *arg)
{
	struct sched_param param = {.sched_priority = 10};
	struct witness *w = arg;
	struct costs c = {};
	uint64_t last, now;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(w->core, &set);
	sched_setaffinity(0, sizeof(set), &set);
	sched_setscheduler(0, SCHED_FIFO, &param); /* other programs of the machine are not what is measured */
	last = now_ns();
	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, PACE}, NULL);
		push_one(w->program, &w->packet, REDIRECT, &c, NULL);
		now = now_ns();
		w->worst = now - last > w->worst ? now - last : w->worst;
		last = now;
	}
	w->packets = c.n;
	w->lost = c.other;
	return NULL;
}

/* Waits until but @left slots are in use, at most @patience seconds, with a witness on each core. */
static double wait_watched(struct scratch *s, struct witness w[2], uint32_t left, double patience)
{
	uint64_t began = now_ns();
	bool stop = false;
	double took;

	for (int i = 0; i < 2; i++) {
		w[i] = (struct witness){.core = i, .program = maps_program(s->m, PROGRAM_TAP_IN), .stop = &stop};
		pair_packet(&w[i].packet, (unsigned)i);
		pthread_create(&w[i].thread, NULL, watch, &w[i]);
	}
	while ((!left || maps_flows_used(s->m) > left) && seconds_since(began) < patience)
		usleep(20000);
	took = seconds_since(began);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
	return took;
}

static void watched_row(struct sheet *sheet, const char *name, const struct witness w[2], double took, uint32_t left)
{
	table_add(&sheet->table, name);
	table_addf(&sheet->table, "%.1f", took);
	table_addf(&sheet->table, "%u", left);
	for (int i = 0; i < 2; i++) {
		table_addf(&sheet->table, "%.2f", (double)w[i].worst / 1e6);
		table_addf(&sheet->table, "%lu", (unsigned long)w[i].lost);
	}
}

/* All but the witnesses' flows end at once: as old as they need to be, which is written into their slots. */
static void expire_now(struct scratch *s)
{
	uint64_t soon = now_ns();
	uint32_t n;

	maps_flows(s->m, &n);
	for (uint32_t i = 1; i < n; i++)
		if (s->m->flows[i].out.dst.w[3] != htonl(BUSY))
			s->m->flows[i].expires = soon;
}

/* The machine's own pauses are as long as what is looked for: so in turn with and without, several times. */
static void expiry_round(struct scratch *s, uint8_t proto, struct sheet *sheet)
{
	const char *name = proto == IPPROTO_UDP ? "UDP" : "TCP";
	struct witness w[2];
	char *text;
	double took;

	open_flows(s, proto, 0, MILLION);
	took = wait_watched(s, w, 0, EXPIRY_SECONDS);
	text = mem_printf("1,000,000 %s flows live", name);
	watched_row(sheet, text, w, took, maps_flows_used(s->m));
	free(text);
	expire_now(s);
	took = wait_watched(s, w, 2, 30);
	watched_row(sheet, "they expire", w, took, maps_flows_used(s->m));
}

static void bench_expiry(json_t *document)
{
	static const char *const heads[] = {
		"meanwhile", ">seconds", ">slots left", ">core 0: worst gap ms", ">lost", ">core 1: worst gap ms",
		">lost",     NULL};
	struct sheet sheet =
		sheet_begin("NAT: a packet each 0.2 ms while 1,000,000 flows expire (target: gaps under 5 ms)", heads);

	for (int i = 0; i < EXPIRY_ROUNDS; i++) {
		struct scratch *s = gateway_open(SLOTS, false);

		open_policy(s);
		open_to_one(s, 0, 2, REDIRECT);
		expiry_round(s, i % 2 ? IPPROTO_UDP : IPPROTO_TCP, &sheet);
		gateway_close(s);
	}
	sheet_end(&sheet, document);
}

int main(int argc, char **argv)
{
	json_t *document = json_object();

	stay_here();
	bench_packets(document);
	bench_ports(document);
	bench_expiry(document);
	sheets_save(document, argc, argv);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scale_policy [JSON]
 *
 * How a policy's size is felt: when it is compiled and swapped in, and by each packet.
 *
 *	POPULATION clients in POPULATION / 10 groups, a rule of its own for every group and
 *	service; the services stand in 10.0.0.0/8, and some rules are everybody's. The
 *	small policy lets the same clients reach the same services by ten wide rules, so
 *	the packets are the same, too.
 */
#include "scale.h"
#include "user/config/config.h"
#include "user/ruleset/ruleset.h"

#define POPULATION 10000
#define PACKETS	   50000
#define ROUNDS	   5
#define SHARED	   10 /* rules for everybody, of both policies */
#define FLOWS	   (PACKETS + 1000)

static double ms(uint64_t began)
{
	return seconds_since(began) * 1000;
}

/* ---- texts ------------------------------------------------------------------------------ */

struct size {
	unsigned clients, groups, rules;
};

/* The service of a rule. */
static uint32_t service(unsigned rule)
{
	return 0x0a000000 | (rule % 10) << 20 | rule << 2;
}

static char *addr4(uint32_t a, char *text)
{
	sprintf(text, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	return text;
}

static uint32_t client_addr(unsigned client)
{
	return 0x64400100 + client;
}

/* A public key that is only different from the others'. */
static void put_key(FILE *f, unsigned n)
{
	fprintf(f, "AAAAAAAA%08uAAAAAAAAAAAAAAAAAAAAAAAAAAA=", n);
}

static char *gateway_text(const struct size *s)
{
	char *text, a[16];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs("version: 1\ntunnel: {addresses: [100.64.0.1/10]}\nroutes: [10.0.0.0/8, 192.168.0.0/16]\nclients:\n", f);
	for (unsigned i = 0; i < s->clients; i++) {
		fprintf(f, "- {name: c%u, user: u%u@example.com, addresses: [%s], public_key: ", i, i,
			addr4(client_addr(i), a));
		put_key(f, i);
		fputs("}\n", f);
	}
	fclose(f);
	return text;
}

static void put_groups(FILE *f, const struct size *s)
{
	unsigned each = s->clients / s->groups;

	fputs("groups:\n", f);
	for (unsigned g = 0; g < s->groups; g++) {
		fprintf(f, "  group:g%u: [", g);
		for (unsigned i = 0; i < each; i++)
			fprintf(f, "%su%u@example.com", i ? ", " : "", g * each + i);
		fputs("]\n", f);
	}
}

static char *large_text(const struct size *s)
{
	char *text, a[16];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	put_groups(f, s);
	fputs("acls:\n", f);
	for (unsigned r = 0; r < s->rules - SHARED; r++)
		fprintf(f, "- {action: accept, src: [group:g%u], dst: ['%s:443,8000-8999']}\n", r % s->groups,
			addr4(service(r), a));
	for (unsigned r = 0; r < SHARED; r++)
		fprintf(f, "- {action: accept, src: ['*'], dst: ['192.168.%u.0/24:53']}\n", r);
	fputs("blocklists: [{name: drop, file: drop.txt}]\n", f);
	fclose(f);
	return text;
}

static char *small_text(void)
{
	char *text, a[16];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs("acls:\n", f);
	for (unsigned r = 0; r < SHARED; r++)
		fprintf(f, "- {action: accept, src: ['*'], dst: ['%s/12:443,8000-8999']}\n",
			addr4(0x0a000000 | r << 20, a));
	fclose(f);
	return text;
}

/* ---- compile and swap ----------------------------------------------------------------------- */

struct compiled {
	double build, swap, cpu; /* ms; CPU of both */
	size_t peak;
	size_t entries, classes;
};

/* Text to maps, as the gateway does it; ids are 1, 2, ... */
static struct compiled compile(struct scratch *s, const struct config *config, const char *text, const char *folder)
{
	struct ruleset_source source = {"p.yaml", text, strlen(text), folder, NULL, 0, false, NULL};
	struct ruleset_place place = {.config = config};
	uint32_t *ids = mem_alloc(config->n_clients, sizeof(*ids));
	struct compiled c = {};
	struct diags d = {};
	char *error = NULL;
	struct ruleset *r;
	uint64_t began;
	double cpu;

	for (size_t i = 0; i < config->n_clients; i++)
		ids[i] = (uint32_t)i + 1;
	peak_reset();
	cpu = cpu_ns();
	began = now_ns();
	r = ruleset_build(&place, &source, &d);
	c.build = ms(began);
	if (!r) {
		diags_print(&d, stderr, true);
		die("the policy is not sound");
	}
	began = now_ns();
	if (ruleset_apply(r, config, ids, true, s->m, NULL, &error))
		die("%s", error);
	c.swap = ms(began);
	c.cpu = (cpu_ns() - cpu) / 1e6;
	c.peak = peak_rss();
	c.entries = r->reach.t->n_entries;
	c.classes = r->reach.t->n_classes;
	ruleset_free(r);
	diags_free(&d);
	free(ids);
	return c;
}

static struct config *read_config(const struct size *size)
{
	char *text = gateway_text(size);
	struct diags d = {};
	struct config *config = config_parse(doc_parse("gateway.yaml", text, strlen(text), DOC_YAML, &d), "host", &d);

	if (d.errors) {
		diags_print(&d, stderr, true);
		die("the configuration is not sound");
	}
	diags_free(&d);
	free(text);
	return config;
}

/* What ten lists of rules cost, each size of the policy three times: the median. */
static void bench_compile(struct scratch *s, json_t *document, const char *folder)
{
	static const char *const heads[] = {">clients", ">groups",  ">rules",  ">classes", ">destinations", ">build ms",
					    ">swap ms", ">both ms", ">CPU ms", ">growth",  ">peak MiB",	    NULL};
	static const struct size sizes[] = {{1000, 100, 1000}, {3000, 300, 3000}, {POPULATION, POPULATION / 10, 10000}};
	struct sheet sheet = sheet_begin("policy: compile and swap (target: 10,000 rules under 2,000 ms)", heads);
	double before = 0;

	for (size_t i = 0; i < N(sizes); i++) {
		struct config *config = read_config(&sizes[i]);
		char *text = large_text(&sizes[i]);
		double build[3], swap[3], both;
		struct compiled c;

		for (int k = 0; k < 3; k++) {
			c = compile(s, config, text, folder);
			build[k] = c.build;
			swap[k] = c.swap;
		}
		both = median(build, 3) + median(swap, 3);
		table_addf(&sheet.table, "%u", sizes[i].clients);
		table_addf(&sheet.table, "%u", sizes[i].groups);
		table_addf(&sheet.table, "%u", sizes[i].rules);
		table_addf(&sheet.table, "%zu", c.classes);
		table_addf(&sheet.table, "%zu", c.entries);
		table_addf(&sheet.table, "%.0f", median(build, 3));
		table_addf(&sheet.table, "%.0f", median(swap, 3));
		table_addf(&sheet.table, "%.0f", both);
		table_addf(&sheet.table, "%.0f", c.cpu);
		if (i)
			table_addf(&sheet.table, "n^%.2f", growth(sizes[i - 1].rules, before, sizes[i].rules, both));
		else
			table_add(&sheet.table, NULL);
		table_addf(&sheet.table, "%.0f", mib(c.peak));
		before = both;
		free(text);
		config_free(config);
	}
	sheet_end(&sheet, document);
}

/* ---- block lists ------------------------------------------------------------------------------- */

enum list { LIST_HOSTS, LIST_MIXED, LIST_V6 };

static const char *const list_names[] = {"IPv4 hosts", "IPv4 hosts to /16s", "IPv6 /48 to /64"};

/* One prefix a line; outside 10.0.0.0/8, so that the services stay open. */
static void write_list(const char *folder, enum list kind, unsigned n)
{
	static const unsigned lens[] = {32, 32, 32, 32, 30, 28, 24, 24, 22, 20};
	struct rng rng = {kind + 1};
	char *path = mem_printf("%s/drop.txt", folder), a[16];
	FILE *f = fopen(path, "w");

	if (!f)
		die("%s: %s", path, strerror(errno));
	for (unsigned i = 0; i < n; i++) {
		uint32_t r = rng_next(&rng), len = kind == LIST_MIXED ? lens[rng_below(&rng, N(lens))] : 32;

		r = r >> 24 == 10 || r >> 24 == 192 ? r ^ 0x80000000 : r;
		if (kind == LIST_V6)
			fprintf(f, "2001:%x:%x:%x::/%u\n", r >> 16, r & 0xffff, i % 3 ? rng_next(&rng) >> 16 : 0,
				i % 3 ? 64 : 48);
		else
			fprintf(f, "%s/%u\n", addr4(len == 32 ? r : r & ~0u << (32 - len), a), len);
	}
	fclose(f);
	free(path);
}

static void bench_lists(struct scratch *s, json_t *document, const char *folder)
{
	static const char *const heads[] = {"list",    ">prefixes", ">read ms",	 ">swap ms", ">both ms",
					    ">CPU ms", ">growth",   ">peak MiB", NULL};
	static const char policy[] = "blocklists: [{name: drop, file: drop.txt}]\nacls: []\n";
	static const unsigned sizes[] = {100000, 1000000};
	struct sheet sheet =
		sheet_begin("block lists: read, compile and swap (target: 1,000,000 under 6,000 ms and 1 GiB)", heads);
	struct config *config = read_config(&(struct size){10, 1, 10});

	for (int kind = 0; kind <= LIST_V6; kind++) {
		double before = 0;

		for (size_t i = 0; i < N(sizes); i++) {
			struct compiled c;

			write_list(folder, kind, sizes[i]);
			c = compile(s, config, policy, folder);
			table_addf(&sheet.table, "%s", list_names[kind]);
			table_addf(&sheet.table, "%u", sizes[i]);
			table_addf(&sheet.table, "%.0f", c.build);
			table_addf(&sheet.table, "%.0f", c.swap);
			table_addf(&sheet.table, "%.0f", c.build + c.swap);
			table_addf(&sheet.table, "%.0f", c.cpu);
			if (i)
				table_addf(&sheet.table, "n^%.2f",
					   growth(sizes[0], before, sizes[1], c.build + c.swap));
			else
				table_add(&sheet.table, NULL);
			table_addf(&sheet.table, "%.0f", mib(c.peak));
			before = c.build + c.swap;
		}
	}
	config_free(config);
	sheet_end(&sheet, document);
}

/* ---- packets -------------------------------------------------------------------------------------- */

struct load {
	struct packed *allowed, *refused;
};

/* The @i-th packet: a client to a service of its group, or to a port that no rule names. */
static void build_packet(struct packed *p, unsigned i, bool refused)
{
	unsigned rule = i * 7919u % (POPULATION - SHARED), member = i / 1000 % 10;
	unsigned client = rule % (POPULATION / 10) * 10 + member;
	struct shape shape = {
		.proto = IPPROTO_TCP,
		.src = addr_from_v4(htonl(client_addr(client))),
		.dst = addr_from_v4(htonl(service(rule))),
		.sport = (uint16_t)(1024 + i),
		.dport = refused ? 25 : 443,
		.flags = TH_SYN,
	};

	packed_build(p, &shape, client + 1);
}

static struct load load_make(void)
{
	struct load l = {mem_alloc(PACKETS, sizeof(struct packed)), mem_alloc(PACKETS, sizeof(struct packed))};

	for (unsigned i = 0; i < PACKETS; i++) {
		build_packet(&l.allowed[i], i, false);
		build_packet(&l.refused[i], i, true);
	}
	return l;
}

struct felt { /* ns a packet */
	double opened, established, refused;
};

static struct felt feel(struct scratch *s, const struct load *l)
{
	int program = maps_program(s->m, PROGRAM_TAP_IN);
	double opened[ROUNDS], established[ROUNDS], refused[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		struct costs c = push_all(program, l->allowed, PACKETS, REDIRECT);

		opened[i] = mean(&c);
		if (c.other)
			die("%lu of %d packets were refused", (unsigned long)c.other, PACKETS);
		c = push_all(program, l->allowed, PACKETS, REDIRECT);
		established[i] = mean(&c);
		c = push_all(program, l->refused, PACKETS, SHOT);
		refused[i] = mean(&c);
		if (c.other)
			die("%lu of %d packets passed", (unsigned long)c.other, PACKETS);
		empty_table(s);
	}
	return (struct felt){median(opened, ROUNDS), median(established, ROUNDS), median(refused, ROUNDS)};
}

static void felt_row(struct sheet *sheet, const char *name, const struct felt *f, const struct felt *base)
{
	table_addf(&sheet->table, "%s", name);
	table_addf(&sheet->table, "%.0f", f->opened);
	table_addf(&sheet->table, "%.2f", f->opened / base->opened);
	table_addf(&sheet->table, "%.0f", f->established);
	table_addf(&sheet->table, "%.2f", f->established / base->established);
	table_addf(&sheet->table, "%.0f", f->refused);
	table_addf(&sheet->table, "%.2f", f->refused / base->refused);
}

static void bench_packets(struct scratch *s, json_t *document, const char *folder)
{
	static const char *const heads[] = {"policy",	 ">new flow ns", ">of small", ">established ns",
					    ">of small", ">refused ns",	 ">of small", NULL};
	static const struct size size = {POPULATION, POPULATION / 10, 10000};
	static const struct {
		const char *name;
		unsigned blocked;
		enum list kind;
	} cases[] = {
		{"10,000 rules", 0, 0},
		{"10,000 rules, 100,000 IPv4 blocked", 100000, LIST_MIXED},
		{"10,000 rules, 1,000,000 IPv4 blocked", 1000000, LIST_MIXED},
		{"10,000 rules, 1,000,000 IPv6 blocked", 1000000, LIST_V6},
	};
	struct sheet sheet =
		sheet_begin("policy: each packet (target: new flows at most 1.5, established the same)", heads);
	struct config *config = read_config(&size);
	char *small = small_text(), *large = large_text(&size);
	struct load load = load_make();
	struct felt base, felt;

	compile(s, config, small, folder);
	base = feel(s, &load);
	felt_row(&sheet, "10 rules", &base, &base);
	for (size_t i = 0; i < N(cases); i++) {
		write_list(folder, cases[i].kind, cases[i].blocked);
		compile(s, config, large, folder);
		felt = feel(s, &load);
		felt_row(&sheet, cases[i].name, &felt, &base);
	}
	free(load.allowed);
	free(load.refused);
	free(small);
	free(large);
	config_free(config);
	sheet_end(&sheet, document);
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/sluice-bench-XXXXXX", path[64];
	json_t *document = json_object();
	struct scratch *s;

	if (!mkdtemp(folder))
		die("%s: %s", folder, strerror(errno));
	stay_here();
	s = gateway_open(FLOWS, true);
	write_list(folder, LIST_HOSTS, 0);
	bench_compile(s, document, folder);
	bench_packets(s, document, folder);
	bench_lists(s, document, folder);
	gateway_close(s);
	snprintf(path, sizeof(path), "%s/drop.txt", folder);
	unlink(path);
	rmdir(folder);
	sheets_save(document, argc, argv);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing the policy under running programs. The new tables are built and frozen
 * aside, hung into the slot that no program reads, and one word makes them live. The
 * old ones go when no program can be reading them any more: an update of a map of maps
 * waits for that (the kernel's maybe_wait_bpf_programs()), an array's write does not.
 */
#include "maps_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GENERATION_MAX 0x3fffffffu

static uint64_t word_of(const struct maps *m)
{
	uint32_t zero = 0;
	uint64_t word = 0;

	bpf_map_lookup_elem(bpf_map__fd(m->skel->maps.policy), &zero, &word);
	return word;
}

static int write_word(struct maps *m, uint64_t word)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(m->skel->maps.policy), &zero, &word, BPF_ANY);
}

static uint32_t next_generation(uint64_t word)
{
	uint32_t g = POLICY_GENERATION(word);

	return g >= GENERATION_MAX ? 1 : g + 1; /* 0: no policy was ever applied */
}

uint32_t maps_generation(const struct maps *m)
{
	return POLICY_GENERATION(word_of(m));
}

/* ---- one table --------------------------------------------------------------- */

struct table { /* a new inner map */
	enum maps_table which;
	const void *keys, *values;
	uint32_t n;
	uint32_t slot; /* that no program reads */
	int fd;
};

static const char *table_name(const struct maps *m, const struct table *t)
{
	return bpf_map__name(m->tables[t->which].outer);
}

/* An inner map like the template, types and all: before Linux 6.2 the outer one takes no other. */
static int table_create(struct maps *m, struct table *t)
{
	const struct maps_template *like = &m->tables[t->which];
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = like->flags,
		    .btf_fd = (uint32_t)bpf_object__btf_fd(m->skel->obj), .btf_key_type_id = like->btf_key,
		    .btf_value_type_id = like->btf_value);

	t->fd = bpf_map_create(like->type, bpf_map__name(like->outer), like->key_size, like->value_size,
			       t->n ? t->n : 1, &opts);
	return t->fd < 0 ? t->fd : 0;
}

static int table_fill(const struct table *t)
{
	uint32_t done = t->n;
	int err;

	if (!t->n)
		return 0;
	err = bpf_map_update_batch(t->fd, t->keys, t->values, &done, NULL);
	return err < 0 ? err : 0;
}

static int table_build(struct maps *m, struct table *t, char **error)
{
	const char *name = table_name(m, t);
	int err = table_create(m, t);

	if (err)
		return maps_fail(error, err, "the kernel gives no room for %u entries of table %s: %s", t->n, name,
				 strerror(-err));
	err = table_fill(t);
	if (err)
		return maps_fail(error, err, "table %s with %u entries: %s", name, t->n, strerror(-err));
	err = bpf_map_freeze(t->fd);
	return err ? maps_fail(error, err, "table %s cannot be frozen: %s", name, strerror(-err)) : 0;
}

static int outer_fd(const struct maps *m, const struct table *t)
{
	return bpf_map__fd(m->tables[t->which].outer);
}

static int hang(const struct maps *m, const struct table *t)
{
	return bpf_map_update_elem(outer_fd(m, t), &t->slot, &t->fd, BPF_ANY);
}

/* Drops the new tables, or the ones that they replace. */
static void maps_policy_drop(const struct maps *m, const struct table *tables, size_t n, bool new)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t slot = new ? tables[i].slot : !tables[i].slot;

		bpf_map_delete_elem(outer_fd(m, &tables[i]), &slot);
	}
}

static void close_table(struct table *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

#define POLICY_TABLES 4
#define BLOCK_TABLES  3

/* A policy that hangs in the slots that no program reads, until the word says so. */
struct maps_swap {
	struct table table[POLICY_TABLES + BLOCK_TABLES];
	size_t n;
	uint64_t from, to; /* words */
	bool live;
};

static int hang_all(struct maps *m, struct maps_swap *s, char **error)
{
	for (size_t i = 0; i < s->n; i++) {
		int err = hang(m, &s->table[i]);

		if (err)
			return maps_fail(error, err, "table %s cannot be put in place: %s", table_name(m, &s->table[i]),
					 strerror(-err));
	}
	return 0;
}

int maps_swap_do(struct maps *m, struct maps_swap *s, uint32_t *generation, char **error)
{
	int err;

	if (word_of(m) != s->from)
		return maps_fail(error, -ESTALE, "another policy was put into the maps meanwhile");
	err = write_word(m, s->to);
	if (err)
		return maps_fail(error, err, "the policy cannot be switched: %s", strerror(-err));
	s->live = true;
	if (generation)
		*generation = POLICY_GENERATION(s->to);
	return 0;
}

void maps_swap_end(struct maps *m, struct maps_swap *s)
{
	if (!s)
		return;
	if (s->live)
		hang(m, &s->table[0]); /* nothing changes, but it waits */
	maps_policy_drop(m, s->table, s->n, !s->live);
	for (size_t i = 0; i < s->n; i++)
		close_table(&s->table[i]);
	free(s);
}

/* Hangs built tables into their slots, writes @word, and empties the old slots once no program looks there. */
static int swap(struct maps *m, struct maps_swap *s, uint32_t *generation, char **error)
{
	int err = hang_all(m, s, error);

	err = err ?: maps_swap_do(m, s, generation, error);
	maps_swap_end(m, s);
	return err;
}

/* ---- the policy ---------------------------------------------------------------- */

/*
 * The trie knows numbers, not families: an IPv6 prefix as short as ::/0 holds the
 * mapped IPv4 addresses too. Where there is one, an entry of their own takes them out.
 */
static const struct prefix all_of_v4 = {.addr = {.b = {[10] = 0xff, 0xff}}, .len = ADDR_V4_BITS};

static bool holds_v4(const struct prefix *p)
{
	unsigned bytes = p->len / 8, bits = p->len % 8;

	return p->len < ADDR_V4_BITS && !memcmp(&p->addr, &all_of_v4.addr, bytes) &&
	       !((p->addr.b[bytes] ^ all_of_v4.addr.b[bytes]) & (0xff00 >> bits & 0xff));
}

static bool is_all_of_v4(const struct prefix *p)
{
	return p->len == all_of_v4.len && !memcmp(&p->addr, &all_of_v4.addr, sizeof(p->addr));
}

struct columns { /* the tables' keys and values, as the kernel takes them */
	uint32_t *class_keys, *rule_keys;
	struct acl_key *acl_keys;
	struct acl_entry *acl_values;
	struct route_key *route_keys;
	struct route *route_values;
	uint32_t n_routes;
};

static void columns_free(struct columns *c)
{
	free(c->class_keys);
	free(c->rule_keys);
	free(c->acl_keys);
	free(c->acl_values);
	free(c->route_keys);
	free(c->route_values);
}

static uint32_t *numbers(size_t n)
{
	uint32_t *v = calloc(n + 1, sizeof(*v));

	for (size_t i = 0; v && i < n; i++)
		v[i] = (uint32_t)i;
	return v;
}

static bool columns_alloc(struct columns *c, const struct maps_policy *p)
{
	c->class_keys = numbers(p->n_classes);
	c->rule_keys = numbers(p->n_rules);
	c->acl_keys = calloc(p->n_acl + 1, sizeof(*c->acl_keys));
	c->acl_values = calloc(p->n_acl + 1, sizeof(*c->acl_values));
	c->route_keys = calloc(p->n_routes + 1, sizeof(*c->route_keys)); /* one more: all_of_v4 */
	c->route_values = calloc(p->n_routes + 1, sizeof(*c->route_values));
	return c->class_keys && c->rule_keys && c->acl_keys && c->acl_values && c->route_keys && c->route_values;
}

static void columns_fill(struct columns *c, const struct maps_policy *p)
{
	bool held = false, named = false;

	for (size_t i = 0; i < p->n_acl; i++) {
		const struct maps_acl *a = &p->acl[i];

		c->acl_keys[i] = (struct acl_key){KEY_BITS + a->dst.len, htonl(a->class), a->dst.addr};
		c->acl_values[i] = (struct acl_entry){a->first, (uint16_t)a->count, a->flags};
	}
	for (size_t i = 0; i < p->n_routes; i++) {
		c->route_keys[i] = maps_key(&p->routes[i].prefix);
		c->route_values[i] = p->routes[i].route;
		held |= holds_v4(&p->routes[i].prefix);
		named |= is_all_of_v4(&p->routes[i].prefix);
	}
	c->n_routes = (uint32_t)p->n_routes;
	if (held && !named) {
		c->route_keys[c->n_routes] = maps_key(&all_of_v4);
		c->route_values[c->n_routes++] = (struct route){.id = ROUTE_NONE};
	}
}

/* Refuses, before anything is touched, tables that would not fit. */
static int policy_fits(const struct maps_policy *p, char **error)
{
	if (p->n_classes > MAX_CLIENTS)
		return maps_fail(error, -E2BIG, "the policy has %zu clients, %d fit", p->n_classes, MAX_CLIENTS);
	if (p->n_rules > UINT32_MAX || p->n_acl > INT32_MAX || p->n_routes > INT32_MAX)
		return maps_fail(error, -E2BIG, "the policy has more entries than can be numbered");
	for (size_t i = 0; i < p->n_acl; i++) {
		const struct maps_acl *a = &p->acl[i];

		if (a->count > UINT16_MAX)
			return maps_fail(error, -E2BIG, "a destination has %u port rules, %d fit", a->count,
					 UINT16_MAX);
		if ((uint64_t)a->first + a->count > p->n_rules || a->dst.len > 128)
			return maps_fail(error, -EINVAL, "acl entry %zu names rules that are not there", i);
	}
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].id >= MAX_RULES)
			return maps_fail(error, -E2BIG, "the policy has rule %u, %d fit", p->rules[i].id,
					 MAX_RULES - 1);
	return 0;
}

/* ---- block lists ---------------------------------------------------------------- */

/*
 * IPv4 is bits: of /24s in an array of /16s, and of the addresses of a /24 that is blocked
 * in part in a hash. IPv6 goes into a trie.
 */
#define HALVES (1u << 16)

struct blocks {
	uint32_t *half_keys;
	struct block16 *halves; /* HALVES of them */
	struct block24_key *nets;
	struct block24 *bits;
	struct route_key *keys;
	uint32_t *ones;
	size_t n_halves; /* 0: no IPv4 */
	size_t n_nets, n_keys;
};

static int maps_policy_by_addr(const void *a, const void *b)
{
	const struct prefix *x = *(const struct prefix *const *)a, *y = *(const struct prefix *const *)b;

	return memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

/* The bits from @first on that a prefix with @left more bits to go holds. */
static void set_bits(uint32_t bits[8], unsigned first, unsigned left)
{
	for (unsigned i = first; i < first + (1u << left); i++)
		bits[i >> 5] |= 1u << (i & 31);
}

/* @list is sorted, so addresses of one /24 follow each other. */
static void block_v4(struct blocks *b, const struct prefix *p)
{
	unsigned len = p->len - ADDR_V4_BITS, half = p->addr.b[12] << 8 | p->addr.b[13];
	struct block24_key net = {.net = p->addr.w[3] & htonl(0xffffff00)};

	b->n_halves = HALVES;
	for (unsigned i = half; len <= 16 && i < half + (HALVES >> len); i++)
		memset(b->halves[i].all, 0xff, sizeof(b->halves[i].all));
	if (len <= 16)
		return;
	if (len <= 24) {
		set_bits(b->halves[half].all, p->addr.b[14], 24 - len);
		return;
	}
	set_bits(b->halves[half].some, p->addr.b[14], 0);
	if (!b->n_nets || b->nets[b->n_nets - 1].net != net.net)
		b->nets[b->n_nets++] = net;
	set_bits(b->bits[b->n_nets - 1].bits, p->addr.b[15], 32 - len);
}

static void blocks_fill(struct blocks *b, const struct prefix **sorted, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_is_v4(sorted[i])) {
			block_v4(b, sorted[i]);
			continue;
		}
		b->ones[b->n_keys] = 1;
		b->keys[b->n_keys++] = maps_key(sorted[i]);
	}
}

static void blocks_free(struct blocks *b)
{
	free(b->half_keys);
	free(b->halves);
	free(b->nets);
	free(b->bits);
	free(b->keys);
	free(b->ones);
}

/* False: no memory. */
static bool blocks_make(struct blocks *b, const struct prefix *list, size_t n)
{
	const struct prefix **sorted = calloc(n + 1, sizeof(*sorted));
	bool ok;

	b->half_keys = numbers(HALVES);
	b->halves = calloc(HALVES, sizeof(*b->halves));
	b->nets = calloc(n + 1, sizeof(*b->nets));
	b->bits = calloc(n + 1, sizeof(*b->bits));
	b->keys = calloc(n + 1, sizeof(*b->keys));
	b->ones = calloc(n + 1, sizeof(*b->ones));
	ok = sorted && b->half_keys && b->halves && b->nets && b->bits && b->keys && b->ones;
	for (size_t i = 0; ok && i < n; i++)
		sorted[i] = &list[i];
	if (ok) {
		qsort(sorted, n, sizeof(*sorted), maps_policy_by_addr);
		blocks_fill(b, sorted, n);
	}
	free(sorted);
	return ok;
}

struct maps_blocked {
	struct table table[BLOCK_TABLES]; /* built; keys and values are gone */
};

static bool blocks_build(struct maps *m, const struct blocks *b, struct maps_blocked *out, char **error)
{
	struct table table[BLOCK_TABLES] = {
		{MAPS_BLOCKED, b->keys, b->ones, (uint32_t)b->n_keys, 0, -1},
		{MAPS_BLOCKED16, b->half_keys, b->halves, (uint32_t)b->n_halves, 0, -1},
		{MAPS_BLOCKED24, b->nets, b->bits, (uint32_t)b->n_nets, 0, -1},
	};
	bool ok = true;

	for (size_t i = 0; i < BLOCK_TABLES; i++) {
		ok = ok && !table_build(m, &table[i], error);
		out->table[i] = (struct table){.which = table[i].which, .fd = table[i].fd};
	}
	return ok;
}

struct maps_blocked *maps_blocked_make(struct maps *m, const struct prefix *list, size_t n, char **error)
{
	struct maps_blocked *out = calloc(1, sizeof(*out));
	struct blocks b = {};
	bool ok = false;

	for (size_t i = 0; out && i < BLOCK_TABLES; i++)
		out->table[i].fd = -1;
	if (n > INT32_MAX)
		maps_fail(error, -E2BIG, "the block lists have %zu prefixes", n);
	else if (!out || !blocks_make(&b, list, n))
		maps_fail(error, -ENOMEM, "no memory for the block lists");
	else
		ok = blocks_build(m, &b, out, error);
	blocks_free(&b);
	if (ok)
		return out;
	maps_blocked_free(out);
	return NULL;
}

void maps_blocked_free(struct maps_blocked *b)
{
	for (size_t i = 0; b && i < BLOCK_TABLES; i++)
		close_table(&b->table[i]);
	free(b);
}

/* The tables of block lists among those of one swap, which takes them over. */
static void blocks_place(struct maps_blocked *b, uint32_t slot, struct maps_swap *s)
{
	for (size_t i = 0; i < BLOCK_TABLES; i++) {
		s->table[s->n] = b->table[i];
		s->table[s->n++].slot = slot;
		b->table[i].fd = -1;
	}
}

int maps_blocked_put(struct maps *m, struct maps_blocked *b, uint32_t *generation, char **error)
{
	struct maps_swap *s = calloc(1, sizeof(*s));
	uint64_t word = word_of(m);
	uint32_t slot = !POLICY_BLOCK_SLOT(word);

	if (!s)
		return maps_fail(error, -ENOMEM, "no memory for the block lists");
	s->from = word;
	s->to = POLICY_WORD(next_generation(word), POLICY_SLOT(word), slot);
	blocks_place(b, slot, s);
	return swap(m, s, generation, error);
}

int maps_blocked_apply(struct maps *m, const struct prefix *list, size_t n, uint32_t *generation, char **error)
{
	struct maps_blocked *b = maps_blocked_make(m, list, n, error);
	int err = b ? maps_blocked_put(m, b, generation, error) : -ENOMEM;

	maps_blocked_free(b);
	return err;
}

/* ---- both ------------------------------------------------------------------------ */

static int policy_tables(struct maps *m, const struct maps_policy *p, const struct columns *c, struct maps_swap *s,
			 char **error)
{
	uint64_t word = word_of(m);
	uint32_t slot = !POLICY_SLOT(word), block_slot = POLICY_BLOCK_SLOT(word);
	struct table tables[POLICY_TABLES] = {
		{MAPS_CLASSES, c->class_keys, p->classes, (uint32_t)p->n_classes, slot, -1},
		{MAPS_ACL, c->acl_keys, c->acl_values, (uint32_t)p->n_acl, slot, -1},
		{MAPS_RULES, c->rule_keys, p->rules, (uint32_t)p->n_rules, slot, -1},
		{MAPS_ROUTES, c->route_keys, c->route_values, c->n_routes, slot, -1},
	};
	int err = 0;

	for (; s->n < POLICY_TABLES && !err; s->n++) {
		err = table_build(m, &tables[s->n], error);
		s->table[s->n] = (struct table){.which = tables[s->n].which, .slot = slot, .fd = tables[s->n].fd};
	}
	if (p->blocked) {
		block_slot = !block_slot;
		blocks_place(p->blocked, block_slot, s);
	}
	s->from = word;
	s->to = POLICY_WORD(next_generation(word), slot, block_slot);
	return err ?: hang_all(m, s, error);
}

int maps_policy_prepare(struct maps *m, const struct maps_policy *p, struct maps_swap **out, char **error)
{
	struct maps_swap *s = calloc(1, sizeof(*s));
	struct columns c = {};
	int err = policy_fits(p, error);

	if (!err && (!s || !columns_alloc(&c, p)))
		err = maps_fail(error, -ENOMEM, "no memory for the policy");
	if (!err) {
		columns_fill(&c, p);
		err = policy_tables(m, p, &c, s, error);
	}
	columns_free(&c);
	*out = s;
	if (err) {
		maps_swap_end(m, s);
		*out = NULL;
	}
	return err;
}

int maps_policy_apply(struct maps *m, const struct maps_policy *p, uint32_t *generation, char **error)
{
	struct maps_swap *s;
	int err = maps_policy_prepare(m, p, &s, error);

	err = err ?: maps_swap_do(m, s, generation, error);
	maps_swap_end(m, s);
	return err;
}

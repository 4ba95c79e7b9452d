/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for those whom a difference is about: a whole group is called by its name,
 * who is left over by his own. Deltas about the same thing are put together first.
 */
#include <stdlib.h>
#include <string.h>

#include "diff_names.h"

struct crowd { /* nodes that have one name together */
	const char *name;
	uint32_t *nodes;
	size_t n, members;
};

struct opening { /* a node of the first person of a crowd */
	uint32_t node, crowd;
};

struct crowds {
	struct crowd *v;
	size_t n;
	struct opening *opening; /* by node, then by crowd */
	size_t n_openings;
};

struct subject;

struct hosts { /* by prefix, then in the file's order */
	const struct policy_host **v;
	size_t n;
};

struct namer {
	struct policy_diff *diff;
	const struct inventory *inv;
	const struct hosts *hosts; /* that give the names: the new policy's for gains */
	const struct delta *d;
	struct subject *nodes; /* all zero but has_v4 and has_v6, between deltas */
	uint32_t *crowds;      /* that may be meant */
	size_t n_crowds;
};

struct subject { /* what a delta has to do with a node */
	bool in; /* it is about it */
	bool named;
	bool has_v4, has_v6;
};

static int cmp_ports(const struct ports *a, const struct ports *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	return a->n ? memcmp(a->v, b->v, a->n * sizeof(*a->v)) : 0;
}

static int cmp_except(const struct prefixes *a, const struct prefixes *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	return prefixes_cmp(a->v, b->v, a->n);
}

static int by_subject(const void *pa, const void *pb)
{
	const struct delta *a = pa, *b = pb;
	int order = prefix_cmp(&a->dst, &b->dst);

	if (!order)
		order = cmp_ports(&a->ports, &b->ports);
	if (!order)
		order = cmp_except(&a->except, &b->except);
	return order ? order : (a->gains < b->gains) - (a->gains > b->gains);
}

static void add_clients(struct delta *to, struct delta *from)
{
	to->clients = reallocarray(to->clients, to->n_clients + from->n_clients, sizeof(*to->clients));
	if (!to->clients)
		abort();
	memcpy(to->clients + to->n_clients, from->clients, from->n_clients * sizeof(*to->clients));
	to->n_clients += from->n_clients;
	ports_free(&from->ports);
	prefixes_free(&from->except);
	free(from->clients);
}

static size_t merge_deltas(struct delta *v, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_subject);
	for (size_t i = 0; i < n; i++) {
		if (kept && !by_subject(&v[kept - 1], &v[i]))
			add_clients(&v[kept - 1], &v[i]);
		else
			v[kept++] = v[i];
	}
	return kept;
}

static const char *service_name(const struct namer *x)
{
	size_t low = 0, high = x->hosts->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (prefix_cmp(&x->hosts->v[mid]->prefix, &x->d->dst) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < x->hosts->n && !prefix_cmp(&x->hosts->v[low]->prefix, &x->d->dst))
		return x->hosts->v[low]->name;
	return "";
}

static int by_host(const void *pa, const void *pb)
{
	const struct policy_host *a = *(const struct policy_host *const *)pa;
	const struct policy_host *b = *(const struct policy_host *const *)pb;
	int order = prefix_cmp(&a->prefix, &b->prefix);

	return order ? order : (a > b) - (a < b);
}

static struct hosts sort_hosts(const struct policy *p)
{
	struct hosts h = {mem_alloc(p->n_hosts, sizeof(*h.v)), p->n_hosts};

	for (size_t i = 0; i < h.n; i++)
		h.v[i] = &p->hosts[i];
	qsort(h.v, h.n, sizeof(*h.v), by_host);
	return h;
}

/* ---- crowds: everybody, groups, tags, users, in this order of preference -------------- */

struct person { /* a node under its user */
	const char *user;
	uint32_t node;
};

static int by_user(const void *pa, const void *pb)
{
	const struct person *a = pa, *b = pb;
	int order = strcmp(a->user, b->user);

	return order ? order : (a->node > b->node) - (a->node < b->node);
}

static struct person *list_people(const struct inventory *inv, size_t *n)
{
	struct person *v = mem_alloc(inv->n_nodes, sizeof(*v));

	*n = 0;
	for (size_t i = 0; i < inv->n_nodes; i++)
		if (!inv->nodes[i].n_tags && inv->nodes[i].user)
			v[(*n)++] = (struct person){inv->nodes[i].user, (uint32_t)i};
	qsort(v, *n, sizeof(*v), by_user);
	return v;
}

static struct crowd *new_crowd(struct crowds *c, const char *name)
{
	c->v = mem_grow(c->v, c->n, sizeof(*c->v));
	c->v[c->n] = (struct crowd){.name = name};
	return &c->v[c->n++];
}

static void diff_names_join(struct crowd *c, uint32_t node)
{
	c->nodes = mem_grow(c->nodes, c->n, sizeof(*c->nodes));
	c->nodes[c->n++] = node;
}

/* The nodes of one user; false: he has none. */
static bool join_user(struct crowd *c, const struct person *people, size_t n, const char *user)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(people[mid].user, user) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == n || strcmp(people[low].user, user))
		return false;
	for (; low < n && !strcmp(people[low].user, user); low++)
		diff_names_join(c, people[low].node);
	return true;
}

static int larger_first(const void *pa, const void *pb)
{
	const struct crowd *a = pa, *b = pb;

	if (a->n != b->n)
		return a->n > b->n ? -1 : 1;
	return strcmp(a->name, b->name);
}

static void add_groups(struct crowds *c, const struct policy *p, const struct person *people, size_t n)
{
	size_t from = c->n;

	for (size_t i = 0; i < p->n_groups; i++) {
		struct crowd *g = new_crowd(c, p->groups[i].name);

		for (size_t j = 0; j < p->groups[i].users.n; j++)
			g->members += join_user(g, people, n, p->groups[i].users.v[j].text);
		if (g->members > 1)
			continue;
		free(g->nodes); /* one user is better called by his name */
		c->n--;
	}
	if (c->n > from)
		qsort(c->v + from, c->n - from, sizeof(*c->v), larger_first);
}

static void add_tags(struct crowds *c, const struct policy *p, const struct inventory *inv)
{
	for (size_t i = 0; i < p->n_tags; i++) {
		struct crowd *t = new_crowd(c, p->tags[i].name);

		for (size_t j = 0; j < inv->n_nodes; j++)
			if (inventory_has_tag(&inv->nodes[j], t->name))
				diff_names_join(t, (uint32_t)j);
		t->members = t->n;
	}
}

static void make_crowds(struct crowds *c, const struct policy *p, const struct inventory *inv)
{
	size_t n, users = 0;
	struct person *people = list_people(inv, &n);
	struct crowd *all = new_crowd(c, "autogroup:member");

	for (size_t i = 0; i < n; i++) {
		diff_names_join(all, people[i].node);
		users += !i || strcmp(people[i].user, people[i - 1].user);
	}
	all->members = users;
	if (users < 2) {
		free(all->nodes);
		c->n--;
	}
	add_groups(c, p, people, n);
	add_tags(c, p, inv);
	for (size_t i = 0; i < n; i++) {
		struct crowd *u;

		if (i && !strcmp(people[i].user, people[i - 1].user))
			continue;
		u = new_crowd(c, people[i].user);
		join_user(u, people, n, u->name);
		u->members = 1;
	}
	free(people);
}

/* Index behind the nodes that belong to the user of the @i-th node of the crowd. */
static size_t person_end(const struct inventory *inv, const struct crowd *c, size_t i)
{
	const struct inventory_node *first;
	size_t end = i + 1;

	if (i >= c->n)
		return i;
	first = &inv->nodes[c->nodes[i]];
	while (end < c->n && !first->n_tags && first->user) {
		const struct inventory_node *node = &inv->nodes[c->nodes[end]];

		if (!node->user || strcmp(node->user, first->user))
			break;
		end++;
	}
	return end;
}

static int by_node(const void *pa, const void *pb)
{
	const struct opening *a = pa, *b = pb;
	int order = (a->node > b->node) - (a->node < b->node);

	return order ? order : (a->crowd > b->crowd) - (a->crowd < b->crowd);
}

/* A crowd can only be meant by a delta that is about a node of its first person. */
static void index_crowds(struct crowds *c, const struct inventory *inv)
{
	for (size_t i = 0; i < c->n; i++)
		for (size_t j = 0, end = person_end(inv, &c->v[i], 0); j < end; j++) {
			c->opening = mem_grow(c->opening, c->n_openings, sizeof(*c->opening));
			c->opening[c->n_openings++] = (struct opening){c->v[i].nodes[j], (uint32_t)i};
		}
	if (c->n_openings)
		qsort(c->opening, c->n_openings, sizeof(*c->opening), by_node);
}

static void free_crowds(struct crowds *c)
{
	free(c->opening);
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i].nodes);
	free(c->v);
}

/* ---- names ---------------------------------------------------------------------------- */

static int diff_names_by_index(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return (a > b) - (a < b);
}

/* Adds a change for the nodes of a crowd that the delta is about; they need no other name then. */
static void add_change(struct namer *x, const struct crowd *crowd)
{
	struct policy_diff *diff = x->diff;
	struct policy_change *c;

	diff->v = mem_grow(diff->v, diff->n, sizeof(*diff->v));
	c = &diff->v[diff->n++];
	*c = (struct policy_change){.gains = x->d->gains,
				    .who = mem_strdup(crowd->name),
				    .members = crowd->members,
				    .service = service_name(x)};
	prefixes_add(&c->dst, &x->d->dst);
	prefixes_add_all(&c->except, x->d->except.v, x->d->except.n);
	ports_copy(&c->ports, &x->d->ports);
	c->clients = mem_alloc(crowd->n, sizeof(*c->clients));
	for (size_t i = 0; i < crowd->n; i++) {
		struct subject *node = &x->nodes[crowd->nodes[i]];

		if (!node->in)
			continue;
		node->named = true;
		c->clients[c->n_clients++] = crowd->nodes[i];
	}
	qsort(c->clients, c->n_clients, sizeof(*c->clients), diff_names_by_index);
}

/* A delta cannot be about a node without an address of its family. */
static bool diff_names_is_outside(const struct namer *x, const struct subject *node)
{
	return prefix_is_v4(&x->d->dst) ? !node->has_v4 : !node->has_v6;
}

/* Each one of the crowd is meant, with every node that can be, and one has no name yet. */
static bool diff_names_fits(const struct namer *x, const struct crowd *c)
{
	bool brings_names = false;

	for (size_t i = 0, end; i < c->n; i = end) {
		bool meant = false;

		end = person_end(x->inv, c, i);
		for (size_t j = i; j < end; j++) {
			const struct subject *node = &x->nodes[c->nodes[j]];

			if (!node->in && !diff_names_is_outside(x, node))
				return false;
			meant |= node->in;
			brings_names |= node->in && !node->named;
		}
		if (!meant)
			return false;
	}
	return brings_names;
}

static void make_subjects(struct namer *x)
{
	x->nodes = mem_alloc(x->inv->n_nodes, sizeof(*x->nodes));
	for (size_t i = 0; i < x->inv->n_nodes; i++) {
		const struct inventory_node *node = &x->inv->nodes[i];

		for (size_t k = 0; k < node->addrs.n; k++)
			if (prefix_is_v4(&node->addrs.v[k]))
				x->nodes[i].has_v4 = true;
			else
				x->nodes[i].has_v6 = true;
	}
}

/* The crowds that the delta's nodes open, in order of preference. */
static void find_crowds(struct namer *x, const struct crowds *c)
{
	size_t kept = 0;

	x->n_crowds = 0;
	for (size_t i = 0; i < x->d->n_clients; i++) {
		uint32_t node = x->d->clients[i];
		size_t low = 0, high = c->n_openings;

		while (low < high) {
			size_t mid = low + (high - low) / 2;

			if (c->opening[mid].node < node)
				low = mid + 1;
			else
				high = mid;
		}
		for (; low < c->n_openings && c->opening[low].node == node; low++) {
			x->crowds = mem_grow(x->crowds, x->n_crowds, sizeof(*x->crowds));
			x->crowds[x->n_crowds++] = c->opening[low].crowd;
		}
	}
	if (x->n_crowds)
		qsort(x->crowds, x->n_crowds, sizeof(*x->crowds), diff_names_by_index);
	for (size_t i = 0; i < x->n_crowds; i++)
		if (!kept || x->crowds[kept - 1] != x->crowds[i])
			x->crowds[kept++] = x->crowds[i];
	x->n_crowds = kept;
}

static void name_delta(struct namer *x, const struct crowds *crowds)
{
	size_t n = x->d->n_clients;

	qsort(x->d->clients, n, sizeof(*x->d->clients), diff_names_by_index);
	for (size_t i = 0; i < n; i++)
		x->nodes[x->d->clients[i]].in = !diff_names_is_outside(x, &x->nodes[x->d->clients[i]]);
	find_crowds(x, crowds);
	for (size_t i = 0; i < x->n_crowds; i++)
		if (diff_names_fits(x, &crowds->v[x->crowds[i]]))
			add_change(x, &crowds->v[x->crowds[i]]);
	for (size_t i = 0; i < n; i++) {
		uint32_t node = x->d->clients[i];
		struct crowd one = {.name = x->inv->nodes[node].name, .nodes = &node, .n = 1, .members = 1};

		if (x->nodes[node].in && !x->nodes[node].named)
			add_change(x, &one);
	}
	for (size_t i = 0; i < n; i++)
		x->nodes[x->d->clients[i]].in = x->nodes[x->d->clients[i]].named = false;
}

/* ---- order ------------------------------------------------------------------------------ */

/* Gains first; then by whom they are about, named services first. */
static int by_line(const struct policy_change *a, const struct policy_change *b)
{
	int order = (a->gains < b->gains) - (a->gains > b->gains);

	if (!order)
		order = strcmp(a->who, b->who);
	if (!order)
		order = strcmp(b->service, a->service);
	return order ? order : cmp_ports(&a->ports, &b->ports);
}

static int by_reader(const void *pa, const void *pb)
{
	const struct policy_change *a = pa, *b = pb;
	int order = by_line(a, b);

	return order ? order : prefix_cmp(a->dst.v, b->dst.v);
}

/* Destinations without a name that change alike for the same people are one change. */
static void merge_changes(struct policy_diff *diff)
{
	size_t kept = 0;

	if (diff->n)
		qsort(diff->v, diff->n, sizeof(*diff->v), by_reader);
	for (size_t i = 0; i < diff->n; i++) {
		struct policy_change *c = &diff->v[i], *last = kept ? &diff->v[kept - 1] : NULL;

		if (!last || *c->service || by_line(last, c) || last->n_clients != c->n_clients ||
		    memcmp(last->clients, c->clients, c->n_clients * sizeof(*c->clients)) || last->except.n ||
		    c->except.n) {
			diff->v[kept++] = *c;
			continue;
		}
		prefixes_add(&last->dst, c->dst.v);
		prefixes_free(&c->dst);
		ports_free(&c->ports);
		free(c->clients);
		free(c->who);
	}
	diff->n = kept;
}

void name_deltas(struct policy_diff *diff, struct delta *v, size_t n, const struct reach *old, const struct reach *new,
		 struct budget *budget)
{
	struct hosts old_hosts = sort_hosts(old->p), new_hosts = sort_hosts(new->p);
	struct namer x = {.diff = diff, .inv = old->inv};
	struct crowds before = {0}, after = {0};

	make_crowds(&before, old->p, old->inv);
	make_crowds(&after, new->p, new->inv);
	index_crowds(&before, old->inv);
	index_crowds(&after, new->inv);
	make_subjects(&x);
	n = merge_deltas(v, n);
	for (size_t i = 0; i < n; i++) {
		x.d = &v[i];
		x.hosts = v[i].gains ? &new_hosts : &old_hosts;
		if (budget_pay(budget, 16 + 8 * v[i].n_clients))
			name_delta(&x, v[i].gains ? &after : &before);
		ports_free(&v[i].ports);
		prefixes_free(&v[i].except);
		free(v[i].clients);
	}
	merge_changes(diff);
	free_crowds(&before);
	free_crowds(&after);
	free(old_hosts.v);
	free(new_hosts.v);
	free(x.nodes);
	free(x.crowds);
}

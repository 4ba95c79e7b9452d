/* SPDX-License-Identifier: BSD-2-Clause */
/* Who reaches what: the cells, and the table for a terminal. The page is in matrix_html.c. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"
#include "ports.h"
#include "print.h"

struct row_nodes {
	uint32_t *v;
	size_t n;
};

struct maker {
	struct matrix *m;
	const struct reach *x;
	const struct prefixes *blocked;
	struct budget *budget;
	struct row_nodes *nodes;	  /* by row */
	const struct filter_rule **rules; /* by id */
	size_t n_rules;
};

static void matrix_add_node(uint32_t node, void *arg)
{
	struct row_nodes *nodes = arg;

	nodes->v = mem_grow(nodes->v, nodes->n, sizeof(*nodes->v));
	nodes->v[nodes->n++] = node;
}

static int matrix_by_index(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return (a > b) - (a < b);
}

static void add_row(struct maker *k, const struct policy_sel *sel)
{
	struct matrix *m = k->m;
	struct row_nodes nodes = {0};
	size_t kept = 0;

	resolve_each_node(k->x->r, sel, matrix_add_node, &nodes);
	if (nodes.n)
		qsort(nodes.v, nodes.n, sizeof(*nodes.v), matrix_by_index);
	for (size_t i = 0; i < nodes.n; i++) /* some come twice */
		if (!kept || nodes.v[kept - 1] != nodes.v[i])
			nodes.v[kept++] = nodes.v[i];
	nodes.n = kept;
	k->nodes[m->n_rows] = nodes;
	m->rows[m->n_rows++] = (struct matrix_row){.name = sel->text, .n_nodes = nodes.n};
}

static void want_row(struct maker *k, const struct policy_sel *sel)
{
	if (k->m->n_rows == MATRIX_MAX)
		k->m->rows_left_out++;
	else
		add_row(k, sel);
}

static void want_user(const char *user, void *arg)
{
	want_row(arg, &(struct policy_sel){.kind = SEL_USER, .text = user});
}

/* Groups and tags of the policy, then the users who have nodes. */
static void make_rows(struct maker *k)
{
	const struct policy *p = k->x->p;

	for (size_t i = 0; i < p->n_groups; i++)
		want_row(k, &(struct policy_sel){.kind = SEL_GROUP, .def = (uint32_t)i, .text = p->groups[i].name});
	for (size_t i = 0; i < p->n_tags; i++)
		want_row(k, &(struct policy_sel){.kind = SEL_TAG, .def = (uint32_t)i, .text = p->tags[i].name});
	resolve_each_user(k->x->r, want_user, k);
}

/* ---- columns ------------------------------------------------------------------------- */

static bool has_column(const struct matrix *m, const struct matrix_column *c)
{
	for (size_t i = 0; i < m->n_columns; i++)
		if (!strcmp(m->columns[i].name, c->name) && !strcmp(m->columns[i].ports, c->ports))
			return true;
	return false;
}

static void add_column(struct maker *k, const struct policy_sel *sel, const struct policy_portlist *ports,
		       uint8_t proto)
{
	struct matrix_column c = {.list = ports, .protos = {proto}, .n_protos = 1};
	char list[256], name[4];

	if (resolve_is_empty(k->x->r, sel))
		return;
	if (k->m->n_columns == MATRIX_MAX) {
		k->m->columns_left_out++;
		return;
	}
	if (proto == POLICY_PROTO_DEFAULT) {
		c.protos[0] = IPPROTO_TCP;
		c.protos[c.n_protos++] = IPPROTO_UDP;
	}
	policy_ports_str(ports, list, sizeof(list));
	c.name = mem_strdup(sel->text);
	c.ports = proto == POLICY_PROTO_DEFAULT ? mem_strdup(list)
						: mem_printf("%s %s", policy_proto_name(proto, name), list);
	if (has_column(k->m, &c)) {
		free(c.name);
		free(c.ports);
		return;
	}
	resolve_dst(k->x->r, sel, &c.dst);
	prefixes_merge(&c.dst);
	k->m->columns[k->m->n_columns++] = c;
}

static void make_columns(struct maker *k)
{
	const struct policy *p = k->x->p;

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct policy_rule *r = &p->rules[i];

		for (size_t d = 0; d < r->n_dst; d++)
			for (size_t j = 0; j < r->n_ip && r->dst[d].sel.kind != SEL_SELF; j++)
				add_column(k, &r->dst[d].sel,
					   r->kind == POLICY_GRANT ? &r->ip[j].ports : &r->dst[d].ports,
					   r->ip[j].proto);
	}
}

/* ---- cells ------------------------------------------------------------------------------ */

enum extent { NOTHING, PART, WHOLE };

struct found { /* for a cell */
	bool all, some, blocked;
	uint32_t allowed, denied; /* rules */
};

static bool is_ported(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

/* How much of the ports from @first to @last a list accepts. */
static enum extent accepted(const struct acl_rule *v, size_t n, uint8_t proto, unsigned first, unsigned last,
			    struct found *f)
{
	bool all = true, some = false;

	for (unsigned port = first; port <= last;) {
		const struct acl_rule *r = ports_find(v, n, proto, (uint16_t)port);

		if (r && r->verdict == VERDICT_ACCEPT) {
			some = true;
			f->allowed = f->allowed ? f->allowed : r->id;
		} else if (r) {
			all = false;
			f->denied = f->denied ? f->denied : r->id;
		} else {
			all = false;
			r = ports_next(v, n, proto, (uint16_t)port);
			if (!r || r->first > last)
				break;
			port = r->first;
			continue;
		}
		port = r->last + 1u;
	}
	return !some ? NOTHING : all ? WHOLE : PART;
}

/* What an entry (NULL: the default deny) accepts of a column. */
static enum extent accepts(const struct maker *k, const struct matrix_column *c, const struct tables_entry *e,
			   struct found *f)
{
	const struct tables *t = k->x->t;
	bool all = true, some = false;

	for (size_t i = 0; i < c->n_protos && e; i++)
		for (size_t j = 0; j < c->list->n && budget_pay(k->budget, 8); j++) {
			bool ported = is_ported(c->protos[i]),
			     carried = k->x->inv->tailnet || filter_can_carry(c->protos[i]);
			unsigned first = ported ? c->list->v[j].first : 0, last = ported ? c->list->v[j].last : 0;
			enum extent one;

			first += ported && !first; /* no packet goes to port 0 */
			one = accepted(t->rules + e->value.first, e->value.count, c->protos[i], first, last, f);
			all &= carried && one == WHOLE;
			some |= carried && one != NOTHING;
		}
	return !e || !some ? NOTHING : all ? WHOLE : PART;
}

/* The addresses that pass, all of the column's ports or some, are what layers leave: prefixes, the longer later. */
struct layers {
	struct prefix_op *v;
	size_t n;
};

static void add_layer(struct layers *l, const struct prefix *p, uint32_t number, bool remove)
{
	l->v = mem_grow(l->v, l->n, sizeof(*l->v));
	l->v[l->n++] = (struct prefix_op){*p, number, remove};
}

static void add_layers(const struct maker *k, uint32_t class, const struct matrix_column *c, const struct prefix *p,
		       struct layers *all, struct layers *some, struct found *f)
{
	const struct tables *t = k->x->t;
	enum extent e = accepts(k, c, tables_around(t, class, p), f);
	size_t from, to = tables_inside(t, class, p, &from);

	add_layer(all, p, p->len, e != WHOLE);
	add_layer(some, p, p->len, e == NOTHING);
	for (size_t i = from; i < to && budget_pay(k->budget, 16); i++) {
		struct prefix q = tables_prefix(&t->entries[i]);

		if (q.len <= p->len || !prefix_covers(p, &q))
			continue;
		e = accepts(k, c, &t->entries[i], f);
		add_layer(all, &q, q.len, e != WHOLE);
		add_layer(some, &q, q.len, e == NOTHING);
	}
}

/* What is merged has no two halves of one prefix, so all of a prefix is blocked by one of them or not at all. */
static void matrix_count(const struct maker *k, const struct prefixes *all, const struct prefixes *some,
			 const struct prefix *p, struct found *f)
{
	bool blocked = k->blocked && prefixes_overlap(k->blocked, p);

	f->blocked |= blocked;
	f->all &= !blocked && prefixes_cover(all, p);
	for (size_t i = 0; i < some->n && !f->some && budget_pay(k->budget, 8); i++)
		f->some = !blocked || !prefixes_cover(k->blocked, &some->v[i]);
}

/* One class of clients to one prefix. */
static void matrix_look_at(const struct maker *k, uint32_t class, const struct matrix_column *c, const struct prefix *p,
			   struct found *f)
{
	struct layers all = {0}, some = {0};
	struct prefixes all_of = {0}, some_of = {0};

	add_layers(k, class, c, p, &all, &some, f);
	if (budget_pay_sort(k->budget, 2 * all.n)) {
		prefixes_apply(&all_of, all.v, all.n);
		prefixes_apply(&some_of, some.v, some.n);
	}
	prefixes_merge(&all_of);
	matrix_count(k, &all_of, &some_of, p, f);
	prefixes_free(&all_of);
	prefixes_free(&some_of);
	free(all.v);
	free(some.v);
}

static bool has_family(const struct inventory_node *node, bool v4)
{
	for (size_t i = 0; i < node->addrs.n; i++)
		if (prefix_is_v4(&node->addrs.v[i]) == v4)
			return true;
	return false;
}

/* A column of ICMP is about its own family. */
static bool matrix_concerns(const struct matrix_column *c, const struct prefix *p)
{
	if (c->protos[0] == IPPROTO_ICMP)
		return prefix_is_v4(p);
	return c->protos[0] != IPPROTO_ICMPV6 || !prefix_is_v4(p);
}

struct asked { /* class, and 1 where it is about IPv4 */
	uint32_t *v;
	size_t n;
};

/* The classes of a row's nodes, each once for the families that it has. */
static struct asked classes_of(const struct maker *k, const struct row_nodes *nodes)
{
	struct asked out = {mem_alloc(2 * nodes->n, sizeof(*out.v)), 0};
	size_t kept = 0;

	for (size_t i = 0; i < nodes->n; i++)
		for (unsigned v4 = 0; v4 < 2; v4++)
			if (has_family(&k->x->inv->nodes[nodes->v[i]], v4))
				out.v[out.n++] = 2 * k->x->t->class_of[nodes->v[i]] + v4;
	qsort(out.v, out.n, sizeof(*out.v), matrix_by_index);
	for (size_t i = 0; i < out.n; i++)
		if (!kept || out.v[kept - 1] != out.v[i])
			out.v[kept++] = out.v[i];
	out.n = kept;
	return out;
}

static struct matrix_entry make_cell(const struct maker *k, const struct asked *asked, const struct matrix_column *c)
{
	struct matrix_entry e = {MATRIX_NONE, NULL};
	struct found f = {.all = true};
	uint32_t id;

	for (size_t i = 0; i < asked->n; i++)
		for (size_t d = 0; d < c->dst.n && !budget_is_spent(k->budget); d++)
			if (prefix_is_v4(&c->dst.v[d]) == asked->v[i] % 2 && matrix_concerns(c, &c->dst.v[d]))
				matrix_look_at(k, asked->v[i] / 2, c, &c->dst.v[d], &f);
	id = f.some ? f.allowed : f.denied;
	if (budget_is_spent(k->budget))
		e.cell = MATRIX_UNKNOWN;
	else if (f.some)
		e.cell = f.all ? MATRIX_ALL : MATRIX_SOME;
	else if (f.denied || (f.blocked && f.allowed))
		e.cell = MATRIX_DENIED;
	if (e.cell != MATRIX_UNKNOWN && id < k->n_rules)
		e.rule = k->rules[id];
	return e;
}

static void matrix_index_rules(struct maker *k)
{
	const struct filter *f = k->x->f;

	for (size_t i = 0; i < f->n; i++)
		if (f->rules[i].id >= k->n_rules)
			k->n_rules = f->rules[i].id + 1u;
	k->rules = mem_alloc(k->n_rules, sizeof(*k->rules));
	for (size_t i = f->n; i--;)
		k->rules[f->rules[i].id] = f->rules[i].id ? &f->rules[i] : NULL;
}

void matrix_build(struct matrix *m, const struct reach *x, const struct prefixes *blocked, struct budget *budget)
{
	struct maker k = {.m = m, .x = x, .blocked = blocked, .budget = budget};

	*m = (struct matrix){0};
	m->rows = mem_alloc(MATRIX_MAX, sizeof(*m->rows));
	m->columns = mem_alloc(MATRIX_MAX, sizeof(*m->columns));
	k.nodes = mem_alloc(MATRIX_MAX, sizeof(*k.nodes));
	matrix_index_rules(&k);
	make_rows(&k);
	make_columns(&k);
	m->cells = mem_alloc(m->n_rows * m->n_columns, sizeof(*m->cells));
	for (size_t r = 0; r < m->n_rows; r++) {
		struct asked asked = classes_of(&k, &k.nodes[r]);

		for (size_t c = 0; c < m->n_columns; c++)
			m->cells[r * m->n_columns + c] = make_cell(&k, &asked, &m->columns[c]);
		free(asked.v);
		free(k.nodes[r].v);
	}
	free(k.nodes);
	free(k.rules);
}

void matrix_free(struct matrix *m)
{
	for (size_t i = 0; i < m->n_columns; i++) {
		free(m->columns[i].name);
		free(m->columns[i].ports);
		prefixes_free(&m->columns[i].dst);
	}
	free(m->rows);
	free(m->columns);
	free(m->cells);
	*m = (struct matrix){0};
}

/* Columns of a terminal are narrow: they are numbered, and named below. */
void matrix_print(const struct matrix *m, FILE *out)
{
	static const char marks[] = {[MATRIX_NONE] = '.',
				     [MATRIX_SOME] = 'o',
				     [MATRIX_ALL] = '#',
				     [MATRIX_DENIED] = 'x',
				     [MATRIX_UNKNOWN] = '?'};
	int width = 4;

	for (size_t r = 0; r < m->n_rows; r++)
		if ((int)strlen(m->rows[r].name) > width)
			width = (int)strlen(m->rows[r].name);
	fprintf(out, "%-*s", width, "");
	for (size_t c = 0; c < m->n_columns; c++)
		fprintf(out, " %3zu", c + 1);
	fputc('\n', out);
	for (size_t r = 0; r < m->n_rows; r++) {
		fprintf(out, "%-*s", width, m->rows[r].name);
		for (size_t c = 0; c < m->n_columns; c++)
			fprintf(out, "   %c", marks[m->cells[r * m->n_columns + c].cell]);
		fputc('\n', out);
	}
	fputs("\n# all   o some   . none   x denied by a rule or a block list\n", out);
	for (size_t c = 0; c < m->n_columns; c++)
		fprintf(out, "%3zu  %s  %s\n", c + 1, m->columns[c].name, m->columns[c].ports);
	for (size_t i = 0; i < m->n_rows * m->n_columns; i++)
		if (m->cells[i].cell == MATRIX_UNKNOWN) {
			fputs("? is too much to work out\n", out);
			break;
		}
	if (m->rows_left_out || m->columns_left_out)
		fprintf(out, "not shown: %zu more rows, %zu more destinations\n", m->rows_left_out,
			m->columns_left_out);
}

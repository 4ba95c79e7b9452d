/* SPDX-License-Identifier: BSD-2-Clause */
/* Who reaches what: the cells, and the table for a terminal. The page is in matrix_html.c. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"
#include "print.h"

struct row_nodes {
	uint32_t *v;
	size_t n;
};

struct maker {
	struct matrix *m;
	const struct reach *x;
	struct row_nodes *nodes; /* by row */
};

static void add_row(struct maker *k, const struct policy_sel *sel)
{
	struct matrix *m = k->m;
	struct row_nodes nodes = { 0 };

	for (size_t i = 0; i < k->x->inv->n_nodes; i++)
		if (resolve_matches(k->x->r, sel, &k->x->inv->nodes[i])) {
			nodes.v = mem_grow(nodes.v, nodes.n, sizeof(*nodes.v));
			nodes.v[nodes.n++] = (uint32_t)i;
		}
	k->nodes[m->n_rows] = nodes;
	m->rows[m->n_rows++] = (struct matrix_row){ .name = sel->text, .n_nodes = nodes.n };
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
	want_row(arg, &(struct policy_sel){ .kind = SEL_USER, .text = user });
}

/* Groups and tags of the policy, then the users who have nodes. */
static void make_rows(struct maker *k)
{
	const struct policy *p = k->x->p;

	for (size_t i = 0; i < p->n_groups; i++)
		want_row(k, &(struct policy_sel){ .kind = SEL_GROUP, .def = (uint32_t)i, .text = p->groups[i].name });
	for (size_t i = 0; i < p->n_tags; i++)
		want_row(k, &(struct policy_sel){ .kind = SEL_TAG, .def = (uint32_t)i, .text = p->tags[i].name });
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
	struct prefixes set = { 0 };
	struct matrix_column c = { .proto = proto == POLICY_PROTO_DEFAULT ? IPPROTO_TCP : proto,
				  .port = ports->v[0].first};
	char list[256], name[4];

	resolve_dst(k->x->r, sel, &set);
	policy_ports_str(ports, list, sizeof(list));
	c.name = mem_strdup(sel->text);
	c.ports = proto == POLICY_PROTO_DEFAULT ? mem_strdup(list)
						: mem_printf("%s %s", policy_proto_name(proto, name), list);
	if (set.n)
		c.dst = set.v[0];
	if (!c.port && c.proto == IPPROTO_TCP)
		c.port = 1; /* no packet goes to port 0 */
	if (set.n && k->m->n_columns < MATRIX_MAX && !has_column(k->m, &c)) {
		k->m->columns[k->m->n_columns++] = c;
	} else {
		k->m->columns_left_out += set.n && k->m->n_columns == MATRIX_MAX;
		free(c.name);
		free(c.ports);
	}
	prefixes_free(&set);
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

static const struct filter_rule *rule_by_id(const struct filter *f, uint32_t id)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->rules[i].id == id)
			return &f->rules[i];
	return NULL;
}

static bool has_family(const struct inventory_node *node, bool v4)
{
	for (size_t i = 0; i < node->addrs.n; i++)
		if (prefix_is_v4(&node->addrs.v[i]) == v4)
			return true;
	return false;
}

/* "*" is both families: asked by IPv4, where a client has it. */
static struct matrix_entry make_cell(const struct maker *k, const struct row_nodes *nodes,
				     const struct matrix_column *c)
{
	struct matrix_entry e = { MATRIX_NONE, NULL };
	size_t reach = 0, asked = 0;
	uint32_t denied = 0, allowed = 0;

	for (size_t i = 0; i < nodes->n; i++) {
		const struct acl_rule *r;

		if (!has_family(&k->x->inv->nodes[nodes->v[i]], prefix_is_v4(&c->dst)))
			continue;
		asked++;
		r = tables_find(k->x->t, k->x->t->class_of[nodes->v[i]], &c->dst.addr, c->proto, c->port);
		if (r && r->verdict == VERDICT_ACCEPT) {
			reach++;
			allowed = r->id;
		} else if (r) {
			denied = r->id;
		}
	}
	if (reach)
		e.cell = reach == asked ? MATRIX_ALL : MATRIX_SOME;
	else if (denied)
		e.cell = MATRIX_DENIED;
	if (reach || denied)
		e.rule = rule_by_id(k->x->f, reach ? allowed : denied);
	return e;
}

void matrix_build(struct matrix *m, const struct reach *x)
{
	struct maker k = { .m = m, .x = x };

	*m = (struct matrix){ 0 };
	m->rows = mem_alloc(MATRIX_MAX, sizeof(*m->rows));
	m->columns = mem_alloc(MATRIX_MAX, sizeof(*m->columns));
	k.nodes = mem_alloc(MATRIX_MAX, sizeof(*k.nodes));
	make_rows(&k);
	make_columns(&k);
	m->cells = mem_alloc(m->n_rows * m->n_columns, sizeof(*m->cells));
	for (size_t r = 0; r < m->n_rows; r++)
		for (size_t c = 0; c < m->n_columns; c++)
			m->cells[r * m->n_columns + c] = make_cell(&k, &k.nodes[r], &m->columns[c]);
	for (size_t r = 0; r < m->n_rows; r++)
		free(k.nodes[r].v);
	free(k.nodes);
}

void matrix_free(struct matrix *m)
{
	for (size_t i = 0; i < m->n_columns; i++) {
		free(m->columns[i].name);
		free(m->columns[i].ports);
	}
	free(m->rows);
	free(m->columns);
	free(m->cells);
	*m = (struct matrix){ 0 };
}

/* Columns of a terminal are narrow: they are numbered, and named below. */
void matrix_print(const struct matrix *m, FILE *out)
{
	static const char marks[] = {
		[MATRIX_NONE] = '.', [MATRIX_SOME] = 'o', [MATRIX_ALL] = '#', [MATRIX_DENIED] = 'x'};
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
	fputs("\n# all   o some   . none   x denied by a rule\n", out);
	for (size_t c = 0; c < m->n_columns; c++)
		fprintf(out, "%3zu  %s  %s\n", c + 1, m->columns[c].name, m->columns[c].ports);
	if (m->rows_left_out || m->columns_left_out)
		fprintf(out, "not shown: %zu more rows, %zu more destinations\n", m->rows_left_out,
			m->columns_left_out);
}

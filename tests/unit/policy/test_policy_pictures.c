/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fault 43: what people are shown of a policy against what the tables decide, over policies that are made up. The
 * world is small, so that every address and port of it is asked: prefixes nest, ranges meet, rules contradict.
 */
#include <netinet/in.h>

#include "policy/diff.h"
#include "policy/matrix.h"
#include "policy/test.h"
#include "policy_load.h"
#include "tests/unit/random.h"

#define ROUNDS 400

static const char inventory_text[] =
	"nodes:\n"
	"- {name: gw, tags: ['tag:gw'], addresses: [10.8.0.1], routes: [10.0.0.0/24, 'fd01::/120'],\n"
	"   approved: [10.0.0.0/24, 'fd01::/120']}\n"
	"- {name: one, user: a@x.y, addresses: [10.8.0.2, 'fd00::2']}\n"
	"- {name: both, user: a@x.y, addresses: [10.8.0.3, 10.8.0.4]}\n"
	"- {name: bobs, user: b@x.y, addresses: [10.8.0.5]}\n"
	"- {name: six, tags: ['tag:t'], addresses: ['fd00::6']}\n"
	"- {name: ci, tags: ['tag:t'], addresses: [10.8.0.7, 'fd00::7']}\n";

static const char *const sources[] = {"'*'",	   "a@x.y",    "b@x.y",	      "'tag:t'",
				      "'group:g'", "10.8.0.3", "10.8.0.0/29", "'fd00::6'"};
static const char *const prefixes_v4[] = {"10.0.0.0/28", "10.0.0.0/29", "10.0.0.8/29", "10.0.0.4/30",
					  "10.0.0.9/32", "10.0.0.5/32", "10.0.0.8/30", "10.0.0.12/30"};
static const char *const prefixes_v6[] = {"fd01::/125", "fd01::4/126", "fd01::/126", "fd01::5/128"};
static const char *const port_lists[] = {"*", "1-4", "2", "3-6", "1,3,5", "6-65535"};
static const char *const protocols[] = {"", ", proto: tcp", ", proto: udp"};
static const uint16_t asked_ports[] = {1, 2, 3, 4, 5, 6, 7, 65535};

#define PICK(r, list) ((list)[rng_below(r, sizeof(list) / sizeof((list)[0]))])
#define N_PORTS	      (sizeof(asked_ports) / sizeof(asked_ports[0]))

static void put_rule(FILE *f, struct rng *r, bool first, bool accept)
{
	const char *dst = rng_below(r, 3) ? PICK(r, prefixes_v4) : PICK(r, prefixes_v6);
	const char *open = strchr(dst, ':') ? "[" : "", *slash = strchr(dst, '/');

	fprintf(f, "%s{%ssrc: [%s, %s]%s, dst: ['%s%.*s%s%s:%s']}", first ? "" : ", ", accept ? "action: accept, " : "",
		PICK(r, sources), PICK(r, sources), PICK(r, protocols), open, (int)(slash - dst), dst, *open ? "]" : "",
		slash, PICK(r, port_lists));
}

static char *random_policy(struct rng *r)
{
	unsigned accepts = rng_below(r, 6), denies = rng_below(r, 4);
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	fputs("{groups: {'group:g': [a@x.y, b@x.y]}, tagOwners: {'tag:t': []}, acls: [", f);
	for (unsigned i = 0; i < accepts; i++)
		put_rule(f, r, !i, true);
	fputs("], deny: [", f);
	for (unsigned i = 0; i < denies; i++)
		put_rule(f, r, !i, false);
	fputs("]}", f);
	fclose(f);
	return text;
}

struct world {
	char *text;
	struct policy *p;
	struct reach reach;
};

static void make_world(struct world *w, struct rng *r, const struct inventory *inv)
{
	struct diags d = {0};

	w->text = random_policy(r);
	w->p = load_policy(w->text);
	assert_true(reach_build(&w->reach, w->p, inv, &inv->nodes[0], NULL, &d));
}

static void free_world(struct world *w)
{
	reach_free(&w->reach);
	policy_free(w->p);
	free(w->text);
}

/* The @i-th of 16 IPv4 and 8 IPv6 destinations. */
static struct addr destination(unsigned i)
{
	struct addr a;

	if (i < 16)
		return addr_from_v4(htonl(0x0a000000 + i));
	assert_true(addr_parse("fd01::", 6, &a));
	a.b[15] = (uint8_t)(i - 16);
	return a;
}

static bool allowed(const struct reach *x, size_t node, const struct addr *dst, uint8_t proto, uint16_t port)
{
	const struct acl_rule *r = tables_find(x->t, x->t->class_of[node], dst, proto, port);

	return r && r->verdict == VERDICT_ACCEPT;
}

static bool has_family(const struct inventory_node *node, const struct addr *a)
{
	for (size_t i = 0; i < node->addrs.n; i++)
		if (prefix_is_v4(&node->addrs.v[i]) == addr_is_v4(a))
			return true;
	return false;
}

/* ---- diff --------------------------------------------------------------------------------- */

static bool told(const struct policy_diff *diff, bool gains, uint32_t node, const struct addr *dst, uint8_t proto,
		 uint16_t port)
{
	for (size_t i = 0; i < diff->n; i++) {
		const struct policy_change *c = &diff->v[i];
		bool about = false;

		for (size_t k = 0; k < c->n_clients; k++)
			about |= c->clients[k] == node;
		if (c->gains == gains && about && policy_change_has(c, dst) &&
		    ports_find(c->ports.v, c->ports.n, proto, port))
			return true;
	}
	return false;
}

static void compare_diff(const struct world *old, const struct world *new, const struct policy_diff *diff,
			 const struct inventory *inv)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	char buf[ADDR_STRLEN];

	for (uint32_t node = 0; node < inv->n_nodes; node++)
		for (unsigned d = 0; d < 24; d++)
			for (unsigned k = 0; k < 2 * N_PORTS; k++) {
				struct addr dst = destination(d);
				uint8_t proto = protos[k % 2];
				uint16_t port = asked_ports[k / 2];
				bool was = allowed(&old->reach, node, &dst, proto, port);
				bool is = allowed(&new->reach, node, &dst, proto, port);

				if (!has_family(&inv->nodes[node], &dst))
					continue;
				if (told(diff, true, node, &dst, proto, port) != (is && !was) ||
				    told(diff, false, node, &dst, proto, port) != (was && !is))
					fail_msg("%s to %s: %s -> %s proto %u port %u was %d, is %d", old->text,
						 new->text, inv->nodes[node].name, addr_str(&dst, buf), proto, port,
						 was, is);
			}
}

static void test_fault_43_diff_is_what_changes(void **state)
{
	struct rng rng = {43};
	struct inventory inv;

	load_inventory(&inv, inventory_text);
	for (int round = 0; round < ROUNDS; round++) {
		struct policy_diff diff;
		struct world old, new;

		make_world(&old, &rng, &inv);
		make_world(&new, &rng, &inv);
		policy_diff(&diff, &old.reach, &new.reach, NULL);
		compare_diff(&old, &new, &diff, &inv);
		policy_diff_free(&diff);
		free_world(&old);
		free_world(&new);
	}
	inventory_free(&inv);
}

/* ---- matrix ------------------------------------------------------------------------------------ */

struct tally {
	unsigned asked, reached;
};

static bool lists_port(const struct policy_portlist *l, uint16_t port)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].first <= port && port <= l->v[i].last)
			return true;
	return false;
}

static struct tally ask_cell(const struct world *w, const struct matrix_column *c, size_t node,
			     const struct prefixes *blocked)
{
	struct tally t = {0};

	for (unsigned d = 0; d < 24; d++)
		for (unsigned k = 0; k < c->n_protos * N_PORTS; k++) {
			struct prefix dst = {destination(d), 128};
			uint16_t port = asked_ports[k / c->n_protos];

			if (!prefixes_cover(&c->dst, &dst) || !lists_port(c->list, port) ||
			    !has_family(&w->reach.inv->nodes[node], &dst.addr))
				continue;
			t.asked++;
			t.reached += allowed(&w->reach, node, &dst.addr, c->protos[k % c->n_protos], port) &&
				     !prefixes_cover(blocked, &dst);
		}
	return t;
}

static bool is_in_row(const struct inventory_node *node, const char *row)
{
	if (!strcmp(row, "group:g"))
		return node->user;
	return node->user ? !strcmp(row, node->user) : inventory_has_tag(node, row);
}

static void compare_matrix(const struct world *w, const struct matrix *m, const struct prefixes *blocked)
{
	for (size_t r = 0; r < m->n_rows; r++)
		for (size_t c = 0; c < m->n_columns; c++) {
			enum matrix_cell cell = m->cells[r * m->n_columns + c].cell;
			struct tally t = {0};
			bool right;

			for (size_t n = 0; n < w->reach.inv->n_nodes; n++) {
				struct tally one = {0};

				if (is_in_row(&w->reach.inv->nodes[n], m->rows[r].name))
					one = ask_cell(w, &m->columns[c], n, blocked);
				t.asked += one.asked;
				t.reached += one.reached;
			}
			if (!t.reached)
				right = cell == MATRIX_NONE || cell == MATRIX_DENIED;
			else
				right = cell == (t.reached == t.asked ? MATRIX_ALL : MATRIX_SOME);
			if (!right)
				fail_msg("%s: %s to %s %s: %u of %u, the matrix says %d", w->text, m->rows[r].name,
					 m->columns[c].name, m->columns[c].ports, t.reached, t.asked, cell);
		}
}

static void test_fault_43_matrix_is_what_passes(void **state)
{
	struct rng rng = {4343};
	struct inventory inv;

	load_inventory(&inv, inventory_text);
	for (int round = 0; round < ROUNDS; round++) {
		struct prefixes blocked = {0};
		struct matrix m;
		struct world w;

		for (unsigned i = rng_below(&rng, 4); i--;) {
			const char *text = rng_below(&rng, 2) ? PICK(&rng, prefixes_v4) : PICK(&rng, prefixes_v6);
			struct prefix p;

			assert_true(prefix_parse(text, strlen(text), &p, NULL));
			prefixes_add(&blocked, &p);
		}
		prefixes_merge(&blocked);
		make_world(&w, &rng, &inv);
		matrix_build(&m, &w.reach, &blocked, NULL);
		compare_matrix(&w, &m, &blocked);
		matrix_free(&m);
		free_world(&w);
		prefixes_free(&blocked);
	}
	inventory_free(&inv);
}

/* ---- a name of two ------------------------------------------------------------------------------ */

/* In a rule a name is a host; only as a source, where no host can be, is it the client. */
static void test_fault_43_a_host_called_like_a_client(void **state)
{
	struct policy *p = load_policy("hosts: {bobs: 10.0.0.9}\nacls: []\n");
	struct diags d = {0};
	struct inventory inv;
	struct reach reach;

	load_inventory(&inv, inventory_text);
	assert_true(reach_build(&reach, p, &inv, &inv.nodes[0], NULL, &d));
	for (int dst = 0; dst < 2; dst++) {
		struct prefixes set = {0};
		char buf[ADDR_STRLEN];

		assert_true(reach_lookup(&reach, "bobs", dst, &set, &d));
		assert_int_equal(set.n, 1);
		assert_string_equal(prefix_str(&set.v[0], buf), dst ? "10.0.0.9" : "10.8.0.5");
		prefixes_free(&set);
	}
	reach_free(&reach);
	inventory_free(&inv);
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_43_diff_is_what_changes),
		cmocka_unit_test(test_fault_43_matrix_is_what_passes),
		cmocka_unit_test(test_fault_43_a_host_called_like_a_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

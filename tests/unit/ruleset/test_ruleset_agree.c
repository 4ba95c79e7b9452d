/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fault 8: explain, the policy's tests, the matrix and the diff give one answer. Over generated policies, with routers
 * of other tags, reserved addresses, destinations without a route, block lists aside, and protocols that no gateway
 * carries. (tests/bpf/test_explain.c holds explain against the programs.)
 */
#include <inttypes.h>

#include "../random.h"
#include "policy/matrix.h"
#include "ruleset_setup.h"

#define POLICIES 60
#define RULES	 6

static const char *const sources[] = {"alice@example.com", "bob@example.com", "'*'",
				      "'tag:gw'",	   "100.64.0.6",      "'group:g'"};
static const char *const places[] = {
	"203.0.113.9", "203.0.113.0/24", "198.18.0.1",	    "8.8.8.8", "169.254.169.254", "100.64.0.1",
	"'*'",	       "billing",	 "'2001:db8:3::9'",
};
static const char *const vias[] = {"", "", "", ", via: ['tag:gw']", ", via: ['tag:other']"};
static const char *const what[] = {"'*'", "'443'", "'tcp:443'", "'udp:53'", "'icmp:*'", "'sctp:443'", "'tcp:1-500'"};
static const char *const denied[] = {"'203.0.113.9:443'", "'203.0.113.9:*'", "'*:53'", "'8.8.8.8:1-80'"};

static const char *const clients[] = {"100.64.0.5", "100.64.0.6", "100.64.0.7", "'fd7a:115c:a1e0::5'"};
/* Routed here, so that this gateway decides. */
static const char *const asked[] = {"203.0.113.9", "203.0.113.10", "100.64.0.1", "'2001:db8:3::9'"};
static const char *const asked_protos[] = {"tcp", "udp", "icmp", "sctp"};
static const unsigned asked_ports[] = {443, 53, 501};

#define PICK(r, list) ((list)[rng_below(r, N(list))])

static void put_rules(struct rng *r, FILE *f)
{
	fputs("groups: {'group:g': [alice@example.com, bob@example.com]}\n"
	      "hosts: {billing: 203.0.113.9}\n"
	      "tagOwners: {'tag:gw': [], 'tag:other': []}\n"
	      "grants:\n",
	      f);
	for (uint32_t i = rng_below(r, RULES); i--;) {
		const char *place = PICK(r, places);

		fprintf(f, "- {src: [%s], dst: [%s], ip: [%s]%s}\n", PICK(r, sources), place, PICK(r, what),
			PICK(r, vias));
	}
	fputs("acls: []\n", f);
	fputs("deny:\n", f);
	for (uint32_t i = rng_below(r, 3); i--;)
		fprintf(f, "- {src: [%s], dst: [%s]}\n", PICK(r, sources), PICK(r, denied));
}

struct question {
	const char *src, *dst, *proto;
	unsigned port, line;
	bool allowed; /* explain says */
};

#define QUESTIONS (N(clients) * N(asked) * N(asked_protos) * N(asked_ports))

static bool is_v6(const char *text)
{
	return strchr(text, ':') != NULL;
}

/* A word of the policy's text without the quotes of YAML. */
static char *unquoted(const char *text)
{
	return *text == '\'' ? mem_strndup(text + 1, strlen(text) - 2) : mem_strdup(text);
}

/* A test for each question, one a line. */
static size_t put_tests(FILE *f, unsigned line, struct question *q)
{
	size_t n = 0;

	fputs("tests:\n", f);
	for (size_t c = 0; c < N(clients); c++)
		for (size_t d = 0; d < N(asked); d++)
			for (size_t p = 0; p < N(asked_protos) * N(asked_ports); p++) {
				char *dst = unquoted(asked[d]);

				q[n] = (struct question){clients[c],
							 asked[d],
							 asked_protos[p % N(asked_protos)],
							 asked_ports[p / N(asked_protos)],
							 ++line,
							 false};
				fprintf(f, "- {src: %s, proto: %s, accept: ['%s%s%s:%u']}\n", q[n].src, q[n].proto,
					is_v6(dst) ? "[" : "", dst, is_v6(dst) ? "]" : "", q[n].port);
				n += is_v6(clients[c]) == is_v6(dst);
				free(dst);
			}
	return n;
}

static bool explained(struct setup *s, const struct ruleset *r, const char *src, const char *dst, const char *proto,
		      unsigned port)
{
	struct explain_source source = {.rules = r, .config = s->config, .now = 0};
	char *error = NULL, *from = unquoted(src), *to = unquoted(dst), number[8];
	struct explain_question q = {.source = from, .destination = to};
	bool allowed, icmp = !strcmp(proto, "icmp");
	json_t *j;

	snprintf(number, sizeof(number), "%u", port);
	assert_true(explain_parse(proto, icmp ? NULL : number, &q, &error));
	j = explain(&source, &q, &error);
	if (!j && !strstr(error, "same family"))
		fail_msg("%s -> %s: %s", src, dst, error);
	allowed = json_is_true(json_object_get(j, "allowed"));
	json_decref(j);
	free(error);
	free(from);
	free(to);
	return allowed;
}

static bool failed_on(const struct diags *d, unsigned line)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->list[i].level == DIAG_ERROR && d->list[i].at.line == line)
			return true;
	return false;
}

/* Columns of one host, whose every port is asked by its first; rows by their names. */
static void compare_matrix(struct setup *s, const struct ruleset *r, const char *text)
{
	struct matrix m;

	matrix_build(&m, &r->reach, &r->blocked.all, NULL);
	for (size_t row = 0; row < m.n_rows; row++)
		for (size_t c = 0; c < m.n_columns; c++) {
			const struct matrix_column *col = &m.columns[c];
			enum matrix_cell cell = m.cells[row * m.n_columns + c].cell;
			char dst[ADDR_STRLEN], proto[8];
			unsigned port = col->list->v[0].first ? col->list->v[0].first : 1;
			bool all = true;

			if (col->dst.n != 1 || col->dst.v[0].len != 128 || m.rows[row].n_nodes != 1 ||
			    col->n_protos != 1 || strchr(m.rows[row].name, ' ') ||
			    !strncmp(m.rows[row].name, "tag:", 4))
				continue;
			if (col->protos[0] == 132 &&
			    !addr_cmp(&col->dst.v[0].addr, &s->config->tunnel.addresses[0].host))
				continue; /* to the gateway itself, which no matrix knows */
			addr_str(&col->dst.v[0].addr, dst);
			policy_proto_name(col->protos[0], proto);
			snprintf(proto, sizeof(proto), "%u", col->protos[0]);
			all = explained(s, r, m.rows[row].name, dst, col->protos[0] == 1 ? "icmp" : proto, port);
			if ((cell == MATRIX_ALL && !all) || ((cell == MATRIX_NONE || cell == MATRIX_DENIED) && all))
				fail_msg("%s\n%s to %s %s: the matrix says %d, explain %d", text, m.rows[row].name,
					 col->name, col->ports, cell, all);
		}
	matrix_free(&m);
}

static void compare_tests(struct setup *s, const struct ruleset *r, struct question *q, size_t n, const char *text)
{
	struct diags d = {0};
	size_t passed;

	ruleset_test(r, s->config, &passed, &d);
	for (size_t i = 0; i < n; i++) {
		q[i].allowed = explained(s, r, q[i].src, q[i].dst, q[i].proto, q[i].port);
		if (q[i].allowed == failed_on(&d, q[i].line))
			fail_msg("%s\n%s to %s %s %u: explain says %s, the test %s", text, q[i].src, q[i].dst,
				 q[i].proto, q[i].port, q[i].allowed ? "allowed" : "refused",
				 q[i].allowed ? "fails" : "passes");
	}
	diags_free(&d);
}

struct made {
	char *text;
	struct ruleset *r;
	struct question q[QUESTIONS];
	size_t n;
};

static void make(struct setup *s, struct rng *rng, struct made *m)
{
	size_t size;
	unsigned lines = 0;
	FILE *f = open_memstream(&m->text, &size);

	put_rules(rng, f);
	fflush(f);
	for (const char *c = m->text; *c; c++)
		lines += *c == '\n';
	m->n = put_tests(f, lines + 1, m->q);
	fclose(f);
	m->r = build(s, m->text, NULL);
	if (!m->r)
		diags_print(&s->d, stderr, false);
	assert_non_null(m->r);
	compare_tests(s, m->r, m->q, m->n, m->text);
	compare_matrix(s, m->r, m->text);
}

static void made_free(struct made *m)
{
	ruleset_free(m->r);
	free(m->text);
}

/* What changes for somebody is in the diff. */
static void compare_diff(struct setup *s, const struct made *old, const struct made *new)
{
	json_t *diff = policy_diff_json(old->r, new->r, s->config, NULL);
	bool empty = policy_diff_is_empty(diff);

	for (size_t i = 0; i < old->n && empty; i++)
		if (old->q[i].allowed != new->q[i].allowed && strcmp(old->q[i].proto, "icmp"))
			fail_msg("%s\n%s\nno difference, but %s to %s %s %u", old->text, new->text, old->q[i].src,
				 old->q[i].dst, old->q[i].proto, old->q[i].port);
	json_decref(diff);
}

static void test_fault_8_one_answer(void **state)
{
	static struct made of[2];
	struct setup *s = *state;
	struct rng rng = {20261130};
	size_t allowed = 0;

	make(s, &rng, &of[0]);
	for (size_t i = 1; i < POLICIES; i++) {
		make(s, &rng, &of[i % 2]);
		compare_diff(s, &of[(i + 1) % 2], &of[i % 2]);
		for (size_t k = 0; k < of[i % 2].n; k++)
			allowed += of[i % 2].q[k].allowed;
		made_free(&of[(i + 1) % 2]);
	}
	made_free(&of[(POLICIES - 1) % 2]);
	assert_true(allowed > POLICIES); /* it is not all refused */
}

/* The case as it was met: another tag's gateway may carry it, this one does not. */
static void test_fault_8_via_of_another_gateway(void **state)
{
	static const char text[] =
		"tagOwners: {'tag:gw': [], 'tag:exit-eu': []}\n"
		"grants:\n"
		"- {src: [alice@example.com], dst: [203.0.113.0/24], ip: ['tcp:443'], via: ['tag:gw']}\n"
		"- {src: [alice@example.com], dst: ['autogroup:internet'], ip: ['*'], via: ['tag:exit-eu']}\n"
		"tests:\n"
		"- {src: 100.64.0.5, accept: ['203.0.113.9:443'], deny: ['203.0.113.9:80']}\n";
	struct setup *s = *state;
	struct ruleset *r = build(s, text, NULL);
	size_t passed;

	assert_true(ruleset_test(r, s->config, &passed, &s->d));
	assert_int_equal(passed, 2);
	assert_false(explained(s, r, "100.64.0.5", "203.0.113.9", "tcp", 80));
	assert_true(explained(s, r, "100.64.0.5", "203.0.113.9", "tcp", 443));
	ruleset_free(r);
}

/* Fault 36: a rule for what no gateway carries is named by check, explain and test alike. */
static void test_fault_36_what_never_passes(void **state)
{
	static const char text[] = "acls:\n"
				   "- {action: accept, src: ['*'], dst: ['203.0.113.9:443'], proto: sctp}\n"
				   "- {action: accept, src: ['*'], dst: ['203.0.113.9:*'], proto: gre}\n"
				   "tests: [{src: 100.64.0.5, proto: sctp, accept: ['203.0.113.9:443']}]\n";
	struct setup *s = *state;
	struct ruleset *r = build(s, text, NULL);
	struct explain_source source = {.rules = r, .config = s->config};
	struct explain_question q = {.source = "100.64.0.5", .destination = "203.0.113.9", .proto = 47};
	char *error = NULL;
	size_t passed;
	json_t *j;

	assert_true(said(s, DIAG_WARNING, "sctp never passes a gateway, which translates TCP, UDP and ICMP"));
	assert_true(said(s, DIAG_WARNING, "gre never passes a gateway"));
	j = explain(&source, &q, &error);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json_object_get(j, "answers"), 0), "reason")),
		"protocol");
	json_decref(j);
	diags_free(&s->d);
	assert_false(ruleset_test(r, s->config, &passed, &s->d));
	assert_true(said(s, DIAG_ERROR, "expected accept: this protocol never passes a gateway"));
	ruleset_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		setup_test(test_fault_8_one_answer),
		setup_test(test_fault_8_via_of_another_gateway),
		setup_test(test_fault_36_what_never_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
